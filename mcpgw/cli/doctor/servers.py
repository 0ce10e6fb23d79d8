"""Checks of the configured servers and of a running gateway."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from mcpgw.cli.doctor.check import Check
from mcpgw.config.schema import BackendConfig, GatewayConfig

if TYPE_CHECKING:
    from mcpgw.config.loader import Loaded
    from mcpgw.gateway.discovery import RunningGateway

TIMEOUT: Final = 5.0
"""Timeout of network requests, in seconds."""
_INSTALL_HINTS: Final = {
    "npx": "Install Node.js: https://nodejs.org",
    "node": "Install Node.js: https://nodejs.org",
    "uvx": "Install uv: https://docs.astral.sh/uv",
    "uv": "Install uv: https://docs.astral.sh/uv",
    "docker": "Install Docker: https://docs.docker.com/get-docker",
}


def check_servers(loaded: Loaded) -> Iterator[Check]:
    """Check all enabled servers: variables, command, URL."""
    here = loaded.path.parent if loaded.path is not None else Path.cwd()
    enabled = [each for each in loaded.config.backends.values() if each.enabled]
    for backend in enabled:
        yield from _variables(backend, loaded.environ)
        if backend.command:
            yield _command(backend, loaded.environ, here)
    remote = [each for each in enabled if each.http_url]
    if remote:
        yield from trio.run(_check_urls, remote, loaded.environ)


def _variables(backend: BackendConfig, environ: Mapping[str, str]) -> Iterator[Check]:
    from mcpgw.known_servers import find

    known = find(backend.name)
    for name in known.required_env if known is not None else ():
        missing = not environ.get(name) and not backend.env.get(name)
        yield Check(
            *(f"{backend.name}: {name}", "auth", "fail" if missing else "pass"),
            "is not set, but the server requires it" if missing else "is set",
            f"Set it, and pass it in backends.{backend.name}.env." if missing else "",
            f"export {name}=<value>" if missing else "",
        )


def _command(backend: BackendConfig, environ: Mapping[str, str], here: Path) -> Check:
    word = backend.command[0]
    path = backend.env.get("PATH") or environ.get("PATH")
    folder = Path(backend.cwd).expanduser() if backend.cwd else here
    kind = (f"{backend.name}: command", "backend_stdio")
    if not folder.is_dir():
        hint = f"Correct backends.{backend.name}.cwd, or create the folder."
        return Check(*kind, "fail", f"the working folder {str(folder)!r} does not exist", hint)
    found = shutil.which(word if os.sep not in word else str(folder / word), path=path)
    if found is not None:
        return Check(*kind, "pass", f"{word} is {found}")
    hint = _INSTALL_HINTS.get(Path(word).name, "Install it, or use its full path.")
    return Check(*kind, "fail", f"{word} not found in PATH", hint)


async def _check_urls(backends: list[BackendConfig], environ: Mapping[str, str]) -> list[Check]:
    from mcpgw.config.secrets import secrets_of
    from mcpgw.observe.redactor import Redactor
    from mcpgw.transports.network import Network

    network = Network(environ)
    found: dict[str, Check] = {}

    async def ask(backend: BackendConfig) -> None:
        import httpx

        kind = (f"{backend.name}: HTTP", "backend_http")
        began = trio.current_time()
        try:
            with trio.fail_after(TIMEOUT):
                async with (
                    network.client() as client,
                    # Only read the headers: many servers answer a GET with an endless stream.
                    client.stream("GET", backend.http_url or "") as answer,
                ):
                    status = answer.status_code
        except (httpx.HTTPError, OSError, trio.TooSlowError) as error:
            reason = "timed out" if isinstance(error, trio.TooSlowError) else str(error)
            reason = Redactor(tuple(secrets_of(backend).certain)).foreign(reason, 500)
            hint = "Check its URL, and that it is running. A proxy is set by HTTPS_PROXY."
            found[backend.name] = Check(*kind, "fail", reason or type(error).__name__, hint)
            return
        took = f"HTTP {status} ({(trio.current_time() - began) * 1e3:.0f} ms)"
        found[backend.name] = Check(*kind, "fail" if status >= 500 else "pass", took)

    async with trio.open_nursery() as nursery:
        for backend in backends:
            nursery.start_soon(ask, backend)
    return [found[backend.name] for backend in backends]


# -- the gateway itself -----------------------------------------------------------------------


def check_front(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check the port of the HTTP front, and the gateway that listens there."""
    from mcpgw.gateway.discovery import find_running_gateway

    yield from _check_exposure(loaded)
    running = find_running_gateway(loaded.path, environ)
    if running is not None:
        yield Check("Port", "port", "pass", f"a gateway is listening at {running.url}")
        yield from _check_running(running, loaded.config)
        return
    server = loaded.config.server
    if _is_open(server.host, server.port):
        yield Check(
            *("Port", "port", "fail", f"{server.host}:{server.port} is in use by another program"),
            "Stop it, or choose another port: server.port, or serve --port.",
            f"lsof -nP -iTCP:{server.port} -sTCP:LISTEN",
        )
        return
    yield Check(
        *("Port", "port", "pass"),
        f"{server.host}:{server.port} is free; no gateway is listening",
    )


