"""Command-line interface, with a module for each command."""
