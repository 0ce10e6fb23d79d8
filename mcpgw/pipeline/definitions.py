"""Definitions that calls refer to: which one, and whether clients may use it."""

from __future__ import annotations

from typing import Final

from mcpgw.backends.verdict import Withheld, refused
from mcpgw.capabilities.refusals import reason_for_model
from mcpgw.pipeline.call import Call, CallFailed, Recovery

Item = tuple[str, str]
"""The kind of a definition, and its name or URI."""

_NAME_PARAMS: Final = {
    "tools/resolve": ("tool", "name"),
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
    "resources/subscribe": ("resource", "uri"),
}
"""Requests for a listed item: the kind of the item, and the parameter with its name."""
_REFERENCES: Final = {
    "ref/prompt": ("prompt", "name"),
    "ref/resource": ("resource_template", "uri"),
}
"""The same for the `ref` of `completion/complete`."""
_WITHOUT_DEFINITION: Final = (
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/unsubscribe",
    "logging/setLevel",
    "ping",
    "tasks/",
)
"""Requests that a blocked server may still be sent."""


class DefinitionWithheld(CallFailed):
    """A call of an item whose definition is withheld. The error does not name it."""


def item_of(call: Call) -> Item | None:
    """Return the definition that a call refers to; None if it refers to none."""
    params = call.params
    if call.method == "tools/call":
        return "tool", str(params.get("name", ""))
    found = _NAME_PARAMS.get(call.method)
    if found is None:
        if call.method != "completion/complete" or not isinstance(params.get("ref"), dict):
            return None
        params = params["ref"]
        found = _REFERENCES.get(str(params.get("type")))
        if found is None:
            return None
    kind, key = found
    return kind, str(params.get(key, ""))


def is_listed(call: Call) -> bool:
    """Tell whether the tool or prompt of a call is listed, by the server's own name."""
    lists, name = call.instance.lists, call.params.get("name")
    if call.method == "tools/call":
        return name in lists.tools
    prompts = lists.manifest.prompts if lists.manifest is not None else ()
    return any(each.get("name") == name for each in prompts)


def withheld_of(call: Call) -> Withheld | str | None:
    """Return what is withheld of the items that a call may lead to; for a capability, why.

    A tool is known by two names: the one that is offered and the server's own.
    """
    lists = call.instance.lists
    if lists.vetted and (lists.verdict is None or lists.verdict.clean):
        return None
    item = item_of(call)
    if item is None:
        verdict = lists.verdict
        other = not call.method.startswith(_WITHOUT_DEFINITION)
        return verdict.blocked if verdict is not None and call.transparent and other else None
    kind, name = item
    if not lists.vetted:
        return call.backend.services.vetting.capability_refusal(call.backend.name, name) or None
    if call.method == "tools/call":
        own = call.instance.tool_view.own_name(call.name)
        if own is not None and (found := lists.refusal(kind, own)) is not None:
            return found
        if own == call.name:
            return None
    return lists.refusal(kind, name)


def refuse_withheld(call: Call) -> None:
    """Refuse a call of a withheld definition.

    Raises:
      DefinitionWithheld: it is withheld.
    """
    found = withheld_of(call)
    if isinstance(found, str):
        raise DefinitionWithheld(
            Recovery.NOT_ALLOWED,
            *refused(call.backend.name, "capability", why=reason_for_model(found)),
        )
    if found is not None:
        raise DefinitionWithheld(
            Recovery.NOT_ALLOWED, *refused(call.backend.name, found.kind, found)
        )
