"""Fetching a public document: a specification, a skill, a capability file of somebody else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpAnswer, HttpRequest, Sender
from mcpgw.transports.address_policy import Reach
from mcpgw.transports.network import Network

TIMEOUT: Final = 30.0


async def fetch_public(
    url: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> bytes:
    """Return the document at a URL; addresses inside this network are refused.

    Args:
      url: http or https.
      limit: bytes at most.
      headers: sent to the URL's own origin only.
      inside: networks and hosts inside that are reached all the same.

    Raises:
      CallProblem: it cannot be had.
    """
    answer = await fetch_answer(url, limit=limit, headers=headers, inside=inside)
    if answer.status != 200:
        raise CallProblem(f"{url} was answered with HTTP {answer.status}.")
    return answer.content


async def fetch_answer(
    url: str,
    *,
    limit: int,
    headers: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> HttpAnswer:
    """Return the answer at a URL, whatever its status. Raises: as `fetch_public`."""
    sender = Sender(Network(dict(os.environ)))
    try:
        outgoing = HttpRequest("GET", url, dict(headers or {}))
        return await sender.send(outgoing, reach=Reach(inside), timeout=TIMEOUT, limit=limit)
    finally:
        await sender.aclose()
