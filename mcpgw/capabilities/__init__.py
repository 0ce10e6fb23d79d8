"""Capabilities: tools made from YAML files that call APIs, other MCP tools or commands."""
