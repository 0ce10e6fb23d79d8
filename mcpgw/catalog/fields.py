"""The indexed fields of a tool definition and their weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

MAX_TEXT: Final = 4_000
"""Characters read of one text; longer texts add nothing new."""

KEYWORDS: Final = "mcpgw/keywords"
"""The key of `_meta` for additional search words of a tool."""

MAX_DEPTH: Final = 5
"""Levels of nested schemas read."""

MAX_PROPERTIES: Final = 80
"""Properties read of one schema, nested ones included."""

MAX_CHOICES: Final = 12
"""Values read of one enumeration."""


@attrs.frozen
class Field:
    """The scoring of one kind of text.

    `weight` is that of a word; `norm` (0 to 1) is how strongly texts longer than `usual` words
    are discounted.
    """

    name: str
    weight: float
    norm: float
    usual: float


# The weights are in the middle of wide plateaus: halving or doubling one of them changes the
# results of `scripts/bench_search.py` by a few hundredths. Only the name must weigh much more, so
# that a tool named by the query beats one whose texts repeat two of its three words.
NAME: Final = Field("name", 5.0, 0.7, 3.0)
TITLE: Final = Field("title", 1.0, 0.5, 4.0)
SERVER: Final = Field("server", 1.5, 0.3, 2.0)
SERVER_TEXT: Final = Field("server_description", 0.5, 0.75, 12.0)
PARAMETERS: Final = Field("parameters", 0.5, 0.6, 6.0)
PARAMETER_TEXT: Final = Field("parameter_descriptions", 0.3, 0.75, 30.0)
DESCRIPTION: Final = Field("description", 1.0, 0.6, 15.0)
"""The first sentence of the description, which states the tool's purpose."""
DETAILS: Final = Field("description", 0.5, 0.6, 20.0)
"""The rest of the description: conditions, examples, results."""

_SENTENCE_END: Final = re.compile("[.!?](?=\\s)|\n|[。！？]")


def string_of(definition: Mapping[str, Any], key: str) -> str:
    """Return a string of a definition, cut to `MAX_TEXT`, or "" if it is missing."""
    value = definition.get(key)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def title_of(definition: Mapping[str, Any]) -> str:
    """Return the title of a tool, which older servers put into its annotations."""
    title = string_of(definition, "title")
    if title:
        return title
    annotations = definition.get("annotations")
    return string_of(annotations, "title") if isinstance(annotations, Mapping) else ""


def sentences_of(definition: Mapping[str, Any]) -> tuple[str, str]:
    """Return the first sentence of a tool's description, and the rest."""
    text = string_of(definition, "description").lstrip()
    end = _SENTENCE_END.search(text)
    return (text[: end.end()], text[end.end() :]) if end else (text, "")


_DEPRECATED: Final = re.compile(
    r"\W*deprecated\b"
    r"|.{0,300}(?:[(\[*]\s*deprecated\b"
    r"|\b(?:tool|function|method|endpoint|operation|command|api|it) (?:is|has been)"
    r" (?:now |being )?deprecated\b)",
    re.IGNORECASE | re.DOTALL,
)


def is_deprecated(definition: Mapping[str, Any]) -> bool:
    """Return whether a tool says that it must no longer be used.

    It says so at the beginning of its title or description, in brackets, or in a sentence about
    itself; a tool that lists deprecated packages does not.
    """
    if definition.get("deprecated") is True:
        return True
    texts = (title_of(definition), string_of(definition, "description"))
    return any("deprecated" in text.lower() and _DEPRECATED.match(text) for text in texts)


def keywords_of(definition: Mapping[str, Any]) -> str:
    """Return the additional search words of a definition, from `_meta`."""
    meta = definition.get("_meta")
    words = meta.get(KEYWORDS) if isinstance(meta, Mapping) else None
    if not isinstance(words, (list, tuple)):
        return ""
    return " ".join(word for word in words[:MAX_PROPERTIES] if isinstance(word, str))[:MAX_TEXT]


def parameter_texts(schema: object) -> tuple[list[str], list[str]]:
    """Return the names of all parameters of a schema, and their descriptions and choices.

    Nested objects, arrays and alternatives are followed to `MAX_DEPTH` levels and
    `MAX_PROPERTIES` properties, which bounds the cost of any schema.
    """
    names: list[str] = []
    texts: list[str] = []
    pending: list[tuple[object, int]] = [(schema, 0)]
    steps = 0
    for node, depth in pending:
        steps += 1
        if steps > 2 * MAX_PROPERTIES:
            break
        if not isinstance(node, Mapping):
            continue
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            for key, value in properties.items():
                if len(names) >= MAX_PROPERTIES:
                    return names, texts
                if isinstance(key, str):
                    names.append(key[:MAX_TEXT])
                if isinstance(value, Mapping):
                    _add_texts(value, texts)
                    if depth < MAX_DEPTH and not value.keys().isdisjoint(_NESTING):
                        pending.append((value, depth + 1))
        if depth < MAX_DEPTH:
            pending.extend((inner, depth + 1) for inner in _inner_schemas(node))
    return names, texts


_NESTING: Final = frozenset({"properties", "items", "anyOf", "oneOf", "allOf", "$defs"})


def _add_texts(value: Mapping[str, Any], texts: list[str]) -> None:
    text = value.get("description")
    if isinstance(text, str):
        texts.append(text[:MAX_TEXT])
    choices = value.get("enum")
    if isinstance(choices, list):
        texts.extend(
            str(choice)[:64] for choice in choices[:MAX_CHOICES] if isinstance(choice, str)
        )


def _inner_schemas(node: Mapping[str, Any]) -> Iterator[object]:
    items = node.get("items")
    if isinstance(items, Mapping):
        yield items
    for key in ("anyOf", "oneOf", "allOf"):
        alternatives = node.get(key)
        if isinstance(alternatives, list):
            yield from alternatives[:MAX_CHOICES]
    definitions = node.get("$defs")
    if isinstance(definitions, Mapping):
        yield from list(definitions.values())[:MAX_CHOICES]
