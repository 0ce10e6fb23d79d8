"""Embedding of a tool's JSON schema in a larger document, with its references rewritten."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urldefrag, urljoin

import attrs

Schema = dict[str, Any]

DEEPEST: Final = 64
"""Levels of nesting; deeper subschemas are replaced by one that allows anything."""

UNRESOLVED: Final = "x-unresolved-ref"
"""The keyword that replaces a `$ref` whose target is missing or outside of its schema."""
INVALID: Final = "x-invalid-schema"
"""The keyword that keeps an invalid schema, as a string of JSON."""
DIALECT: Final = "x-schema-dialect"
"""The keyword that keeps an unknown `$schema`."""

_BY_NAME: Final = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
)
"""Keywords whose values map arbitrary names to schemas."""
_DATA: Final = frozenset(("default", "const", "enum", "examples", "example"))
_REFERENCES: Final = ("$ref", "$dynamicRef")
_NAMES: Final = ("$anchor", "$dynamicAnchor")
_DROPPED: Final = frozenset((*_REFERENCES, *_NAMES, "$id", "$schema", "discriminator"))
"""Keywords that are rewritten, or would have another meaning in the surrounding document."""

_KNOWN_DIALECT: Final = re.compile(
    r"https?://json-schema\.org/(?:(draft-0[467])/schema#?|(draft/(?:2019-09|2020-12))/schema#?)"
)
_FRAGMENT_SAFE: Final = "/~!$&'()*+,;=:@?-._"


def embed(schema: Any, place: str) -> Schema:
    """Return a copy of a tool's schema that has the same meaning at `place` of a document.

    Unknown keywords are kept. References within the schema are rewritten to their target's new
    place, whether by pointer, anchor or `$id`; identifiers are dropped, since those of two tools
    may collide. Any other reference becomes `x-unresolved-ref`, so no reader of the document
    fetches a URL that a server chose. An invalid schema becomes one that allows any object, with
    the original under `x-invalid-schema`: one invalid tool must not make the document invalid.

    Args:
      schema: the schema that the tool declares.
      place: its place in the document, as `#` and a JSON pointer.
    """
    if not isinstance(schema, dict):
        return (
            {"type": "object"}
            if schema in (None, True)
            else _invalid(schema, "it must be an object")
        )
    embedding = _Embedding(schema, place)
    embedding.index(schema, "", "", 0)
    copy: Schema = embedding.copied(schema, "", 0)
    if isinstance(dialect := schema.get("$schema"), str):
        if found := _KNOWN_DIALECT.fullmatch(dialect):
            known = f"http://json-schema.org/{found[1]}/schema#"
            copy["$schema"] = known if found[1] else f"https://json-schema.org/{found[2]}/schema"
        else:
            copy[DIALECT] = dialect
    fault = _fault(copy)
    return copy if fault is None else _invalid(schema, fault)


def _fault(schema: Schema) -> str | None:
    import jsonschema_rs

    try:
        jsonschema_rs.meta.validate(schema)
    except ValueError as error:
        return getattr(error, "message", str(error))
    return None


def _invalid(schema: Any, fault: str) -> Schema:
    description = f"The server declares an invalid schema: {fault:.300}"
    # As a string, since many readers resolve anything that looks like a reference.
    return {"type": "object", "description": description, INVALID: json.dumps(schema)}


@attrs.define
class _Embedding:
    """The state of embedding one schema.

    Args:
      root: the schema.
      place: its place in the document.
      resources: the pointer of each `$id`.
      anchors: the pointer of each anchor, by the `$id` around it and its name.
    """

    root: Schema
    place: str
    resources: dict[str, str] = attrs.field(factory=lambda: {"": ""})
    anchors: dict[tuple[str, str], str] = attrs.field(factory=dict)
    bases: dict[str, str] = attrs.field(factory=dict)
    """The `$id` that applies from a pointer on."""

    def index(self, node: Any, pointer: str, base: str, depth: int) -> None:
        """Record the identifiers and anchors in `node` and below."""
        if depth > DEEPEST:
            return
        if isinstance(node, list):
            for number, item in enumerate(node):
                self.index(item, f"{pointer}/{number}", base, depth + 1)
        if not isinstance(node, dict):
            return
        base = self._record(node, pointer, base)
        for keyword, value in node.items():
            below = f"{pointer}/{_escaped(keyword)}"
            if keyword in _BY_NAME and isinstance(value, dict):
                for name, item in value.items():
                    self.index(item, f"{below}/{_escaped(name)}", base, depth + 2)
            elif keyword not in _DATA:
                self.index(value, below, base, depth + 1)

    def _record(self, node: Schema, pointer: str, base: str) -> str:
        """Record the names of one schema; return the `$id` that applies within it."""
        if isinstance(identifier := node.get("$id"), str):
            named, anchor = urldefrag(_joined(base, identifier))
            if anchor and not identifier.partition("#")[0]:
                self.anchors[base, anchor] = pointer  # how drafts 6 and 7 write an anchor
            else:
                base = named
                self.resources.setdefault(base, pointer)
                self.bases[pointer] = base
        for keyword in _NAMES:
            if isinstance(name := node.get(keyword), str):
                self.anchors.setdefault((base, name), pointer)
        return base

    def copied(self, node: Any, base: str, depth: int, pointer: str = "") -> Any:
        """Copy a part of the schema with its references rewritten."""
        if depth > DEEPEST:
            return {}
        if isinstance(node, list):
            return [
                self.copied(item, base, depth + 1, f"{pointer}/{number}")
                for number, item in enumerate(node)
            ]
        if not isinstance(node, dict):
            return node
        base = self.bases.get(pointer, base)
        copy: Schema = {}
        for keyword, value in node.items():
            below = f"{pointer}/{_escaped(keyword)}"
            if keyword in _DROPPED:
                self._rewrite(copy, keyword, value, base)
            elif keyword in _DATA:
                copy[keyword] = value
            elif keyword in _BY_NAME and isinstance(value, dict):
                copy[keyword] = {
                    name: self.copied(item, base, depth + 2, f"{below}/{_escaped(name)}")
                    for name, item in value.items()
                }
            else:
                copy[keyword] = self.copied(value, base, depth + 1, below)
        return copy

    def _rewrite(self, copy: Schema, keyword: str, value: Any, base: str) -> None:
        if keyword in _REFERENCES:
            target = self._target(value, base) if isinstance(value, str) else None
            if target is None:
                copy[UNRESOLVED] = value
            else:
                # There is only one resource, so a dynamic reference is a plain one.
                copy["$ref" if "$ref" not in copy else keyword] = target
        elif keyword == "discriminator":
            copy[keyword] = self._discriminator(value, base)

    def _discriminator(self, value: Any, base: str) -> Any:
        """Rewrite OpenAPI's `discriminator`, which common libraries generate."""
        if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict):
            return value
        mapping = {
            name: self._target(target, base) or target if isinstance(target, str) else target
            for name, target in value["mapping"].items()
        }
        return {**value, "mapping": mapping}

    def _target(self, reference: str, base: str) -> str | None:
        """Return a reference's target in the document, None if it is outside or missing."""
        resource, fragment = urldefrag(_joined(base, reference))
        fragment = unquote(fragment)
        start = self.resources.get(resource)
        if start is None:
            return None
        if fragment and not fragment.startswith("/"):
            pointer = self.anchors.get((resource, fragment))
        else:
            pointer = start + fragment
        if pointer is None or pointer.count("/") > DEEPEST or not self._exists(pointer):
            return None
        return self.place + quote(pointer, safe=_FRAGMENT_SAFE)

    def _exists(self, pointer: str) -> bool:
        node: Any = self.root
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                return False
        return isinstance(node, Mapping | bool)


def _joined(base: str, reference: str) -> str:
    # `urljoin` does not support bases such as `urn:`, which can have a fragment all the same.
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def _escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
