"""A small MCP server with useful offline tools, shipped so that a first try needs no other.

It is a plain blocking program of the standard library alone, a stranger's server as far as
the gateway is concerned, and starts as `python -m mcpgw.example`.
"""
