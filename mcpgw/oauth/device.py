"""Logins on another device (RFC 8628): the user enters a code in any browser."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs
import trio

from mcpgw.oauth.errors import ErrorAnswer, Refused, Unreachable, origin_of
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.metadata import text_of
from mcpgw.oauth.model import Tokens
from mcpgw.oauth.token_answer import error_of, read_tokens

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL: Final = 5.0
"""Seconds between two polls if the server names none (RFC 8628, section 3.2)."""
_SLOWER: Final = 5.0
"""Seconds by which `slow_down` extends the interval (RFC 8628, section 3.5)."""
_LONGEST: Final = 1800.0
_CODE_LENGTH: Final = 64

Show = Callable[[str, str], Awaitable[None]]
"""Shows the user the page to open, and the code to enter there ("" if the page knows it)."""


@attrs.frozen
class DeviceLogin:
    """A login by a code that the user enters in any browser.

    Args:
      fetcher: makes the requests.
      device_endpoint: issues the codes.
      token_endpoint: is polled until the user has logged in.
      authenticate: adds the client's authentication to a form; returns form and headers.
    """

    fetcher: Fetcher
    device_endpoint: str
    token_endpoint: str
    authenticate: Callable[[dict[str, str]], tuple[dict[str, str], dict[str, str]]]

    async def tokens(self, scopes: tuple[str, ...], show: Show) -> Tokens:
        """Let the user log in, and return the tokens.

        Raises:
          OAuthProblem: the login was refused, or not completed in time.
        """
        form, headers = self.authenticate({"scope": " ".join(scopes)} if scopes else {})
        answer = await self.fetcher.post_form(self.device_endpoint, form, headers)
        document = answer.body or {}
        where = origin_of(self.device_endpoint)
        device, user = text_of(document, "device_code"), text_of(document, "user_code")
        page = text_of(document, "verification_uri") or text_of(document, "verification_url")
        if not answer.ok or device is None or user is None or page is None:
            error, description = error_of(document)
            raise ErrorAnswer(error or f"HTTP {answer.status}", where, description)
        whole = text_of(document, "verification_uri_complete")
        if len(user) > _CODE_LENGTH or not user.isprintable():
            raise Refused(f"{where} sent a user code that cannot be shown")
        await self.fetcher.check(whole or page)
        await show(whole or page, user)
        lifetime = min(_seconds(document, "expires_in", _LONGEST), _LONGEST)
        with trio.move_on_after(lifetime):
            return await self._poll(
                device, scopes, interval=_seconds(document, "interval", _INTERVAL)
            )
        raise Refused(f"no login at {where} within {lifetime / 60:.0f} minutes")

    async def _poll(self, device: str, scopes: tuple[str, ...], *, interval: float) -> Tokens:
        while True:
            await trio.sleep(interval)
            form, headers = self.authenticate({"grant_type": GRANT, "device_code": device})
            try:
                answer = await self.fetcher.post_form(self.token_endpoint, form, headers)
                return read_tokens(
                    answer, self.token_endpoint, asked=scopes, now=time.time(), secrets=(device,)
                )
            except ErrorAnswer as problem:
                if problem.error == "slow_down":
                    interval += _SLOWER
                elif problem.error != "authorization_pending":
                    raise
            except Unreachable:
                interval *= 2  # RFC 8628, section 3.5


def _seconds(document: Mapping[str, object], key: str, default: float) -> float:
    value = document.get(key)
    try:
        found = float(value) if isinstance(value, (int, float, str)) else default
    except (ValueError, OverflowError):
        return default
    return found if 0 < found < _LONGEST else default
