"""The OAuth 2.1 client by which the gateway logs in to network backends."""
