"""`python -m mcpgw.example`: serve the example tools on stdin and stdout."""

from __future__ import annotations

from mcpgw.example.server import main

raise SystemExit(main())
