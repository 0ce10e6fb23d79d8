"""Credentials that request OAuth tokens with the guarded client of the API requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.http_sender import HttpRequest, Sender
from mcpgw.transports.address_policy import AllowedNetworks

if TYPE_CHECKING:
    from mcpgw.oauth.fetch import Answer

LARGEST: Final = 256 * 1024
"""Bytes of a response."""
TIMEOUT: Final = 20.0
"""Seconds."""


def credentials(
    environ: Callable[[], Mapping[str, str]], folder: Path, sender: Sender
) -> Credentials:
    """Return credentials that can request and renew OAuth tokens.

    Args:
      environ: returns the current environment.
      folder: the state folder.
      sender: sends the requests to token endpoints.
    """

    async def post_form(
        url: str, form: Mapping[str, str], headers: Mapping[str, str], networks: AllowedNetworks
    ) -> Answer:
        from mcpgw.oauth.fetch import answer_of

        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            **headers,
        }
        outgoing = HttpRequest("POST", url, sent, urlencode(form).encode())
        response = await sender.send(
            outgoing, address_policy=networks, timeout=TIMEOUT, limit=LARGEST
        )
        return answer_of(response.status, response.content)

    return Credentials(environ, folder, post_form)
