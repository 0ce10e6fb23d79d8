"""Answers that are too long for one message: kept for the session and read on by offset."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from mcpgw.shaping.results import Result, dump

MOST_RESULTS: Final = 16
MOST_CHARACTERS: Final = 8_000_000
SEAM: Final = 10
"""A line's or word's end is looked for in the last tenth of a page."""
ERROR_PAGE: Final = 2_250
"""The least limit for an error: its first 2,000 characters are never cut off, wherever a line or
word ends."""
_CLUSTER: Final = 32
"""The most characters that a page is made shorter by, so that it ends between two signs."""


class NoSuchResult(LookupError):
    """There is nothing to read on at this id and offset; the text says what there is."""


@attrs.define(eq=False)
class ResultPages:
    """The long answers of one session, the oldest dropped first.

    Offsets and lengths are characters (Unicode code points) of the whole text, in which the
    texts of an answer are joined by line breaks. Its pages put together are exactly that text.
    """

    most_results: int = MOST_RESULTS
    most_characters: int = MOST_CHARACTERS
    """Of all that is kept, together; an answer that is longer by itself is not kept."""
    _kept: dict[str, str] = attrs.field(factory=dict, init=False)
    _held: int = attrs.field(default=0, init=False)
    _count: int = attrs.field(default=0, init=False)

    def cut(self, result: Result, limit: int, *, origin: str) -> Result:
        """Return the answer, or where its texts are longer than `limit` characters its first page.

        The page is followed by a text that says what was cut and how to read on; blocks that
        are no text stay as they are. `structuredContent` would repeat what is cut, and is left
        out; where an answer has no text at all, it is the text. The first 2,000 characters of
        an error are never cut.
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
        """Return the page of a kept answer that begins at an offset.

        Raises:
          NoSuchResult: there is no such answer (any more), or the offset is outside of it.
        """
        whole = self._kept.get(result_id)
        if whole is None:
            kept = f"Kept: {', '.join(self._kept)}" if self._kept else "None is kept"
            raise NoSuchResult(
                f"There is no kept result {result_id!r:.40}. {kept}; older ones are gone. Call"
                " the tool again for its answer."
            )
        if not 0 <= offset < len(whole):
            raise NoSuchResult(
                f"The offset {offset} is outside of result '{result_id}', which has {len(whole)}"
                f" characters: offsets go from 0 to {len(whole) - 1}."
            )
        return _page(result_id, whole, offset, limit)

    def _first_page(self, result: Result, whole: str, limit: int, origin: str) -> Result:
        result_id = self._keep(whole)
        page = _page(result_id, whole, 0, limit)
        remarks = [f"This is the first part of the answer of {origin}."]
        if result_id is None:
            remarks.append(
                f"The rest is gone: more than {self.most_characters} characters are not kept."
                " Ask the tool for less."
            )
        answer = {**result}
        if answer.pop("structuredContent", None) is not None:
            remarks.append("Its structured form is left out: it would repeat what was cut.")
        page["content"][1]["text"] += " " + " ".join(remarks)
        others = [block for block in result["content"] if _text_of(block) is None]
        meta = result.get("_meta")
        answer["content"] = [*page["content"], *others]
        answer["_meta"] = {**(meta if isinstance(meta, dict) else {}), **page["_meta"]}
        return answer

    def _keep(self, whole: str) -> str | None:
        """Keep a text and return its id; None where it is too long."""
        if len(whole) > self.most_characters or self.most_results < 1:
            return None
        self._count += 1
        result_id = f"r{self._count}"
        self._kept[result_id] = whole
        self._held += len(whole)
        while len(self._kept) > self.most_results or self._held > self.most_characters:
            self._held -= len(self._kept.pop(next(iter(self._kept))))
        return result_id


def _text_of(block: Any) -> str | None:
    """Return the text of a text block or of a resource that is text, None for other blocks, and
    for those that are not meant for a model (MCP 2025-11-25, resources, annotations)."""
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
    """Make the page at an offset; without an id there is no way on."""
    end = _end(whole, offset, max(1, limit))
    content = [{"type": "text", "text": whole[offset:end]}]
    way_on = result_id is not None and end < len(whole)
    if end < len(whole):
        left = len(whole) - end
        note = f"[Characters {offset} to {end} of {len(whole)} are above, {left} are left.]"
        if way_on:
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
        "next_offset": end if way_on else None,
        "total": len(whole),
    }
    return {"content": content, "_meta": {"gateway/page": place}}


def _end(whole: str, offset: int, limit: int) -> int:
    """Return where a page ends: behind a line or a word near the limit, where one ends there."""
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
    """Tell whether two characters make one sign: accents, joined emoji, halves of a surrogate."""
    import unicodedata

    return (
        unicodedata.category(right) in ("Mn", "Me", "Mc")
        or "\u200d" in (left, right)
        or "\U0001f3fb" <= right <= "\U0001f3ff"
        or (left, right) == ("\r", "\n")
        or ("\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff")
    )
