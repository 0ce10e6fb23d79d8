"""Settings of gateway.yaml: schema, loading, validation and change detection."""
