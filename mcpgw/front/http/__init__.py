"""The HTTP front: MCP over HTTP, SSE and WebSocket. Imported only if HTTP is enabled."""
