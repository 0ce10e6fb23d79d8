"""What a backend needs of the gateway around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from mcpgw.backends.guardian import Guardian
from mcpgw.backends.manifest import ManifestStore
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.backends.backend import Backend


class Host(Protocol):
    """The gateway as its backends see it."""

    guardian: Guardian
    manifests: ManifestStore | None
    environ: Mapping[str, str]
    message_limit: int
    list_ttl: float

    def client_capabilities(self) -> Params:
        """Return the client capabilities that can be served now."""

    async def serve_backend(self, backend: Backend, request: Request) -> Params:
        """Answer a request of the backend (sampling, elicitation, roots)."""

    def backend_notified(self, backend: Backend, method: str, params: Params) -> None:
        """Take a notification of the backend that is not about its lists."""

    def backend_listed(self, backend: Backend, changed: frozenset[str]) -> None:
        """Take note that the backend's lists were read; `changed` names those that differ."""

    def wanted_log_level(self) -> str | None:
        """Return the level that clients want of backends' log messages, if any asked."""
