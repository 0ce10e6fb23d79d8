"""Serialization of parameters and fields as their document declares it.

The result is an entry of `styles` in a capability file, {} if the default of the file is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcpgw.capabilities.styles import STYLES

SIMPLE_TYPES: Final = frozenset({"string", "number", "integer", "boolean"})
_COLLECTIONS: Final[Mapping[str, str]] = {
    "ssv": "spaceDelimited",
    "tsv": "tabDelimited",
    "pipes": "pipeDelimited",
}
"""Styles by the `collectionFormat` of Swagger 2.0; `csv` and `multi` are handled apart."""


def declared_style(
    node: Mapping[str, Any], location: str, types: frozenset[str], *, swagger: bool = False
) -> tuple[dict[str, Any], str]:
    """Return the serialization of a parameter, and a note if its style is unknown.

    Args:
      node: the parameter, or the encoding of a field.
      location: `path`, `query`, `header`, `cookie` or `body`.
      types: JSON types that its value may have.
      swagger: whether the document is Swagger 2.0.
    """
    made: dict[str, Any] = {}
    if node.get("allowReserved") is True and location in ("path", "query", "body"):
        made["allow_reserved"] = True
    if swagger:
        if "array" in types:
            made |= _collection(str(node.get("collectionFormat", "csv")), location)
        return made, ""
    known = STYLES[location]
    default = known[0]
    style, note = str(node.get("style", default)), ""
    if style not in known or style in ("brackets", "querystring", "tabDelimited"):
        note = f"the style {style[:40]!r} does not exist in the {location}; {default} is used"
        style = default
    exploded = node.get("explode")
    explode = exploded if isinstance(exploded, bool) else style in ("form", "cookie")
    if style in ("label", "matrix", "cookie"):
        made["style"] = style
    if not types <= SIMPLE_TYPES:
        made |= _of_members(style, explode, default, objects="object" in types)
    return made, note


def _of_members(style: str, explode: bool, default: str, *, objects: bool) -> dict[str, Any]:
    """Return the serialization of a list or object."""
    if style == "form":
        if not explode:
            return {"explode": False}
        # Without a style of its own, an object is written as `a[b]=c`.
        return {"style": style, "explode": True} if objects else {}
    if style == "deepObject":
        return {"style": style}
    made: dict[str, Any] = {} if style == default else {"style": style}
    return made | {"explode": True} if explode else made


def _collection(name: str, location: str) -> dict[str, Any]:
    if style := _COLLECTIONS.get(name):
        return {"style": style, "explode": False} if location == "body" else {"style": style}
    if name == "multi" or location in ("path", "header"):
        return {}
    return {"explode": False}
