"""Channels of JSON-RPC messages over byte streams."""