def _check_exposure(loaded: Loaded) -> Iterator[Check]:
    """Check that a required token is set, and that a front that other machines reach has one."""
    from mcpgw.config.loopback import is_loopback
    from mcpgw.gateway.tokens import bearer_token, missing_token

    server, auth = loaded.config.server, loaded.config.auth
    token = bearer_token(auth, loaded.environ)
    if auth.enabled and not token:
        yield Check(
            "Authentication", "port", "fail", missing_token(auth), "`serve` does not listen."
        )
    if is_loopback(server.host) or token:
        return
    yield Check(
        *("Exposure", "port", "warn" if server.allow_unauthenticated else "fail"),
        f"server.host is {server.host}, which other machines reach, and no token is required",
        "Everyone there can use every tool; something else must guard the address."
        if server.allow_unauthenticated
        else "`serve` does not listen there. Set auth.enabled and auth.bearer_token, or"
        " server.allow_unauthenticated if something else guards the address.",
    )


def _is_open(host: str, port: int) -> bool:
    import socket

    address = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _check_running(running: RunningGateway, config: GatewayConfig) -> Iterator[Check]:
    """Check a running gateway, as a client."""
    status, took, health, _ = _ask(running.url.removesuffix("/mcp") + "/health", None, {})
    health_status = health.get("status")
    yield Check(
        *("Gateway runtime", "runtime"),
        "pass" if health_status == "healthy" else "warn" if health_status == "degraded" else "fail",
        f"{health_status or f'HTTP {status}'} v{health.get('version')} ({took:.0f} ms)",
        ""
        if health_status == "healthy"
        else "gateway_list_servers shows which server has problems.",
    )
    headers = {"Authorization": f"Bearer {running.token}"} if running.token else {}
    about = {"name": "mcp-gateway-doctor", "version": "1"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about}
    status, took, answer, session = _ask(running.url, _request(1, "initialize", hello), headers)
    kind = ("MCP handshake", "mcp_handshake")
    if status in (401, 403):
        hint = "Clients must send Authorization: Bearer TOKEN; see auth.bearer_token."
        level = "warn" if config.auth.enabled else "fail"
        yield Check(*kind, level, f"HTTP {status}: the token was refused", hint)  # type: ignore[arg-type]
        return
    if "result" not in answer or not session:
        yield Check(*kind, "fail", f"HTTP {status}: {str(answer)[:200]}")
        return
    yield Check(*kind, "pass", f"{answer['result'].get('protocolVersion')} ({took:.0f} ms)")
    headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
    _ask(running.url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers)
    _, took, answer, _ = _ask(running.url, _request(2, "tools/list", {}), headers)
    tools = answer.get("result", {}).get("tools")
    _ask(running.url, None, headers, "DELETE")
    yield Check(
        *("Tool list", "tool_list", "pass" if tools else "fail"),
        f"{len(tools or ())} tool schema(s) returned ({took:.0f} ms)",
    )


def _request(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _ask(
    url: str, message: dict[str, Any] | None, headers: Mapping[str, str], method: str = ""
) -> tuple[int, float, dict[str, Any], str]:
    """Send a request to a gateway on this machine.

    Returns:
      The HTTP status (0 without an answer), milliseconds, the JSON of the answer, and the session.
    """
    import json
    import urllib.error
    import urllib.request

    sent = None if message is None else json.dumps(message).encode()
    every = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(  # noqa: S310 - an http URL of this machine
        url, sent, {**every, **headers}, method=method or None
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.perf_counter()
    status, body, session = 0, b"", ""
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            status, body = answer.status, answer.read()
            session = answer.headers.get("mcp-session-id") or ""
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError:
        pass
    took = (time.perf_counter() - began) * 1e3
    if body.startswith((b"event:", b"data:")) or b"\ndata:" in body:
        lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
        body = next((line for line in reversed(lines) if line.strip()), b"")
    try:
        found = json.loads(body)
    except ValueError:
        found = {}
    return status, took, found if isinstance(found, dict) else {}, session
