"""Projection of JSON data to selected paths, flat or nested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcpgw.config.json_path import JsonPath, parse_path, selected
from mcpgw.config.transforms import Projection
from mcpgw.shaping.results import MAX_DEPTH

_Tree = dict[Any, Any]
_HERE: Final = object()
"""Key in a tree of paths that marks the end of a path."""
_NOTHING: Final = object()
"""A missing value, because None is a value."""


def projected_keys(projections: Sequence[Projection]) -> dict[str, JsonPath]:
    """Return the paths by key: a projection's own name, or else its shortest unique suffix.

    The suffix of `author.name` is `name`, but `author.name` if there is also `owner.name`. If
    even the full paths are alike (`a.b`, `a[].b`), the key is the path as written.
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
    """Return the suffixes of a path that may be its key, shortest first, without `[]`."""
    parts: list[str] = []
    for step in path.steps:
        if isinstance(step, str):
            parts.append(step)
        elif step is not None:
            parts[-1:] = [f"{parts[-1] if parts else ''}[{step}]"]
    return [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]


def project(payload: Any, keys: Mapping[str, JsonPath]) -> dict[str, Any]:
    """Return an object with the values at the paths; missing ones are left out.

    A path with `[]` always gives an array, even of one value.
    """
    found = ((key, path.many, path.select(payload)) for key, path in keys.items())
    return {key: values if many else values[0] for key, many, values in found if values}


def project_nested(payload: Any, paths: Iterable[JsonPath]) -> Any:
    """Return an object or array with only the values at the paths, each in its place.

    Everything else is left out, array items too; an array that a path goes through is kept even
    if it becomes empty. Any other payload is returned unchanged.
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
    """Return the parts of a value at the trees of paths, or `_NOTHING` if there are none."""
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


def describe_keys(payload: Any) -> str:
    """Describe the keys of a payload in a few words, for a note about missing paths."""
    if isinstance(payload, list):
        first = next((item for item in payload if isinstance(item, dict)), None)
        of_item = f" whose items (`[]`) have {describe_keys(first)}" if first else ""
        return f"an array of length {len(payload)}{of_item}"
    names = [str(name) for name in payload]
    more = f" and {len(names) - _MAX_KEYS} more" if len(names) > _MAX_KEYS else ""
    return f"the keys {', '.join(names[:_MAX_KEYS])}{more}"


_MAX_KEYS: Final = 20
