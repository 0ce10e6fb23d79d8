"""Stored logins of users to APIs: read for each call, renewed once for all gateways."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.token_requests import BASIC, POST, RENEW_BEFORE, PostForm, request_tokens
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import AllowedNetworks

log = get_logger("mcpgw.capabilities")

FOLDER: Final = "logins"
"""The folder of logins to APIs, below the state folder."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PATIENCE: Final = 45.0


@attrs.frozen
class ApiClient:
    """An OAuth client of the user at an API's provider.

    `stored` is true if the secret must be stored with a login, because a gateway that is started
    elsewhere cannot look it up.
    """

    id: str
    secret: str = attrs.field(default="", repr=False)
    stored: bool = False


@attrs.frozen
class ApiLogin:
    """A stored login. Times are seconds since 1970; a repr does not show the secrets."""

    access_token: str = attrs.field(default="", repr=False)
    refresh_token: str = attrs.field(default="", repr=False)
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()
    client_id: str = ""
    client_secret: str = attrs.field(default="", repr=False)
    token_endpoint: str = ""
    token_endpoint_auth_method: str = ""
    revocation_endpoint: str = ""
    updated_at: float | None = None

    @classmethod
    def read(cls, data: object) -> ApiLogin | None:
        """Parse the content of a file; None if there is no token in it."""
        if not isinstance(data, dict):
            return None
        found: dict[str, Any] = {}
        for field in attrs.fields(cls):
            value = data.get(field.name)
            if field.name == "scopes":
                texts = value if isinstance(value, list) else []
                found["scopes"] = tuple(each for each in texts if isinstance(each, str))
            elif field.name in ("expires_at", "updated_at"):
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                found[field.name] = float(value) if number else None  # type: ignore[arg-type]
            else:
                found[field.name] = value if isinstance(value, str) else ""
        login = cls(**found)
        return login if login.access_token or login.refresh_token else None

    def as_json(self) -> dict[str, Any]:
        """Return the content of the file, without empty members."""
        return {key: value for key, value in attrs.asdict(self).items() if value}

    def good(self, now: float, *, buffer: float = RENEW_BEFORE) -> bool:
        """Return whether the access token is valid for `buffer` seconds, or half its lifetime."""
        ends = self.expires_at
        if ends is None or not self.access_token:
            return bool(self.access_token)
        lifetime = ends - self.updated_at if self.updated_at is not None else 2 * buffer
        return now < ends - min(buffer, max(0.0, lifetime / 2))


def is_provider(name: str) -> bool:
    """Return whether a name is valid for a provider, and so for a file."""
    return _NAME.fullmatch(name) is not None


def login_file(folder: Path, provider: str) -> Path:
    """Return the file of a login, below the state folder."""
    return folder / FOLDER / f"{provider}.json"


def read_login(folder: Path, provider: str) -> ApiLogin | None:
    """Return a stored login, None without one (blocks to read the file)."""
    from mcpgw.state.files import read_json

    return ApiLogin.read(read_json(login_file(folder, provider)))


def write_login(folder: Path, provider: str, login: ApiLogin) -> None:
    """Store a login, readable by its owner only (blocks). Raises OSError."""
    from mcpgw.state.files import write_atomically

    data = json.dumps(login.as_json(), indent=2).encode()
    write_atomically(login_file(folder, provider), data, mode=0o600, sync=True)


