"""Channel to a backend that keeps configured secrets out of all that the backend says.

Results, errors, definitions, notifications and requests of a server all arrive here, so nothing
behind it (answers, logs, manifests, approvals) can hold a secret that the server repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from mcpgw.backends.links import WITH_ICONS, input_fault, required_fault, with_safe_images
from mcpgw.config.schema import BackendConfig
from mcpgw.config.secrets import secrets_of, secrets_of_proxies
from mcpgw.observe.log import protect
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.channel import Arrived, Channel, Failed, Received
from mcpgw.protocol.errors import INTERNAL_ERROR, URL_ELICITATION_REQUIRED
from mcpgw.protocol.jsonrpc import Malformed, Message, RequestId

if TYPE_CHECKING:
    from mcpgw.transports.authorization import Authorizer

REFUSED: Final = "the server's request to open a URL was refused"

_PROTOCOL: Final = ("jsonrpc", "id", "method")
_INSPECTED: Final = frozenset((*WITH_ICONS, "serverInfo", "inputRequests"))
"""Members of results that are looked into."""
_OPAQUE: Final = ("nextCursor", "progressToken", "requestId")
"""Values that go back to the server as they came."""


def redactor_of(
    config: BackendConfig, environ: Mapping[str, str], authorizer: Authorizer | None
) -> Redactor:
    """Return the redactor of a backend, which also knows the tokens of its login.

    Args:
      config: the settings of the backend.
      environ: the environment, for the passwords of proxies.
      authorizer: the source of the backend's tokens.
    """
    found = secrets_of(config)
    network = config.transport in ("http", "websocket")
    redactor = Redactor(
        tuple(found.certain | (secrets_of_proxies(environ) if network else frozenset())),
        tuple(found.suspects),
        None if authorizer is None else authorizer.secrets,
    )
    protect(redactor)
    return redactor


@attrs.define(eq=False)
class GuardedChannel:
    """A channel whose received messages are redacted, with errors of bounded size.

    Args:
      channel: the channel of the endpoint.
      redactor: knows the secrets of the backend.
    """

    channel: Channel
    redactor: Redactor

    @property
    def tool_params(self) -> Any:
        """The header parameters of the tools; None if the transport has none."""
        return getattr(self.channel, "tool_params", None)

    async def receive(self) -> Received:
        """Return the next message, redacted; raise `trio.EndOfChannel` at the end of input."""
        received = await self.channel.receive()
        if isinstance(received, dict):
            return self._message(received)
        if isinstance(received, Arrived):
            return Arrived(self._message(received.message), received.about)
        if isinstance(received, Failed):
            reason = self.redactor.known(received.error.reason)
            return Failed(received.request, attrs.evolve(received.error, reason=reason))
        if isinstance(received, Malformed):
            embedded = received.embedded
            return attrs.evolve(
                received,
                reason=self.redactor.foreign(received.reason),
                excerpt=self.redactor.foreign(received.excerpt),
                embedded=None if embedded is None else self._message(embedded),
            )
        if isinstance(received, list):
            batch: list[Any] = self.redactor.result(received)
            return batch
        return received

    async def send(
        self,
        message: Message | list[Message],
        *,
        together: bool = False,
        about: RequestId | None = None,
    ) -> None:
        """Send a message; see `Channel.send`."""
        await self.channel.send(message, together=together, about=about)

    def send_nowait(self, message: Message, *, about: RequestId | None = None) -> bool:
        """Queue a message without waiting; return False if too much is queued."""
        return self.channel.send_nowait(message, about=about)

    def pause(self, request: RequestId) -> None:
        """Close the stream of a request of the server, if it has its own."""
        self.channel.pause(request)

    def _message(self, message: Message) -> Message:
        result = message.get("result")
        if result.__class__ is dict and not _INSPECTED.isdisjoint(result):
            if fault := input_fault(result.get("inputRequests")):
                error = {"code": INTERNAL_ERROR, "message": f"{REFUSED}: {fault}"}
                return {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
            if (safe := with_safe_images(result)) is not result:
                message = {**message, "result": safe}
        redactor = self.redactor
        if not redactor and "error" not in message:
            return message
        changed: Message = {}
        for key, value in message.items():
            if key in _PROTOCOL:
                continue
            new = self._error(value) if key == "error" else redactor.result(value)
            if new is not value:
                changed[key] = _with_opaque(new, value)
        return {**message, **changed} if changed else message

    def _error(self, error: Any) -> Any:
        if not isinstance(error, dict):
            return self.redactor.error(error)
        code = error.get("code")
        if code == URL_ELICITATION_REQUIRED and (fault := required_fault(error.get("data"))):
            return {"code": INTERNAL_ERROR, "message": f"{REFUSED}: {fault}"}
        # The links in this error carry states that look like tokens and must stay whole.
        whole = ("code", "data") if code == URL_ELICITATION_REQUIRED else ("code",)
        clean = self.redactor.error({k: v for k, v in error.items() if k not in whole})
        return {**clean, **{k: self.redactor.result(error[k]) for k in whole if k in error}}


def _with_opaque(new: Any, old: Any) -> Any:
    if isinstance(new, dict) and isinstance(old, dict):
        return {**new, **{key: old[key] for key in _OPAQUE if key in old}}
    return new
