"""Playbooks: named sequences of tool calls, defined in YAML."""
