"""The search index over the tools of all backends."""
