"""Renewal of tokens without the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.oauth.errors import ErrorAnswer, Unreachable
from mcpgw.oauth.flow import CREDENTIALS, LoginFlow
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.oauth.current_login import CurrentLogin
    from mcpgw.oauth.model import Login

log = get_logger("mcpgw.oauth")

_PATIENCE: Final = 45.0


@attrs.frozen
class Renewal:
    """Renews the tokens of the current login. The caller holds the locks of that."""

    flow: LoginFlow
    kept: CurrentLogin

    async def renew(self) -> bool:
        """Renew the token; return whether there is a new one.

        A token that another gateway obtained meanwhile is used. A request with a refresh token is
        shielded from cancellation: it invalidates the token, and only its response contains the
        next one.

        Raises:
          OAuthProblem: it failed for now; a later attempt may succeed.
        """
        if await self.kept.adopt():
            return True
        login = self.kept.login
        if login is None or login.tokens is None:
            return False
        if login.grant != CREDENTIALS and login.tokens.refresh_token is None:
            return False
        endpoint = self.flow.endpoint_of(login)
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + _PATIENCE
            try:
                if login.grant == CREDENTIALS:
                    tokens = await endpoint.by_credentials(login.asked)
                else:
                    tokens = await endpoint.by_refresh(login.tokens)
            except ErrorAnswer as problem:
                await self._refused(login, problem)
                return False
            updated_at = self.flow.now()
            await self.kept.keep(attrs.evolve(login, tokens=tokens, updated_at=updated_at))
            log.debug("oauth.renewed", backend=login.server, issuer=login.issuer)
            return True
        raise Unreachable("renewing the token took too long")

    async def _refused(self, login: Login, problem: ErrorAnswer) -> None:
        """Drop the refresh token, or the client registration, that the server no longer accepts.

        An error that may pass is raised again.
        """
        if problem.passing:
            raise problem
        log.info("oauth.renewal_refused", backend=login.server, reason=str(problem))
        if login.client.origin == "registered" and problem.rejects_client:
            await self.kept.drop(login)
            return
        assert login.tokens is not None
        remaining = None
        if not login.tokens.expired(self.flow.now()):
            remaining = attrs.evolve(login.tokens, refresh_token=None)
        await self.kept.keep(attrs.evolve(login, tokens=remaining, updated_at=self.flow.now()))
