"""The bearer token of the HTTP front."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mcpgw.config.expansion import expand
from mcpgw.config.server import AuthConfig
from mcpgw.config.wire_values import without_line_end


def bearer_token(auth: AuthConfig, environ: Mapping[str, str]) -> str:
    """Return the configured token, `auto` if one must be generated, "" if none is required."""
    if not auth.enabled or auth.bearer_token is None:
        return ""
    reference = re.fullmatch(r"env:([A-Za-z_][A-Za-z0-9_]*)", auth.bearer_token)
    if reference is not None:
        return without_line_end(environ.get(reference[1], ""))
    return without_line_end(expand(auth.bearer_token, environ).text)
