"""What the tests share: scripted servers, a client that drives the gateway, process watching."""
