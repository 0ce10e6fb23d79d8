"""Each server as a REST API with OpenAPI document and page, below `/openapi`."""
