"""Getting new tokens from a login that there is, without a person."""

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
_ENDED: Final = ("invalid_grant", "invalid_client", "unauthorized_client")


@attrs.frozen
class Renewal:
    """Renews what is kept. The caller holds the locks of the backend's login."""

    flow: LoginFlow
    kept: CurrentLogin

    async def renew(self) -> bool:
        """Get a new token by what the login allows; tell whether there is one now.

        What another gateway got meanwhile is taken over. Once a request that uses up a refresh
        token is out, it is seen through to the end, whoever is cancelled: the answer holds the
        only one that is good afterwards.

        Raises:
          OAuthProblem: not now; it may work later.
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
        """Drop what the authorization server takes no more: the refresh token, or a registration
        that it forgot. An answer that says nothing about that is raised again."""
        if problem.error not in _ENDED:
            raise problem
        log.info("oauth.renewal_refused", backend=login.server, reason=str(problem))
        if login.client.origin == "registered" and problem.error != "invalid_grant":
            await self.kept.drop(login)
            return
        assert login.tokens is not None
        lasting = None
        if not login.tokens.expired(self.flow.now()):
            lasting = attrs.evolve(login.tokens, refresh_token=None)
        await self.kept.keep(attrs.evolve(login, tokens=lasting, updated_at=self.flow.now()))
