"""Structured logging, and redaction of secrets."""
