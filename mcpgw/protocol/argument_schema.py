"""Compile a tool's input schema for checking, where that is safe and worth it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    import jsonschema_rs

Schema = dict[str, Any]

DEEPEST: Final = 64
"""Levels of a schema, and of arguments that are mended."""

MOST_WORK: Final = 10_000
"""Subschemas that one value may meet at one place, with all references followed."""

MOST_PATTERNS: Final = 200
_DROPPED_PATTERNS: Final = 8
_PATTERN_MEMORY: Final = 4 * 2**20
_BACKTRACKS: Final = 10_000

# A matcher's time is at worst its size times the length of the text, so both have a bound.
_LONGEST_MATCHED: Final = 5_000
_LONGEST_BACKTRACKED: Final = 1_000

MASK: Final = "the value"
"""What stands for a value in the library's own sentences."""

_BY_NAME: Final = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
)
"""Keywords whose values hold schemas by names that are no keywords."""
_DATA: Final = frozenset(("default", "const", "enum", "examples", "example"))
_SAYS_NOTHING: Final = frozenset(
    ("$schema", "$id", "$comment", "$defs", "definitions", "title", "description")
) | (_DATA - {"const", "enum"})
_NEGATES: Final = frozenset(("not", "if", "oneOf", "maxContains", "unevaluatedItems"))
"""Keywords by which a schema gets stricter where a part of it gets looser."""


class NotChecked(Exception):
    """A schema cannot be checked against; the text says why."""


@attrs.frozen
class CompiledSchema:
    """A schema that arguments can be held against.

    Args:
      document: the schema as it was compiled, to look names up in.
      validator: what judges by it.
      longest: characters of a text that may be matched with its patterns; None without.
      recursive: it has references, so that deep arguments may meet it at each level.
    """

    document: Schema
    validator: jsonschema_rs.Validator
    longest: int | None
    recursive: bool


def compile_schema(schema: object) -> CompiledSchema | None:
    """Compile a tool's input schema; None where nothing can be wrong by it.

    Nothing is fetched: references lead to places within the schema. `format` is a remark, as it
    is in draft 2020-12, and OpenAPI's `nullable` counts. A pattern runs in linear time where it
    can, else with a bound on its steps; one that cannot be compiled is left out where all else
    means the same without it.

    Raises:
      NotChecked: it is no schema, not of a known draft, refers to other documents, or costs too
        much.
    """
    if schema is None or schema is True:
        return None
    if not isinstance(schema, dict):
        raise NotChecked(f"the schema is no object but {type(schema).__name__}")
    study = _Study()
    document = study.copied(schema)
    if not _says_something(document):
        return None
    if study.references:
        _weigh(document, study)
    if study.patterns > MOST_PATTERNS:
        raise NotChecked(f"the schema has {study.patterns} patterns, more than {MOST_PATTERNS}")
    try:
        validator, longest = _compiled(document, study)
    except ValueError as error:
        raise NotChecked(_reason(error, document)) from error
    return CompiledSchema(document, validator, longest, bool(study.references))


def _says_something(schema: Schema) -> bool:
    for keyword, value in schema.items():
        empty = value in ({}, []) if keyword != "additionalProperties" else value in ({}, True)
        if keyword not in _SAYS_NOTHING and not empty and (keyword, value) != ("type", "object"):
            return True
    return False


@attrs.define
class _Study:
    """A copy of a schema in the making, and what was seen on the way."""

    nodes: list[Schema] = attrs.field(factory=list)
    references: bool = False
    patterns: int = 0
    negates: bool = False

    def copied(self, node: Schema, depth: int = 0) -> Schema:
        if depth > DEEPEST:
            raise NotChecked(f"the schema is nested deeper than {DEEPEST} levels")
        self._note(node, depth)
        copy: Schema = {}
        for keyword, value in node.items():
            if keyword in _BY_NAME and isinstance(value, dict):
                copy[keyword] = {
                    name: self.copied(sub, depth + 1) if isinstance(sub, dict) else sub
                    for name, sub in value.items()
                }
            elif keyword in _DATA:
                copy[keyword] = value
            elif isinstance(value, list):
                copy[keyword] = [
                    self.copied(each, depth + 1) if isinstance(each, dict) else each
                    for each in value
                ]
            else:
                copy[keyword] = self.copied(value, depth + 1) if isinstance(value, dict) else value
        self.nodes.append(copy)
        return _with_null(copy)

    def _note(self, node: Schema, depth: int) -> None:
        reference = node.get("$ref", node.get("$recursiveRef"))
        if isinstance(reference, str):
            self.references = True
            if reference != "#" and not reference.startswith("#/"):
                raise NotChecked(f"the schema refers to {reference!r:.100}, outside of itself")
        if isinstance(node.get("$dynamicRef"), str):
            raise NotChecked("the schema uses '$dynamicRef'")
        if depth and isinstance(node.get("$id"), str):
            raise NotChecked("the schema has a part with an '$id' of its own")
        self.patterns += isinstance(node.get("pattern"), str)
        named = node.get("patternProperties")
        self.patterns += len(named) if isinstance(named, dict) else 0
        self.negates = self.negates or not _NEGATES.isdisjoint(node)


