"""A small MCP server with offline tools, shipped to try the gateway without installing another.

It is a blocking program that uses only the standard library and shares no code with the gateway.
Start it with `python -m mcpgw.example`.
"""
