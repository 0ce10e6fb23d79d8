"""Linter for tool definitions: rules, fixes and reports."""
