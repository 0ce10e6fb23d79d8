"""Aggregation of resources and prompts: lists of all servers, and routing to the owner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import trio

from mcpgw.backends.server import BackendServer
from mcpgw.meta.context import GatewayContext
from mcpgw.pipeline.call import Call, CallFailed, Recovery
from mcpgw.pipeline.session_state import SessionState
from mcpgw.protocol.errors import (
    BACKEND_UNAVAILABLE,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.skills.library import SkillLibrary

LIST_PATIENCE: Final = 10.0
"""Seconds that a list waits at most for servers that were never started."""

SKILL: Final = "skill://"
"""Scheme of the URIs of skills."""
OWNED: Final = "mcpgw://"
"""Scheme of URIs that name the server of a resource: `mcpgw://SERVER/URI`."""


async def resources(context: GatewayContext, session: SessionState) -> list[dict[str, Any]]:
    """List the resources of all servers.

    If several servers offer the same URI, it stands for the resource of the first; those of the
    others are listed as `mcpgw://SERVER/URI`, a form that is accepted for every resource.
    """
    await context.pool.learn(patience=LIST_PATIENCE)
    skills = await _loaded_skills(context)
    own = skills.resources() if skills is not None else []
    return [*_with_unique_uris(context, session, "resources", "uri"), *own]


async def resource_templates(
    context: GatewayContext, session: SessionState
) -> list[dict[str, Any]]:
    """List the resource templates of all servers."""
    await context.pool.learn(patience=LIST_PATIENCE)
    return [template for _owner, template in _entries(context, session, "resource_templates")]


async def prompts(context: GatewayContext, session: SessionState) -> list[dict[str, Any]]:
    """List the prompts of all servers, named `SERVER/PROMPT`."""
    await context.pool.learn(patience=LIST_PATIENCE)
    return [
        {**prompt, "name": f"{owner.name}/{prompt['name']}"}
        for owner, prompt in _entries(context, session, "prompts")
        if isinstance(prompt.get("name"), str)
    ]


async def read_resource(context: GatewayContext, session: SessionState, request: Request) -> Params:
    """Read a resource from the server that offers it.

    Raises:
      RpcError: -32002 if no server has it; otherwise the server's error.
    """
    uri = request.params.get("uri")
    if not isinstance(uri, str) or not uri:
        raise RpcError(INVALID_PARAMS, "Missing 'uri' parameter")
    if uri.startswith(SKILL) and (skills := await _loaded_skills(context)) is not None:
        return _skill(skills, uri)
    holders, uri = await owners(context, session, uri)
    params = {**request.params, "uri": uri}
    for position, owner in enumerate(holders):
        try:
            return await ask(context, session, owner, "resources/read", params, request)
        except RpcError as error:
            missing = error.code in (RESOURCE_NOT_FOUND, INVALID_PARAMS, METHOD_NOT_FOUND)
            if not missing or (position == 0 and len(holders) == 1):
                raise
    raise RpcError(RESOURCE_NOT_FOUND, f"Resource not found: {uri}", {"uri": uri})


async def _loaded_skills(context: GatewayContext) -> SkillLibrary | None:
    """Return the skills. Right after the start this waits until they are loaded."""
    if context.skills_loaded is not None:
        with trio.move_on_after(LIST_PATIENCE):
            await context.skills_loaded.wait()
    return context.skills


def _skill(skills: SkillLibrary, uri: str) -> Params:
    """Return the text of a skill.

    Raises:
      RpcError: there is no skill at this URI.
    """
    from mcpgw.skills.library import SkillNotFound

    try:
        return {"contents": skills.read(uri)}
    except SkillNotFound as error:
        raise RpcError(RESOURCE_NOT_FOUND, str(error), {"uri": uri}) from None


async def get_prompt(context: GatewayContext, session: SessionState, request: Request) -> Params:
    """Get a prompt from its server, by `SERVER/PROMPT` or a name that only one server has.

    Raises:
      RpcError: -32602 if there is no such prompt; otherwise the server's error.
    """
    name = request.params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcError(INVALID_PARAMS, "Missing 'name' parameter")
    owner, own_name = await _prompt_owner(context, session, name)
    params = {**request.params, "name": own_name}
    return await ask(context, session, owner, "prompts/get", params, request)


async def complete(context: GatewayContext, session: SessionState, request: Request) -> Params:
    """Complete an argument of a prompt or a resource template at the server that has it.

    Raises:
      RpcError: -32602 if the reference is malformed or unknown; otherwise the server's error.
    """
    ref = request.params.get("ref")
    if not isinstance(ref, dict):
        raise RpcError(
            INVALID_PARAMS, "'ref' must be an object with 'type': a prompt or a resource template"
        )
    if ref.get("type") == "ref/prompt" and isinstance(name := ref.get("name"), str):
        owner, own_name = await _prompt_owner(context, session, name)
        ref = {**ref, "name": own_name}
    elif ref.get("type") == "ref/resource" and isinstance(uri := ref.get("uri"), str):
        owner, own_uri = await _template_owner(context, session, uri)
        ref = {**ref, "uri": own_uri}
    else:
        raise RpcError(
            INVALID_PARAMS,
            "'ref.type' must be ref/prompt (with 'name') or ref/resource (with 'uri')",
        )
    params = {**request.params, "ref": ref}
    try:
        return await ask(context, session, owner, "completion/complete", params, request)
    except RpcError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        # The gateway declares completion for all servers; one without it has no suggestions.
        return {"completion": {"values": [], "total": 0, "hasMore": False}}


async def _template_owner(
    context: GatewayContext, session: SessionState, uri: str
) -> tuple[BackendServer, str]:
    await context.pool.learn(patience=LIST_PATIENCE)
    for backend, template in _entries(context, session, "resource_templates"):
        if template.get("uriTemplate") == uri:
            return backend, uri
    holders, own = await owners(context, session, uri)
    if not holders:
        raise RpcError(INVALID_PARAMS, f"Unknown resource template: {uri}")
    return holders[0], own


async def _prompt_owner(
    context: GatewayContext, session: SessionState, name: str
) -> tuple[BackendServer, str]:
    server, _, own_name = name.partition("/")
    owner = context.pool.get(server)
    if owner is not None and own_name:
        return owner, own_name
    await context.pool.learn(patience=LIST_PATIENCE)
    holders = [
        o for o, prompt in _entries(context, session, "prompts") if prompt.get("name") == name
    ]
    if len(holders) != 1:
        raise _no_prompt(context, session, name)
    return holders[0], name


def _no_prompt(context: GatewayContext, session: SessionState, name: str) -> RpcError:
    from mcpgw.text.did_you_mean import did_you_mean

    known = [f"{o.name}/{p.get('name')}" for o, p in _entries(context, session, "prompts")]
    holders = [prompt for prompt in known if prompt.endswith(f"/{name}")]
    hint = f" Several servers have it: {', '.join(holders)}." if holders else ""
    return RpcError(INVALID_PARAMS, f"Unknown prompt: {name}.{hint or did_you_mean(name, known)}")


async def ask(
    context: GatewayContext,
    session: SessionState,
    owner: BackendServer,
    method: str,
    params: Params,
    request: Request,
    *,
    transparent: bool = False,
    patience: float | None = None,
) -> Params:
    """Send a request other than a tool call to one server.

    Raises:
      RpcError: the server answered with an error, or the request could not be sent.
    """
    backend = context.pool.get(owner.name) or owner
    call = Call(owner.name, method, method, params, request, session, backend=backend)
    call.instance = backend.instance(session.instance_id)
    call.supports_input_required = (
        request.client is not None and request.client.supports_input_required
    )
    call.transparent = transparent
    call.patience = patience
    try:
        return await context.pipeline.ask(call)
    except CallFailed as error:
        unknown = error.recovery is Recovery.TOOL_NOT_FOUND
        code = INVALID_PARAMS if unknown else BACKEND_UNAVAILABLE
        raise RpcError(code, str(error), error.data) from error


def _entries(
    context: GatewayContext, session: SessionState, kind: str
) -> Iterator[tuple[BackendServer, dict[str, Any]]]:
    for backend in context.backends(session):
        if backend.manifest is not None and not backend.killed:
            for entry in getattr(backend.manifest, kind):
                yield backend, entry


def _with_unique_uris(
    context: GatewayContext, session: SessionState, kind: str, key: str
) -> Iterator[dict[str, Any]]:
    owners: dict[str, BackendServer] = {}
    for backend, entry in _entries(context, session, kind):
        uri = entry.get(key)
        if not isinstance(uri, str):
            continue
        if owners.setdefault(uri, backend) is not backend:
            entry = {**entry, key: f"{OWNED}{quote(backend.name)}/{quote(uri, safe='')}"}
        yield entry


async def owners(
    context: GatewayContext, session: SessionState, uri: str
) -> tuple[list[BackendServer], str]:
    """Return the servers that may have a URI, most likely first, and the URI that they use."""
    if uri.startswith(OWNED):
        server, _, inner = uri.removeprefix(OWNED).partition("/")
        owner = context.pool.get(unquote(server))
        return ([owner] if owner else []), unquote(inner)
    await context.pool.learn(patience=LIST_PATIENCE)
    for kind, fits in (("resources", _equal), ("resource_templates", _matches)):
        for backend, entry in _entries(context, session, kind):
            if fits(entry, uri):
                return [backend], uri
    able = [
        backend
        for backend in context.backends(session)
        if backend.manifest is not None and "resources" in backend.manifest.capabilities
    ]
    return [backend for backend in able if not backend.killed], uri


def _equal(entry: Mapping[str, Any], uri: str) -> bool:
    return entry.get("uri") == uri


def _matches(entry: Mapping[str, Any], uri: str) -> bool:
    template = entry.get("uriTemplate")
    return isinstance(template, str) and _pattern(template).fullmatch(uri) is not None


@lru_cache(maxsize=512)
def _pattern(template: str) -> re.Pattern[str]:
    """Return a pattern for URIs of a template (RFC 6570; values are matched loosely)."""
    parts = re.split(r"(\{[^{}]*\})", template)
    pattern = ""
    for part in parts:
        if part.startswith("{") and part.endswith("}"):
            pattern += ".*" if part[1:2] in ("+", "#", "/", "?", "&", ";", ".") else "[^/?#]+"
        else:
            pattern += re.escape(part)
    return re.compile(pattern, re.DOTALL)
