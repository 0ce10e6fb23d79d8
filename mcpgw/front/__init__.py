"""Client-facing side of the gateway: sessions, their methods, and HTTP."""
