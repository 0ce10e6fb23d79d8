"""Session tools: routing profile and workflow state."""

from __future__ import annotations

from typing import Any, Final

from mcpgw.config.governance import RoutingProfileConfig
from mcpgw.meta.context import ToolRequest
from mcpgw.meta.tool import READS, WRITES, MetaTool, answer, text_argument
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.text.did_you_mean import did_you_mean

LONGEST_STATE: Final = 128
"""The most characters of a workflow state's name."""


async def set_profile(tool_request: ToolRequest) -> Params:
    """Change the session's routing profile.

    Raises:
      RpcError: there is no profile of this name, or the request has no session.
    """
    context, session = tool_request.context, tool_request.session
    name = text_argument(tool_request.arguments, "profile", "name")
    known = context.config.routing_profiles
    if name not in known and name != context.config.default_routing_profile:
        names = ", ".join(sorted(known)) or "none configured"
        hint = did_you_mean(name, known)
        raise RpcError(INVALID_REQUEST, f"Unknown routing profile '{name}'.{hint} Known: {names}")
    _check_lasting(
        session, "a routing profile", f"Send the header X-MCP-Profile: {name} with each request, or"
    )
    session.profile = name
    context.notify_tools_changed(session)
    return answer(
        {
            "profile": name,
            "session_id": session.id,
            "description": _describe(name, context.profile_of(session)[1]),
            "visible_tools": context.count_tools(session),
            "message": f"This session now uses the '{name}' routing profile.",
        }
    )


async def get_profile(tool_request: ToolRequest) -> Params:
    """Return the session's routing profile, and the names of all profiles."""
    name, profile = tool_request.context.profile_of(tool_request.session)
    return answer(
        {
            "profile": name,
            "session_id": tool_request.session.id,
            "description": _describe(name, profile),
            "available_profiles": sorted(tool_request.context.config.routing_profiles),
        }
    )


async def list_profiles(tool_request: ToolRequest) -> Params:
    """Return all routing profiles with their descriptions."""
    profiles = tool_request.context.config.routing_profiles
    return answer(
        {
            "profiles": [
                {"name": name, "description": profiles[name].description}
                for name in sorted(profiles)
            ],
            "default": tool_request.context.config.default_routing_profile,
            "total": len(profiles),
        }
    )


async def set_state(tool_request: ToolRequest) -> Params:
    """Change the session's workflow state; `visible_in_states` of tools refers to it.

    Raises:
      RpcError: the name is too long, or the request has no session.
    """
    context, session = tool_request.context, tool_request.session
    state = text_argument(tool_request.arguments, "state")
    if len(state) > LONGEST_STATE:
        raise RpcError(
            INVALID_PARAMS,
            f"'state' must have at most {LONGEST_STATE} characters, not {len(state)}",
        )
    _check_lasting(session, "a workflow state", "To use one,")
    previous, session.state = session.state, state
    if previous != state:
        context.notify_tools_changed(session)
    return answer(
        {
            "previous": previous,
            "current": state,
            "visible_tools": context.count_tools(session),
            "session_id": session.id,
        }
    )


def _check_lasting(session: SessionState, what: str, remedy: str) -> None:
    """Refuse a change that would end with the request."""
    if not session.lasting:
        raise RpcError(
            INVALID_REQUEST,
            f"This request has no session, so {what} would apply to no other request. {remedy}"
            " begin a session with `initialize`.",
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
        describe=lambda _context: (
            "Limit this session to a routing profile's servers and tools. Names:"
            " gateway_list_profiles."
        ),
        hints=WRITES,
        call=set_profile,
        properties={"profile": {"type": "string"}},
        required=("profile",),
        result_keys=("profile", "description"),
        unlisted=("name",),
    ),
    MetaTool(
        name="gateway_get_profile",
        title="Get Routing Profile",
        describe=lambda _context: "Show this session's routing profile and what it allows.",
        hints=READS,
        call=get_profile,
        result_keys=("profile", "available_profiles"),
    ),
    MetaTool(
        name="gateway_list_profiles",
        title="List Routing Profiles",
        describe=lambda _context: "List the routing profiles with their descriptions.",
        hints=READS,
        call=list_profiles,
        result_keys=("profiles", "default", "total"),
    ),
    MetaTool(
        name="gateway_set_state",
        title="Set Workflow State",
        describe=lambda _context: (
            "Enter a workflow state, which shows the tools bound to it; the first is `default`."
            " Returns the number visible."
        ),
        hints=WRITES,
        call=set_state,
        properties={"state": {"type": "string"}},
        required=("state",),
        result_keys=("previous", "current", "visible_tools"),
    ),
)
