"""Calls in a row under one name."""
