"""From text to an OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 20 * 1024 * 1024
MOST_VALUES: Final = 3_000_000
"""Values of a document, aliases counted as often as they are used."""


class ImportProblem(ValueError):
    """A document that cannot be used; the text says why."""


def load(text: str, source: str) -> Mapping[str, Any]:
    """Return the document of a text: JSON, else YAML.

    Args:
      text: the document.
      source: its file or URL, for messages.

    Raises:
      ImportProblem: it is none.
    """
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    if len(text) > LARGEST:
        raise ImportProblem(f"{source} has more than {LARGEST >> 20} MiB")
    text = text.removeprefix("\ufeff")
    found: Any = None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("<"):
            raise ImportProblem(f"{source} is a web page, and no OpenAPI document") from None
        try:
            found = parse(text)
        except YamlSyntaxError as error:
            place = f" line {error.line}:" if error.line else ""
            raise ImportProblem(f"{source}:{place} {error.message}") from None
        except (TypeError, AttributeError, RecursionError):
            raise ImportProblem(f"{source}: a key is no text, or it is nested too deep") from None
    if not isinstance(found, Mapping):
        raise ImportProblem(f"{source} is no map of keys, as an OpenAPI document is")
    if not _has_an_end(found):
        raise ImportProblem(f"{source} holds too much, or holds itself")
    version = str(found.get("openapi") or found.get("swagger") or "")
    if not version.startswith(("3.", "2.")):
        said = f"it says {version[:20]!r}" if version else "it has neither `openapi` nor `swagger`"
        raise ImportProblem(f"{source} is no OpenAPI 3 or Swagger 2.0 document: {said}")
    if not isinstance(found.get("paths", {}), Mapping):
        raise ImportProblem(f"{source}: `paths` is not a map of paths")
    return found


def _has_an_end(document: Any) -> bool:
    """Tell whether a document is finite: a YAML alias may hold itself, or double what it holds."""
    left, count = [(document, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > MOST_VALUES or depth > 200:
            return False
        if isinstance(value, Mapping):
            left += ((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            left += ((inner, depth + 1) for inner in value)
    return True
