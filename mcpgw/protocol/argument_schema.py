"""Compile a tool's input schema, if that is safe: backends write them, and may be hostile."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from jsonschema_rs import FancyRegexOptions, RegexOptions, Validator

Schema = dict[str, Any]

MAX_DEPTH: Final = 64
"""Levels of a schema, and of arguments that a schema with references is applied to."""

MAX_SUBSCHEMAS: Final = 10_000
"""Subschemas that apply to one value, with all references followed."""

MAX_PATTERNS: Final = 200

MASK: Final = "the value"
"""Placeholder for the value in the library's own messages, which could show a secret."""

_DEFINITIONS: Final = ("$defs", "definitions")
_DEPENDENCIES: Final = ("dependentSchemas", "dependencies")
_BY_NAME: Final = ("properties", "patternProperties", *_DEFINITIONS, *_DEPENDENCIES)
"""Keywords that hold schemas by names that are not keywords."""
_EXAMPLES: Final = ("default", "examples", "example")
_DATA: Final = ("const", "enum", *_EXAMPLES)
_TRIVIAL: Final = (*_DEFINITIONS, *_EXAMPLES, "$schema", "$id", "$comment", "title", "description")
_NEGATIONS: Final = frozenset(("not", "if", "oneOf", "maxContains", "unevaluatedItems"))
"""Keywords that make a schema stricter when a part of it gets looser."""


class UnsupportedSchema(Exception):
    """A schema that arguments cannot be checked against; the text is the reason."""


@attrs.frozen
class CompiledSchema:
    """A schema ready for use."""

    document: Schema
    validator: Validator
    compile_part: Callable[[Schema], Validator]
    """Compiles a part of the document that has no references."""
    longest: int | None
    """Characters of the longest string to match its patterns with; None without patterns."""
    limited: bool
    """True if `can_check` must be asked first."""

    def can_check(self, value: Any, levels: int = MAX_DEPTH) -> bool:
        """Return whether an object or array is shallow, and its strings short, enough to check."""
        longest, named = self.longest, isinstance(value, dict)
        for each in value.values() if named else value:
            if isinstance(each, str):
                if longest is not None and len(each) > longest:
                    return False
            elif isinstance(each, dict | list) and (
                levels == 0 or not self.can_check(each, levels - 1)
            ):
                return False
        return longest is None or not named or all(len(name) <= longest for name in value)


def compile_schema(schema: object) -> CompiledSchema | None:
    """Compile a tool's input schema; return None if it accepts any object.

    References must point into the schema itself. `format` is an annotation, as in draft 2020-12;
    OpenAPI's `nullable` is understood. Patterns run in linear time if possible, else with a limit
    on backtracking; one that cannot be compiled is dropped if that only makes the schema looser.

    Raises:
      UnsupportedSchema: it is invalid, of an unknown draft, refers to other documents, or is too
        expensive to check.
    """
    if schema is None or schema is True:
        return None
    if not isinstance(schema, dict):
        raise UnsupportedSchema(f"the schema must be an object, not {type(schema).__name__}")
    for node in _nodes(schema):
        _check_references(node, is_root=node is schema)
    try:
        document = copy.deepcopy(schema)
        for node in list(_nodes(document)):
            _rewrite_nullable(node)
        if _accepts_anything(document):
            return None
        nodes = list(_nodes(document))
        recursive = any(map(_reference, nodes))
        sizes: dict[int, int] = {}
        for node in nodes if recursive else ():
            _count_applied(node, document, sizes)
        compile_part, longest = _compiler(document, nodes)
        validator, limited = compile_part(document), recursive or longest is not None
    except RecursionError as error:
        raise UnsupportedSchema("the schema's references or examples are too deep") from error
    except ValueError as error:
        raise UnsupportedSchema(_reason(error, schema)) from error
    return CompiledSchema(document, validator, compile_part, longest, limited)


