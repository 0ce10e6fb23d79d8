"""Validation of key names: misspelt keys are errors, unsupported ones are warnings."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mcpgw.config.known_keys import ANY_NAME, EACH_ITEM, KNOWN_KEYS, Tree
from mcpgw.config.problems import Findings, Level, Path
from mcpgw.config.schema import BACKEND_FORM_KEYS, GatewayConfig
from mcpgw.text.did_you_mean import correction

OWN_PREFIX = "x-"
"""Prefix of top-level keys that are ignored, as a place for YAML anchors."""


@attrs.frozen
class _Advice:
    """Advice on a key that is often written by mistake."""

    level: Level
    message: str
    hint: str


_BACKEND = ("backends", ANY_NAME)
_ADVICE: Mapping[tuple[str, ...], _Advice] = {
    ("mcpServers",): _Advice(
        "error", "belongs to the configuration of AI clients", "Define servers below 'backends'."
    ),
    (*_BACKEND, "idle_timeout"): _Advice(
        "warning", "is obsolete and ignored", "Use 'stop_when_idle_for'."
    ),
    (*_BACKEND, "transport"): _Advice(
        "warning", "is ignored", "'command', 'http_url' or 'ws_url' determines the transport."
    ),
    (*_BACKEND, "url"): _Advice(
        "error", "unknown key", "Use 'http_url' (HTTP, SSE) or 'ws_url' (WebSocket)."
    ),
}


def check_names(data: Mapping[object, object], found: Findings) -> None:
    """Report each unused key of a gateway.yaml once, at its highest level."""
    _Walk(found).map(data, USED_KEYS, KNOWN_KEYS, (), ())


@attrs.frozen
class _Walk:
    """Walk over the data, along the keys that the code reads and those that are known.

    `path` has the keys as written in the file; `shape` has `*` for arbitrary names.
    """

    found: Findings

    def map(
        self, data: object, used: Tree, known: Tree, path: Path, shape: tuple[str, ...]
    ) -> None:
        if isinstance(data, list):
            own, each = _get(used, EACH_ITEM), _get(known, EACH_ITEM)
            for index, item in enumerate(data if own or each else ()):
                self.map(item, own, each, (*path, index), (*shape, EACH_ITEM))
            return
        if not isinstance(data, Mapping) or (used is None and known is None):
            return
        for key, value in data.items():
            if not isinstance(key, str):
                self.found.error(
                    (*path, str(key)), "the name of a key must be a string", "Put it in quotes."
                )
                continue
            free = ANY_NAME in (used or known or {})
            name = ANY_NAME if free else key
            deeper = _get(used, name), _get(known, name)
            if self._read(key, name, used, known, path, shape):
                self.map(value, *deeper, (*path, key), (*shape, name))

    def _read(
        self, key: str, name: str, used: Tree, known: Tree, path: Path, shape: tuple[str, ...]
    ) -> bool:
        """Report an unused key. Return true if its value is to be checked too."""
        is_known = known is not None and name in known
        if name == ANY_NAME or (used is not None and name in used):
            return True
        if not path and key.startswith(OWN_PREFIX):
            return False
        advice = _ADVICE.get((*shape, key))
        if advice is not None:
            note = self.found.error if advice.level == "error" else self.found.warn
            note((*path, key), advice.message, advice.hint)
            return False
        if is_known:
            # Within an unused section, the section itself has been reported.
            if used is not None:
                self.found.warn((*path, key), "is not supported by this version and is ignored")
            return True
        near = correction(key, {*(used or ()), *(known or ())})
        if near is None:
            self.found.warn((*path, key), "unknown key, ignored")
        else:
            self.found.error((*path, key), "unknown key", f"Did you mean {near!r}?")
        return False


def _get(tree: Tree, name: str) -> Tree:
    return tree.get(name) if tree is not None else None


def _used(of: type[attrs.AttrsInstance]) -> dict[str, Tree]:
    tree: dict[str, Tree] = {}
    for field in attrs.fields(of):
        if "computed" in field.metadata:
            continue
        part = field.metadata.get("section")
        each = field.metadata.get("each")
        if part is not None:
            tree[field.name] = _used(part)
        elif each is not None:
            own = {key.name: None for key in BACKEND_FORM_KEYS}
            tree[field.name] = {ANY_NAME: {**_used(each), **own}}
        elif "named" in field.metadata:
            tree[field.name] = {ANY_NAME: _used(field.metadata["named"])}
        elif "listed" in field.metadata:
            tree[field.name] = {EACH_ITEM: _used(field.metadata["listed"])}
        elif "kind" in field.metadata:
            tree[field.name] = None
    return tree


USED_KEYS: Tree = _used(GatewayConfig)
