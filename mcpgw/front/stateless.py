"""Requests of the stateless era (MCP 2026-07-28), each of which is self-contained.

They are answered by the same methods as those of the handshake revisions; requests and results
are translated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.config.revisions import MODERN_VERSION
from mcpgw.front.client_capabilities import (
    elicitation_modes,
    is_wanted,
    missing_capability,
    with_logger,
)
from mcpgw.front.server_profile import ServerProfile
from mcpgw.front.services import Listener, ServedSession, SessionServices, answer
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
    PROFILE_META,
    SERVER_INFO_META,
    VERSION_META,
)
from mcpgw.protocol.peer import Params, ProgressCallback, Request

if TYPE_CHECKING:
    from mcpgw.front.input_required import ParkedCall
    from mcpgw.pipeline.session_state import SessionState

ROUND_METHODS: Final = ("tools/call", "prompts/get", "resources/read")
"""The requests that may be answered by `input_required`."""

_REMOVED: Final = frozenset(
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
_TERMS: Final = (
    VERSION_META,
    CAPABILITIES_META,
    CLIENT_INFO_META,
    LOG_LEVEL_META,
    PROFILE_META,
)


@attrs.frozen
class Terms:
    """The client data in the `_meta` of a request."""

    capabilities: Mapping[str, Any]
    client_info: Mapping[str, Any]
    log_level: str | None
    profile: str | None = None
    """The routing profile for this request."""


def read_terms(params: Params) -> Terms:
    """Read the `_meta` of a request (MCP 2026-07-28, base protocol).

    Raises:
      RpcError: a required key is missing or malformed, or the revision is not supported.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError(INVALID_PARAMS, f"'_meta' must be an object with '{VERSION_META}'")
    version = meta.get(VERSION_META)
    if not isinstance(version, str):
        raise RpcError(INVALID_PARAMS, f"'_meta' must have a string '{VERSION_META}'")
    if version != MODERN_VERSION:
        raise RpcError(
            UNSUPPORTED_VERSION,
            f"MCP {version} is not supported without a handshake; send `initialize` first",
            {"supported": [MODERN_VERSION], "requested": version},
        )
    capabilities = meta.get(CAPABILITIES_META)
    if not isinstance(capabilities, dict):
        raise RpcError(INVALID_PARAMS, f"'_meta' must have an object '{CAPABILITIES_META}'")
    info = meta.get(CLIENT_INFO_META)
    level = meta.get(LOG_LEVEL_META)
    if level is not None and level not in LOG_LEVELS:
        raise RpcError(
            INVALID_PARAMS,
            f"'{LOG_LEVEL_META}' must be one of {', '.join(LOG_LEVELS)}, not {level!r:.40}",
        )
    profile = meta.get(PROFILE_META)
    return Terms(
        capabilities,
        info if isinstance(info, dict) else {},
        level,
        profile if isinstance(profile, str) and profile else None,
    )


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
    return _with_stateless_fields(session, "server/discover", result)


async def serve(session: ServedSession, request: Request) -> Params:
    """Answer a request of the stateless era.

    Raises:
      RpcError: its `_meta` is invalid, or the method raised it; with this era's error codes.
    """
    terms = read_terms(request.params)
    if request.method in _REMOVED:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method} ({MODERN_VERSION})")
    session.seen_capabilities.update(terms.capabilities)
    session.greeted.set()
    if request.method == "subscriptions/listen":
        from mcpgw.front.subscriptions_listen import listen

        return await listen(session, request)
    if session.shared:
        await session.attached()
        session = SingleRequest(session, session.state.of_one_request(terms.profile))
    exchange = Exchange(session, terms)
    request.client = exchange
    request.params = _without_terms(request.params)
    try:
        result = await _answer(session, exchange, request)
    except RpcError as error:
        question = _url_question(exchange, request, error)
        if question is None:
            raise _with_stateless_code(request.method, error) from error
        result = question
    if exchange.missing is not None and result.get("isError") is True:
        raise exchange.missing
    return _with_stateless_fields(session, request.method, result)


async def _answer(session: ServedSession, exchange: Exchange, request: Request) -> Params:
    if request.method in ROUND_METHODS and (
        exchange.can_be_asked or "requestState" in request.params
    ):
        await session.attached()
        return await session.services.parked_calls.serve(exchange, request, session.answer)
    return await session.answer(request)


