"""What can be called, and the index that finds it."""
