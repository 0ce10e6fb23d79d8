"""FastMCP's proxy in front of stdio servers, which are given as JSON in the argument."""

import json
import sys

from fastmcp.server import create_proxy

create_proxy({"mcpServers": json.loads(sys.argv[1])}).run(show_banner=False)
