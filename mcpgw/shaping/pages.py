"""Pagination of long results: kept for the session and read on by offset."""

from __future__ import annotations

import json
import os
from typing import Any, Final

import attrs

from mcpgw.shaping.results import Result, dump

MOST_RESULTS: Final = 16
"""Results that are kept for one session."""
_ID_BYTES: Final = 16
"""Random bytes of an unguessable result id."""
MOST_CHARACTERS: Final = 8_000_000
"""Characters of all kept results of one session together."""
SEAM: Final = 10
"""A page ends after a line or word if one ends in the last 1/SEAM of the page."""
ERROR_PAGE: Final = 2_250
"""The least limit for an error, so that its first 2,000 characters are never cut."""
_CLUSTER: Final = 32
"""Characters by which a page may be shortened to end between two graphemes."""


class NoSuchResult(LookupError):
    """Unknown result id or offset; the message gives the valid ones."""


@attrs.define(eq=False)
class ResultPages:
    """The long results of one session; the oldest are dropped first.

    Offsets and lengths are in characters (Unicode code points) of the whole text, in which the
    texts of a result are joined by line breaks. The pages concatenated are exactly that text.
    """

    most_results: int = MOST_RESULTS
    most_characters: int = MOST_CHARACTERS
    """Of all kept results together; a single longer result is not kept."""
    unguessable: bool = False
    """True if clients of one identity share it: only the id of a result lets them read it."""
    _kept: dict[str, str] = attrs.field(factory=dict, init=False)
    _held: int = attrs.field(default=0, init=False)
    _count: int = attrs.field(default=0, init=False)

    def cut(self, result: Result, limit: int, *, origin: str) -> Result:
        """Return the result, or its first page if its texts are longer than `limit` characters.

        The page is followed by a text that explains what was cut and how to read on. Blocks
        without text are unchanged. `structuredContent` is left out, because it would repeat the
        text; if a result has no text, the structured content is paginated as text. The first
        2,000 characters of an error are never cut.
        """
        content = result.get("content")
        if not isinstance(content, list):
            return result
        length = -1
        for block in content:
            if isinstance(block, dict):
                text = block.get("text")
                if text.__class__ is not str or "annotations" in block:
                    text = _text_of(block)
                if text is not None:
                    length += len(text) + 1
        if 0 <= length <= limit:
            return result
        found = [text for block in content if (text := _text_of(block)) is not None]
        structured = result.get("structuredContent")
        if not found and structured is None:
            return result
        if result.get("isError") is True:
            limit = max(limit, ERROR_PAGE)
        whole = "\n".join(found) if found else dump(structured)
        return result if len(whole) <= limit else self._first_page(result, whole, limit, origin)

    def read(self, result_id: str, offset: int = 0, *, limit: int) -> Result:
        """Return the page of a kept result that starts at an offset.

        Raises:
          NoSuchResult: the result is not kept or no longer kept, or the offset is outside of it.
        """
        whole = self._kept.get(result_id)
        if whole is None:
            kept = ", ".join(self._kept) or "none"
            known = "Older" if self.unguessable else f"Results kept: {kept}; older"
            raise NoSuchResult(
                f"Unknown result {result_id!r:.40}. {known} ones were dropped. Call the tool again."
            )
        if not 0 <= offset < len(whole):
            raise NoSuchResult(
                f"Offset {offset} is outside of result '{result_id}', which has {len(whole)}"
                f" characters; it must be from 0 to {len(whole) - 1}."
            )
        return _page(result_id, whole, offset, limit)

    def _first_page(self, result: Result, whole: str, limit: int, origin: str) -> Result:
        result_id = self._keep(whole)
        page = _page(result_id, whole, 0, limit)
        remarks = [f"This is the first part of the result of {origin}."]
        if result_id is None:
            remarks.append(
                f"The rest was dropped: results of more than {self.most_characters} characters are"
                " not kept. Ask the tool for less."
            )
        answer = {**result}
        if answer.pop("structuredContent", None) is not None:
            remarks.append("Its structured content is left out.")
        page["content"][1]["text"] += " " + " ".join(remarks)
        others = [block for block in result["content"] if _text_of(block) is None]
        meta = result.get("_meta")
        answer["content"] = [*page["content"], *others]
        answer["_meta"] = {**(meta if isinstance(meta, dict) else {}), **page["_meta"]}
        return answer

    def _keep(self, whole: str) -> str | None:
        """Keep a text and return its id, or None if it is too long."""
        if len(whole) > self.most_characters or self.most_results < 1:
            return None
        self._count += 1
        result_id = f"r{os.urandom(_ID_BYTES).hex() if self.unguessable else self._count}"
        self._kept[result_id] = whole
        self._held += len(whole)
        while len(self._kept) > self.most_results or self._held > self.most_characters:
            self._held -= len(self._kept.pop(next(iter(self._kept))))
        return result_id


def _text_of(block: Any) -> str | None:
    """Return the text of a text block or text resource, or None for other blocks and for those
    not meant for a model (MCP 2025-11-25, resources, annotations)."""
    if not isinstance(block, dict):
        return None
    annotations = block.get("annotations")
    audience = annotations.get("audience") if isinstance(annotations, dict) else None
    if isinstance(audience, list) and audience and "assistant" not in audience:
        return None
    holder = block.get("resource") if block.get("type") == "resource" else block
    text = holder.get("text") if isinstance(holder, dict) else None
    return text if isinstance(text, str) else None


def _page(result_id: str | None, whole: str, offset: int, limit: int) -> Result:
    """Return the page at an offset; without an id it is the last one."""
    end = _end(whole, offset, max(1, limit))
    content = [{"type": "text", "text": whole[offset:end]}]
    more = result_id is not None and end < len(whole)
    if end < len(whole):
        left = len(whole) - end
        note = f"[Characters {offset} to {end} of {len(whole)} are above; {left} more follow.]"
        if more:
            call = {
                "server": "gateway",
                "tool": "read_result",
                "arguments": {"id": result_id, "offset": end},
            }
            note = f"{note} To read on, call gateway_invoke with {json.dumps(call)}."
        content.append({"type": "text", "text": note})
    place = {
        "id": result_id,
        "offset": offset,
        "next_offset": end if more else None,
        "total": len(whole),
    }
    return {"content": content, "_meta": {"gateway/page": place}}


def _end(whole: str, offset: int, limit: int) -> int:
    """Return the end of a page: after a line or word that ends near the limit, if any."""
    end = offset + limit
    if end >= len(whole):
        return len(whole)
    earliest = end - limit // SEAM
    for mark in ("\n", " ", "\t"):
        place = whole.rfind(mark, earliest, end)
        if place >= 0:
            return place + 1
    for place in range(end, max(offset, end - _CLUSTER), -1):
        if not _joined(whole[place - 1], whole[place]):
            return place
    return end


def _joined(left: str, right: str) -> bool:
    """Return whether two characters form one grapheme: accents, joined emoji, surrogates."""
    import unicodedata

    return (
        unicodedata.category(right) in ("Mn", "Me", "Mc")
        or "\u200d" in (left, right)
        or "\U0001f3fb" <= right <= "\U0001f3ff"
        or (left, right) == ("\r", "\n")
        or ("\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff")
    )
