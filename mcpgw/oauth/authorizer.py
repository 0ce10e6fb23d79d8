"""OAuth 2.1 credentials for the requests to one network backend: login and renewal."""

from __future__ import annotations

import contextvars
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs
import trio

from mcpgw.oauth import scopes as scope_rules
from mcpgw.oauth.address_policy import LoginAddressPolicy
from mcpgw.oauth.challenge import Challenge, asks_for_login
from mcpgw.oauth.current_login import CurrentLogin
from mcpgw.oauth.discovery import Discovered, discover
from mcpgw.oauth.errors import ErrorAnswer, OAuthProblem, Refused
from mcpgw.oauth.fetch import Fetcher
from mcpgw.oauth.flow import CREDENTIALS, LoginFlow, Present
from mcpgw.oauth.model import Login, Tokens
from mcpgw.oauth.probe import probe
from mcpgw.oauth.renewal import Renewal
from mcpgw.oauth.status import LoginState, LogoutResult, state_of
from mcpgw.oauth.step_up import StepUps
from mcpgw.observe.log import get_logger
from mcpgw.transports.authorization import AuthorizationFailed

if TYPE_CHECKING:
    from mcpgw.config.oauth import OAuthConfig
    from mcpgw.oauth.store import TokenStore
    from mcpgw.transports.network import Network

log = get_logger("mcpgw.oauth")

FRESH: Final = 10.0
"""Seconds after a login in which a rejected token does not cause another login."""
PAUSE: Final = 300.0
"""Seconds after a failed login in which a call does not ask the user again."""
LOCK_PATIENCE: Final = 3.0
"""Seconds that a call whose token is still valid waits for the lock to renew it."""
RENEWAL_PAUSE: Final = 30.0
"""Seconds between attempts to renew a token that is still valid."""
_REVOCATION_PATIENCE: Final = 45.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_used: contextvars.ContextVar[tuple[object, int] | None] = contextvars.ContextVar(
    "mcpgw_oauth_used", default=None
)
"""The generation of the login that this task's request was sent with: a refusal concerns only
that one."""


def as_http(url: str) -> str:
    """Return a URL with ws replaced by http, for the well-known documents of the server."""
    for socket, plain in (("wss://", "https://"), ("ws://", "http://")):
        if url.lower().startswith(socket):
            return plain + url[len(socket) :]
    return url


@attrs.define
class _LoginInProgress:
    """A login in progress; other calls wait for it and share its outcome."""

    done: trio.Event = attrs.field(factory=trio.Event)
    problem: OAuthProblem | None = None
    cancelled: bool = False


