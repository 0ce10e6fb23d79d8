"""Connection to a backend of the stateless era (MCP 2026-07-28).

Requests in the form of the handshake revisions are translated: each carries its revision and the
client's capabilities, and a result that asks for input becomes requests to the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from mcpgw.backends.call_context import AskClient, CallContext
from mcpgw.backends.connection import CLIENT_INFO, Connection
from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    ConnectionLost,
    RpcError,
)
from mcpgw.protocol.header_params import HeaderParam, InvalidHeaderParams, header_params
from mcpgw.protocol.mcp import (
    CAPABILITIES_META,
    CLIENT_INFO_META,
    FORWARDED_CAPABILITIES,
    LOG_LEVEL_META,
    MODERN_VERSION,
    SERVER_INFO_META,
    TASKS_EXTENSION,
    VERSION_META,
)
from mcpgw.protocol.peer import Params, ProgressCallback

log = get_logger("mcpgw.backend")

MAX_ROUNDS: Final = 10
"""Rounds of input of one request after which it fails."""
REOPEN: Final = (0.5, 30.0)
"""Seconds until a notification stream that ended is opened again: at first, and at most."""

_LISTEN_FLAGS: Final = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}


@attrs.define(eq=False)
class StatelessConnection(Connection):
    """A connection to a backend of the stateless era.

    `ask` sends a request to the client of a call; `watched` are the URIs of the resources whose
    changes are subscribed to.
    """

    ask: AskClient | None = None
    watched: frozenset[str] = frozenset()
    _watched_changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _listen_scope: trio.CancelScope | None = None

    def settle(self, ask: AskClient, watched: frozenset[str]) -> None:
        """Set how clients are asked and which resources are watched."""
        self.ask = ask
        self.watch(watched)

    async def request(
        self,
        method: str,
        params: Params | None = None,
        *,
        on_progress: ProgressCallback | None = None,
        context: CallContext | None = None,
    ) -> Params:
        """Translate and send a request; see `Connection.request`."""
        params = params or {}
        local = _LOCAL.get(method)
        if local is not None:
            return local(self, params)
        if method == "ping":
            method, params = "server/discover", {}
        for _ in range(MAX_ROUNDS):
            sent = {**params, "_meta": self._meta(params, context)}
            result = await self._send(method, sent, on_progress, context)
            kind = result.get("resultType", "complete")
            if kind != "input_required" or (
                context is not None and context.supports_input_required
            ):
                return result
            params = {
                key: value
                for key, value in params.items()
                if key not in ("inputResponses", "requestState")
            }
            params |= await self._collect_input(result, context)
        raise RpcError(
            INTERNAL_ERROR,
            f"Server '{self.peer.name}' asked for input more than {MAX_ROUNDS} times for one call",
        )

    async def _send(
        self,
        method: str,
        params: Params,
        on_progress: ProgressCallback | None,
        context: CallContext | None,
    ) -> Params:
        try:
            return await self.peer.request(method, params, on_progress=on_progress, owner=context)
        except RpcError as error:
            if error.code != UNSUPPORTED_VERSION or not _supports_our_version(error):
                raise
        # The error lists the very revision that was refused, so the request is sent once more.
        return await self.peer.request(method, params, on_progress=on_progress, owner=context)

    def _meta(self, params: Params, context: CallContext | None) -> Params:
        carried = params.get("_meta")
        meta = {**carried} if isinstance(carried, dict) else {}
        client = (
            context.client_request.client
            if context is not None and context.client_request is not None
            else None
        )
        declared = client.capabilities if client is not None else {}
        meta[VERSION_META] = MODERN_VERSION
        meta[CAPABILITIES_META] = {
            name: declared[name] for name in FORWARDED_CAPABILITIES if name in declared
        }
        if context is not None and context.transparent and "extensions" in declared:
            meta[CAPABILITIES_META]["extensions"] = declared["extensions"]
        elif context is not None and context.transparent and "task" in params:
            meta[CAPABILITIES_META]["extensions"] = {TASKS_EXTENSION: {}}
        meta[CLIENT_INFO_META] = CLIENT_INFO
        level = client.log_level if client is not None else None
        if level is not None:
            meta[LOG_LEVEL_META] = level
        return meta

    async def _collect_input(self, result: Params, context: CallContext | None) -> Params:
        """Send the input requests of a result to the client; return params of the next round."""
        more: Params = {}
        state = result.get("requestState")
        if isinstance(state, str):
            more["requestState"] = state
        wanted = result.get("inputRequests")
        if not isinstance(wanted, Mapping) or not wanted:
            return more
        answers: Params = {}
        errors: list[RpcError] = []

        async def ask(key: str, question: Any) -> None:
            try:
                answers[key] = await self._ask_client(key, question, context)
            except RpcError as error:
                errors.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for key, question in wanted.items():
                nursery.start_soon(ask, key, question)
        if errors:
            raise errors[0]
        return {**more, "inputResponses": answers}

    async def _ask_client(self, key: str, question: Any, context: CallContext | None) -> Params:
        method = question.get("method") if isinstance(question, Mapping) else None
        if not isinstance(method, str) or self.ask is None:
            raise RpcError(
                INTERNAL_ERROR,
                f"Server '{self.peer.name}' asked for input '{key}' without naming a method",
            )
        params = question.get("params")
        return await self.ask(context, method, params if isinstance(params, dict) else {}, key=key)

    # -- lists -----------------------------------------------------------------------------

    async def read_list(self, name: str) -> tuple[dict[str, Any], ...] | None:
        """Read a list; over HTTP, leave out tools with invalid header parameters.

        Clients must not use such tools (MCP 2026-07-28, transports, `x-mcp-header`).
        """
        entries = await super().read_list(name)
        known = getattr(self.peer.channel, "tool_params", None)
        if name != "tools" or entries is None or known is None:
            return entries
        valid: list[dict[str, Any]] = []
        params: dict[str, tuple[HeaderParam, ...]] = {}
        for tool in entries:
            try:
                schema = tool.get("inputSchema")
                params[str(tool.get("name"))] = header_params(
                    schema if isinstance(schema, Mapping) else {}
                )
                valid.append(tool)
            except InvalidHeaderParams as error:
                log.warning(
                    "tool.rejected",
                    server=self.peer.name,
                    tool=tool.get("name"),
                    reason=str(error),
                )
        known.clear()
        known.update(params)
        return tuple(valid)

    # -- the notification stream -----------------------------------------------------------

    async def run(self) -> None:
        """Keep one `subscriptions/listen` open for list changes and watched resources."""
        pause = REOPEN[0]
        while True:
            while not (wanted := self._filter()):
                await self._watched_changed.park()
            began = trio.current_time()
            params = {"notifications": wanted, "_meta": self._meta({}, None)}
            with trio.CancelScope() as self._listen_scope:
                try:
                    await self.peer.request("subscriptions/listen", params, long_lived=True)
                except RpcError as error:
                    log.info(
                        "backend.subscription_refused", server=self.peer.name, reason=str(error)
                    )
                    if error.code == METHOD_NOT_FOUND:
                        return
                except ConnectionLost:
                    log.debug("backend.subscription_lost", server=self.peer.name)
            if self._listen_scope.cancelled_caught:
                continue
            stable = trio.current_time() - began > REOPEN[1]
            pause = REOPEN[0] if stable else min(2 * pause, REOPEN[1])
            await trio.sleep(pause)

    def _filter(self) -> Params:
        wanted: Params = {}
        for name, flag in _LISTEN_FLAGS.items():
            declared = self.capabilities.get(name)
            if isinstance(declared, Mapping) and declared.get("listChanged") is True:
                wanted[flag] = True
        if self.watched:
            wanted["resourceSubscriptions"] = sorted(self.watched)
        return wanted

    def roots_changed(self) -> None:
        """Do nothing: in this era a server asks for the roots each time it needs them."""

    def watch(self, uris: frozenset[str]) -> None:
        """Subscribe to changes of exactly these resources."""
        if uris != self.watched:
            self.watched = uris
            self._watched_changed.unpark_all()
            if self._listen_scope is not None:
                self._listen_scope.cancel()

    def _subscribe(self, params: Params) -> Params:
        self.watch(self.watched | {str(params.get("uri"))})
        return {}

    def _unsubscribe(self, params: Params) -> Params:
        self.watch(self.watched - {str(params.get("uri"))})
        return {}

    def _set_level(self, _params: Params) -> Params:
        return {}  # each request carries its level


_LOCAL: Final = {
    "resources/subscribe": StatelessConnection._subscribe,
    "resources/unsubscribe": StatelessConnection._unsubscribe,
    "logging/setLevel": StatelessConnection._set_level,
}
"""Requests of the handshake revisions that this era does not have; they change local state."""


def server_info(result: Params) -> Mapping[str, Any]:
    """Return the server's name and version from the `_meta` of a result."""
    meta = result.get("_meta")
    info = meta.get(SERVER_INFO_META) if isinstance(meta, Mapping) else None
    if not isinstance(info, Mapping):
        info = result.get("serverInfo")
    return info if isinstance(info, Mapping) else {}


def _supports_our_version(error: RpcError) -> bool:
    supported = error.data.get("supported") if isinstance(error.data, Mapping) else None
    return isinstance(supported, list) and MODERN_VERSION in supported
