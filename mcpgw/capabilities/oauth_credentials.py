"""Credentials that renew OAuth tokens with the guarded client of the API requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest, Sender
from mcpgw.transports.address_policy import AllowedNetworks

LARGEST: Final = 256 * 1024
"""Bytes of a response."""
TIMEOUT: Final = 20.0
"""Seconds."""


def credentials(
    environ: Callable[[], Mapping[str, str]], folder: Path, sender: Sender
) -> Credentials:
    """Return credentials that can renew OAuth logins.

    Args:
      environ: returns the current environment.
      folder: the state folder.
      sender: sends the requests to token endpoints.
    """

    async def post_form(url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        outgoing = HttpRequest("POST", url, headers, urlencode(form).encode())
        response = await sender.send(
            outgoing, address_policy=AllowedNetworks(), timeout=TIMEOUT, limit=LARGEST
        )
        try:
            found = json.loads(response.content)
        except (ValueError, RecursionError):
            found = None
        if response.status != 200 or not isinstance(found, dict):
            reason = found.get("error") if isinstance(found, dict) else None
            more = f" ({reason})" if isinstance(reason, str) else ""
            raise CallProblem(
                f"{outgoing.host} did not renew the login: HTTP {response.status}{more}."
                " Log in again."
            )
        return found

    return Credentials(environ, folder, post_form)
