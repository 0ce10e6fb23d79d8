"""MCP gateway: any number of MCP servers behind one compact MCP server."""

__version__ = "0.1.0"
