"""MCP servers behind the gateway: processes, connections, supervision, failsafes."""
