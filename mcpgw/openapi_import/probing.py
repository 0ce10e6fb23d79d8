"""Discovery of the OpenAPI document of an API from its URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import trio

from mcpgw.openapi_import.loading import ImportProblem, load

PATHS: Final = (
    *("/.well-known/openapi.json", "/openapi.json", "/openapi.yaml", "/swagger.json"),
    *("/swagger.yaml", "/api-docs", "/v3/api-docs", "/docs/openapi.json", "/api/openapi.json"),
    *("/api/swagger.json", "/v1/openapi.json", "/api/v1/openapi.json", "/docs", "/api/docs"),
)
AT_ONCE: Final = 4
"""Concurrent requests."""

Fetch = Callable[[str], Awaitable[bytes | None]]
"""Gets the document at a URL, None if there is none."""


async def probe(url: str, fetch: Fetch) -> tuple[str, str] | None:
    """Find a document and return its URL and text, None if there is none.

    The URL itself is tried first, then the usual paths below it and at its origin. If there are
    several documents, the first one counts.

    Raises:
      ImportProblem: the URL is not an http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImportProblem(f"{url[:100]!r} must be an http or https URL")
    origin = f"{parts.scheme}://{parts.netloc}"
    below = f"{origin}{parts.path.rstrip('/')}"
    candidates = list(dict.fromkeys([url, *(b + p for b in (below, origin) for p in PATHS)]))
    found: dict[int, str] = {}
    limit = trio.CapacityLimiter(AT_ONCE)

    async def look(place: int) -> None:
        async with limit:
            if any(other < place for other in found):
                return
            data = await fetch(candidates[place])
        text = data.decode("utf-8", "replace") if data else ""
        try:
            if text:
                load(text, candidates[place])
                found[place] = text
        except ImportProblem:
            return

    async with trio.open_nursery() as nursery:
        for place in range(len(candidates)):
            nursery.start_soon(look, place)
    if not found:
        return None
    best = min(found)
    return candidates[best], found[best]
