"""Judges tool definitions and capability files as a model meets them: `mcp-gateway validate`."""
