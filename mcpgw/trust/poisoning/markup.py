"""Suspicious markup: fake system tags, comments, hidden elements, data in image addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcpgw.trust.poisoning.findings import Severity
from mcpgw.trust.poisoning.hidden import Concealed

_POSE = "system|instructions?|secret|hidden|admin|developer|assistant|ai|override|directive|rules"
_FRAME = re.compile(
    r"<\s*/?\s*(?:important|critical[_ -]instructions?|system[_ -](?:prompt|message|instructions?|"
    r"reminder|note))\s*>|"
    rf"<\s*({_POSE})\s*>(?=[^<]{{12}})(?:(?!<\s*/?\s*\1\s*>).){{12,4000}}<\s*/\s*\1\s*>|"
    r"<\|\s*(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id|"
    r"endoftext|begin_of_text|start|channel)\s*\|>|<\s*<\s*/?\s*sys\s*>\s*>|\[\s*/?\s*inst\s*\]|"
    r"<(?:start|end)_of_turn>|\[/\s*important\s*\]|"
    r"\[\s*(?:system|admin|developer|hidden|secret)[ _-](?:message|prompt|instructions?|note|"
    r"override|directive)\s*\]",
    re.DOTALL,
)
_SYSTEM = re.compile(
    r"(?:^|\n)\s{0,8}#{1,6}\s*(?:system|system prompt|new instructions?)\s*:|"
    r"\*{2,3}\s*system[ _](?:instruction|message|prompt|note)s?\b[^*\n]{0,60}\*{2,3}|"
    r"(?:^|[\n.!?]\s{0,3})system(?: message| prompt)?\s*:\s*(?:you|ignore|from now|all|the user)\b"
)
_SPOKEN = re.compile(
    r"(?:^|[\n.!?(]\s{0,3}|<!--\s*|/\*\s*)(?:(?:note|message|instructions?|attention|reminder) "
    r"(?:to|for) (?:the |all |any )?)?(?:ai|assistants?|llm|agents?|model|developer message|"
    r"ai agents?|ai assistants?|claude|gpt)\s*[:,]\s+(?=\w)"
)
_NAMES = tuple(
    f"{name}{mark}"
    for name in ("nt", "nts", "ai", "llm", "model", "message", "gpt", "claude")
    for mark in ":,"
)
_COMMENT = re.compile(
    r"<!--(.{0,2000}?)-->|(?:^|\n)\[(?://|comment|hidden)\]:\s*(?:#|<>)\s*[(\"'](.{0,2000}?)"
    r"[)\"']\s*(?=\n|$)|/\*(.{0,2000}?)\*/",
    re.DOTALL,
)
_COMMENT_MARKS = ("<!--", "]:", "/*", "none", "hidden", "size:", "size :", "opacity")
_UNSEEN = re.compile(
    r"<(\w{1,20})\b[^<>]{0,200}?(?:display\s*:\s*none|visibility\s*:\s*hidden|"
    r"font-size\s*:\s*0|opacity\s*:\s*0|\shidden(?=[\s>/]))[^<>]{0,200}>([^<]{3,4000})"
)
_IMAGE = re.compile(
    r"!\[[^\]\n]{0,200}\]\(\s*(https?://[^)\s][^)\n]{0,500})\)|"
    r"<img\b[^>]{0,200}?src\s*=\s*[\"']?(https?://[^\"'>]{1,500})"
)
_LINK = re.compile(r"(?<!!)\[[^\]\n]{0,200}\]\(\s*(https?://[^)\n]{1,500})\)")
_SLOT = re.compile(r"\$?\{[^}]{1,60}\}|\$[a-z]\w*|<[^>]{2,80}>|\[[^\]]{2,60}\]|%[sd]\b")
_PRIVATE = re.compile(
    r"conversation|chat|history|secret|api[ _-]?key|token|password|credential|message|prompt|"
    r"last_|user[_' -]|base64"
)
MIN_WORDS = 4
"""Comments of fewer words are ignored."""


def marked(folded: str) -> Iterator[Concealed]:
    """Yield what the markup of a folded text hides or imitates; `text` is that of a comment."""
    if any(mark in folded for mark in ("<", "[", "system", "#")):
        frame = _FRAME.search(folded) if "<" in folded or "[" in folded else None
        frame = frame or (_SYSTEM.search(folded) if ":" in folded or "**" in folded else None)
        if frame:
            reason = "imitates the frame of the model's own instructions"
            yield Concealed(Severity.HIGH, "instruction-frame", frame[0], reason)
    if any(name in folded for name in _NAMES):
        spoken = _SPOKEN.search(folded)
        if spoken:
            after = folded[spoken.start() : spoken.end() + 60]
            yield Concealed(Severity.MEDIUM, "addresses-model", after, "addresses the model")
    if any(mark in folded for mark in _COMMENT_MARKS):
        yield from _comments(folded)
    if "](" in folded or "<img" in folded:
        yield from _images(folded)


def _comments(folded: str) -> Iterator[Concealed]:
    for pattern, reason in ((_COMMENT, "hides text in a comment"), (_UNSEEN, "hides an element")):
        for match in pattern.finditer(folded):
            hidden = next((group for group in reversed(match.groups()) if group), "").strip()
            if len(hidden.split()) >= MIN_WORDS:
                yield Concealed(Severity.MEDIUM, "hidden-markup", hidden, reason, hidden)


def _images(folded: str) -> Iterator[Concealed]:
    for pattern, image in ((_IMAGE, True), (_LINK, False)):
        for match in pattern.finditer(folded):
            address = next(group for group in match.groups() if group)
            query = address.partition("://")[2].partition("/")[2]
            slot = _SLOT.search(query)
            private = _PRIVATE.search(query)
            if slot and image:
                severity = Severity.HIGH if private else Severity.MEDIUM
            elif private and ("?" in query) and (slot or not image):
                severity = Severity.MEDIUM
            else:
                continue
            reason = "sends data in an image address" if image else "sends data in a link"
            yield Concealed(severity, "image-exfiltration", match[0], reason)
            return
