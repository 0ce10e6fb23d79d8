"""Tools that are made of YAML files: REST, GraphQL and JSON-RPC APIs, other tools, commands."""
