"""Conversion of OpenAPI schemas to JSON Schema 2020-12.

A referenced schema is converted once and becomes an entry of `$defs`; `definitions.assembled`
puts the entries that a tool needs into its schema, or in place of their only reference.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from mcpgw.openapi_import.merging import merged, with_null
from mcpgw.openapi_import.references import References, reference_of
from mcpgw.openapi_import.texts import sentence

DEFINITIONS: Final = "#/$defs/"
LONGEST_DEFAULT: Final = 120
"""Characters of a default in a description."""
DEEPEST: Final = 60
"""Levels of schemas within each other in one component."""
_WORDS: Final = ("type", "format", "title", "pattern", "contentMediaType", "contentEncoding")
_COUNTS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
_NUMBERS: Final = ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")
SCHEMAS: Final = (
    *("items", "additionalProperties", "contains", "propertyNames", "unevaluatedItems"),
    *("unevaluatedProperties", "if", "then", "else"),
)
"""Keywords whose value is a schema."""
MAPS: Final = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose value maps names to schemas."""
VALUES: Final = ("enum", "const", "required", "dependentRequired")
"""Keywords whose value contains no schemas."""
_TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")
_KEY: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@attrs.frozen
class Part:
    """A converted schema, and its properties that are hidden."""

    schema: dict[str, Any]
    hidden: frozenset[str] = frozenset()


