"""Conversion of OpenAPI schemas to plain JSON Schemas, without references or dialects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import attrs

from mcpgw.config.json_path import resolve
from mcpgw.openapi_import.texts import sentence

DEEPEST: Final = 8
"""Levels of nested schemas that are followed."""
MOST_PROPERTIES: Final = 200
LARGEST_FILE: Final = 5 * 1024 * 1024
"""Bytes."""
_KEPT: Final = (
    *("type", "format", "enum", "const", "default", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "title"),
    "deprecated",
)
_MISSING: Final = object()
_TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")


@attrs.define(eq=False)
class References:
    """Resolves `$ref` within a document and files of its folder.

    Args:
      document: the whole document.
      folder: the folder of its file; None for a document from a URL.
    """

    document: Mapping[str, Any]
    folder: Path | None = None
    notes: dict[str, None] = attrs.field(factory=dict)
    """References that could not be resolved, in order."""
    _files: dict[str, Any] = attrs.field(factory=dict)

    def follow(self, node: Any) -> Any:
        """Return the target of a reference, {} if it is missing; other nodes as they are."""
        seen: set[str] = set()
        while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in seen:
                self._note(f"{reference} refers to itself")
                return {}
            seen.add(reference)
            siblings = {k: v for k, v in node.items() if k != "$ref"}
            node = self._target(reference)
            if siblings and isinstance(node, Mapping):
                node = {**node, **siblings}  # OpenAPI 3.1 allows a reference its own description
        return node

    def _target(self, reference: str) -> Any:
        file, _, pointer = reference.partition("#")
        document: Any = self.document if not file else self._file(file)
        keys = [
            unquote(part).replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]
        ]
        found = resolve(document, keys, _MISSING, digit_keys=True)
        if found is _MISSING:
            self._note(f"{reference[:120]} does not exist")
            return {}
        return found

    def _file(self, name: str) -> Any:
        if name in self._files:
            return self._files[name]
        found: Any = {}
        path = (self.folder / unquote(name)).resolve() if self.folder is not None else None
        if "://" in name or path is None or self.folder is None:
            self._note(f"{name[:120]} is not a local file and is not fetched")
        elif self.folder.resolve() not in path.parents:
            self._note(f"{name[:120]} is outside the document's folder and is not read")
        else:
            found = self._read(path, name)
        self._files[name] = found
        return found

    def _read(self, path: Path, name: str) -> Any:
        import json

        from mcpgw.config.yamlfile import YamlSyntaxError, parse

        try:
            if path.stat().st_size > LARGEST_FILE:
                raise OSError
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            self._note(f"{name[:120]} cannot be read")
            return {}
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            try:
                return parse(text)
            except (YamlSyntaxError, TypeError, AttributeError):
                self._note(f"{name[:120]} is neither JSON nor YAML")
                return {}

    def _note(self, text: str) -> None:
        self.notes[text] = None


@attrs.frozen
class Schemas:
    """Converts the schemas of one document.

    Args:
      references: resolves `$ref`.
      old: whether the document is OpenAPI 3.0 or Swagger 2.0, whose schemas are a dialect.
    """

    references: References
    old: bool = True

    def plain(self, node: Any, *, hide: str = "", within: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return a schema without references.

        Args:
          node: the schema in the document.
          hide: `readOnly` or `writeOnly`; properties with this flag are left out.
          within: the references followed so far, "" for a level without one. A schema that
            contains itself is expanded once; deeper levels become a placeholder.
        """
        reference = node.get("$ref") if isinstance(node, Mapping) else None
        node = self.references.follow(node)
        if isinstance(node, bool) or not isinstance(node, Mapping):
            return {}
        if len(within) > DEEPEST or (reference and str(reference) in within):
            return {"description": "Nested too deeply to be shown here."}
        within = (*within, str(reference or ""))
        schema: dict[str, Any] = {}
        for part in node.get("allOf") or ():
            _merge(schema, self.plain(part, hide=hide, within=within))
        _merge(schema, self._own(node, hide, within))
        for key in ("oneOf", "anyOf"):
            parts = node.get(key)
            if isinstance(parts, list) and parts:
                made = [self.plain(part, hide=hide, within=within) for part in parts[:20]]
                schema[key] = [part for part in made if part] or [{}]
        return schema

    def _own(self, node: Mapping[str, Any], hide: str, within: tuple[str, ...]) -> dict[str, Any]:
        schema: dict[str, Any] = {}
        for key in _KEPT:
            if key in node and _fits(key, node[key]):
                schema[key] = node[key]
        kind = node.get("type")
        if isinstance(kind, str) and kind not in _TYPES:
            del schema["type"]
            if kind == "file":
                schema["type"] = "string"
        if isinstance(kind, list):
            schema["type"] = [each for each in kind if each in _TYPES] or "string"
        if text := sentence(node.get("description")):
            schema["description"] = text
        if self.old:
            _modern(schema, node)
        self._object(schema, node, hide, within)
        if "items" in node:
            items = (
                node["items"][0]
                if isinstance(node["items"], list) and node["items"]
                else node["items"]
            )
            schema["items"] = self.plain(items, hide=hide, within=within)
            schema.setdefault("type", "array")
        elif schema.get("type") == "array":
            schema["items"] = {}
        return schema

    def _object(
        self, schema: dict[str, Any], node: Mapping[str, Any], hide: str, within: tuple[str, ...]
    ) -> None:
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            found: dict[str, Any] = {}
            for name, each in list(properties.items())[:MOST_PROPERTIES]:
                target = self.references.follow(each)
                if hide and isinstance(target, Mapping) and target.get(hide) is True:
                    continue
                found[str(name)] = self.plain(each, hide=hide, within=within)
            schema["properties"] = found
            schema.setdefault("type", "object")
        required = node.get("required")
        if isinstance(required, list):
            known = schema.get("properties", {})
            kept = [each for each in required if isinstance(each, str) and each in known]
            if kept:
                schema["required"] = list(dict.fromkeys(kept))
        extra = node.get("additionalProperties")
        if isinstance(extra, bool):
            if extra:
                schema["additionalProperties"] = True
        elif isinstance(extra, Mapping):
            schema["additionalProperties"] = self.plain(extra, hide=hide, within=within)


