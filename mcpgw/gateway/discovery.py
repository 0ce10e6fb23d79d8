"""Discovery of a running gateway of the same configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from mcpgw.observe.log import OwnWords, get_logger
from mcpgw.state.folder import state_folder

log = get_logger("mcpgw.bridge")

HEALTH_PATIENCE: Final = 1.0
"""Seconds that a running gateway has to answer a health check."""


@attrs.frozen
class RunningGateway:
    """A running gateway: its URL for clients, and its bearer token if it requires one."""

    url: str
    token: str = attrs.field(default="", repr=False)


def find_running_gateway(
    config_path: Path | None,
    environ: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
) -> RunningGateway | None:
    """Return the gateway that runs at the configured address; None if none answers there."""
    import json
    import urllib.error
    import urllib.request

    found = gateway_address(config_path, environ, host, port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{found.url.removesuffix('/mcp')}/health", timeout=HEALTH_PATIENCE) as r:
            health = json.load(r)
    except (OSError, ValueError):
        return None
    return found if isinstance(health, dict) and "version" in health else None


def gateway_address(
    config_path: Path | None, environ: Mapping[str, str], host: str | None, port: int | None
) -> RunningGateway:
    """Return the address at which a gateway of this configuration listens, running or not.

    The defaults are used if the configuration cannot be loaded.
    """
    from mcpgw.config import loader
    from mcpgw.config.problems import ConfigError
    from mcpgw.config.schema import GatewayConfig
    from mcpgw.config.server import AUTO_TOKEN
    from mcpgw.gateway.run_file import RunFile
    from mcpgw.gateway.tokens import bearer_token

    environment: Mapping[str, str] = environ
    try:
        path = config_path or loader.find(environ, Path.cwd())
        loaded = loader.load(path if path and path.exists() else None, environ=environ)
        config, environment = loaded.config, loaded.environ
    except ConfigError as error:
        log.warning("config.rejected", reason=OwnWords(error))
        config = GatewayConfig()
    address = host or config.server.host
    if address in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        address = "127.0.0.1"
    url_host = f"[{address}]" if ":" in address else address
    chosen = port if port is not None else config.server.port
    run = RunFile(state_folder(environ), chosen).read()
    token = bearer_token(config.auth, environment)
    if token == AUTO_TOKEN:
        token = str(run.get("token") or "")
    return RunningGateway(f"http://{url_host}:{run.get('port', chosen)}/mcp", token)
