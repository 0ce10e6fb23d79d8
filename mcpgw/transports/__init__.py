"""Transports: channels of JSON-RPC messages over pipes, HTTP and WebSocket."""
