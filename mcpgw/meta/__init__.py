"""The meta-tools that an AI client sees, a module for each group."""