def _fits(key: str, value: Any) -> bool:
    """Return whether a keyword may have this value; keywords with other values are dropped."""
    if key in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if key in ("minimum", "maximum", "multipleOf"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in ("exclusiveMinimum", "exclusiveMaximum"):
        return isinstance(value, (int, float))
    if key == "enum":
        return isinstance(value, list) and bool(value)
    if key in ("title", "format"):
        return isinstance(value, str)
    if key == "pattern":
        return isinstance(value, str) and _is_pattern(value)
    if key in ("uniqueItems", "deprecated"):
        return isinstance(value, bool)
    if key == "type":
        return isinstance(value, (str, list))
    return True


def _is_pattern(text: str) -> bool:
    import jsonschema_rs

    try:
        jsonschema_rs.validator_for({"pattern": text})
    except (ValueError, jsonschema_rs.ValidationError):
        return False
    return True


def _modern(schema: dict[str, Any], node: Mapping[str, Any]) -> None:
    """Convert keywords of the OpenAPI 3.0 dialect to JSON Schema 2020-12."""
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        flag = schema.pop(name, None)
        if flag is True and bound in schema:
            schema[name] = schema.pop(bound)
        elif flag is not None and not isinstance(flag, bool):
            schema[name] = flag
    if node.get("nullable") is True or node.get("x-nullable") is True:
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]


def _merge(schema: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Merge a part of an `allOf` into a schema."""
    for key, value in more.items():
        if key == "properties":
            schema["properties"] = {**schema.get("properties", {}), **value}
        elif key == "required":
            schema["required"] = list(dict.fromkeys([*schema.get("required", []), *value]))
        elif key in ("oneOf", "anyOf") and key in schema:
            continue  # JSON Schema has no keyword for two choices at once; the first one is kept
        else:
            schema[key] = value
