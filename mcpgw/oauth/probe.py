"""Probe an MCP server without credentials, to get its challenge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mcpgw.oauth.challenge import Challenge, asks_for_login
from mcpgw.oauth.errors import Unreachable, origin_of

if TYPE_CHECKING:
    from mcpgw.transports.network import Network

_TIMEOUT: Final = 20.0
_PING: Final = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "ping"}).encode()


async def probe(network: Network, url: str) -> tuple[bool, Challenge | None]:
    """Return whether a server refuses requests without a token, and its challenge.

    Only the head of the response is read: the body may be an endless stream.

    Raises:
      Unreachable: the server did not answer.
    """
    import httpx

    accept = {"accept": "application/json, text/event-stream"}
    post = {**accept, "content-type": "application/json"}
    try:
        async with network.client(timeout=httpx.Timeout(_TIMEOUT)) as client:
            for method, headers, body in (("POST", post, _PING), ("GET", accept, None)):
                async with client.stream(method, url, headers=headers, content=body) as response:
                    joined = ", ".join(response.headers.get_list("www-authenticate"))
                    challenge = Challenge.of({"www-authenticate": joined})
                    if asks_for_login(response.status_code, challenge):
                        return True, challenge
    except httpx.HTTPError as error:
        reason = str(error)[:200] or type(error).__name__
        raise Unreachable(f"{origin_of(url)} did not answer: {reason}") from None
    return False, None
