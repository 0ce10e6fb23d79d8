"""A tool's schema as a part of a larger document: its references lead to where it stands there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urldefrag, urljoin

import attrs

Schema = dict[str, Any]

DEEPEST: Final = 64
"""Levels of nesting; what is deeper stands as a schema that allows anything."""

UNRESOLVED: Final = "x-unresolved-ref"
"""What stands for a `$ref` that leads nowhere, or out of its schema."""
INVALID: Final = "x-invalid-schema"
"""Where a schema that is none is kept as it came, as a text of JSON."""
DIALECT: Final = "x-schema-dialect"
"""Where a `$schema` that nobody knows is kept."""

_BY_NAME: Final = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
)
"""Keywords whose values hold schemas by names that are no keywords."""
_DATA: Final = frozenset(("default", "const", "enum", "examples", "example"))
_REFERENCES: Final = ("$ref", "$dynamicRef")
_NAMES: Final = ("$anchor", "$dynamicAnchor")
_DROPPED: Final = frozenset((*_REFERENCES, *_NAMES, "$id", "$schema", "discriminator"))
"""What is written anew, or would mean something else in the document around it."""

_KNOWN_DIALECT: Final = re.compile(
    r"https?://json-schema\.org/(?:(draft-0[467])/schema#?|(draft/(?:2019-09|2020-12))/schema#?)"
)
_FRAGMENT_SAFE: Final = "/~!$&'()*+,;=:@?-._"


def embed(schema: Any, place: str) -> Schema:
    """Return a copy of a tool's schema that means the same at `place` of a document.

    Unknown keywords are kept. References within the schema lead to their target's new place,
    whether they name it by a pointer, an anchor or an `$id`; identifiers are left out then, as
    those of two tools may be alike. A reference to anything else becomes `x-unresolved-ref`, so
    that no reader of the document fetches what a server names. A schema that is not valid
    becomes one that allows any object, with what came under `x-invalid-schema`: one odd tool
    does not spoil the document.

    Args:
      schema: what the tool declares.
      place: where it will stand, as `#` and a JSON pointer.
    """
    if not isinstance(schema, dict):
        return {"type": "object"} if schema in (None, True) else _invalid(schema, "no object")
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
    words = f"The server declares a schema that is not valid: {fault:.300}"
    # As text, for many readers follow whatever looks like a reference, wherever it stands.
    return {"type": "object", "description": words, INVALID: json.dumps(schema)}


@attrs.define
class _Embedding:
    """A schema on its way to another place.

    Args:
      root: the schema.
      place: where it goes.
      resources: the pointer of each `$id`.
      anchors: the pointer of each anchor, by the `$id` around it and its name.
    """

    root: Schema
    place: str
    resources: dict[str, str] = attrs.field(factory=lambda: {"": ""})
    anchors: dict[tuple[str, str], str] = attrs.field(factory=dict)
    bases: dict[str, str] = attrs.field(factory=dict)
    """The `$id` that is in force from a pointer on."""

    def index(self, node: Any, pointer: str, base: str, depth: int) -> None:
        """Take note of what can be referred to by name, in `node` and below."""
        if depth > DEEPEST:
            return
        if isinstance(node, list):
            for number, item in enumerate(node):
                self.index(item, f"{pointer}/{number}", base, depth + 1)
        if not isinstance(node, dict):
            return
        base = self._note(node, pointer, base)
        for keyword, value in node.items():
            below = f"{pointer}/{_escaped(keyword)}"
            if keyword in _BY_NAME and isinstance(value, dict):
                for name, item in value.items():
                    self.index(item, f"{below}/{_escaped(name)}", base, depth + 2)
            elif keyword not in _DATA:
                self.index(value, below, base, depth + 1)

    def _note(self, node: Schema, pointer: str, base: str) -> str:
        """Take note of the names of one schema; return the `$id` in force within it."""
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
                self._renew(copy, keyword, value, base)
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

    def _renew(self, copy: Schema, keyword: str, value: Any, base: str) -> None:
        if keyword in _REFERENCES:
            target = self._target(value, base) if isinstance(value, str) else None
            if target is None:
                copy[UNRESOLVED] = value
            else:
                # One resource is all there is, so a dynamic reference is a plain one.
                copy["$ref" if "$ref" not in copy else keyword] = target
        elif keyword == "discriminator":
            copy[keyword] = self._discriminator(value, base)

    def _discriminator(self, value: Any, base: str) -> Any:
        """Rewrite OpenAPI's word for the choice of a variant, which common libraries write."""
        if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict):
            return value
        mapping = {
            name: self._target(target, base) or target if isinstance(target, str) else target
            for name, target in value["mapping"].items()
        }
        return {**value, "mapping": mapping}

    def _target(self, reference: str, base: str) -> str | None:
        """Return where a reference leads in the document, None where it leads out or nowhere."""
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
    # `urljoin` knows nothing of bases like `urn:`, on which a fragment can stand all the same.
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def _escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
