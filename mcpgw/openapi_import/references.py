"""Resolution of `$ref` within a document and the documents around it.

A reference is relative to the URI of the document that contains it (OpenAPI 3.1.1, 4.6), or to
the nearest `$id` around it (JSON Schema 2020-12, core 8.2.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

import attrs

from mcpgw.openapi_import.loading import ImportProblem, parsed
from mcpgw.openapi_import.reading import MOST_FILES, Read, ReadProblem

_MISSING: Final = object()
_LONGEST_NOTE: Final = 120


def reference_of(node: Any) -> str | None:
    """Return the reference of a node; `$dynamicRef` counts as its static target."""
    if not isinstance(node, Mapping):
        return None
    for key in ("$ref", "$dynamicRef"):
        if isinstance(found := node.get(key), str):
            return found
    return None


def uri_of(source: str) -> str:
    """Return the URI of a document from its file or URL."""
    return source if "://" in source else Path(source).resolve().as_uri()


@attrs.define(eq=False)
class References:
    """Resolves references.

    Args:
      document: the whole document.
      uri: its URI.
      read: reads other documents; None if there are no others.
    """

    document: Mapping[str, Any]
    uri: str = ""
    read: Read | None = None
    notes: dict[str, None] = attrs.field(factory=dict)
    """References that could not be resolved, in order."""
    followed: set[str] = attrs.field(factory=set)
    failed: set[str] = attrs.field(factory=set)
    _documents: dict[str, Any] = attrs.field(factory=dict)
    _targets: dict[str, Any] = attrs.field(factory=dict)
    _bases: dict[int, str] = attrs.field(factory=dict)
    """Base URIs of the nodes with references that are not relative to the document, by identity."""
    _named: dict[str, Any] = attrs.field(factory=dict)
    """Nodes by the URI of their `$id` or anchor."""
    _open: set[str] = attrs.field(factory=set)
    """References whose pointers are being followed; a pointer may lead through itself."""
    _indexed: bool = False

    def __attrs_post_init__(self) -> None:
        own = self.document.get("$self")  # OpenAPI 3.2.0
        if isinstance(own, str):
            self.uri = urljoin(self.uri, own)
        self._documents[self.uri] = self.document

    def follow(self, node: Any) -> Any:
        """Return the target of a reference, {} if it is missing; other nodes as they are.

        The keys beside a reference override those of its target, such as a description.
        """
        if reference_of(node) is None:
            return node
        siblings: dict[str, Any] = {}
        seen: set[str] = set()
        while reference_of(node) is not None:
            siblings = {**{k: v for k, v in node.items() if k[:1] != "$"}, **siblings}
            uri, node = self.locate(node)
            if uri in seen:
                self._fail(uri, "refers to itself")
                return siblings
            seen.add(uri)
        return {**node, **siblings} if siblings and isinstance(node, Mapping) else node

    def locate(self, node: Mapping[str, Any]) -> tuple[str, Any]:
        """Return the URI of a node's reference, and its target, {} if it is missing."""
        plain = (reference_of(node) or "").startswith("#/")
        if not plain:
            # Its base may be an `$id` around it, and its target an `$id` or an anchor.
            self._index_once()
        uri = self._absolute(node)
        found = self._target(uri)
        if found is _MISSING and plain and not self._indexed:
            self._index_once()
            uri = self._absolute(node)
            found = self._target(uri)
        self.followed.add(uri)
        if found is _MISSING:
            self._fail(uri, "does not exist")
            return uri, {}
        return uri, found

    def _absolute(self, node: Mapping[str, Any]) -> str:
        reference = reference_of(node) or ""
        base = self._bases.get(id(node), self.uri)
        if reference.startswith("#"):
            return base.partition("#")[0] + (reference if len(reference) > 1 else "")
        try:
            return urljoin(base, reference)
        except ValueError:
            return reference

    def _target(self, uri: str) -> Any:
        if uri in self._targets:
            return self._targets[uri]
        if uri in self._open:
            return _MISSING
        self._open.add(uri)
        try:
            found = self._find(uri)
        finally:
            self._open.discard(uri)
        if found is not _MISSING:
            self._targets[uri] = found
        return found

    def _find(self, uri: str) -> Any:
        if uri in self._named:
            return self._named[uri]
        address, fragment = urldefrag(uri)
        root = self._document(address)
        if root is _MISSING or not fragment:
            return root
        if not fragment.startswith("/"):
            return self._named.get(f"{address}#{unquote(fragment)}", _MISSING)
        found = self._pointed(root, fragment)
        if found is _MISSING and root is not self.document and address in self._named:
            return self._pointed(self.document, fragment)
        return found

    def _pointed(self, node: Any, pointer: str) -> Any:
        """Resolve a JSON Pointer (RFC 6901), also through references on its way."""
        for part in pointer.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            for _ in range(20):
                if not (isinstance(node, Mapping) and key not in node and reference_of(node)):
                    break
                node = self.locate(node)[1]
            if isinstance(node, Mapping):
                whole = int(key) if key.isdecimal() and key not in node else key
                node = node.get(whole, _MISSING)
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                return _MISSING
            if node is _MISSING:
                return _MISSING
        return node

    def _document(self, address: str) -> Any:
        if address in self._named:
            return self._named[address]
        if address in self._documents:
            return self._documents[address]
        found: Any = _MISSING
        try:
            if self.read is None:
                raise ReadProblem("is another document and is not read")
            if len(self._documents) > MOST_FILES:
                raise ReadProblem(f"is not read, since there are more than {MOST_FILES} files")
            found = parsed(self.read(address), self._short(address))
        except ReadProblem as problem:
            self._note(f"{self._short(address)} {problem}")
        except ImportProblem as problem:
            self._note(str(problem))
        self._documents[address] = found
        if found is not _MISSING:
            self._index(found, address)
        return found

    def _index_once(self) -> None:
        """Index the document itself, which few documents need."""
        if not self._indexed:
            self._indexed = True
            self._index(self.document, self.uri)

    def _index(self, document: Any, uri: str) -> None:
        """Record the bases of references, and the nodes that have an `$id` or an anchor."""
        left: list[tuple[Any, str]] = [(document, uri)]
        while left:
            node, base = left.pop()
            if isinstance(node, list):
                left += [(each, base) for each in node if isinstance(each, (Mapping, list))]
            elif isinstance(node, Mapping):
                own = node.get("$id")
                if isinstance(own, str) and own.strip("#"):
                    base = urldefrag(urljoin(base, own))[0]
                    self._named.setdefault(base, node)
                for key in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := node.get(key), str):
                        self._named.setdefault(f"{base}#{name}", node)
                if base != self.uri and reference_of(node) is not None:
                    self._bases[id(node)] = base
                left += [
                    (each, base) for each in node.values() if isinstance(each, (Mapping, list))
                ]

    def _short(self, uri: str) -> str:
        """Return a URI relative to the folder of the document, if it is below it."""
        folder = self.uri.rpartition("/")[0] + "/"
        return unquote(uri.removeprefix(folder))[:_LONGEST_NOTE]

    def _fail(self, uri: str, reason: str) -> None:
        self.failed.add(uri)
        address, fragment = urldefrag(uri)
        shown = f"#{fragment}" if address == self.uri else self._short(uri)
        if self._documents.get(address) is not _MISSING or address in self._named:
            self._note(f"{shown[:_LONGEST_NOTE]} {reason}")

    def _note(self, text: str) -> None:
        self.notes[text] = None
