"""Usage counters: recorded in memory, kept in the state database."""
