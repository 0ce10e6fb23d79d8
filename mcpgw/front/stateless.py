"""Requests of the stateless era (MCP 2026-07-28), each of which says all about itself.

They are answered by the same methods as those of the handshake revisions; what differs is
translated here, on the way in and on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.config.revisions import MODERN_VERSION
from mcpgw.front.client_capabilities import (
    elicitation_modes,
    is_wanted,
    missing_capability,
    with_logger,
)
from mcpgw.front.services import ServedSession
from mcpgw.protocol.errors import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_VERSION,
    URL_ELICITATION_REQUIRED,
    RpcError,
)
from mcpgw.protocol.mcp import (
    CAPABILITIES_META,
    CLIENT_INFO_META,
    LOG_LEVEL_META,
    LOG_LEVELS,
    SERVER_INFO_META,
    VERSION_META,
)
from mcpgw.protocol.peer import Params, ProgressCallback, Request

if TYPE_CHECKING:
    from mcpgw.front.input_required import ParkedCall

ROUND_METHODS: Final = ("tools/call", "prompts/get", "resources/read")
"""The requests that may be answered by `input_required`."""

_GONE: Final = frozenset(
    {
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    }
)
_CACHEABLE: Final = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
)
_OURS: Final = (VERSION_META, CAPABILITIES_META, CLIENT_INFO_META, LOG_LEVEL_META)


@attrs.frozen
class Terms:
    """What a request says of itself and of its client."""

    capabilities: Mapping[str, Any]
    client_info: Mapping[str, Any]
    log_level: str | None


def read_terms(params: Params) -> Terms:
    """Read the `_meta` of a request (MCP 2026-07-28, base protocol).

    Raises:
      RpcError: a required key is missing or misshapen, or the revision is not served.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError(INVALID_PARAMS, f"'_meta' with '{VERSION_META}' is missing")
    version = meta.get(VERSION_META)
    if not isinstance(version, str):
        raise RpcError(INVALID_PARAMS, f"'_meta' lacks '{VERSION_META}', a text")
    if version != MODERN_VERSION:
        raise RpcError(
            UNSUPPORTED_VERSION,
            f"MCP {version} is not served like this; older revisions begin with `initialize`",
            {"supported": [MODERN_VERSION], "requested": version},
        )
    capabilities = meta.get(CAPABILITIES_META)
    if not isinstance(capabilities, dict):
        raise RpcError(INVALID_PARAMS, f"'_meta' lacks '{CAPABILITIES_META}', an object")
    info = meta.get(CLIENT_INFO_META)
    level = meta.get(LOG_LEVEL_META)
    if level is not None and level not in LOG_LEVELS:
        raise RpcError(
            INVALID_PARAMS, f"unknown level {level!r:.40}; one of {', '.join(LOG_LEVELS)}"
        )
    return Terms(capabilities, info if isinstance(info, dict) else {}, level)


def discover(session: ServedSession, params: Params) -> Params:
    """Answer `server/discover`."""
    read_terms(params)
    server_profile = session.server_profile
    result: Params = {
        "supportedVersions": [MODERN_VERSION],
        "capabilities": server_profile.capabilities,
    }
    if server_profile.instructions:
        result["instructions"] = server_profile.instructions
    return _newer(session, "server/discover", result)


async def serve(session: ServedSession, request: Request) -> Params:
    """Answer a request of the stateless era.

    Raises:
      RpcError: its terms are not in order, or what the method raises, by this era's codes.
    """
    terms = read_terms(request.params)
    if request.method in _GONE:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method} ({MODERN_VERSION})")
    session.seen_capabilities.update(terms.capabilities)
    session.greeted.set()
    if request.method == "subscriptions/listen":
        from mcpgw.front.subscriptions_listen import listen

        return await listen(session, request)
    exchange = Exchange(session, terms)
    request.client = exchange
    request.params = _without_terms(request.params)
    try:
        result = await _answer(session, exchange, request)
    except RpcError as error:
        asked = _urls_to_open(exchange, request, error)
        if asked is None:
            raise _newer_error(request.method, error) from error
        result = asked
    if exchange.missing is not None and result.get("isError") is True:
        raise exchange.missing
    return _newer(session, request.method, result)


