"""`mcp-gateway bridge`: one MCP server over another transport, without a configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from mcpgw.cli.app import log_options, settle
from mcpgw.cli.configuration import usable_state_folder
from mcpgw.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from mcpgw.config.schema import BackendConfig
    from mcpgw.gateway.tree import ServeOptions

SERVER: Final = "server"
"""Name of the server behind a bridge."""


@click.command("bridge")
@click.option(
    "--stdio", "stdio_command", metavar="COMMAND", help="Command of the server (no shell)."
)
@click.option(
    "--url",
    metavar="URL",
    help="URL of the server: http, https (the transport is detected), ws or wss.",
)
@click.option(
    "--to",
    required=True,
    type=click.Choice(["stdio", "http", "sse", "ws"]),
    help="Transport for clients: stdin and stdout, or /mcp, /sse or /ws on a port.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Header of all requests to --url; ${NAME} is expanded.",
)
@click.option(
    "-e",
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Environment variable for the server of --stdio.",
)
@click.option("--host", default=None, metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on (39400)."
)
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Listen beyond this machine; something else must guard the address.",
)
@log_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Serve one MCP server over another transport.

    All messages are forwarded unchanged: tools, resources, prompts, sampling, elicitation,
    progress. A crashed server is restarted, and a lost session is reopened.
    """
    settle(ctx, None, options["log_level"], options["log_format"], level="info")
    given = [name for name in ("stdio_command", "url") if options[name]]
    if len(given) != 1:
        raise click.UsageError("either --stdio COMMAND or --url URL is required")
    try:
        if options["to"] == "stdio":
            if not options["url"]:
                raise click.UsageError(
                    "--stdio with --to stdio has no effect; run the command itself"
                )
            folder = usable_state_folder()
            ctx.exit(trio.run(_to_stdio, options["url"], _headers(options["headers"]), folder))
        from mcpgw.gateway import tree

        ctx.exit(trio.run(tree.run, _serve_options(options)))
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)


async def _to_stdio(url: str, headers: Mapping[str, str], folder: Path) -> int:
    from mcpgw.backends.guarded_channel import redactor_of
    from mcpgw.config.oauth import OAuthConfig
    from mcpgw.gateway.proxy import bridge_stdio, network_channel
    from mcpgw.oauth.authorizer import OAuthAuthorizer
    from mcpgw.oauth.browser import open_browser
    from mcpgw.oauth.store import TokenStore
    from mcpgw.transports.network import Network

    network = Network(os.environ)
    authorizer = None
    if not any(name.lower() == "authorization" for name in headers):

        async def present(link: str) -> None:
            await open_browser(link)

        authorizer = OAuthAuthorizer(
            server=SERVER,
            url=url,
            config=OAuthConfig(),
            store=TokenStore(folder / "oauth"),
            network=network,
            present=present,
        )
    redactor = redactor_of(_network_backend(url, headers), os.environ, authorizer)

    async def open_server() -> Any:
        return network_channel(
            url, network, headers=headers, authorizer=authorizer, redactor=redactor
        )

    return await bridge_stdio(open_server, redactor)


def _serve_options(options: Mapping[str, Any]) -> ServeOptions:
    """Return the options to run a gateway with this one server."""
    from mcpgw.config.failsafe import FailsafeConfig, RateLimitConfig
    from mcpgw.config.schema import GatewayConfig
    from mcpgw.config.trust import CapabilitiesConfig
    from mcpgw.gateway.tree import ServeOptions

    config = GatewayConfig(
        backends={SERVER: _backend(options)},
        capabilities=CapabilitiesConfig(enabled=False),
        failsafe=FailsafeConfig(rate_limit=RateLimitConfig(enabled=False)),
    )
    return ServeOptions(
        None,
        dict(os.environ),
        stdio=False,
        http=True,
        host=options["host"],
        port=options["port"],
        config=config,
        only=SERVER,
        allow_unauthenticated=options["allow_unauthenticated"],
    )


def _backend(options: Mapping[str, Any]) -> BackendConfig:
    from mcpgw.config.expansion import split_command
    from mcpgw.config.schema import BackendConfig

    url = options["url"]
    if url:
        if not url.startswith(("http://", "https://", "ws://", "wss://")):
            raise click.UsageError(f"--url must start with http, https, ws or wss, not {url!r:.60}")
        return _network_backend(url, _headers(options["headers"]))
    try:
        words = split_command(options["stdio_command"])
    except ValueError as error:
        raise click.UsageError(f"--stdio: {error}") from error
    if not words:
        raise click.UsageError("--stdio must not be empty")
    return BackendConfig(
        name=SERVER, command=tuple(words), env=_pairs(options["variables"], "=", "--env")
    )


def _network_backend(url: str, headers: Mapping[str, str]) -> BackendConfig:
    from mcpgw.config.schema import BackendConfig

    if url.startswith("ws"):
        return BackendConfig(name=SERVER, ws_url=url, headers=headers)
    return BackendConfig(name=SERVER, http_url=url, headers=headers)


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    from mcpgw.config.expansion import expand
    from mcpgw.config.wire_values import header_fault, header_name_fault, without_line_end
    from mcpgw.observe.printable import printable

    found = {
        name: without_line_end(expand(value, os.environ).text)
        for name, value in _pairs(texts, ":", "--header").items()
    }
    for name, value in found.items():
        if fault := header_name_fault(name):
            raise click.UsageError(f"--header: {printable(name)!r} {fault}")
        if fault := header_fault(value):
            raise click.UsageError(f"--header {name}: the value {fault}")
    return found


def _pairs(texts: tuple[str, ...], separator: str, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, there, value = text.partition(separator)
        if not there or not name.strip():
            raise click.UsageError(f"{option} must be of the form NAME{separator}VALUE")
        found[name.strip()] = value
    return found
