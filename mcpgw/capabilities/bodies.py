"""Functions of templates in bodies, such as `$each` and `$file`."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.templating import (
    MISSING,
    Filler,
    Inputs,
    Missing,
    Placeholder,
    Values,
    as_text,
)

UNSAFE_NAME: Final = re.compile(r'[\x00-\x1f\x7f"\\]')


@attrs.frozen
class FilePart:
    """A file in a body: its bytes, or the URL to fetch them from."""

    data: bytes | None
    url: str
    name: str
    type: str


@attrs.frozen
class _ItemValues:
    """The values of an outer template, with one more input named `item`."""

    outer: Values
    item: Any

    def input(self, placeholder: Placeholder) -> Any:
        if placeholder.root == "item":
            return Inputs({"item": self.item}, self.outer.secret).input(placeholder)
        return self.outer.input(placeholder)

    def secret(self, reference: str) -> str | Missing:
        return self.outer.secret(reference)


def _each(template: Any, values: Values) -> Any:
    items = FILLER.fill(template.get("in"), values)
    if items is None or isinstance(items, Missing):
        return items
    if not isinstance(items, list):
        items = [items]
    made = [FILLER.fill(template.get("as"), _ItemValues(values, item)) for item in items]
    return [each for each in made if not isinstance(each, Missing)]


def _email(template: Any, values: Values) -> Any:
    from email.message import EmailMessage
    from email.policy import SMTP

    filled = FILLER.fill(template, values)
    if filled is None or isinstance(filled, Missing):
        return filled
    message = EmailMessage(policy=SMTP)
    for name in ("to", "cc", "bcc", "subject", "from", "reply_to"):
        value = filled.get(name)
        if value in (None, "", []):
            continue
        text = ", ".join(map(as_text, value)) if isinstance(value, list) else as_text(value)
        if "\r" in text or "\n" in text:
            raise CallProblem(f"'{name}' of an e-mail must not contain a line break.")
        try:
            message[name.replace("_", "-").title()] = text
        except (ValueError, LookupError, AttributeError):  # raised by the parser of addresses
            raise CallProblem(f"'{name}' of an e-mail cannot be parsed: {text[:80]!r}.") from None
    body, html = as_text(filled.get("body", "")), filled.get("html")
    message.set_content(body, subtype="html" if html is True or html == "true" else "plain")
    if isinstance(html, str) and html not in ("true", "false"):
        message.add_alternative(html, subtype="html")
    return base64.urlsafe_b64encode(message.as_bytes()).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        plain = text.strip()
        plain += "=" * (-len(plain) % 4)
        return base64.b64decode(plain.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        raise CallProblem("the value of `$base64` or `$file` must be base64.") from None


def _base64(template: Any, values: Values) -> Any:
    text = FILLER.fill(template, values)
    return text if text is None or isinstance(text, Missing) else _decode(as_text(text))


def _json(template: Any, values: Values) -> Any:
    value = FILLER.fill(template, values)
    if value is None or isinstance(value, Missing):
        return value
    return json.dumps(value, ensure_ascii=False)


def _number(template: Any, values: Values) -> Any:
    value = FILLER.fill(template, values)
    if value is None or isinstance(value, (Missing, int, float)):
        return value
    try:
        found = json.loads(as_text(value))
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise CallProblem(f"{as_text(value)!r:.60} must be a number.")
    return found


def _file(template: Any, values: Values) -> Any:
    filled = FILLER.fill(template, values)
    filled = filled if isinstance(filled, Mapping) else {}
    filled = {key: value for key, value in filled.items() if value is not None}
    if not filled.keys() & {"url", "data", "text"}:
        return MISSING
    url = as_text(filled.get("url", ""))
    data = filled.get("data")
    content = data if isinstance(data, bytes) or data is None else _decode(as_text(data))
    if "text" in filled:
        content = as_text(filled["text"]).encode()
    name = as_text(filled.get("name") or url.partition("?")[0].rpartition("/")[2] or "file")
    return FilePart(
        None if url and content is None else content,
        url,
        UNSAFE_NAME.sub("_", name)[:200],
        as_text(filled.get("type", "application/octet-stream")),
    )


FILLER: Final = Filler(
    {
        "$each": _each,
        "$email": _email,
        "$base64": _base64,
        "$json": _json,
        "$number": _number,
        "$file": _file,
    }
)


def files_of(value: Any) -> Iterator[FilePart]:
    """Yield the files of a filled template whose bytes must still be fetched."""
    if isinstance(value, FilePart):
        if value.data is None:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from files_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from files_of(inner)


def with_files(value: Any, fetched: Mapping[str, tuple[bytes, str]]) -> Any:
    """Return a filled template with the fetched files, given as bytes and media type by URL."""
    if isinstance(value, FilePart) and value.data is None:
        data, kind = fetched[value.url]
        generic = value.type == "application/octet-stream"
        return attrs.evolve(value, data=data, type=kind if generic and kind else value.type)
    if isinstance(value, Mapping):
        return {key: with_files(inner, fetched) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_files(inner, fetched) for inner in value]
    return value
