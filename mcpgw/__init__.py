"""A gateway that shows one compact MCP server for any number of MCP servers."""

__version__ = "0.1.0"
