"""`mcp-gateway auth`: OAuth logins to network servers and APIs.

Links and notes go to stderr, results to stdout. Tokens are never printed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import trio

from mcpgw.cli.api_logins import PREFIX, ApiLoginCommands
from mcpgw.cli.app import log_options
from mcpgw.cli.configuration import configured, usable_state_folder
from mcpgw.cli.exit_codes import FAILED, INTERRUPTED, NOT_FOUND, OK, UNAVAILABLE
from mcpgw.cli.in_process import Stop
from mcpgw.cli.output import format_option, print_json, say, say_lines
from mcpgw.observe.log import get_logger

if TYPE_CHECKING:
    from mcpgw.config.schema import BackendConfig
    from mcpgw.oauth.authorizer import OAuthAuthorizer
    from mcpgw.oauth.status import LoginState


log = get_logger("mcpgw.oauth")


@click.group("auth", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Log in to and out of servers and APIs that require OAuth."""


@command.command("login")
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--scope", "scopes", multiple=True, help="Scope to request from an API (repeatable).")
@click.option(
    "--device", is_flag=True, help="Log in to an API with a code, in a browser of any device."
)
@log_options
@click.pass_context
def login_command(
    ctx: click.Context,
    /,
    name: str,
    no_browser: bool,
    scopes: tuple[str, ...],
    device: bool,
    **options: Any,
) -> None:
    """Log in to a server or an API in the browser.

    NAME is a server of gateway.yaml, or the provider of an API: the NAME of `oauth:NAME` in
    capability files, such as google. For an API, the scopes that all enabled capabilities need are
    requested, unless --scope is given.

    The link is also printed, in case no browser opens. It must be opened on this machine, within
    ten minutes.
    """
    servers = _Servers.of(ctx, options)

    async def run() -> int:
        from mcpgw.transports.authorization import AuthorizationFailed

        provider = servers.api(name)
        if provider is not None:
            state = await servers.apis.log_in(
                provider,
                scopes,
                _presenter(not no_browser, lambda: ""),
                _show_code if device else None,
            )
            say(f"Logged in to {_with_details(provider, state)}")
            return OK
        backend = servers.network_server(name)
        oauth = servers.oauth_of(backend)
        if not oauth.enabled:
            raise Stop(f"`oauth.enabled` is false for '{name}' in the configuration.", FAILED)
        if device:
            raise Stop("--device is for APIs.", FAILED)
        if scopes:
            raise Stop(
                f"--scope is for APIs. Set `scopes` under `backends.{name}.oauth` instead.", FAILED
            )

        authorizer = servers.authorizer(
            backend,
            _presenter(oauth.open_browser and not no_browser, lambda: authorizer.advice),
        )
        try:
            state = await authorizer.login()
        except AuthorizationFailed as failed:
            raise Stop(failed.reason, UNAVAILABLE) from failed
        say(f"Logged in to {_with_details(name, state)}")
        return OK

    ctx.exit(_run(run))


@command.command("status")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@format_option
@log_options
@click.pass_context
def status_command(
    ctx: click.Context, /, name: str | None, as_json: bool, form: str, **options: Any
) -> None:
    """Show the logins to network servers and APIs.

    No server is contacted. With NAME, only that server or API is shown, and the exit status is 1
    if there is no valid login.
    """
    servers = _Servers.of(ctx, options)

    async def run() -> int:
        states = servers.states(name)
        if as_json or form == "json":
            rows = [_as_json(server, state) for server, state in states.items()]
            print_json(rows[0] if name else rows)
        else:
            width = max(map(len, states), default=0)
            for server, state in states.items():
                say(f"{server:<{width}}  {state.state:<9}  {_about(state)}".rstrip())
            if not states:
                say("No network servers are configured, and no API is used.", err=True)
        usable = all(state.state in ("valid", "renewable") for state in states.values())
        return OK if usable or not name else FAILED

    ctx.exit(_run(run))


