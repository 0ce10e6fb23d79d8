"""The parts of a `tools/call` result: its texts, its JSON, and how to put others in their place."""

from __future__ import annotations

import json
import math
from typing import Any, Final

Result = dict[str, Any]

MAX_DEPTH: Final = 100
"""Levels of nesting that are looked into."""
TOO_DEEP: Final = "[nested too deep]"
"""What stands in place of what is below them, where it cannot stay as it is."""


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def parse(text: str) -> Any:
    """Return the object or array that a text is, None for any other text.

    Raises:
      RecursionError: it is nested deeper than Python's parser can go.
    """
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return None


def dump(value: Any) -> str:
    """Write a value as compact JSON; what JSON cannot hold becomes null or a note."""
    try:
        return _write(value)
    except (ValueError, RecursionError):
        return _write(_plain(value, MAX_DEPTH))


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    """Copy a value without numbers that are none and without what is nested too deep."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict | list) and depth == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    return [_plain(item, depth - 1) for item in value] if isinstance(value, list) else value


def blocks(result: Result) -> list[Any]:
    """Return the content blocks; none where the content is no list."""
    content = result.get("content")
    return content if isinstance(content, list) else []


def is_text(block: Any) -> bool:
    """Tell whether a content block is plain text."""
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
    """Return the object or array that the answer is in truth, None where it is none.

    It is `structuredContent`, else the only text if that is JSON. A text that is nested too
    deep to be read is plain text.
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
    """Return a copy with other texts: one for each text block, or fewer in place of the first."""
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
    """Return a copy whose answer is another one: JSON, or the text of a template.

    It is the one text of the copy, and its `structuredContent` where there was one before and
    it is an object (MCP 2025-11-25, tools, structured content).
    """
    answer = with_texts(result, [new if isinstance(new, str) else dump(new)])
    if answer.pop("structuredContent", None) is not None and isinstance(new, dict):
        answer["structuredContent"] = new
    return answer
