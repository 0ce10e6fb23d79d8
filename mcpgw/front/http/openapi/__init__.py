"""Each server as a REST API below `/openapi`."""
