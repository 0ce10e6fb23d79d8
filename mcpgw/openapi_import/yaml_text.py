"""JSON data as YAML text in block style, with keys in order.

A document of a thousand operations is written in seconds, which general YAML libraries need
minutes for. Strings are written plain only if every YAML version reads them as strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

WIDTH: Final = 96
"""Columns after which a long text continues on the next line."""
_PLAIN: Final = re.compile(r"[A-Za-z/_][A-Za-z0-9_./\-]*(?: [A-Za-z0-9_./(][A-Za-z0-9_./\-(),']*)*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_SIGN: Final = r"[!-~\u00a1-\u2027\u2030-\ud7ff\ue000-\ufefe]"
_FOLDED: Final = re.compile(f"{_SIGN}+(?: {_SIGN}+)*")
"""A text whose single spaces may become line breaks."""
_LINE: Final = f"{_SIGN}+(?: +{_SIGN}+)*"
_LINES: Final = re.compile(rf"{_LINE}(?:\n(?: *{_LINE})?)*(?<!\n)")
"""A text whose lines may be written as they are."""


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return data as YAML."""
    lines: list[str] = []
    _block(document, "", lines)
    return "".join(lines)


def _block(value: Any, indent: str, lines: list[str]) -> None:
    """Append the lines of a collection with members."""
    inner = f"{indent}  "
    if isinstance(value, dict):
        for key, each in value.items():
            lines.append(f"{indent}{_scalar(str(key))}:")
            _member(each, indent, inner, lines)
        return
    for each in value:
        if isinstance(each, (dict, list, tuple)) and each and _flow(each) is None:
            # The first member follows the dash.
            first = len(lines)
            _block(each, inner, lines)
            lines[first] = f"{indent}- {lines[first][len(inner) :]}"
        else:
            lines.append(f"{indent}-")
            _member(each, indent, inner, lines)


def _member(value: Any, indent: str, inner: str, lines: list[str]) -> None:
    """Append what follows a key or a dash."""
    if isinstance(value, str):
        if len(value) > WIDTH and _FOLDED.fullmatch(value):
            lines.append(" >-\n")
            lines += (f"{inner}{line}\n" for line in _wrapped(value))
        elif "\n" in value and _LINES.fullmatch(value):
            lines.append(" |-\n")
            lines += (f"{inner}{line}\n" if line else "\n" for line in value.split("\n"))
        else:
            lines.append(f" {_scalar(value)}\n")
    elif isinstance(value, dict) and value:
        lines.append("\n")
        _block(value, inner, lines)
    elif isinstance(value, (list, tuple)) and value:
        if (flow := _flow(value)) is not None:
            lines.append(f" {flow}\n")
        else:
            lines.append("\n")
            _block(value, indent, lines)
    else:
        lines.append(f" {_scalar(value)}\n")


def _flow(value: Any) -> str | None:
    """Return a short list of scalars on one line, None for other values."""
    if not isinstance(value, (list, tuple)) or len(value) > 12:
        return None
    if any(isinstance(each, (dict, list, tuple)) for each in value):
        return None
    texts = (_scalar(each) for each in value)
    flow = ", ".join(text if text[0] == '"' or "," not in text else f'"{text}"' for text in texts)
    return f"[{flow}]" if len(flow) <= WIDTH - 20 else None


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS and len(value) <= WIDTH:
            return value
        text = json.dumps(value, ensure_ascii=False)
        return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        text = repr(value)
        # Without a dot, an exponent would make it a string for some readers.
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return json.dumps(value)
