"""Inputs of a call: the caller's arguments with the defaults that a capability file declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from mcpgw.capabilities.model import Capability
from mcpgw.capabilities.styles import NOTHING
from mcpgw.capabilities.templating import placeholders
from mcpgw.config.json_path import resolve

_DEEPEST: Final = 20
"""Schemas within each other that are followed."""


def with_defaults(capability: Capability, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the defaults of the input schema.

    An explicit null is kept if the schema of the input allows it, since it may clear a field;
    otherwise it counts as missing. In a partial update (PATCH, RFC 5789) a default would overwrite
    a field that the caller did not name, so that inputs of its body have none.
    """
    schema = capability.schema.input
    properties = schema.get("properties") if schema else None
    declared = properties if isinstance(properties, Mapping) else {}
    inputs = {
        name: value
        for name, value in arguments.items()
        if value is not None or takes_null(declared.get(name), schema or NOTHING)
    }
    defaults = {
        name: each["default"]
        for name, each in declared.items()
        if name not in inputs and isinstance(each, Mapping) and each.get("default") is not None
    }
    if defaults:
        partial = patched(capability)
        inputs |= {name: value for name, value in defaults.items() if name not in partial}
    return inputs


def patched(capability: Capability) -> set[str]:
    """Return the inputs that only the body of a PATCH request contains."""
    found: set[str] = set()
    for provider in capability.providers:
        config = provider.config
        if provider.service == "rest" and config.method.upper() == "PATCH":
            found |= {each.root for each in placeholders(config.body) if each.secret is None}
            elsewhere = (
                *(config.base_url, config.path, config.endpoint),
                *(config.params, config.headers, config.cookies),
            )
            found -= {each.root for each in placeholders(elsewhere)} | config.param_map.keys()
    return found


def takes_null(node: Any, root: Mapping[str, Any] = NOTHING, depth: int = 0) -> bool:
    """Return whether a schema allows null; one that is not known does not.

    Args:
      node: the schema.
      root: the schema that its references point into.
      depth: the number of schemas around it; a reference may refer to itself.
    """
    if isinstance(node, bool):
        return node
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return False
    if "const" in node:
        return node["const"] is None
    if isinstance(node.get("enum"), list) and None not in node["enum"]:
        return False
    if node.get("nullable") is True:
        return True
    kind = node.get("type")
    if kind is not None and "null" not in (kind if isinstance(kind, list) else [kind]):
        return False
    parts = [each for key in ("anyOf", "oneOf") if isinstance(each := node.get(key), list) and each]
    if not all(any(takes_null(each, root, depth + 1) for each in part) for part in parts):
        return False
    whole = node.get("allOf")
    if isinstance(whole, list) and not all(takes_null(each, root, depth + 1) for each in whole):
        return False
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return reference is None
    keys = [unescaped(part) for part in reference.removeprefix("#").split("/")[1:]]
    target = resolve(root, keys) if reference.startswith("#/") else None
    return takes_null(target, root, depth + 1)


def unescaped(part: str) -> str:
    """Return a part of a JSON Pointer in a URI fragment (RFC 6901, section 6)."""
    return unquote(part).replace("~1", "/").replace("~0", "~")
