"""Mapping between a backend's own tool names and the names offered to clients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs

from mcpgw.config.transforms import (
    Describe,
    Filter,
    Namespace,
    Rename,
    ResponseTransform,
    Transform,
)

Tool = dict[str, Any]


@attrs.frozen(eq=False)
class _Step:
    """One transform of names in both directions; a direction gives None to hide a tool.

    `texts` are descriptions, by the names valid at this place of the chain.
    """

    forward: Callable[[str], str | None]
    back: Callable[[str], str | None]
    texts: Mapping[str, str] | None = None


@attrs.define(eq=False)
class Naming:
    """The mapping of one backend's own tool names to offered names and back.

    Listing applies the transforms from left to right, a call from right to left, so listings and
    calls agree. Only an offered name leads to a tool, not a name that is hidden by a filter or
    replaced by a rename or a prefix.

    Args:
      transforms: of the backend; response transforms affect only `outputSchema`, see `offer`.
      reshaped: returns, by offered name, whether a tool has its own response transform.
    """

    transforms: tuple[Transform, ...]
    reshaped: Callable[[str], bool] | None = attrs.field(default=None, kw_only=True)
    identity: bool = attrs.field(init=False)
    """True if offered names and definitions are the backend's own."""
    clashes: tuple[str, ...] = attrs.field(default=(), init=False)
    """Own names of the tools left out of the last offer because their name was taken."""
    _steps: tuple[_Step, ...] = attrs.field(init=False)
    _reshapes: bool = attrs.field(init=False)
    _originals: dict[str, str] = attrs.field(factory=dict, init=False)
    _offered: dict[str, str] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        steps = (_step(transform) for transform in self.transforms)
        self._steps = tuple(step for step in steps if step is not None)
        self._reshapes = any(isinstance(each, ResponseTransform) for each in self.transforms)
        self.identity = not (self._steps or self._reshapes or self.reshaped)

    def offer(self, tools: Iterable[Mapping[str, Any]]) -> dict[str, Tool]:
        """Return the definitions by offered name, in order.

        Each is a copy with its offered name, or the given object with `identity`. If two tools
        would have the same name, the first one gets it. A tool with reshaped results loses its
        `outputSchema`, because clients validate results against it (MCP 2025-11-25, tools, output
        schema).
        """
        offered: dict[str, Tool] = {}
        originals: dict[str, str] = {}
        clashes: list[str] = []
        for tool in tools:
            own = str(tool["name"])
            name, text = self._forward(own)
            if name is None:
                continue
            if name in offered:
                clashes.append(own)
                continue
            offered[name] = self._definition(tool, name, text)
            originals[name] = own
        self.clashes = tuple(clashes)
        self._originals = originals
        self._offered = {own: name for name, own in originals.items()}
        return offered

    def original(self, offered: str) -> str | None:
        """Return the backend's own name for an offered name, or None if it is not offered.

        A name missing from the last offer is mapped by the transforms, so a tool that the server
        has added since can be called, but a hidden one cannot.
        """
        if self.identity:
            return offered
        own = self._originals.get(offered)
        if own is not None:
            return own
        name = offered
        for step in reversed(self._steps):
            before = step.back(name)
            if before is None:
                return None
            name = before
        return name if self._forward(name)[0] == offered else None

    def hint(self, name: str) -> str | None:
        """Return the offered name of a tool with this own name, or None."""
        return self._offered.get(name)

    def _definition(self, tool: Mapping[str, Any], name: str, text: str | None) -> Tool:
        if self.identity:
            return cast("Tool", tool)
        definition = {**tool, "name": name}
        if text is not None:
            definition["description"] = text
        if self._reshapes or (self.reshaped is not None and self.reshaped(name)):
            definition.pop("outputSchema", None)
        return definition

    def _forward(self, name: str) -> tuple[str | None, str | None]:
        """Return the offered name and the description given on the way to it."""
        text: str | None = None
        for step in self._steps:
            if step.texts is not None:
                text = step.texts.get(name, text)
                continue
            renamed = step.forward(name)
            if renamed is None:
                return None, None
            name = renamed
        return name, text


def _step(transform: Transform) -> _Step | None:
    match transform:
        case Namespace():
            prefix = transform.prefix + transform.separator
            return _Step(lambda name: prefix + name, lambda name: _without(prefix, name))
        case Filter():
            filtered = functools.partial(_filtered, transform)
            return _Step(filtered, filtered)
        case Rename():
            new = dict(transform.names)
            old = {name: own for own, name in transform.names}
            return _Step(lambda name: new.get(name, name), lambda name: _renamed(new, old, name))
        case Describe():
            return _Step(_same, _same, dict(transform.texts))
        case ResponseTransform():
            return None


def _without(prefix: str, name: str) -> str | None:
    return name[len(prefix) :] if name.startswith(prefix) else None


def _filtered(names: Filter, name: str) -> str | None:
    return name if names.passes(name) else None


def _renamed(new: Mapping[str, str], old: Mapping[str, str], name: str) -> str | None:
    """Return the name before a rename, or None for a name that the rename has replaced."""
    return old.get(name, None if name in new else name)


def _same(name: str) -> str:
    return name
