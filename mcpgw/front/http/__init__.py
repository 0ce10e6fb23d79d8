"""The server edge of the HTTP front; imported only when HTTP is on."""
