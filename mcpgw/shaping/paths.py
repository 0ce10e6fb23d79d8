"""Paths into JSON data, as the rest of the house knows them."""

from mcpgw.config.json_path import JsonPath, PathError, parse_path

__all__ = ["JsonPath", "PathError", "parse_path"]
