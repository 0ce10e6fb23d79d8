"""The stages of a call, one module each; `mcpgw.pipeline.pipeline` has their order."""
