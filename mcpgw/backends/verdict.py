"""Verdict on the definitions of one server: which ones clients may see, and why not the others."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from mcpgw.backends.manifest import Manifest

HASH_SHOWN: Final = 12
"""Hex digits of a definition's hash that are shown."""
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "tools": ("tool", "name"),
    "prompts": ("prompt", "name"),
    "resources": ("resource", "uri"),
    "resource_templates": ("resource_template", "uriTemplate"),
}
"""The lists of a server: the kind of their items, and the key that identifies an item."""
INSTRUCTIONS: Final = "instructions"
"""The kind of a server's instructions, and the name under which they are approved."""
SERVER_INFO: Final = "server_info"
"""The kind of what a server says of itself besides, such as its title."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LISTED_RESOURCES: Final = ("resource", "resource_template")


class Cause(enum.StrEnum):
    """Cause for which a definition is withheld, in the words that people and models read."""

    POISONING = "tool poisoning"
    UNSCANNABLE = "it is too large to be checked"
    CHANGED = "it has changed since it was approved"
    NEW = "it is new on a known server and not approved yet"
    UNCONFIRMED = "the approvals cannot be read"


@attrs.frozen
class Withheld:
    """A definition hidden from clients.

    `name`, `reason` and `quoted` may contain text of the definition. They are for people;
    a model gets `for_model` only.

    Args:
      kind: such as `tool`.
      name: its name or URI.
      cause: the cause.
      categories: of the findings, such as `exfiltration`.
      position: its position in its list, from 1; 0 if it is in no list.
      digest: its hash, in hex.
      reason: a sentence.
      quoted: the suspicious text.
    """

    kind: str
    name: str
    cause: Cause
    categories: tuple[str, ...] = ()
    position: int = 0
    digest: str = ""
    reason: str = attrs.field(default="", repr=False)
    quoted: str = attrs.field(default="", repr=False)

    @property
    def why(self) -> str:
        """The cause in a few words, without any text of the definition."""
        found = f" ({', '.join(self.categories)})" if self.categories else ""
        return f"{self.cause.value}{found}"

    def for_model(self) -> dict[str, Any]:
        """Return what a model may know: nothing that the server has written.

        The name is included only if clients have seen it before: that of a changed definition,
        and only in plain characters.
        """
        shown: dict[str, Any] = {"kind": self.kind}
        if self.cause is Cause.CHANGED and _PLAIN.fullmatch(self.name):
            shown["name"] = self.name
        if self.position:
            shown["position"] = self.position
        if self.digest:
            shown["hash"] = self.digest[:HASH_SHOWN]
        shown["reason"] = self.why
        return shown


@attrs.frozen
class Doubt:
    """A definition that clients see, and that the operator is warned of.

    `text` may contain text of the definition and is for people.
    """

    text: str
    withheld: Withheld


@attrs.frozen(eq=False)
class Verdict:
    """The verdict on the lists of one server, or of one instance of it.

    Args:
      manifest: the part of the lists that clients may see.
      withheld: the definitions that they may not.
      doubts: definitions that they may see, with a warning.
      blocked: the change for which the whole server is blocked; None if it is not.
      record: what the verdict is based on, to be stored with the manifest.
    """

    manifest: Manifest
    withheld: tuple[Withheld, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    blocked: Withheld | None = None
    record: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    decided: bool = True
    """False for a stored verdict, if the approvals could not be read, and if there was not enough
    time to scan all definitions."""
    _by_name: dict[tuple[str, str], Withheld] = attrs.field(init=False, repr=False)
    _offered: frozenset[tuple[str, str]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        found = {(each.kind, normal(each.kind, each.name)): each for each in self.withheld}
        offered = _names(self.manifest) if found else frozenset()
        object.__setattr__(self, "_by_name", found)
        object.__setattr__(self, "_offered", offered)

    @property
    def clean(self) -> bool:
        """True if nothing is withheld."""
        return not self.withheld and self.blocked is None

    def agrees(self, other: Verdict | None) -> bool:
        """Tell whether another verdict withholds and blocks the same."""
        return other is not None and (self.withheld, self.blocked) == (
            other.withheld,
            other.blocked,
        )

    def refusal(self, kind: str, name: str) -> Withheld | None:
        """Return the withheld definition that a name may lead to; None if clients may use it.

        Names that differ only in case, blanks, invisible characters or, in URIs, in their
        encoding count as the same, since a server may treat them so. A URI that is not listed
        counts as withheld if the server has withheld resources or templates that may include it.
        """
        if self.blocked is not None:
            return self.blocked
        if not self.withheld or (kind, name) in self._offered:
            return None
        found = self._by_name.get((kind, normal(kind, name)))
        if found is not None or kind not in _LISTED_RESOURCES:
            return found
        return self._unlisted(name)

    def _unlisted(self, uri: str) -> Withheld | None:
        """Return a withheld resource or template that may include a URI that is not listed."""
        doubtful = [each for each in self.withheld if each.kind in _LISTED_RESOURCES]
        same = normal("resource", uri)
        for each in doubtful:
            if same == normal("resource", each.name):
                return each
        if not doubtful:
            return None
        for each in doubtful:
            if each.kind == "resource_template" and may_match(each.name, uri):
                return each
        offered = self.manifest.resource_templates
        if any(may_match(str(each.get("uriTemplate")), uri) for each in offered):
            return None
        return doubtful[0]


def _names(manifest: Manifest) -> frozenset[tuple[str, str]]:
    return frozenset(
        (kind, str(each.get(key)))
        for field, (kind, key) in KINDS.items()
        for each in getattr(manifest, field)
    )


def normal(kind: str, name: str) -> str:
    """Return the form in which names are compared that a server may treat as the same."""
    if kind in _LISTED_RESOURCES:
        name = unquote(name, errors="replace").rstrip("/?# ")
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(sign for sign in folded if sign.isprintable() and not sign.isspace())


def may_match(template: str, uri: str) -> bool:
    """Tell whether a URI may be one of a template (RFC 6570).

    Compares only the literal parts, in order and regardless of case, in linear time; may return
    True for a URI that is not one.
    """
    parts = re.split(r"\{[^{}]*\}", template.casefold())
    text = uri.casefold()
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not text.startswith(first):
        return False
    place = len(first)
    for part in middle:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - len(last) >= place and text.endswith(last)


def refused(
    server: str, kind: str, found: Withheld | None = None, *, why: str = ""
) -> tuple[str, str]:
    """Return the message and the advice of a refused request, for a model.

    Neither contains a name: the message is shown to a model that must not read what the server
    has written there.

    Args:
      server: the name of the server.
      kind: the kind of item that was asked for.
      found: the withheld definition.
      why: the reason, if no definition is withheld.
    """
    if found is None:
        return f"A {kind.replace('_', ' ')} of server '{server}' is withheld: {why}.", _ADVICE
    what = f"The {found.kind.replace('_', ' ')}"
    if found.position:
        what += f" number {found.position}"
    review = f"mcp-gateway approvals show {server}"
    if found.digest:
        what += f" (hash {found.digest[:HASH_SHOWN]})"
        review += f" --hash {found.digest[:HASH_SHOWN]}"
    return (
        f"{what} of server '{server}' is withheld: {found.why}.",
        f"{_ADVICE} `{review}` shows it.",
    )


_ADVICE: Final = "A person must review it; do not look for another way to use it."


def for_model(withheld: Iterable[Withheld], most: int) -> list[dict[str, Any]]:
    """Return withheld definitions as a model may see them, at most `most`."""
    return [each.for_model() for each, _ in zip(withheld, range(most), strict=False)]