@attrs.define(eq=False)
class OAuthAuthorizer:
    """The `Authorizer` of one backend.

    A token is renewed before it expires, by one task for all that wait; a refusal of the server
    starts discovery and a login, one at a time. A lock keeps other gateways of this user from
    renewing the same tokens at the same time, and the tokens that they obtained are used.

    Args:
      server: the backend's name.
      url: the URL of the MCP server (ws and wss are replaced by http and https).
      config: the backend's `oauth` settings.
      store: stores the logins.
      network: makes the connections.
      present: shows the user the link to log in; None if there is no interactive user.
      nursery: runs logins, so that they outlive the call that needed them; without one a login
        runs in the call's task, and ends with it.
      now: returns the time in seconds since 1970.
    """

    server: str = attrs.field(kw_only=True)
    url: str = attrs.field(kw_only=True, converter=as_http)
    config: OAuthConfig = attrs.field(kw_only=True)
    store: TokenStore = attrs.field(kw_only=True)
    network: Network = attrs.field(kw_only=True)
    present: Present | None = attrs.field(kw_only=True, default=None)
    nursery: trio.Nursery | None = attrs.field(kw_only=True, default=None)
    now: Callable[[], float] = attrs.field(kw_only=True, default=time.time)
    _flow: LoginFlow = attrs.field(init=False)
    _kept: CurrentLogin = attrs.field(init=False)
    _renewal: Renewal = attrs.field(init=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _in_progress: _LoginInProgress | None = attrs.field(default=None, init=False)
    _link: str | None = attrs.field(default=None, init=False, repr=False)
    _quiet_until: float = attrs.field(default=-1.0, init=False)
    _renew_after: float = attrs.field(default=-1.0, init=False)
    _logged_in_at: float = attrs.field(default=-math.inf, init=False)
    _last_problem: str = attrs.field(default="", init=False)
    _step_ups: StepUps = attrs.field(factory=StepUps, init=False)
    _reused: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        fetcher = Fetcher(self.network, LoginAddressPolicy(self.url))
        self._flow = LoginFlow(self.server, self.url, self.config, fetcher, self.now)
        self._kept = CurrentLogin(self.server, self.url, self.config, self.store)
        self._renewal = Renewal(self._flow, self._kept)

    async def headers(self) -> Mapping[str, str]:
        """Return the `Authorization` header, with a token that is renewed before it expires.

        It is empty if there is no login yet; the server's challenge then starts one.

        Raises:
          AuthorizationFailed: the token has expired and cannot be renewed now.
        """
        if not self.config.enabled:
            return _NOTHING
        await self._kept.load_once()
        tokens = self._tokens
        if tokens is not None and tokens.due(self.now(), self.config.token_refresh_buffer_secs):
            tokens = await self._renew_ahead()
        _used.set((self._kept, self._kept.generation))
        if tokens is None or tokens.expired(self.now()):
            return _NOTHING
        return {"authorization": f"Bearer {tokens.access_token}"}

    async def challenged(self, status: int, headers: Mapping[str, str]) -> bool:
        """Handle a 401 or 403; return whether to send the request again.

        Args:
          status: the status of the response.
          headers: the headers of the response, names in lower case.

        Raises:
          AuthorizationFailed: a token cannot be obtained; the reason says what to do.
        """
        if not self.config.enabled:
            return False
        challenge = Challenge.of(headers)
        lacking = challenge is not None and challenge.error == "insufficient_scope"
        await self._kept.load_once()
        # Some servers answer requests without a token with 403, which is for tokens that lack a
        # scope.
        anonymous = self._tokens is None and asks_for_login(status, challenge)
        if status != 401 and not (status == 403 and lacking) and not anonymous:
            return False
        if self._tokens is not None and self._was_older():
            return True
        await self._join(challenge, more=status == 403 and not anonymous)
        return True

    async def login(self) -> LoginState:
        """Log in again, even with a valid login; ask the user unless configured otherwise.

        Raises:
          AuthorizationFailed: it failed.
        """
        self._step_ups.clear()
        self._quiet_until = -1.0
        try:
            await self._kept.load_once()
            refused, challenge = await probe(self.network, self.url)
            async with self._lock, self.store.lock(self.server):
                found = await self._discover(challenge)
                if not refused and found.server.assumed:
                    raise Refused("this server does not ask for a login")
                await self._log_in(found, challenge, extra=())
        except OAuthProblem as problem:
            raise self._failed(problem) from problem
        return self.status()

    async def logout(self) -> LogoutResult:
        """Revoke the tokens of all logins of the backend, and delete the logins.

        A login is deleted even if its tokens could not be revoked.

        Raises:
          AuthorizationFailed: a record cannot be deleted.
        """
        try:
            async with self._lock, self.store.lock(self.server):
                logins = await trio.to_thread.run_sync(self.store.all, self.server)
                revoked = 0
                for login in logins:
                    revoked += await self._revoke(self._kept.with_secret(login))
                    await trio.to_thread.run_sync(self.store.delete, self.server, login.issuer)
                self._kept.forget()
        except OAuthProblem as problem:
            raise self._failed(problem) from problem
        return LogoutResult(found=len(logins), revoked=revoked)

    def status(self) -> LoginState:
        """Return the state of the login, without secrets and without any request."""
        login = self._kept.login or self._kept.stored()
        return state_of(login, now=self.now(), link=self._link, problem=self._last_problem)

    @property
    def advice(self) -> str:
        """Advice for the user who opens the link, "" if there is none."""
        if not self._reused:
            return ""
        return (
            "If the page reports an unknown client, run the command again: mcp-gateway auth login"
            f" {self.server}. It then registers a new client."
        )

    @property
    def _tokens(self) -> Tokens | None:
        return self._kept.login.tokens if self._kept.login is not None else None

    def _was_older(self) -> bool:
        """Return whether the refused request was sent with an earlier token."""
        used = _used.get()
        if used is not None and used[0] is self._kept:
            return used[1] != self._kept.generation
        return self._is_fresh()

    def _is_fresh(self) -> bool:
        tokens = self._tokens
        return tokens is not None and self.now() - tokens.obtained_at < FRESH

    async def _renew_ahead(self) -> Tokens | None:
        """Renew the token before it expires; if that fails, use it while it is valid."""
        tokens = self._tokens
        valid = tokens is not None and not tokens.expired(self.now())
        if valid and self.now() < self._renew_after:
            return tokens
        # A user may be logging in, here or in another gateway. A call with a valid token does not
        # wait for that.
        with trio.CancelScope() as waiting:
            waiting.deadline = trio.current_time() + (LOCK_PATIENCE if valid else math.inf)
            try:
                async with self._lock, self.store.lock(self.server):
                    waiting.deadline = math.inf
                    tokens = self._tokens
                    buffer = self.config.token_refresh_buffer_secs
                    if tokens is not None and tokens.due(self.now(), buffer):
                        await self._renewal.renew()
            except OAuthProblem as problem:
                self._renew_after = self.now() + RENEWAL_PAUSE
                if tokens is None or tokens.expired(self.now()):
                    raise self._failed(problem) from problem
                log.warning("oauth.renewal_failed", backend=self.server, reason=str(problem))
        return self._tokens

    async def _join(self, challenge: Challenge | None, *, more: bool) -> None:
        """Wait for the login in progress, or start one."""
        while True:
            login_in_progress = self._in_progress
            if login_in_progress is None:
                login_in_progress = self._in_progress = _LoginInProgress()
                if self.nursery is None:
                    await self._run_login(login_in_progress, challenge, more)
                else:
                    self.nursery.start_soon(self._run_login, login_in_progress, challenge, more)
            await login_in_progress.done.wait()
            if login_in_progress.problem is not None:
                raise self._failed(login_in_progress.problem) from login_in_progress.problem
            if not login_in_progress.cancelled:
                return
            if self.nursery is not None:
                raise AuthorizationFailed(f"the login at {self.server} was cancelled")

    async def _run_login(
        self, login_in_progress: _LoginInProgress, challenge: Challenge | None, more: bool
    ) -> None:
        try:
            async with self._lock, self.store.lock(self.server):
                await self._obtain(challenge, more)
        except OAuthProblem as problem:
            login_in_progress.problem = problem
        except trio.Cancelled:
            login_in_progress.cancelled = True
            raise
        except Exception as error:  # noqa: BLE001 - this may run as its own task, and an error in
            # showing the link must not end the gateway
            log.error("oauth.login_crashed", backend=self.server, error=repr(error)[:500])
            login_in_progress.problem = Refused(f"the login was aborted: {type(error).__name__}")
        finally:
            self._in_progress = None
            login_in_progress.done.set()

    async def _obtain(self, challenge: Challenge | None, more: bool) -> None:
        """Obtain a new token after the server refused the current one."""
        if await self._kept.adopt():
            return
        extra = self._step_ups.missing(self._tokens, challenge) if more else ()
        found = await self._discover(challenge)
        login = self._kept.login
        if login is not None and login.tokens is not None and login.issuer == found.asked:
            if not more and self.now() - self._logged_in_at < FRESH:
                raise Refused("the server rejects the token of the login that it just requested")
            if not more and not self._is_fresh() and await self._renewal.renew():
                return
        await self._log_in(found, challenge, extra=extra)

    async def _discover(self, challenge: Challenge | None) -> Discovered:
        current = self._kept.login
        preferred = [self.config.issuer, current.issuer if current is not None else None]
        found = await discover(
            self._flow.fetcher,
            self.url,
            challenge,
            preferred=tuple(issuer for issuer in preferred if issuer),
            trusted=self.config.trusted_issuers,
        )
        await self._kept.check_issuer(found.asked)
        return found

    async def _log_in(
        self, found: Discovered, challenge: Challenge | None, *, extra: tuple[str, ...]
    ) -> None:
        known = await self._kept.known(found.asked)
        interactive = self._flow.grant(found, interactive=self.present is not None) != CREDENTIALS
        scopes = scope_rules.to_request(
            configured=self.config.scopes,
            challenged=challenge.scopes if challenge is not None else (),
            supported=found.scopes_supported,
            server=found.server,
            interactive=interactive,
        )
        if extra:
            before = self._kept.login
            scopes = scope_rules.union(before.asked if before is not None else (), scopes, extra)
            if before is not None and before.tokens is not None:
                scopes = scope_rules.union(before.tokens.scopes, scopes)
        if interactive:
            login = await self._by_user(found, scopes, known)
        else:
            login = await self._by_credentials(found, scopes)
        await self._kept.keep(login)
        self._last_problem = ""
        self._logged_in_at = self.now()
        log.info("oauth.logged_in", backend=self.server, issuer=login.issuer)

    async def _by_credentials(self, found: Discovered, scopes: tuple[str, ...]) -> Login:
        try:
            return await self._flow.by_credentials(found, scopes)
        except ErrorAnswer as problem:
            if self.config.grant == CREDENTIALS or self.present is not None:
                raise self._explained(problem) from problem.__cause__
            raise Refused(f"{problem}; {self._how_to_log_in()}") from problem

    async def _by_user(
        self, found: Discovered, scopes: tuple[str, ...], known: Login | None
    ) -> Login:
        if self.present is None:
            raise Refused(f"there is no interactive user to log in; {self._how_to_log_in()}")
        if self.now() < self._quiet_until:
            hint = self._how_to_log_in()
            before = self._last_problem.removesuffix(f"; {hint}")
            raise Refused(f"{before}; {hint}")
        try:
            try:
                return await self._present_link(found, scopes, known)
            except ErrorAnswer as problem:
                if not self._reused or not problem.rejects_client or known is None:
                    raise
                log.info("oauth.client_forgotten", backend=self.server, reason=str(problem))
                await self._kept.drop(known)
                return await self._present_link(found, scopes, None)
        except OAuthProblem as problem:
            self._quiet_until = self.now() + PAUSE
            explained = self._explained(problem)
            self._last_problem = str(explained)
            raise explained from problem.__cause__

    async def _present_link(
        self, found: Discovered, scopes: tuple[str, ...], known: Login | None
    ) -> Login:
        assert self.present is not None
        self._reused = False
        return await self._flow.by_user(
            found,
            scopes,
            known=known,
            present=self.present,
            opened=self._set_link,
            reused=self._on_reuse,
        )

    async def _on_reuse(self, known: Login) -> None:
        self._reused = True
        await self._kept.suspend_registration(known)

    def _explained(self, problem: OAuthProblem) -> OAuthProblem:
        """Add what to do if the server does not accept the configured client."""
        rejected = isinstance(problem, ErrorAnswer) and problem.rejects_client
        if rejected and self.config.client_id is not None:
            return Refused(
                f"{problem}. Check `client_id` and `client_secret` of '{self.server}' under `oauth`"
            )
        return problem

    def _set_link(self, link: str | None) -> None:
        self._link = link

    async def _revoke(self, login: Login) -> bool:
        if login.tokens is None:
            return False
        try:
            with trio.move_on_after(_REVOCATION_PATIENCE):
                return await self._flow.endpoint_of(login).revoke(login.tokens)
        except OAuthProblem as problem:
            log.warning("oauth.revocation_failed", backend=self.server, reason=str(problem))
        return False

    def _how_to_log_in(self) -> str:
        return f"run: mcp-gateway auth login {self.server}"

    def _failed(self, problem: OAuthProblem) -> AuthorizationFailed:
        self._last_problem = str(problem)
        return AuthorizationFailed(f"no authorization for '{self.server}': {problem}")