@command.command("logout")
@click.argument("name")
@log_options
@click.pass_context
def logout_command(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Log out of a server or an API.

    The tokens are revoked if the authorization server supports it, and deleted here.
    """
    servers = _Servers.of(ctx, options)

    async def run() -> int:
        from mcpgw.transports.authorization import AuthorizationFailed

        provider = servers.api(name)
        if provider is not None:
            found, revoked = await servers.apis.log_out(provider)
        else:
            authorizer = servers.authorizer(servers.network_server(name), None)
            try:
                result = await authorizer.logout()
            except AuthorizationFailed as failed:
                raise Stop(failed.reason, FAILED) from failed
            found, revoked = bool(result.found), result.revoked == result.found
        if not found:
            say(f"No login to {name} found.")
        elif revoked:
            say(f"Logged out of {name}; the tokens were revoked.")
        else:
            say(f"Logged out of {name}. The tokens were deleted here but not revoked.")
        return OK

    ctx.exit(_run(run))


@attrs.frozen
class _Servers:
    """The configured servers and APIs, and how to log in to them."""

    backends: Mapping[str, BackendConfig]
    environ: Mapping[str, str] = attrs.field(repr=False)
    folder: Path
    apis: ApiLoginCommands

    @classmethod
    def of(cls, ctx: click.Context, options: Mapping[str, Any]) -> _Servers:
        """Load the configuration; exit if it is not valid."""
        loaded, here = configured(ctx, options)
        apis = ApiLoginCommands(loaded.config.capabilities, loaded.environ, here)
        return cls(loaded.config.backends, loaded.environ, usable_state_folder(), apis)

    def api(self, name: str) -> str | None:
        """Return the provider that a name means, None if it means a server, or nothing."""
        provider = name.removeprefix(PREFIX)
        if provider == name and name in self.backends:
            return None
        return provider if self.apis.knows(provider) else None

    def states(self, name: str | None) -> dict[str, LoginState]:
        """Return the states of all logins, or of one, by name."""
        provider = self.api(name) if name else None
        if provider is not None:
            return {provider: self.apis.status(provider)}
        chosen = [self.network_server(name)] if name else self.network_servers()
        states = {each.name: self.authorizer(each, None).status() for each in chosen}
        if not name:
            for each in self.apis.shown():
                label = f"{PREFIX}{each}" if each in self.backends else each
                states[label] = self.apis.status(each)
        return states

    def network_servers(self) -> list[BackendConfig]:
        """Return the servers that support logins."""
        return [each for each in self.backends.values() if _url(each)]

    def network_server(self, name: str) -> BackendConfig:
        """Return a server that supports logins.

        Raises:
          Stop: there is no such server.
        """
        backend = self.backends.get(name)
        if backend is None:
            from mcpgw.text.did_you_mean import did_you_mean

            servers = [each.name for each in self.network_servers()]
            apis = self.apis.names()
            hint = did_you_mean(name, [*servers, *apis])
            if not hint:
                hint = f" Network servers: {', '.join(servers) or 'none'}."
                hint += f" APIs: {', '.join(apis) or 'none'}."
            raise Stop(f"Server or API '{name}' not found.{hint}", NOT_FOUND)
        if not _url(backend):
            raise Stop(f"'{name}' is a program on this machine, which needs no login.", FAILED)
        return backend

    def oauth_of(self, backend: BackendConfig) -> Any:
        """Return the OAuth settings of a server."""
        from mcpgw.config.oauth import OAuthConfig

        return getattr(backend, "oauth", None) or OAuthConfig()

    def authorizer(
        self, backend: BackendConfig, present: Callable[[str], Awaitable[None]] | None
    ) -> OAuthAuthorizer:
        """Return the authorizer of a server."""
        from mcpgw.oauth.authorizer import OAuthAuthorizer
        from mcpgw.oauth.store import FOLDER, TokenStore
        from mcpgw.transports.network import Network

        config = self.oauth_of(backend)
        return OAuthAuthorizer(
            server=backend.name,
            url=_url(backend),
            config=config,
            store=TokenStore(self.folder / FOLDER, config.storage),
            network=Network(self.environ),
            present=present,
        )


def _url(backend: BackendConfig) -> str:
    return backend.http_url or backend.ws_url


def _presenter(browser: bool, advice: Callable[[], str]) -> Callable[[str], Awaitable[None]]:
    async def present(link: str) -> None:
        say_lines(f"Open this link to log in:\n\n  {link}\n", err=True)
        if text := advice():
            say_lines(f"{text}\n", err=True)
        if browser:
            from mcpgw.oauth.browser import open_browser

            if not await open_browser(link):
                say("No browser could be opened.", err=True)

    return present


async def _show_code(page: str, code: str) -> None:
    say_lines(f"Open this page on any device:\n\n  {page}\n\nCode: {code}\n", err=True)


def _run(run: Callable[[], Awaitable[int]]) -> int:
    status: int = FAILED
    try:
        status = trio.run(run)
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* Stop as stopped:
        stop = stopped.exceptions[0]
        assert isinstance(stop, Stop)
        say_lines(f"Error: {stop.message}", err=True)
        status = stop.status
    except* Exception as group:
        # A server's data may be invalid in unforeseen ways; the user gets one line all the same.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.debug("auth.crashed", exc_info=error)
        about = f"{type(error).__name__} (--log-level debug shows where)"
        say(f"Error: the login cannot go on with what the server sent: {about}", err=True)
        status = UNAVAILABLE
    return status


def _with_details(name: str, state: LoginState) -> str:
    details = _about(state)
    return f"{name} {details}." if details else f"{name}."


def _about(state: LoginState) -> str:
    """Return the details of a login in one line."""
    if state.issuer is None:
        return ""
    parts = [f"at {state.issuer}"]
    if state.scopes:
        parts.append(f"scopes {' '.join(state.scopes)}")
    if state.expires_at is not None:
        ends = "renewed when used" if state.refreshable else "then log in again"
        parts.append(f"token until {_when(state.expires_at)}, {ends}")
    return "; ".join(parts)


def _as_json(server: str, state: LoginState) -> dict[str, Any]:
    return {
        "server": server,
        "state": state.state,
        "issuer": state.issuer,
        "resource": state.resource,
        "grant": state.grant,
        "client_id": state.client_id,
        "client_origin": state.client_origin,
        "scopes": list(state.scopes),
        "expires_at": None if state.expires_at is None else _when(state.expires_at),
        "refreshable": state.refreshable,
        "updated_at": None if state.updated_at is None else _when(state.updated_at),
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