@attrs.define(eq=False)
class Schemas:
    """Converts the schemas of one document.

    Args:
      references: resolves `$ref`.
      hide: `readOnly` for inputs, `writeOnly` for outputs; properties with this flag are left out.
      defaults: whether descriptions mention defaults. They are not kept as `default`, since
        clients would fill them in, and a write would then set fields that the caller did not name.
    """

    references: References
    hide: str
    defaults: bool = True
    _keys: dict[str, str] = attrs.field(factory=dict)
    """Names in `$defs` by URI."""
    _targets: dict[str, tuple[str, Any]] = attrs.field(factory=dict)
    """URIs and schemas of the document by their name in `$defs`."""
    _parts: dict[str, Part] = attrs.field(factory=dict)
    _open: list[str] = attrs.field(factory=list)
    """Names of the components that are being converted."""

    def schema(self, node: Any) -> dict[str, Any]:
        """Return a schema in which components are references to `$defs`."""
        return self._part(node, 0).schema

    def resolved(self, node: Any) -> dict[str, Any]:
        """Return a schema that is not a reference itself, though its parts may be."""
        return self._resolved(node, 0).schema

    def definition(self, key: str) -> dict[str, Any]:
        """Return a component by its name in `$defs`."""
        return self._component(key).schema

    def lookup(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a converted schema without a reference at its top."""
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith(DEFINITIONS):
            return dict(schema)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**self.definition(reference[len(DEFINITIONS) :]), **rest}

    # -- references -------------------------------------------------------------------------------

    def _referenced(self, node: Mapping[str, Any], depth: int) -> Part:
        uri, target = self.references.locate(node)
        seen = {uri}
        while reference_of(target) is not None and not _beside(target):
            uri, target = self.references.locate(target)
            if uri in seen:
                return Part({})
            seen.add(uri)
        own = self._part(_beside(node), depth).schema if _beside(node) else {}
        if not isinstance(target, Mapping) or not target:
            return Part(own)
        key = self._keys.get(uri)
        if key is None:
            key = self._keys[uri] = self._new_key(uri)
            self._targets[key] = (uri, target)
        made = {"$ref": f"{DEFINITIONS}{key}", **own}
        return Part(with_null(made) if _is_nullable(node) else made)

    def _new_key(self, uri: str) -> str:
        address, _, fragment = uri.partition("#")
        last = unquote((fragment or address).rpartition("/")[2])
        base = _KEY.sub("_", last.removesuffix(".yaml").removesuffix(".json")).strip("_")[:60]
        base = base or "schema"
        key, number = base, 2
        while key in self._targets:
            key, number = f"{base}_{number}", number + 1
        return key

    def _component(self, key: str) -> Part:
        found = self._parts.get(key)
        if found is None:
            if key in self._open or len(self._open) > DEEPEST:
                return Part({})
            self._open.append(key)
            try:
                found = self._converted(self._targets[key][1], 0)
            finally:
                self._open.pop()
            self._parts[key] = found
        return found

    def _resolved(self, node: Any, depth: int) -> Part:
        part = self._part(node, depth)
        reference = part.schema.get("$ref")
        if not isinstance(reference, str):
            return part
        found = self._component(reference[len(DEFINITIONS) :])
        rest = {key: value for key, value in part.schema.items() if key != "$ref"}
        return Part(merged(found.schema, rest), found.hidden)

    # -- schemas ----------------------------------------------------------------------------------

    def _part(self, node: Any, depth: int) -> Part:
        if node is False:
            return Part({"not": {}})
        if not isinstance(node, Mapping) or depth > DEEPEST:
            return Part({})
        if reference_of(node) is not None:
            return self._referenced(node, depth + 1)
        return self._converted(node, depth)

    def _converted(self, node: Mapping[str, Any], depth: int) -> Part:
        """Convert a schema, whose reference, if it has one, is followed."""
        if reference_of(node) is not None:
            return self._resolved(node, depth + 1)
        own, hidden = self._own(node, depth)
        schema: dict[str, Any] = {}
        for each in _list(node.get("allOf")):
            part = self._resolved(each, depth + 1)
            schema = merged(schema, self._unlooped(part.schema))
            hidden |= part.hidden
        closed = own.get("additionalProperties") is False
        schema = merged(schema, own) if schema else own
        if closed:
            schema["additionalProperties"] = False
        self._choices(schema, node, depth)
        if closed and "anyOf" in schema:
            # It does not see the properties of the alternatives, and would refuse them.
            del schema["additionalProperties"]
        self._negated(schema, node, depth)
        if "required" in schema:
            names = dict.fromkeys(schema["required"])
            schema["required"] = [each for each in names if each not in hidden]
            if not schema["required"]:
                del schema["required"]
        if _is_nullable(node):
            schema = with_null(schema)
        return Part(schema, hidden)

    def _unlooped(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a part of an `allOf` without a choice of the component that contains it.

        A base schema often lists its own extensions; each would then contain itself.
        """
        opened = {f"{DEFINITIONS}{key}" for key in self._open}
        alternatives = schema.get("anyOf")
        if not alternatives or not any(each.get("$ref") in opened for each in alternatives):
            return schema
        return {key: value for key, value in schema.items() if key != "anyOf"}

    def _choices(self, schema: dict[str, Any], node: Mapping[str, Any], depth: int) -> None:
        """Add `anyOf` and `oneOf`, both as `anyOf`.

        Without the properties that are hidden, a value may fit several alternatives of a `oneOf`,
        which the server tells apart.
        """
        for key in ("anyOf", "oneOf"):
            made = [self._part(each, depth + 1).schema for each in _list(node.get(key))]
            if not made:
                continue
            if "anyOf" in schema:
                schema["allOf"] = [*schema.get("allOf", ()), {"anyOf": made}]
            else:
                schema["anyOf"] = made

    def _negated(self, schema: dict[str, Any], node: Mapping[str, Any], depth: int) -> None:
        if isinstance(node.get("not"), Mapping):
            made = self._part(node["not"], depth + 1).schema
            if set(made) - {"description", "title"}:
                schema["not"] = made

    def _own(self, node: Mapping[str, Any], depth: int) -> tuple[dict[str, Any], frozenset[str]]:
        schema = _plain_keywords(node)
        text = sentence(node.get("description"))
        if self.defaults:
            text = _with_default(text, node.get("default"))
        if text:
            schema["description"] = text
        hidden = self._properties(schema, node, depth)
        items = node.get("items")
        if schema.get("type") == "array" and "enum" in node and "enum" not in schema:
            # Documents often list the values of the items beside the type of the array.
            items = {**items, "enum": node["enum"]} if isinstance(items, Mapping) else items
            node = {**node, "items": items}
        for key in SCHEMAS:
            value = node.get(key)
            if key == "items" and isinstance(value, list):
                continue
            if isinstance(value, bool):
                schema[key] = value
            elif isinstance(value, Mapping):
                schema[key] = self._part(value, depth + 1).schema
        tuple_items = node.get("prefixItems", items if isinstance(items, list) else None)
        if isinstance(tuple_items, list) and tuple_items:
            schema["prefixItems"] = [self._part(each, depth + 1).schema for each in tuple_items]
        if "items" in schema or "prefixItems" in schema:
            schema.setdefault("type", "array")
        if schema.get("additionalProperties") is True:
            schema.setdefault("type", "object")
        return schema, hidden

    def _properties(
        self, schema: dict[str, Any], node: Mapping[str, Any], depth: int
    ) -> frozenset[str]:
        """Add the properties and return the names of those that are hidden."""
        hidden: set[str] = set()
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            found: dict[str, Any] = {}
            for name, each in properties.items():
                if self._is_hidden(each):
                    hidden.add(str(name))
                else:
                    found[str(name)] = self._part(each, depth + 1).schema
            schema["properties"] = found
            schema.setdefault("type", "object")
        for key in ("patternProperties", "dependentSchemas"):
            value = node.get(key)
            if isinstance(value, Mapping):
                schema[key] = {
                    str(name): self._part(each, depth + 1).schema
                    for name, each in value.items()
                    if key != "patternProperties" or _is_pattern(str(name))
                }
        return frozenset(hidden)

    def _is_hidden(self, node: Any) -> bool:
        for _ in range(20):
            if not isinstance(node, Mapping):
                return False
            if node.get(self.hide) is True:
                return True
            if reference_of(node) is None:
                return False
            node = self.references.locate(node)[1]
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _beside(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords beside a reference that are not annotations of the dialect."""
    left_out = ("$ref", "$dynamicRef", "nullable", "x-nullable", "summary", "readOnly", "writeOnly")
    return {key: value for key, value in node.items() if key not in left_out and key[:2] != "x-"}


def _is_nullable(node: Mapping[str, Any]) -> bool:
    return node.get("nullable") is True or node.get("x-nullable") is True


def _plain_keywords(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that do not contain schemas; values of a wrong type are dropped."""
    made = {key: node[key] for key in node if key in _PLAIN and _fits(key, node[key])}
    kind = made.get("type")
    if isinstance(kind, list):
        made["type"] = [each for each in kind if each in _TYPES] or "string"
    elif kind == "file":
        made["type"] = "string"
        made["format"] = "binary"
    elif kind is not None and kind not in _TYPES:
        del made["type"]
    if "enum" in made and "type" in made and not _has_a_value(made):
        del made["enum"]  # contradictory; no value would be valid
    # In OpenAPI 3.0 an exclusive bound is a flag of the other one.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if node.get(exclusive) is True and bound in made:
            made[exclusive] = made.pop(bound)
    return made


def _has_a_value(schema: Mapping[str, Any]) -> bool:
    """Return whether one of the values of an enum has the type of its schema."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    known = {"number" if kind == "integer" else kind for kind in kinds}
    return bool(known & {_type_of(each) for each in schema["enum"]})


_PLAIN: Final = frozenset(
    {*_WORDS, *_COUNTS, *_NUMBERS}
    | {"enum", "const", "uniqueItems", "deprecated", "required", "dependentRequired"}
)


def _fits(key: str, value: Any) -> bool:
    """Return whether a keyword may have this value; keywords with other values are dropped."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in _COUNTS:
        return isinstance(value, int) and number and value >= 0
    if key in _NUMBERS:
        return number and (key != "multipleOf" or value > 0)
    if key == "enum":
        return isinstance(value, list) and bool(value)
    if key == "pattern":
        return isinstance(value, str) and _is_pattern(value)
    if key in ("uniqueItems", "deprecated"):
        return isinstance(value, bool)
    if key == "type":
        return isinstance(value, (str, list))
    if key == "required":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if key == "dependentRequired":
        return isinstance(value, Mapping) and all(_fits("required", v) for v in value.values())
    return key == "const" or isinstance(value, str)


@functools.lru_cache(maxsize=2048)
def _is_pattern(text: str) -> bool:
    import jsonschema_rs

    try:
        jsonschema_rs.validator_for({"pattern": text})
    except (ValueError, jsonschema_rs.ValidationError):
        return False
    return True


def _with_default(about: str, value: Any) -> str:
    """Return a description that mentions a default, unless it does already."""
    if value is None or value in ("", [], {}):
        return about
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return about
    text = sentence(text, LONGEST_DEFAULT + 1)
    known = "default" in about.lower() and text in about
    if known or not 0 < len(text) <= LONGEST_DEFAULT:
        return about
    return f"{about} Default: {text}.".strip()


def types_of(schema: Mapping[str, Any], schemas: Schemas, depth: int = 0) -> frozenset[str]:
    """Return the JSON types that a converted schema allows, without null."""
    if depth > 12:
        return frozenset(_TYPES) - {"null"}
    schema = schemas.lookup(schema)
    known = frozenset(_TYPES) - {"null"}
    kind = schema.get("type")
    if kind is not None:
        known &= frozenset(kind if isinstance(kind, list) else [kind])
    if isinstance(schema.get("enum"), list):
        known &= {_type_of(each) for each in schema["enum"]}
    if "const" in schema:
        known &= {_type_of(schema["const"])}
    if alternatives := schema.get("anyOf"):
        known &= frozenset(
            each for part in alternatives for each in types_of(part, schemas, depth + 1)
        )
    for part in schema.get("allOf", ()):
        known &= types_of(part, schemas, depth + 1)
    return known


def _type_of(value: Any) -> str:
    for kinds, name in (
        (bool, "boolean"),
        (str, "string"),
        ((int, float), "number"),
        (Mapping, "object"),
        (list, "array"),
    ):
        if isinstance(value, kinds):
            return name
    return "null"
