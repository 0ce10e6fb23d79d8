"""Shared helpers: scripted servers, a client that drives the gateway, process checks."""
