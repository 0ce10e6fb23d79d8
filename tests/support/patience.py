"""Bound of the waits in real time."""

PATIENCE = 120.0
"""Seconds that anything may take on a machine under load before it counts as hanging."""
