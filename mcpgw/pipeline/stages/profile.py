"""Enforce the session's routing profile."""

from __future__ import annotations

import attrs

from mcpgw.config.schema import GatewayConfig
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.protocol.peer import Params


@attrs.frozen
class Profile:
    """The stage that refuses servers and tools outside the session's profile."""

    config: GatewayConfig

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Proceed if the profile allows both the server and the tool; otherwise refuse."""
        name, profile = self.config.routing_profile(call.session.profile)
        if not profile.allows_server(call.server):
            raise _refused(f"Backend '{call.server}'", name)
        if call.method == "tools/call" and not profile.allows(call.server, call.name):
            raise _refused(f"Tool '{call.name}'", name)
        return await proceed(call)


def _refused(what: str, profile: str) -> CallFailed:
    return CallFailed(
        Recovery.NOT_ALLOWED,
        f"{what} is not available in the '{profile}' routing profile.",
        "gateway_list_profiles shows other profiles; gateway_set_profile selects one.",
    )
