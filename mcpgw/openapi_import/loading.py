"""Loading of OpenAPI documents from JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 20 * 1024 * 1024
"""Characters of a document."""
MOST_VALUES: Final = 3_000_000
"""Values of a document; aliases count as often as they are used."""


class ImportProblem(ValueError):
    """A document that cannot be imported, or a file that cannot be written."""


def load(text: str, source: str) -> Mapping[str, Any]:
    """Parse an OpenAPI document as JSON, else as YAML.

    Args:
      text: the document.
      source: its file or URL, for error messages.

    Raises:
      ImportProblem: the text is not an OpenAPI document.
    """
    found = parsed(text, source)
    if not isinstance(found, Mapping):
        raise ImportProblem(f"{source} must be a map of keys, as an OpenAPI document is")
    version = str(found.get("openapi") or found.get("swagger") or "")
    if not version.startswith(("3.", "2.")):
        found_version = f"version {version[:20]!r}" if version else "no `openapi` or `swagger` key"
        raise ImportProblem(
            f"{source} must be an OpenAPI 3 or Swagger 2.0 document; it has {found_version}"
        )
    if not isinstance(found.get("paths", {}), Mapping):
        raise ImportProblem(f"{source}: `paths` must be a map of paths")
    return found


def parsed(text: str, source: str) -> Any:
    """Parse a text as JSON, else as YAML.

    Args:
      text: the document.
      source: its file or URL, for error messages.

    Raises:
      ImportProblem: the text is neither, or has too many values.
    """
    from mcpgw.config.yamlfile import YamlSyntaxError, parse

    if len(text) > LARGEST:
        raise ImportProblem(f"{source} must not be larger than {LARGEST >> 20} MiB")
    text = text.removeprefix("\ufeff")
    found: Any = None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("<"):
            raise ImportProblem(f"{source} is a web page, not an OpenAPI document") from None
        try:
            found = parse(text)
        except YamlSyntaxError as error:
            place = f" line {error.line}:" if error.line else ""
            raise ImportProblem(f"{source}:{place} {error.message}") from None
        except (TypeError, AttributeError, RecursionError):
            raise ImportProblem(
                f"{source}: all keys must be strings, and it must not be nested too deeply"
            ) from None
    if not _is_finite(found):
        raise ImportProblem(f"{source} has too many values, or an alias that contains itself")
    return found


def _is_finite(document: Any) -> bool:
    """Return whether a document is bounded: a YAML alias may contain itself, or multiply."""
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
