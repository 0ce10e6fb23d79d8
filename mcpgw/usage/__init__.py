"""Usage counters, recorded in memory and stored in the state database."""
