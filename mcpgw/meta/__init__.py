"""Meta-tools of the gateway, in a module for each group."""
