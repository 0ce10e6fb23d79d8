"""JSON-RPC peers and MCP constants. Nothing here does input or output of its own."""
