"""Vetting of definitions: poisoning scan, approvals, withheld definitions."""
