"""Suspicious markup: fake system tags, comments, hidden elements, data in image addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcpgw.trust.poisoning.findings import Severity
from mcpgw.trust.poisoning.hidden import Concealed

HIDDEN_TEXT = 4_000
"""Characters of a comment or a hidden element that are read at least."""
_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}([a-z](?:[a-z0-9]|[ _-](?=[a-z])){1,40})(\s[^<>]{0,160})?>")
_WHO = (
    r"(?:global|system|hidden|secret|critical|important|priority|admin|developer|assistant|ai|llm|"
    r"model|agent|override|internal|mandatory|urgent|user)"
)
_WHAT = (
    r"(?:overrides?|requirements?|instructions?|directives?|messages?|prompts?|rules?|policy|"
    r"orders?|commands?|reminder|notice)"
)
_COMPOUND = re.compile(rf"(?:{_WHO}_{{0,1}}){{1,3}}{_WHAT}")
_POSE_TABLE = """
    system instructions instruction secret hidden admin developer assistant ai override
    directive rules
"""
_POSES = frozenset(_POSE_TABLE.split())
_SHOUTS = frozenset(["important", "critical", "system_note"])
_PARAGRAPH = re.compile(r"\s{0,20}<\s?/?(?:p|para|ul|ol|li|br|b|note|code|a)\b")
MIN_FRAMED = 12
"""Characters between a tag such as `<system>` and its end that make it a frame."""
_TOKENS = re.compile(
    r"<\|\s{0,3}(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id|"
    r"begin_of_text|start|channel)\s{0,3}\|>|<\s{0,3}<\s{0,3}/?\s{0,3}sys\s{0,3}>\s{0,3}>|"
    r"\[\s{0,3}/?\s{0,3}inst\s{0,3}\]|<(?:start|end)_of_turn>"
)
_BRACKET = re.compile(
    r"\[/\s{0,3}important\s{0,3}\]|"
    rf"\[{{1,3}}\s{{0,3}}(?:system|admin|developer|hidden|secret)[ _-]"
    rf"(?:note|{_WHAT})\s{{0,3}}[\]:]|"
    r"\[\s{0,3}(?:system|override)\s{0,3}\]\s{0,3}:?\s{0,3}(?:the assistant|you|from now|ignore)\b|"
    r"\[{1,3}\s{0,3}(?:system|hidden|override|secret)\s{0,3}:\s{0,3}(?:[^\]\s]{1,40}\s{1,3}){3}"
)
_HEADING = re.compile(
    r"(?:^|\n)\s{0,8}#{1,6}\s{0,3}(?:system|system prompt|new instructions?)\s{0,3}:|"
    r"(?:^|\n)\s{0,8}[#=*-]{2,8}\s{0,3}(?:system|hidden|secret|admin|override)[ _]"
    r"(?:instructions?|directives?|override|commands?)\b\s{0,3}[#=*:-]|"
    r"(?:^|[\n.!?]\s{0,8})(?:hidden|secret|override) (?:instructions?|directives?)\s{0,3}[\[:(]|"
    r"\*{2,3}\s{0,3}system[ _](?:instruction|message|prompt|note)s?\b[^*\n]{0,60}\*{2,3}|"
    r"(?:^|[\n.!?]\s{0,3})system(?: message| prompt)?\s{0,3}:\s{0,3}"
    r"(?:you|ignore|from now|all|the user)\b"
)
_SHOUTED = re.compile(r"(?:^|\n)[ \t]{0,12}SYSTEM[ ]?:[ \t]{1,4}(?:[^\s:]{1,40} ){2}\S")
_SPOKEN = re.compile(
    r"(?:^|[\n.!?(]\s{0,3}|<!--\s{0,3}|/\*\s{0,3})(?:(?:note|message|instructions?|attention|"
    r"reminder) (?:to|for) (?:the |all |any )?)?(?:ai|assistants?|llm|agents?|model|"
    r"developer message|ai agents?|ai assistants?|claude|gpt)\s{0,3}[:,]\s{1,3}(?=\w)"
)
_NAMES = tuple(
    f"{name}{mark}"
    for name in ("nt", "nts", "ai", "llm", "model", "message", "gpt", "claude")
    for mark in ":,"
)
_NOTE = re.compile(
    r"(?:^|\n)\[(?://|comment|hidden)\]:\s{0,9}(?:#|<>)\s{0,9}[(\"'](.{0,2000})[)\"'][ \t]{0,9}$",
    re.MULTILINE,
)
_COMMENTS = (("<!--", "-->"), ("/*", "*/"))
_COMMENT_MARKS = ("<!--", "]:", "/*", "none", "hidden", "size:", "size :", "opacity")
_UNSEEN = re.compile(
    r"<(\w{1,20})\b[^<>]{0,200}?(?:display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|"
    r"font-size\s{0,3}:\s{0,3}0|opacity\s{0,3}:\s{0,3}0|\shidden(?=[\s>/]))"
    r"[^<>]{0,200}>([^<]{3,4000})"
)
_IMAGE = re.compile(
    r"!\[[^\]\n]{0,200}\]\(\s{0,9}(https?://[^)\s][^)\n]{0,500})\)|"
    r"<img\b[^>]{0,200}?src\s{0,3}=\s{0,3}[\"']?(https?://[^\"'>]{1,500})"
)
_LINK = re.compile(r"(?<!!)\[[^\]\n]{0,200}\]\(\s{0,9}(https?://[^)\n]{1,500})\)")
_SLOT = re.compile(r"\$?\{[^}]{1,60}\}|\$[a-z]\w*|<[^>]{2,80}>|\[[^\]]{2,60}\]|%[sd]\b")
_PRIVATE = re.compile(
    r"conversation|chat|history|secret|api[ _-]?key|token|password|credential|message|prompt|"
    r"last_|user[_' -]|base64"
)
MIN_WORDS = 4
"""Comments of fewer words are ignored."""


def marked(text: str, folded: str) -> Iterator[Concealed]:
    """Yield what the markup of a text hides or imitates; `text` of it is that of a comment.

    Args:
      text: as written.
      folded: its skeleton.
    """
    if any(mark in folded for mark in ("<", "[", "system", "#", "hidden", "override", "directive")):
        frame, severity = _frame(text, folded)
        if frame:
            reason = "imitates the frame of the model's own instructions"
            yield Concealed(severity, "instruction-frame", frame, reason)
    if any(name in folded for name in _NAMES):
        spoken = _SPOKEN.search(folded)
        if spoken:
            after = folded[spoken.start() : spoken.end() + 60]
            yield Concealed(Severity.MEDIUM, "addresses-model", after, "addresses the model")
    if any(mark in folded for mark in _COMMENT_MARKS):
        yield from _comments(folded)
    if "](" in folded or "<img" in folded:
        yield from _images(folded)


def _frame(text: str, folded: str) -> tuple[str, Severity]:
    """Return the first frame of a text and its severity; "" if it has none."""
    for pattern in (_TOKENS, _BRACKET, _HEADING):
        if found := pattern.search(folded):
            return found[0], Severity.HIGH
    if found := _SHOUTED.search(text):
        return found[0], Severity.HIGH
    doubtful = ""
    opened: dict[str, int] = {}
    for tag in _TAG.finditer(folded) if "<" in folded else ():
        name = tag[2].strip().replace(" ", "_").replace("-", "_")
        if name in _SHOUTS:
            if _PARAGRAPH.match(folded, tag.end()) or tag[1]:
                doubtful = doubtful or tag[0]
            else:
                return tag[0], Severity.HIGH
        elif _COMPOUND.fullmatch(name):
            return tag[0], Severity.HIGH
        elif name in _POSES:
            if not tag[1]:
                opened.setdefault(name, tag.end())
            elif name in opened and tag.start() - opened[name] >= MIN_FRAMED:
                return folded[opened[name] - len(name) - 2 : tag.end()][:80], Severity.HIGH
    return doubtful, Severity.MEDIUM


def _comments(folded: str) -> Iterator[Concealed]:
    """Yield the text of each comment and of each hidden element."""
    for start, end in _COMMENTS:
        place = folded.find(start)
        while place >= 0:
            close = folded.find(end, place + len(start))
            if close < 0:
                break
            yield from _hiding(folded[place + len(start) : close], "hides text in a comment")
            place = folded.find(start, close + len(end))
    for match in _NOTE.finditer(folded) if "]:" in folded else ():
        yield from _hiding(match[1], "hides text in a comment")
    for match in _UNSEEN.finditer(folded):
        yield from _hiding(match[2], "hides an element")


def _hiding(inner: str, reason: str) -> Iterator[Concealed]:
    hidden = inner.strip()
    if len(hidden[:HIDDEN_TEXT].split()) >= MIN_WORDS:
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
