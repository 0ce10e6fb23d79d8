"""The OAuth 2.1 client that logs the gateway in to network backends."""
