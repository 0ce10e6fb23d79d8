"""The edges that face AI clients."""
