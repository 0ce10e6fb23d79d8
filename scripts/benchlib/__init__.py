"""The parts of `scripts/bench`, and the small programs that it measures beside the gateway."""
