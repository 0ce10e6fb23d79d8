"""Fetching of public documents: specifications, skills and capability files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse, Sender
from mcpgw.transports.address_policy import AllowedNetworks
from mcpgw.transports.network import Network

TIMEOUT: Final = 30.0
"""Seconds."""


async def fetch_public(
    url: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> bytes:
    """Fetch the document at a URL; private addresses are refused.

    Args:
      url: an http or https URL.
      limit: the largest document, in bytes.
      headers: headers that are sent to the URL's own origin only.
      inside: private networks and hosts that are allowed.

    Raises:
      CallProblem: the document cannot be fetched.
    """
    response = await fetch_response(url, limit=limit, headers=headers, inside=inside)
    if response.status != 200:
        raise CallProblem(f"{url} returned HTTP {response.status}.")
    return response.content


async def fetch_response(
    url: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> HttpResponse:
    """Return the response from a URL whatever its status; the rest is as for `fetch_public`."""
    sender = Sender(Network(dict(os.environ)))
    try:
        outgoing = HttpRequest("GET", url, dict(headers or {}))
        return await sender.send(
            outgoing, address_policy=AllowedNetworks(inside), timeout=TIMEOUT, limit=limit
        )
    finally:
        await sender.aclose()