@attrs.define(eq=False)
class ApiLogins:
    """Gives the access tokens of stored logins, and renews them.

    A lock on the file system keeps other gateways of the user from using the same refresh token,
    which may be valid only once.

    Args:
      folder: the state folder.
      post: posts forms to token endpoints; without it, expired tokens are errors.
      client: returns the configured client of a provider, whose secret has precedence over the
        stored one; takes the provider and the login.
      seen: collects all tokens and secrets, for redaction.
    """

    folder: Path
    post: PostForm | None
    client: Callable[[str, ApiLogin], Awaitable[ApiClient | None]]
    seen: set[str] = attrs.field(repr=False)
    _locks: dict[str, trio.Lock] = attrs.field(factory=dict, init=False)
    _unsaved: dict[str, tuple[ApiLogin | None, ApiLogin]] = attrs.field(
        factory=dict, init=False, repr=False
    )
    """The content of the file, and the newer login that could not be written to it."""

    async def token(
        self, provider: str, *, hint: str = "", token_endpoint: str = "", rejected: str = ""
    ) -> str:
        """Return the access token of a login.

        Args:
          provider: the provider's name.
          hint: how a person gets the credential, for the error message.
          token_endpoint: the token endpoint for a login that does not name its own.
          rejected: a token that the API refused, which must not be returned.

        Raises:
          CallProblem: there is no valid token; the message says what to do.
        """
        if not is_provider(provider):
            raise CallProblem(f"{provider[:40]!r} is not a valid name of an OAuth provider.")
        more = f" {hint}" if hint else ""
        again = f"Run: mcp-gateway auth login {provider}"
        async with self._locks.setdefault(provider, trio.Lock()):
            login = await self._load(provider)
            if login is None:
                raise CallProblem(f"there is no login to '{provider}'. {again}.{more}")
            if login.good(time.time()) and login.access_token != rejected:
                return login.access_token
            if not login.refresh_token:
                state = "was rejected" if login.good(time.time()) else "has expired"
                raise CallProblem(
                    f"the login to '{provider}' {state}; log in again. {again}.{more}"
                )
            from mcpgw.oauth.store import TokenStore

            async with TokenStore(self.folder / FOLDER).lock(provider):
                login = await self._load(provider) or login
                if login.good(time.time()) and login.access_token != rejected:
                    return login.access_token
                try:
                    return await self._renewed(provider, login, token_endpoint)
                except CallProblem as problem:
                    # Another gateway may have renewed it, if the lock cannot be used.
                    other = await self._load(provider)
                    if other is not None and other != login and other.good(time.time()):
                        return other.access_token
                    usable = login.good(time.time(), buffer=0) and login.access_token != rejected
                    if problem.again and usable:
                        log.warning("token.renewal_failed", provider=provider, reason=str(problem))
                        return login.access_token
                    if problem.again:
                        raise
                    raise attrs.evolve(problem, message=f"{problem} {again}.{more}") from None

    async def _load(self, provider: str) -> ApiLogin | None:
        login = await trio.to_thread.run_sync(read_login, self.folder, provider)
        before, unsaved = self._unsaved.get(provider, (None, None))
        if unsaved is not None and login == before:
            login = unsaved
        if login is not None:
            self.seen |= {
                text
                for text in (login.access_token, login.refresh_token, login.client_secret)
                if text
            }
        return login

    async def _renewed(self, provider: str, login: ApiLogin, token_endpoint: str) -> str:
        """Renew a login, store it and return its access token.

        The request is shielded from cancellation: it invalidates the refresh token, and only its
        response contains the next one.
        """
        from mcpgw.oauth.errors import ErrorAnswer, OAuthProblem

        endpoint = login.token_endpoint or token_endpoint
        if not endpoint or self.post is None:
            raise CallProblem(f"the login to '{provider}' has expired; log in again.")
        client = await self.client(provider, login) or ApiClient(login.client_id)
        client_id = login.client_id or client.id
        secret = (client.secret if client.id == client_id else "") or login.client_secret
        self.seen |= {secret} if secret else set()
        # A login with an endpoint was made by its user, who may run the provider.
        own = (urlsplit(endpoint).hostname or "",) if login.token_endpoint else ()
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + _PATIENCE
            try:
                tokens = await request_tokens(
                    self.post,
                    endpoint,
                    {"grant_type": "refresh_token", "refresh_token": login.refresh_token},
                    client_id=client_id,
                    secret=secret,
                    method=BASIC if login.token_endpoint_auth_method == BASIC else POST,
                    asked=login.scopes,
                    networks=AllowedNetworks(own),
                )
            except OAuthProblem as problem:
                passing = not isinstance(problem, ErrorAnswer) or problem.passing
                text = f"the login to '{provider}' could not be renewed: {problem}."
                raise CallProblem(text, again=passing) from None
            fresh = attrs.evolve(
                login,
                access_token=tokens.access_token,
                refresh_token=tokens.refresh_token or login.refresh_token,
                expires_at=tokens.expires_at,
                scopes=tokens.scopes,
                client_id=client_id,
                updated_at=time.time(),
            )
            await self._store(provider, login, fresh)
            return fresh.access_token
        raise CallProblem(f"renewing the login to '{provider}' took too long.", again=True)

    async def _store(self, provider: str, before: ApiLogin, fresh: ApiLogin) -> None:
        self.seen |= {text for text in (fresh.access_token, fresh.refresh_token) if text}
        try:
            await trio.to_thread.run_sync(write_login, self.folder, provider, fresh)
            self._unsaved.pop(provider, None)
        except OSError as error:
            known, _ = self._unsaved.get(provider, (before, None))
            self._unsaved[provider] = (known, fresh)
            hint = "a new login may be needed after the next start"
            log.warning("token.write_failed", provider=provider, reason=str(error), hint=hint)
        log.info("token.renewed", provider=provider)