@attrs.define(eq=False)
class SingleRequest:
    """The session of one request on a channel that carries the requests of many clients.

    It has a state of its own, because one client's requests must not affect another's. All else is
    that of the channel's session. A parked call keeps it over its rounds.
    """

    channel_session: ServedSession
    state: SessionState

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""
        return self.channel_session.principal

    @property
    def shared(self) -> bool:
        """True: the requests on the channel are independent of each other."""
        return self.channel_session.shared

    @property
    def server_profile(self) -> ServerProfile:
        """The server that is presented to the client."""
        return self.channel_session.server_profile

    @property
    def target(self) -> str | None:
        """The one server that it shows; None if it shows the whole gateway."""
        return self.channel_session.target

    @property
    def seen_capabilities(self) -> Params:
        """The capabilities that requests on the channel declared so far."""
        return self.channel_session.seen_capabilities

    @property
    def greeted(self) -> trio.Event:
        """Set when the first request on the channel was answered."""
        return self.channel_session.greeted

    @property
    def listeners(self) -> set[Listener]:
        """The open subscriptions of the channel."""
        return self.channel_session.listeners

    @property
    def services(self) -> SessionServices:
        """The parts that answer requests, with the state of this one."""
        return attrs.evolve(self.channel_session.services, state=self.state)

    async def attached(self) -> None:
        """Wait until the gateway is ready."""
        await self.channel_session.attached()

    async def answer(self, request: Request) -> Params:
        """Answer a request in the form of the handshake revisions; raises as a session does."""
        return await answer(self, request)


@attrs.define(eq=False)
class Exchange:
    """The client of one request of the stateless era (protocol.peer.Client)."""

    session: ServedSession
    terms: Terms
    parked: ParkedCall | None = None
    """The call that collects questions for it; None if it cannot be asked."""
    missing: RpcError | None = None
    """The error for a question that the client did not declare to support."""

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""
        return self.session.principal

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The capabilities that the client declared with this request."""
        return self.terms.capabilities

    @property
    def can_be_asked(self) -> bool:
        """True if the client declared any capability to answer questions."""
        return any(name in self.capabilities for name in ("sampling", "elicitation", "roots"))

    @property
    def identity(self) -> object:
        """The session if it has one client only; otherwise this one request."""
        return self if self.session.shared else self.session

    @property
    def supports_input_required(self) -> bool:
        """Always True: this era has no requests to the client."""
        return True

    @property
    def log_level(self) -> str | None:
        """The lowest level of log messages that this request asks for."""
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
        """Answer the request with a question, and wait for the client's next request.

        Raises:
          RpcError: the client did not declare the capability, or did not answer in time.
        """
        missing = missing_capability(self.capabilities, method, params)
        if missing is not None:
            _refusal, required = missing
            self.missing = RpcError(
                MISSING_CAPABILITY,
                f"the client did not declare the capability for {method}",
                {"requiredCapabilities": required},
            )
            raise self.missing
        if self.parked is None:
            raise RpcError(
                METHOD_NOT_FOUND, f"{method} cannot be sent to the client during this request"
            )
        return await self.parked.ask(method, params, key)

    def pause(self, request: Request) -> None:
        """Do nothing: in this era a closed stream ends its request."""

    def log(self, request: Request | None, server: str, params: Params) -> None:
        """Forward a log message if this request asked for its level."""
        wanted = self.terms.log_level
        if wanted is None or request is None or not is_wanted(params.get("level"), wanted):
            return
        if request.peer.is_serving(request):
            request.peer.notify(
                "notifications/message",
                with_logger(self.session.server_profile, server, params),
                about=request.id,
            )


def _url_question(exchange: Exchange, request: Request, error: RpcError) -> Params | None:
    """Return a result that asks the client to open the URLs of an error of 2025-11-25.

    In that revision the client repeats the request after such an error; in this era it is a
    round. None for other errors, or if the client cannot open URLs.
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
    meta = {key: value for key, value in params["_meta"].items() if key not in _TERMS}
    kept = {key: value for key, value in params.items() if key != "_meta"}
    return {**kept, "_meta": meta} if meta else kept


def _with_stateless_fields(session: ServedSession, method: str, result: Params) -> Params:
    """Return a result with the fields that this era requires."""
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


def _with_stateless_code(method: str, error: RpcError) -> RpcError:
    """Return an error with this era's code."""
    if error.code == RESOURCE_NOT_FOUND and method == "resources/read":
        return RpcError(INVALID_PARAMS, error.message, error.data)
    return error