def at(value: object, path: Sequence[str | int]) -> object:
    """Return the value at a path in nested JSON, None if there is none."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and str(part).isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def applied(node: Schema, document: Schema) -> Iterator[object]:
    """Yield the schemas that a value must fit besides the schema's own keywords.

    Raises:
      UnsupportedSchema: a reference points nowhere.
    """
    if reference := _reference(node):
        from urllib.parse import unquote

        keys = unquote(reference).split("/")[1:]
        target = at(document, [key.replace("~1", "/").replace("~0", "~") for key in keys])
        if target is None:
            raise UnsupportedSchema(f"the schema's reference {reference!r:.100} leads nowhere")
        yield target
    if isinstance(parts := node.get("allOf"), list):
        yield from parts


def _nodes(schema: Schema, depth: int = 0) -> Iterator[Schema]:
    """Yield a schema and all schemas inside it."""
    if depth > MAX_DEPTH:
        raise UnsupportedSchema(f"the schema is nested deeper than {MAX_DEPTH} levels")
    yield schema
    for keyword, value in schema.items():
        inner = [] if keyword in _DATA else value if isinstance(value, list) else [value]
        if keyword in _BY_NAME and isinstance(value, dict):
            inner = list(value.values())
        for each in inner:
            if isinstance(each, dict):
                yield from _nodes(each, depth + 1)


def _reference(node: Schema) -> str | None:
    found = node.get("$ref", node.get("$recursiveRef"))
    return found if isinstance(found, str) else None


def _check_references(node: Schema, *, is_root: bool) -> None:
    reference = _reference(node)
    if reference and reference != "#" and not reference.startswith("#/"):
        raise UnsupportedSchema(f"the schema refers to {reference!r:.100}, outside itself")
    if isinstance(node.get("$dynamicRef"), str):
        raise UnsupportedSchema("the schema uses '$dynamicRef'")
    if not is_root and isinstance(node.get("$id"), str):
        raise UnsupportedSchema("a part of the schema has its own '$id'")


def _rewrite_nullable(node: Schema) -> None:
    """Write OpenAPI 3.0's `nullable` as JSON Schema."""
    kind, choices = node.get("type"), node.get("enum")
    if node.get("nullable") is not True:
        return
    if kind is None:
        inner = dict(node)
        node.clear()
        node["anyOf"] = [inner, {"type": "null"}]
    elif isinstance(kind, str):
        node["type"] = [kind, "null"]
        if isinstance(choices, list) and None not in choices:
            node["enum"] = [*choices, None]


def _accepts_anything(schema: Schema) -> bool:
    trivial = (("type", "object"), ("additionalProperties", True))
    return all(
        keyword in _TRIVIAL or value in ({}, []) or (keyword, value) in trivial
        for keyword, value in schema.items()
    )


def _count_applied(node: Schema, document: Schema, sizes: dict[int, int]) -> int:
    """Count the subschemas that apply to one value: 20 lines of `$ref` can make billions."""
    size = sizes.get(id(node))
    if size == 0:
        raise UnsupportedSchema("the schema's references form a circle")
    if size is None:
        sizes[id(node)] = 0  # being counted
        parts = list(applied(node, document))
        for keyword in ("not", "if", "then", "else", "anyOf", "oneOf"):
            parts += value if isinstance(value := node.get(keyword), list) else [value]
        for keyword in _DEPENDENCIES:
            parts += value.values() if isinstance(value := node.get(keyword), dict) else ()
        inner = [part for part in parts if isinstance(part, dict)]
        size = 1 + sum(_count_applied(each, document, sizes) for each in inner)
        sizes[id(node)] = size
        if size > MAX_SUBSCHEMAS:
            raise UnsupportedSchema("the schema's references multiply beyond the limit")
    return size


def _compiler(
    document: Schema, nodes: list[Schema]
) -> tuple[Callable[[Schema], Validator], int | None]:
    """Return what compiles the schema, and `CompiledSchema.longest`; may drop patterns."""
    import jsonschema_rs

    def compiles(pattern: str, engine: RegexOptions | FancyRegexOptions) -> bool:
        try:
            jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=engine)
        except jsonschema_rs.ValidationError:
            return False
        return True

    patterns: list[tuple[Schema, str]] = []
    for node in nodes:
        named = node.get("patternProperties")
        found = [node.get("pattern"), *(named if isinstance(named, dict) else ())]
        patterns += ((node, each) for each in found if isinstance(each, str))
    if len(patterns) > MAX_PATTERNS:
        raise UnsupportedSchema(
            f"the schema has {len(patterns)} patterns; at most {MAX_PATTERNS} are allowed"
        )
    memory = min(2**20, max(2**16, 2**22 // max(1, len(patterns))))
    linear = jsonschema_rs.RegexOptions(size_limit=memory, dfa_size_limit=memory)
    # Look-around and back-references need an engine that backtracks.
    backtracking = jsonschema_rs.FancyRegexOptions(
        backtrack_limit=10_000, size_limit=memory, dfa_size_limit=memory
    )
    # Matching takes at worst time proportional to the pattern's size times the text's length.
    engine: RegexOptions | FancyRegexOptions = linear
    longest = 5_000 if patterns else None
    negates = any(not _NEGATIONS.isdisjoint(node) for node in nodes)
    for node, pattern in patterns:
        if not compiles(pattern, linear):
            engine, longest = backtracking, 1_000
            droppable = node.get("pattern") == pattern and not negates
            if droppable and not compiles(pattern, backtracking):
                del node["pattern"]
    dialect = {"$schema": document["$schema"]} if "$schema" in document else {}

    def compile_part(part: Schema) -> Validator:
        return jsonschema_rs.validator_for(
            {**dialect, **part},
            offline=True,
            validate_formats=False,
            mask=MASK,
            pattern_options=engine,
        )

    return compile_part, longest


def _reason(error: ValueError, schema: Schema) -> str:
    """Return on one line why a schema cannot be compiled."""
    sentence = str(error).partition("\n")[0]
    if path := getattr(error, "instance_path", None):
        place = "/".join(map(str, path))
        sentence = f"{at(schema, path)!r:.60} is not allowed at {place!r:.100} of the schema"
    return "".join(filter(str.isprintable, sentence))[:300]
