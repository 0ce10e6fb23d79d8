"""Access checks of requests: `Host`, `Origin` and bearer token.

Any web page can make a browser send requests, also to this machine. The checks of `Host` and
`Origin` reject them (MCP 2025-11-25, Streamable HTTP, security warning).
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final

import attrs

from mcpgw.config.loopback import LOOPBACK_HOSTS, is_loopback
from mcpgw.front.http.asgi import (
    CLOSE,
    App,
    Event,
    HeaderList,
    Headers,
    Receive,
    Refusal,
    Scope,
    Send,
    headers_of,
    respond,
    text,
)
from mcpgw.front.http.asgi import refuse as refuse_http
from mcpgw.front.http.gateway_api import ANONYMOUS
from mcpgw.front.http.settings import HttpSettings

PUBLIC: Final = "public"
"""The principal of a request for a public path."""
BEARER: Final = "bearer"
"""The principal of clients with the bearer token."""

HEALTH_PATHS: Final = ("/health/live", "/health/ready")
"""Also public if `/health` is."""

_ALLOWED_HEADERS: Final = (
    b"accept",
    b"authorization",
    b"content-type",
    b"last-event-id",
    b"mcp-method",
    b"mcp-name",
    b"mcp-protocol-version",
    b"mcp-session-id",
)
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate",
)
_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
_BEARER: Final = b"bearer "


def split_host(value: str) -> tuple[str, str]:
    """Return the name and the port of a `Host` header, each empty if it is missing."""
    value = value.lower()
    if value.startswith("[") and "]" in value:
        name, _, rest = value[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = value.partition(":")
    return name, port


@attrs.define(eq=False)
class AccessChecks:
    """ASGI middleware that refuses requests without access before anything else is done.

    Args:
      app: the protected application. The principal is in `scope["state"]["principal"]`.
      settings: hosts, origins, token and public paths.
    """

    app: App
    settings: HttpSettings
    _checks_hosts: bool = attrs.field(init=False)
    _numeric: bool = attrs.field(init=False)
    """True if every IP address is accepted as `Host`: a page cannot rebind one."""
    _hosts: frozenset[tuple[str, str]] = attrs.field(init=False)
    _origins: frozenset[str] = attrs.field(init=False)
    _public: frozenset[str] = attrs.field(init=False)
    _token: bytes | None = attrs.field(init=False)
    _good_hosts: set[bytes] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        local = is_loopback(settings.host)
        # A page that rebinds its name to this address has no token.
        exposed = not local and settings.bearer_token is None
        self._checks_hosts = local or exposed or bool(settings.allowed_hosts)
        self._numeric = exposed
        self._hosts = frozenset(split_host(host) for host in settings.allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins)
        public = set(settings.public_paths)
        if "/health" in public:
            public.update(HEALTH_PATHS)
        self._public = frozenset(public)
        token = settings.bearer_token
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request or WebSocket upgrade, and pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        headers = headers_of(scope)
        origin = text(headers, b"origin")
        try:
            self._check_head(scope, headers)
            self._check_host(headers)
            if origin is not None:
                self._check_origin(origin, headers)
                if scope["type"] == "http":
                    send = _with_cors(send, origin)
                    if scope["method"] == "OPTIONS":
                        await respond(send, 204, headers=_preflight(headers))
                        return
            scope["state"]["principal"] = self._principal(scope["path"], headers)
        except Refusal as refusal:
            await refuse_any(scope, send, refusal)
            return
        await self.app(scope, receive, send)

    def _check_head(self, scope: Scope, headers: Headers) -> None:
        size = len(scope["raw_path"])
        for name, value in scope["headers"]:
            size += len(name) + len(value)
        if size > self.settings.header_limit:
            # h11 limits only heads that arrive in several parts.
            reason = f"the request head is larger than {self.settings.header_limit} bytes"
            raise Refusal(431, reason, headers=[CLOSE])
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # Two servers in a row could disagree where the body ends (RFC 9112, section 6.3).
            raise Refusal(
                400, "send Content-Length or Transfer-Encoding, not both", headers=[CLOSE]
            )

    def _check_host(self, headers: Headers) -> None:
        given = headers.get(b"host")
        if not self._checks_hosts or given in self._good_hosts:
            return
        if given is None:
            raise Refusal(400, "the Host header is missing")
        host = given.decode("latin-1")
        name, port = split_host(host)
        known = (
            name in LOOPBACK_HOSTS
            or name == self.settings.host.lower()
            or (name, "") in self._hosts
            or (name, port) in self._hosts
            or (self._numeric and _is_address(name))
        )
        if not known or (port and not _is_port(port)):
            raise Refusal(
                403,
                f"the Host {host!r:.200} is not allowed; to allow it, add it to"
                " server.allowed_hosts",
            )
        if len(self._good_hosts) < len(self._hosts) + len(LOOPBACK_HOSTS):
            self._good_hosts.add(given)

    def _check_origin(self, origin: str, headers: Headers) -> None:
        lower = origin.lower()
        if lower in self._origins or "*" in self._origins:
            return
        scheme, separator, host = lower.partition("://")
        if separator and scheme in ("http", "https") and "/" not in host:
            name, port = split_host(host)
            if not port or _is_port(port):
                if name in LOOPBACK_HOSTS:
                    return
                if host == (text(headers, b"host") or "").lower() and self._is_trusted(name):
                    return
        raise Refusal(
            403,
            f"web pages of the origin {origin!r:.200} may not use this gateway; to allow them,"
            " add it to server.allowed_origins",
        )

    def _is_trusted(self, name: str) -> bool:
        """Return whether a `Host` name is safe from DNS rebinding.

        A name that passed the host check is safe, and so is an IP address.
        """
        return self._checks_hosts or _is_address(name)

    def _principal(self, path: str, headers: Headers) -> str:
        if self._token is None:
            return ANONYMOUS
        if path in self._public:
            return PUBLIC
        given = headers.get(b"authorization")
        if given is None:
            raise Refusal(
                401,
                "this gateway requires a token: send the header Authorization: Bearer TOKEN",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        is_bearer = given[: len(_BEARER)].lower() == _BEARER
        if not is_bearer or not hmac.compare_digest(given[len(_BEARER) :].strip(), self._token):
            raise Refusal(
                401,
                "the token is wrong",
                headers=[(b"www-authenticate", b'Bearer error="invalid_token"')],
            )
        return BEARER


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and len(port) <= 5


def _with_cors(send: Send, origin: str) -> Send:
    allowed: HeaderList = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"vary", b"Origin"),
        _EXPOSED,
    ]

    async def send_with_cors(event: Event) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event.get("headers", ()), *allowed]}
        await send(event)

    return send_with_cors


def _preflight(headers: Headers) -> HeaderList:
    """Return the headers of the response to a CORS preflight request (Fetch standard).

    The names of `Mcp-Param-*` headers depend on the tool, so all requested ones are allowed.
    """
    asked = headers.get(b"access-control-request-headers", b"").lower().split(b",")
    params = [name for item in asked if (name := item.strip()).startswith(b"mcp-param-")]
    return [
        (b"allow", _METHODS),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", b", ".join([*_ALLOWED_HEADERS, *params])),
        (b"access-control-max-age", b"600"),
    ]


async def refuse_any(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Refuse a request, or a WebSocket upgrade before it is accepted."""
    if scope["type"] == "http":
        await refuse_http(send, refusal)
        return
    body = refusal.body()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refusal.status,
            "headers": [*head, *refusal.headers],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
