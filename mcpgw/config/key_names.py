"""Checking the names of keys: slips of the pen are errors, keys of other versions are not."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mcpgw.config.known_keys import ANY_NAME, EACH_ITEM, KNOWN_KEYS, Tree
from mcpgw.config.problems import Findings, Level, Path
from mcpgw.config.schema import BACKEND_FORM_KEYS, GatewayConfig
from mcpgw.text.did_you_mean import correction

# Keys of this beginning, at the top, are the person's own: a place for YAML anchors.
OWN_PREFIX = "x-"


@attrs.frozen
class _Advice:
    """What to say of a key that people write and that has a better name, or none."""

    level: Level
    message: str
    hint: str


_BACKEND = ("backends", ANY_NAME)
_ADVICE: Mapping[tuple[str, ...], _Advice] = {
    ("mcpServers",): _Advice(
        "error", "this is a key of AI clients", "Here servers stand under 'backends'."
    ),
    (*_BACKEND, "idle_timeout"): _Advice(
        "warning", "retired, and ignored", "Use 'stop_when_idle_for'."
    ),
    (*_BACKEND, "transport"): _Advice(
        "warning", "ignored", "The transport follows from 'command', 'http_url' or 'ws_url'."
    ),
    (*_BACKEND, "url"): _Advice(
        "error", "unknown key", "Use 'http_url' (HTTP, SSE) or 'ws_url' (WebSocket)."
    ),
}


def check_names(data: Mapping[object, object], found: Findings) -> None:
    """Report each key of a whole gateway.yaml that nothing reads, once, at its topmost place."""
    _Walk(found).map(data, USED_KEYS, KNOWN_KEYS, (), ())


@attrs.frozen
class _Walk:
    """One walk over the data, along the keys that the code reads and those that are known.

    `path` names the keys as the file has them; `shape` has `*` for names of free choice.
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
                    (*path, str(key)), "the name of a key is not text", "Put it in quotes."
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
        """Report a key that nothing reads; say whether to look at what it holds."""
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
            # Below a part that is not used, the part itself has been told of.
            if used is not None:
                self.found.warn((*path, key), "known, but this version does not use it yet")
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
