"""The parts of `scripts/bench`, and small programs that are compared with the gateway."""
