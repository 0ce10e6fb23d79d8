"""The stages of a call, one module each. Their order stands in `mcpgw.pipeline.pipeline`."""
