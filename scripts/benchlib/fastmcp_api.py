"""FastMCP's server of an OpenAPI document, which is given as JSON."""

import json
import sys

from fastmcp import FastMCP

FastMCP.from_openapi(json.loads(sys.argv[1])).run(show_banner=False)
