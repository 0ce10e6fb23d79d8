"""Keeping only parts of JSON data: flat under keys of their own, or each in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcpgw.config.json_path import JsonPath, parse_path, selected
from mcpgw.config.transforms import Projection
from mcpgw.shaping.results import MAX_DEPTH

_Tree = dict[Any, Any]
_HERE: Final = object()
"""In a tree of paths: one of them ends here."""
_NOTHING: Final = object()
"""What stands for a value that is not there, since None is one."""


def projected_keys(projections: Sequence[Projection]) -> dict[str, JsonPath]:
    """Give each projection its key: its own name, else the shortest end that tells it apart.

    The end of `author.name` is `name`; beside `owner.name` it is `author.name`. Where even the
    whole ways are alike (`a.b`, `a[].b`), the key is the path as it is written.
    """
    named = {each.name for each in projections if each.name}
    ends = {each.path: _ends(parse_path(each.path)) for each in projections if not each.name}
    keys: dict[str, JsonPath] = {}
    for each in projections:
        key = each.name
        if not key:
            others = {end for text, of in ends.items() if text != each.path for end in of}
            free = (end for end in ends[each.path] if end not in others and end not in named)
            key = next(free, each.path)
        keys[key] = parse_path(each.path)
    return keys


def _ends(path: JsonPath) -> list[str]:
    """Return the ends of a path that may be a key, shortest first; `[]` does not show in them."""
    parts: list[str] = []
    for step in path.steps:
        if isinstance(step, str):
            parts.append(step)
        elif step is not None:
            parts[-1:] = [f"{parts[-1] if parts else ''}[{step}]"]
    return [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]


def project(payload: Any, keys: Mapping[str, JsonPath]) -> dict[str, Any]:
    """Return an object of what the paths lead to; what is not there is left out.

    A path with `[]` gives an array, also of one, so that the form does not hang on the number.
    """
    found = ((key, path.many, path.select(payload)) for key, path in keys.items())
    return {key: values if many else values[0] for key, many, values in found if values}


def project_nested(payload: Any, paths: Iterable[JsonPath]) -> Any:
    """Return an object or array with only what the paths lead to, each where it was.

    What no path leads to is left out, items of arrays too; an array that a path goes through
    stays even if nothing of it is left. A payload that is neither is returned as it is.
    """
    if not isinstance(payload, dict | list):
        return payload
    tree: _Tree = {}
    for path in paths:
        if len(path.steps) > MAX_DEPTH:
            continue
        place = tree
        for step in path.steps:
            place = place.setdefault(step, {})
        place[_HERE] = {}
    found = _prune(payload, [tree])
    return type(payload)() if found is _NOTHING else found


def _prune(value: Any, trees: list[_Tree]) -> Any:
    """Keep of a value what the trees of paths lead to; `_NOTHING` where they lead nowhere."""
    if any(_HERE in tree for tree in trees):
        return value
    below: dict[Any, list[_Tree]] = {}
    for tree in trees:
        for step, inner in tree.items():
            for key in selected(value, step):
                below.setdefault(key, []).append(inner)
    pruned = {key: _prune(value[key], inner) for key, inner in below.items()}
    kept = {key: each for key, each in pruned.items() if each is not _NOTHING}
    if isinstance(value, list):
        whole = any(None in tree for tree in trees)
        return [kept[index] for index in sorted(kept)] if kept or whole else _NOTHING
    return kept or _NOTHING


def what_there_is(payload: Any) -> str:
    """Say in a few words which keys a payload has, to someone who has asked for others."""
    if isinstance(payload, list):
        first = next((item for item in payload if isinstance(item, dict)), None)
        named = f", an item (`[]`) has {what_there_is(first)}" if first else ""
        return f"an array of {len(payload)}{named}"
    names = [str(name) for name in payload]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the keys {', '.join(names[:_SHOWN])}{more}"


_SHOWN: Final = 20
