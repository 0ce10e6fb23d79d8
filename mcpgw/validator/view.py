"""A tool as the rules see it, whether it comes from a capability file or from an MCP server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs

from mcpgw.catalog.words import identifier_parts
from mcpgw.validator.result import Key
from mcpgw.validator.schemas import Node

Kind = Literal["capability", "mcp", "events"]
"""`events` is a capability file with webhooks and no tool."""
REVIEW_MARK: Final = "(made from the name; to be reviewed)"
"""Ends a description that `--fix` wrote; it counts as one that is still to be written."""


def nowhere(_key: Key) -> int | None:
    """Know no line of anything."""
    return None


@attrs.frozen(eq=False)
class ToolView:
    """One tool: its texts and schemas, and where they stand."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    examples: tuple[Any, ...] = ()
    title: str = ""
    kind: Kind = "mcp"
    file: str = ""
    origin: str = ""
    """Within one origin a name may stand once: all capabilities, or one server's list."""
    root: Key = ()
    definition: Mapping[str, Any] = attrs.field(factory=dict)
    """The tool as a model is shown it."""
    document: Mapping[str, Any] = attrs.field(factory=dict)
    """The whole capability file; empty for other tools."""
    locate: Callable[[Key], int | None] = attrs.field(default=nowhere, repr=False)

    @classmethod
    def of_definition(
        cls,
        definition: Mapping[str, Any],
        *,
        file: str = "",
        root: Key = (),
        locate: Callable[[Key], int | None] = nowhere,
    ) -> ToolView:
        """Return the view of an MCP tool definition, an item of `tools/list`."""
        examples = definition.get("examples")
        return cls(
            name=_text(definition.get("name")),
            title=_text(definition.get("title")),
            description=_text(definition.get("description")),
            input_schema=_map(definition.get("inputSchema")),
            output_schema=_map(definition.get("outputSchema")),
            examples=tuple(examples) if isinstance(examples, list) else (),
            file=file,
            origin=file,
            root=root,
            definition=definition,
            locate=locate,
        )

    @classmethod
    def of_capability(
        cls,
        document: Mapping[str, Any],
        *,
        file: str = "",
        stem: str = "",
        locate: Callable[[Key], int | None] = nowhere,
    ) -> ToolView:
        """Return the view of a capability file's data; a missing name is the file's stem."""
        schema = _map(document.get("schema")) or {}
        examples = document.get("examples")
        name = _text(document.get("name")) or stem
        given = {
            "name": name,
            "title": document.get("title"),
            "description": document.get("description"),
            "inputSchema": schema.get("input"),
            "outputSchema": schema.get("output"),
            "examples": examples,
            "_meta": document.get("metadata"),
        }
        return cls(
            name=name,
            title=_text(document.get("title")),
            description=_text(document.get("description")),
            input_schema=_map(schema.get("input")),
            output_schema=_map(schema.get("output")),
            examples=tuple(examples) if isinstance(examples, list) else (),
            kind="events" if document.get("webhooks") and not document.get("providers") else
            "capability",
            file=file,
            origin="capabilities",
            definition={key: value for key, value in given.items() if value is not None},
            document=document,
            locate=locate,
        )

    def key(self, part: str, *rest: str | int) -> Key:
        """Return where a part stands: `name`, `description`, `inputSchema`, ... and below it."""
        if self.kind == "mcp":
            return (*self.root, part, *rest)
        return (*_CAPABILITY_KEYS.get(part, (part,)), *rest)

    def line(self, key: Key) -> int:
        """Return the line of a place, or of the nearest thing above it; 1 if none is known."""
        while key:
            if (line := self.locate(key)) is not None:
                return line
            key = key[:-1]
        return 1

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the name, in lower case."""
        return tuple(identifier_parts(self.name))

    @functools.cached_property
    def input(self) -> Node:
        """The schema of what the tool takes."""
        return Node.top(self.input_schema, self.key("inputSchema"))

    @functools.cached_property
    def output(self) -> Node:
        """The schema of what the tool gives."""
        return Node.top(self.output_schema, self.key("outputSchema"))

    @functools.cached_property
    def parameters(self) -> Mapping[str, Node]:
        """What the tool takes, by name."""
        return self.input.properties()

    @functools.cached_property
    def takes_nothing(self) -> bool:
        """Whether the schema says that there are no arguments, as opposed to saying nothing."""
        if self.parameters or self.input_schema is None:
            return False
        return (
            isinstance(self.input_schema.get("properties"), Mapping)
            or self.input_schema.get("additionalProperties") is False
        )


_CAPABILITY_KEYS: Final[Mapping[str, Key]] = {
    "inputSchema": ("schema", "input"),
    "outputSchema": ("schema", "output"),
    "_meta": ("metadata",),
}


def described(text: str) -> bool:
    """Tell whether a description says anything, and was not merely made by `--fix`."""
    plain = text.strip().strip(".").lower()
    return plain not in _EMPTY_WORDS and not text.rstrip().endswith(REVIEW_MARK)


_EMPTY_WORDS: Final = frozenset(
    ["", "todo", "tbd", "fixme", "n/a", "na", "none", "null", "-", "...", "…", "description"]
    + ["string", "integer", "number", "boolean", "array", "object", "value", "parameter", "the"]
)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _map(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
