"""JSON-RPC peers and the words of MCP, with no input or output of their own."""
