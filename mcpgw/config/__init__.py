"""gateway.yaml as attrs classes."""
