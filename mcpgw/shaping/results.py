"""Reading and replacing the texts and the JSON value of a `tools/call` result."""

from __future__ import annotations

import json
import math
from typing import Any, Final

Result = dict[str, Any]

MAX_DEPTH: Final = 100
"""Levels of nesting that are inspected."""
TOO_DEEP: Final = "[nested too deep]"
"""Replacement for data below `MAX_DEPTH` that cannot be kept uninspected."""


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def parse(text: str) -> Any:
    """Return the JSON object or array in a text, or None for any other text.

    Raises:
      RecursionError: it is nested too deeply for Python's parser.
    """
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return None


def dump(value: Any) -> str:
    """Return a value as compact JSON; non-finite numbers become null, deep nesting a note."""
    try:
        return _write(value)
    except (ValueError, RecursionError):
        return _write(_plain(value, MAX_DEPTH))


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    """Copy a value, replacing non-finite numbers and data nested too deeply."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict | list) and depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    return [_plain(item, depth - 1) for item in value] if isinstance(value, list) else value


def blocks(result: Result) -> list[Any]:
    """Return the content blocks, or [] if the content is not a list."""
    content = result.get("content")
    return content if isinstance(content, list) else []


def is_text(block: Any) -> bool:
    """Return whether a content block is plain text."""
    return (
        isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(block.get("text"), str)
    )


def texts(result: Result) -> list[str]:
    """Return the texts of the text blocks, in order."""
    return [block["text"] for block in blocks(result) if is_text(block)]


def joined_text(result: Result) -> str:
    """Return the texts of the text blocks as one text, joined by line breaks."""
    return "\n".join(texts(result))


def payload(result: Result) -> Any:
    """Return the JSON object or array of a result, or None if it has none.

    It is `structuredContent`, or else the only text if that is JSON. A text nested too deeply to
    parse counts as plain text.
    """
    structured = result.get("structuredContent")
    if isinstance(structured, dict | list):
        return structured
    found = texts(result)
    if len(found) != 1:
        return None
    try:
        return parse(found[0])
    except RecursionError:
        return None


def with_texts(result: Result, new: list[str]) -> Result:
    """Return a copy with new texts in place of the text blocks; further blocks are dropped."""
    left = iter(new)
    content: list[Any] = []
    for block in blocks(result):
        if not is_text(block):
            content.append(block)
        elif (text := next(left, None)) is not None:
            content.append(block if text == block["text"] else {**block, "text": text})
    content[:0] = [{"type": "text", "text": text} for text in left]
    return {**result, "content": content}


def with_payload(result: Result, new: Any) -> Result:
    """Return a copy with a new value: JSON, or text from a template.

    It becomes the only text of the copy, and its `structuredContent` if there was one and the
    value is an object (MCP 2025-11-25, tools, structured content).
    """
    answer = with_texts(result, [new if isinstance(new, str) else dump(new)])
    if answer.pop("structuredContent", None) is not None and isinstance(new, dict):
        answer["structuredContent"] = new
    return answer
