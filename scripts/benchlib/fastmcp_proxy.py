"""FastMCP's proxy in front of the stdio servers that the argument names, as JSON."""

import json
import sys

from fastmcp.server import create_proxy

create_proxy({"mcpServers": json.loads(sys.argv[1])}).run(show_banner=False)