def _with_null(schema: Schema) -> Schema:
    """Return a schema with OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if schema.get("nullable") is not True:
        return schema
    if not isinstance(kind := schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]} if kind is None else schema
    schema["type"] = [kind, "null"]
    if isinstance(choices := schema.get("enum"), list) and None not in choices:
        schema["enum"] = [*choices, None]
    return schema


def _weigh(document: Schema, study: _Study) -> None:
    """Refuse a schema whose references multiply: twenty lines can ask for years of work."""
    known: dict[int, int] = {}
    for node in study.nodes:
        _work(node, document, known, DEEPEST)


def _work(node: Schema, document: Schema, known: dict[int, int], levels: int) -> int:
    """Return how many subschemas a value meets here, without those for its parts."""
    work = known.get(id(node))
    if work is None:
        if levels == 0:
            raise NotChecked("the schema's references form too long a chain")
        known[id(node)] = 0
        work = 1 + sum(_work(sub, document, known, levels - 1) for sub in _here(node, document))
        known[id(node)] = work
        if work > MOST_WORK:
            raise NotChecked("the schema's references multiply beyond measure")
    elif work == 0:
        raise NotChecked("the schema's references go round in a circle")
    return work


def _here(node: Schema, document: Schema) -> Iterator[Schema]:
    """Yield the subschemas that are applied to the same value as the schema is."""
    found: list[object] = []
    for keyword in ("allOf", "anyOf", "oneOf"):
        found += node[keyword] if isinstance(node.get(keyword), list) else ()
    found += (node.get(keyword) for keyword in ("not", "if", "then", "else"))
    for keyword in ("dependentSchemas", "dependencies"):
        found += node[keyword].values() if isinstance(node.get(keyword), dict) else ()
    reference = node.get("$ref", node.get("$recursiveRef"))
    if isinstance(reference, str):
        found.append(_target(document, reference))
    yield from (sub for sub in found if isinstance(sub, dict))


def _target(document: Schema, reference: str) -> object:
    if "%" in reference:
        from urllib.parse import unquote

        reference = unquote(reference)
    parts = [part.replace("~1", "/").replace("~0", "~") for part in reference.split("/")[1:]]
    found = at(document, parts)
    if found is None:
        raise NotChecked(f"the schema's reference {reference!r:.100} leads nowhere")
    return found


def at(value: object, path: Sequence[str | int]) -> object:
    """Return what stands at a path in nested JSON, None where there is nothing."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and str(part).isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _compiled(document: Schema, study: _Study) -> tuple[jsonschema_rs.Validator, int | None]:
    """Return the validator and the longest text for it, leaving out patterns where need be."""
    import jsonschema_rs

    make = functools.partial(
        jsonschema_rs.validator_for, offline=True, validate_formats=False, mask=MASK
    )
    if not study.patterns:
        return make(document), None
    memory = min(2**20, max(2**16, _PATTERN_MEMORY // study.patterns))
    linear = jsonschema_rs.RegexOptions(size_limit=memory, dfa_size_limit=memory)
    # Look-around and back-references need an engine that tries things out: a bounded one.
    trying = jsonschema_rs.FancyRegexOptions(
        backtrack_limit=_BACKTRACKS, size_limit=memory, dfa_size_limit=memory
    )
    engines = ((linear, _LONGEST_MATCHED), (trying, _LONGEST_BACKTRACKED))
    for left in reversed(range(_DROPPED_PATTERNS)):
        for engine, longest in engines:
            try:
                return make(document, pattern_options=engine), longest
            except jsonschema_rs.ValidationError as error:
                path = error.instance_path
                if "pattern" not in path[-1:] and "patternProperties" not in path[-2:-1]:
                    raise
                if engine is trying and not (left and _dropped(document, path, study)):
                    raise
    raise NotChecked("the schema has too many patterns of a foreign kind")


def _dropped(document: Schema, path: list[str | int], study: _Study) -> bool:
    """Leave a pattern out, and tell whether the rest of the schema means the same without it."""
    holder = at(document, path[:-1])
    if study.negates or path[-1] != "pattern" or not isinstance(holder, dict):
        return False
    return isinstance(holder.pop("pattern", None), str)


def _reason(error: ValueError, document: Schema) -> str:
    """Return why the library refuses a schema, on one line."""
    path = getattr(error, "instance_path", None)
    sentence = str(error).partition("\n")[0]
    if path:
        place = "/".join(map(str, path))
        sentence = f"{at(document, path)!r:.60} is not allowed at {place!r:.100} of the schema"
    return "".join(filter(str.isprintable, sentence))[:300]
