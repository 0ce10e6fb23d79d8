"""Actions of users and programs in the tests: open a link, call a server with a token."""

from __future__ import annotations

import time

import attrs
import httpx
import trio

from mcpgw.oauth.authorizer import OAuthAuthorizer


class Person:
    """Opens each link that is shown, in a browser that follows redirects; keeps what they saw."""

    def __init__(self) -> None:
        self.links: list[str] = []
        self.pages: list[httpx.Response] = []
        self.absent = False
        self.called = trio.Event()

    async def __call__(self, link: str) -> None:
        """Open a link, or be absent."""
        self.links.append(link)
        self.called.set()
        if self.absent:
            await trio.sleep_forever()
        # A browser does not end with the program that opened it.
        with trio.CancelScope(shield=True):
            await self.browse(link)

    async def browse(self, link: str) -> None:
        """Open a link, follow it, and keep the page."""
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser:
            self.pages.append(await browser.get(link))

    async def wait_and_cancel(self, scope: trio.CancelScope) -> None:
        """Cancel something as soon as a link is shown."""
        await self.called.wait()
        scope.cancel()

    def asked(self, number: int = -1) -> dict[str, str]:
        """Return the parameters of a link that was shown."""
        return dict(httpx.URL(self.links[number]).params)


@attrs.define
class Clock:
    """The time of day, shifted."""

    shift: float = 0.0

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return time.time() + self.shift


async def call(authorizer: OAuthAuthorizer, *, tries: int = 4) -> int:
    """Call the server as a transport does, doing what it asks for; return the last status."""
    status = 0
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(tries):
            sent = await authorizer.headers()
            response = await client.post(authorizer.url, headers=dict(sent), content=b"{}")
            status = response.status_code
            if status not in (401, 403):
                break
            answered = {name.lower(): value for name, value in response.headers.items()}
            if not await authorizer.challenged(status, answered):
                break
    return status
