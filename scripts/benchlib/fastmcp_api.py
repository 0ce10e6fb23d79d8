"""FastMCP's server for an OpenAPI document, which is given as JSON in the argument."""

import json
import sys

from fastmcp import FastMCP

FastMCP.from_openapi(json.loads(sys.argv[1])).run(show_banner=False)
