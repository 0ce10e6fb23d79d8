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


def missing_token(auth: AuthConfig) -> str:
    """Describe why authentication is enabled without a token, and what to set."""
    if auth.bearer_token is None:
        return "auth.enabled is true, but auth.bearer_token is not set; set a token, or `auto`"
    name = auth.bearer_token.removeprefix("env:")
    if name != auth.bearer_token:
        return f"auth.bearer_token is env:{name}, but the variable {name} is not set"
    return "auth.enabled is true, but auth.bearer_token is empty; set a token, or `auto`"
