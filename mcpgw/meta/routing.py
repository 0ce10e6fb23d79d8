"""What a session works with: its routing profile and its workflow state."""

from __future__ import annotations

from typing import Any, Final

from mcpgw.catalog.suggest import did_you_mean
from mcpgw.config.governance import RoutingProfileConfig
from mcpgw.meta.context import Ask
from mcpgw.meta.tool import READS, WRITES, MetaTool, answer, text_argument
from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, RpcError
from mcpgw.protocol.peer import Params

LONGEST_STATE: Final = 128
"""Characters of a workflow state's name."""


async def set_profile(ask: Ask) -> Params:
    """Change the session's routing profile.

    Raises:
      RpcError: there is no profile of this name.
    """
    surface, session = ask.surface, ask.session
    name = text_argument(ask.arguments, "profile", "name")
    known = surface.config.routing_profiles
    if name not in known and name != surface.config.default_routing_profile:
        names = ", ".join(sorted(known)) or "none configured"
        hint = did_you_mean(name, known)
        raise RpcError(INVALID_REQUEST, f"Unknown routing profile '{name}'.{hint} Known: {names}")
    session.profile = name
    surface.tell_tools_changed(session)
    return answer(
        {
            "profile": name,
            "session_id": session.id,
            "description": _describe(name, surface.profile_of(session)[1]),
            "visible_tools": surface.count_tools(session),
            "message": f"This session now works with the '{name}' routing profile.",
        }
    )


async def get_profile(ask: Ask) -> Params:
    """Return the session's routing profile, and the names of all."""
    name, profile = ask.surface.profile_of(ask.session)
    return answer(
        {
            "profile": name,
            "session_id": ask.session.id,
            "description": _describe(name, profile),
            "available_profiles": sorted(ask.surface.config.routing_profiles),
        }
    )


async def list_profiles(ask: Ask) -> Params:
    """Return all routing profiles with their descriptions."""
    profiles = ask.surface.config.routing_profiles
    return answer(
        {
            "profiles": [
                {"name": name, "description": profiles[name].description}
                for name in sorted(profiles)
            ],
            "default": ask.surface.config.default_routing_profile,
            "total": len(profiles),
        }
    )


async def set_state(ask: Ask) -> Params:
    """Change the session's workflow state, by which `visible_in_states` shows tools."""
    surface, session = ask.surface, ask.session
    state = text_argument(ask.arguments, "state")
    if len(state) > LONGEST_STATE:
        raise RpcError(
            INVALID_PARAMS, f"'state' has at most {LONGEST_STATE} characters, not {len(state)}"
        )
    previous, session.state = session.state, state
    if previous != state:
        surface.tell_tools_changed(session)
    return answer(
        {
            "previous": previous,
            "current": state,
            "visible_tools": surface.count_tools(session),
            "session_id": session.id,
        }
    )


def _describe(name: str, profile: RoutingProfileConfig) -> dict[str, Any]:
    return {
        "name": name,
        "description": profile.description,
        "backend_filter": _filter(profile.allow_backends, profile.deny_backends),
        "tool_filter": _filter(profile.allow_tools, profile.deny_tools),
    }


def _filter(allow: tuple[str, ...] | None, deny: tuple[str, ...] | None) -> dict[str, Any]:
    return {
        "allow": None if allow is None else list(allow),
        "deny": None if deny is None else list(deny),
    }


TOOLS = (
    MetaTool(
        name="gateway_set_profile",
        title="Set Routing Profile",
        describe=lambda _surface: (
            "Limit this session to a routing profile's servers and tools. Names:"
            " gateway_list_profiles."
        ),
        hints=WRITES,
        call=set_profile,
        properties={"profile": {"type": "string"}},
        required=("profile",),
        gives=("profile", "description"),
    ),
    MetaTool(
        name="gateway_get_profile",
        title="Get Routing Profile",
        describe=lambda _surface: "Show this session's routing profile and what it allows.",
        hints=READS,
        call=get_profile,
        gives=("profile", "available_profiles"),
    ),
    MetaTool(
        name="gateway_list_profiles",
        title="List Routing Profiles",
        describe=lambda _surface: "List the routing profiles with their descriptions.",
        hints=READS,
        call=list_profiles,
        gives=("profiles", "default", "total"),
    ),
    MetaTool(
        name="gateway_set_state",
        title="Set Workflow State",
        describe=lambda _surface: (
            "Enter a workflow state, which shows the tools bound to it; the first is `default`."
            " Returns the number visible."
        ),
        hints=WRITES,
        call=set_state,
        properties={"state": {"type": "string"}},
        required=("state",),
        gives=("previous", "current", "visible_tools"),
    ),
)
