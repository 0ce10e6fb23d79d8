"""The names under which a backend's tools are offered, and the way back to its own."""

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
    """One transform of names, both ways; None where no tool is let through.

    `texts` are descriptions, by the names that hold at this place of the chain.
    """

    forward: Callable[[str], str | None]
    back: Callable[[str], str | None]
    texts: Mapping[str, str] | None = None


@attrs.define(eq=False)
class Naming:
    """The names of one backend's tools, from its own to those that clients see and back.

    Listing goes through the transforms from left to right, a call from right to left, so what
    holds for a listed name holds for the same name in a call. Only an offered name leads to a
    tool: neither a name that a filter hides, nor one that a rename or a prefix has replaced.

    Args:
      transforms: of the backend; those of answers count only for `outputSchema`, see `offer`.
      reshaped: tells by the offered name whether a tool has a response transform of its own.
    """

    transforms: tuple[Transform, ...]
    reshaped: Callable[[str], bool] | None = attrs.field(default=None, kw_only=True)
    identity: bool = attrs.field(init=False)
    """Whether there is nothing to do."""
    clashes: tuple[str, ...] = attrs.field(default=(), init=False)
    """Own names of the tools left out of the last offer: another one had their name first."""
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
        """Return the definitions by the names under which they are offered, in order.

        Each is a copy with its offered name; with `identity` they are the given ones. Where two
        tools would have one name, the first has it. A tool whose answers are reshaped loses its
        `outputSchema`: the answer would no longer keep to it, and clients check that (MCP
        2025-11-25, tools, output schema).
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
        """Return the backend's own name of an offered one, None where it is not offered.

        A tool that was not in the last offer is found by the rules alone, so that one which a
        server has added meanwhile can be called, and a hidden one still cannot.
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
        """Return the name under which a tool is offered whose own name this is, else None."""
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
            further = step.forward(name)
            if further is None:
                return None, None
            name = further
        return name, text


def _step(transform: Transform) -> _Step | None:
    match transform:
        case Namespace():
            prefix = transform.prefix + transform.separator
            return _Step(lambda name: prefix + name, lambda name: _without(prefix, name))
        case Filter():
            passed = functools.partial(_passed, transform)
            return _Step(passed, passed)
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


def _passed(names: Filter, name: str) -> str | None:
    return name if names.passes(name) else None


def _renamed(new: Mapping[str, str], old: Mapping[str, str], name: str) -> str | None:
    """Return the name before a rename; None for one that the rename has taken away."""
    return old.get(name, None if name in new else name)


def _same(name: str) -> str:
    return name
