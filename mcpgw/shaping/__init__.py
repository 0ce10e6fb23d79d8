"""Transforms of a backend's tools and results for clients: names, projections, pages."""