async def _answer(session: ServedSession, exchange: Exchange, request: Request) -> Params:
    if request.method in ROUND_METHODS and (
        not exchange.asks_nothing or "requestState" in request.params
    ):
        await session.attached()
        return await session.services.parked_calls.serve(exchange, request, session.answer)
    return await session.answer(request)


@attrs.define(eq=False)
class Exchange:
    """One request of the stateless era as those who work on it see its client."""

    session: ServedSession
    terms: Terms
    parked: ParkedCall | None = None
    """Where its questions are put; None where it can answer none."""
    missing: RpcError | None = None
    """The refusal of a question that the client did not declare to answer."""

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""
        return self.session.principal

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared with this request."""
        return self.terms.capabilities

    @property
    def asks_nothing(self) -> bool:
        """Whether the client declared nothing that it could be asked."""
        return not any(name in self.capabilities for name in ("sampling", "elicitation", "roots"))

    @property
    def identity(self) -> object:
        """The session where that is one client's, else this one request."""
        return self if self.session.shared else self.session

    @property
    def supports_input_required(self) -> bool:
        """Always: that is how this era asks."""
        return True

    @property
    def log_level(self) -> str | None:
        """The level that this request asks for."""
        return self.terms.log_level

    async def ask(
        self,
        request: Request | None,
        method: str,
        params: Params,
        *,
        key: str = "",
        on_progress: ProgressCallback | None = None,
    ) -> Params:
        """Put a question into the answer of the request, and wait for the client's next one.

        Raises:
          RpcError: the client did not declare to answer such questions, or never came back.
        """
        missing = missing_capability(self.capabilities, method, params)
        if missing is not None:
            _refusal, required = missing
            self.missing = RpcError(
                MISSING_CAPABILITY,
                f"the client did not declare what {method} needs",
                {"requiredCapabilities": required},
            )
            raise self.missing
        if self.parked is None:
            raise RpcError(METHOD_NOT_FOUND, f"{method} cannot be put to the client here")
        return await self.parked.ask(method, params, key)

    def pause(self, request: Request) -> None:
        """Do nothing: in this era the end of a stream is the end of its request."""

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Pass a log message on where this request asked for its level."""
        wanted = self.terms.log_level
        if wanted is None or request is None or not is_wanted(params.get("level"), wanted):
            return
        if request.peer.is_serving(request):
            request.peer.notify(
                "notifications/message",
                with_logger(self.session.server_profile, server, params),
                about=request.id,
            )


def _urls_to_open(exchange: Exchange, request: Request, error: RpcError) -> Params | None:
    """Return what asks the client to open URLs, where a server of 2025-11-25 wants that first.

    There it is an error, after which the client comes again by itself; here it is a round.
    """
    if error.code != URL_ELICITATION_REQUIRED or request.method not in ROUND_METHODS:
        return None
    wanted = error.data.get("elicitations") if isinstance(error.data, Mapping) else None
    if not isinstance(wanted, list) or "url" not in elicitation_modes(exchange.capabilities):
        return None
    return {
        "resultType": "input_required",
        "inputRequests": {
            str(each.get("elicitationId", number)): {"method": "elicitation/create", "params": each}
            for number, each in enumerate(wanted)
            if isinstance(each, dict)
        },
    }


def _without_terms(params: Params) -> Params:
    meta = {key: value for key, value in params["_meta"].items() if key not in _OURS}
    kept = {key: value for key, value in params.items() if key != "_meta"}
    return {**kept, "_meta": meta} if meta else kept


def _newer(session: ServedSession, method: str, result: Params) -> Params:
    """Add to a result what this era wants to see in it."""
    result = {"resultType": "complete", **result}
    if method in _CACHEABLE and result["resultType"] == "complete":
        ttl = result.get("ttlMs")
        if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl < 0:
            result["ttlMs"] = 0
        if result.get("cacheScope") not in ("public", "private"):
            result["cacheScope"] = "private"
    meta = result.get("_meta")
    if not isinstance(meta, dict) or SERVER_INFO_META not in meta:
        kept = meta if isinstance(meta, dict) else {}
        result["_meta"] = {**kept, SERVER_INFO_META: session.server_profile.server_info}
    return result


def _newer_error(method: str, error: RpcError) -> RpcError:
    """Say an error by this era's codes."""
    if error.code == RESOURCE_NOT_FOUND and method == "resources/read":
        return RpcError(INVALID_PARAMS, error.message, error.data)
    return error
