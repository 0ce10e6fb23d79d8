"""Find the backend named by a call, or suggest names."""

from __future__ import annotations

import attrs

from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Replaced, Unavailable
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params
from mcpgw.text.sentences import sentence


@attrs.frozen
class Resolve:
    """The stage that turns a server's name into its backend."""

    pool: BackendPool

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Resolve the name; refuse an unknown one with suggestions.

        If the server is replaced by a reload while the call is waiting for it, the call goes to
        the new one.
        """
        while True:
            backend = self.pool.get(call.server)
            if backend is None:
                raise self._no_server(call)
            call.backend, call.instance = backend, backend.instance(call.session.instance_id)
            try:
                return await proceed(call)
            except Replaced as error:
                if self.pool.get(call.server) is backend:
                    raise unreachable(backend, error) from error

    def _no_server(self, call: Call) -> CallFailed:
        from mcpgw.text.did_you_mean import nearest

        names = self.pool.names
        near = tuple(nearest(call.server, names))
        owners = tuple(b.name for b in self.pool if call.name in b.tools)
        hint = f"Did you mean: {', '.join(near)}?" if near else ""
        if owners:
            hint = f"{hint} The tool '{call.name}' is on: {', '.join(owners)}.".strip()
        if not hint:
            known = ", ".join(names[:20]) or "none; add one to gateway.yaml"
            hint = f"Configured servers: {known}."
        return CallFailed(
            Recovery.TOOL_NOT_FOUND,
            f"Server '{call.server}' not found.",
            hint,
            related=near or owners,
        )


def unreachable(backend: BackendServer, error: Unavailable) -> CallFailed:
    """Convert the error of a backend that is not running to a failed call."""
    if backend.killed:
        return CallFailed(
            Recovery.SERVER_DISABLED,
            sentence(str(error)),
            "gateway_revive_server enables it again.",
        )
    if backend.failure is not None and backend.failure.permanent:
        hint = "Correct its entry in gateway.yaml; the file is reloaded automatically."
    else:
        hint = "gateway_list_servers shows its state."
    return CallFailed(Recovery.BACKEND_UNREACHABLE, sentence(str(error)), hint)
