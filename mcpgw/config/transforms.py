"""The `transform` settings: what a backend's tools and answers look like to clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from mcpgw.config.json_path import parse_path
from mcpgw.config.parsing import (
    Faults,
    check_distinct,
    read_keys,
    read_list,
    read_pairs,
    read_some_text,
    unknown_key,
)
from mcpgw.config.patterns import any_matches
from mcpgw.config.value_types import TEXT, TEXTS, Kind, SettingError, choice, noun

REDACTED: Final = "[REDACTED]"
"""What stands in place of a redacted value where no other text is given."""

PLACE: Final = r"\{\{([^{}]*)\}\}"
"""A place in a template, as a regular expression: `{{path}}`, spaces inside allowed."""

# Patterns stay text until they are used: a file without transforms need not wait for them.
_TOOL_NAME: Final = r"[A-Za-z0-9_.\-]{1,128}"
_NAME_RULE: Final = "A tool's name has 1 to 128 of the characters A-Z, a-z, 0-9, '_', '-' and '.'."

_PATH_RULE: Final = "Write it as `title`, `author.name`, `items[0].id` or `items[].id`."


@attrs.frozen
class Namespace:
    """A prefix before the name of every tool."""

    prefix: str
    separator: str = "_"


@attrs.frozen
class Filter:
    """Which tools are offered: those that `allow` fits, all if it is empty, but none of `deny`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def passes(self, name: str) -> bool:
        """Tell whether a tool of this name is offered."""
        allowed = not self.allow or any_matches(self.allow, name)
        return allowed and not any_matches(self.deny, name)


@attrs.frozen
class Rename:
    """Other names for single tools, as pairs of old and new in the order written."""

    names: tuple[tuple[str, str], ...]


@attrs.frozen
class Describe:
    """Other descriptions for single tools, as pairs of name and description."""

    texts: tuple[tuple[str, str], ...]


@attrs.frozen
class Projection:
    """A value to keep of an answer: where it is, and the key it gets; "" for the path's own."""

    path: str
    name: str = ""


@attrs.frozen
class Redaction:
    """A regular expression over every text of an answer, and what to put for a match."""

    pattern: str
    replacement: str = REDACTED


@attrs.frozen
class Format:
    """The form of the answer: `flat`, `nested` (as it is) or `template`."""

    type: str
    template: str = ""


@attrs.frozen(cache_hash=True)
class ResponseTransform:
    """What becomes of an answer: project, then rename, then redact, then format."""

    project: tuple[Projection, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    redact: tuple[str | Redaction, ...] = ()
    """Names of fields, hidden at any depth, and regular expressions."""
    format: Format | None = None


Transform: TypeAlias = Namespace | Filter | Rename | Describe | ResponseTransform


def _read_name(value: object) -> str:
    text = TEXT.read(value)
    if not re.fullmatch(_TOOL_NAME, text):
        raise SettingError(f"{text!r:.60} cannot be the name of a tool", _NAME_RULE)
    return text


def _read_renames(
    value: object, read: Callable[[object], str] = read_some_text
) -> tuple[tuple[str, str], ...]:
    pairs = read_pairs(value, read, "old names to new ones")
    faults = Faults()
    taken: dict[str, str] = {}
    for old, new in pairs:
        with faults.at(old):
            if old == new:
                raise SettingError("is renamed to itself", "Leave the line out.")
            if new in taken:
                raise SettingError(
                    f"{new!r} is the new name of {taken[new]!r} already",
                    "Two of one name cannot be told apart.",
                )
            taken[new] = old
    faults.check()
    return pairs


def _read_namespace(value: object) -> Namespace:
    if isinstance(value, Mapping):
        read = read_keys(value, {"prefix": TEXT.read, "separator": TEXT.read})
        space = Namespace(read.get("prefix", ""), read.get("separator", "_"))
    else:
        space = Namespace(TEXT.read(value))
    if not space.prefix:
        raise SettingError("has no prefix", "Write it as `namespace: gmail`.")
    if not re.fullmatch(_TOOL_NAME, f"{space.prefix}{space.separator}x"):
        shown = f"{space.prefix}{space.separator}"
        raise SettingError(f"{shown!r:.60} cannot begin the name of a tool", _NAME_RULE)
    return space


def _read_patterns(value: object) -> tuple[str, ...]:
    patterns = TEXTS.read(value)
    if not patterns:
        raise SettingError(
            "is empty, which would be as if it did not stand here",
            "Leave it out, or write `deny: ['*']` to hide every tool.",
        )
    faults = Faults()
    for index, pattern in enumerate(patterns):
        with faults.at(index):
            read_some_text(pattern)
    faults.check()
    check_distinct(patterns, "the pattern")
    return patterns


def _read_filter(value: object) -> Filter:
    read = read_keys(value, {"allow": _read_patterns, "deny": _read_patterns})
    if not read:
        raise SettingError("says neither 'allow' nor 'deny'", "Example: `allow: ['send_*']`.")
    return Filter(**read)


def _read_rename(value: object) -> Rename:
    return Rename(_read_renames(value, _read_name))


def _read_describe(value: object) -> Describe:
    return Describe(read_pairs(value, read_some_text, "names of tools to descriptions"))


def _read_path(value: object) -> str:
    text = read_some_text(value)
    try:
        parse_path(text)
    except ValueError as error:
        raise SettingError(f"is no path: {error}", _PATH_RULE) from None
    return text


def _read_projection(value: object) -> Projection:
    if not isinstance(value, Mapping):
        return Projection(_read_path(value))
    read = read_keys(value, {"as": read_some_text, "path": _read_path})
    if missing := [key for key in ("as", "path") if key not in read]:
        raise SettingError(
            f"lacks {missing[0]!r}", "Write it as `{as: author, path: author.name}`."
        )
    return Projection(read["path"], read["as"])


def _read_project(value: object) -> tuple[Projection, ...]:
    items = read_list(value, _read_projection, "[title, author.name]")
    faults = Faults()
    named: set[str] = set()
    plain = {item.path for item in items if not item.name}
    for index, item in enumerate(items):
        with faults.at(index):
            if item.name and (item.name in named or item.name in plain):
                raise SettingError(
                    f"{item.name!r} is the key of another path already",
                    "Give one of them another name with 'as'.",
                )
        named.add(item.name)
    faults.check()
    return items


def _read_redaction(value: object) -> str | Redaction:
    if not isinstance(value, Mapping):
        return read_some_text(value)
    read = read_keys(value, {"pattern": read_some_text, "replacement": TEXT.read})
    if "pattern" not in read:
        raise SettingError("lacks 'pattern'", "Write it as `{pattern: '...', replacement: '...'}`.")
    redaction = Redaction(**read)
    _check_redaction(redaction)
    return redaction


def _check_redaction(redaction: Redaction) -> None:
    faults = Faults()
    with faults.at("pattern"):
        try:
            compiled = re.compile(redaction.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise SettingError(
                f"is no regular expression: {error}", "It is read as Python's `re` does."
            ) from None
        if compiled.search(""):
            raise SettingError(
                "fits even where there is nothing", "Write '+' in place of '*', say '.+' for all."
            )
    faults.check()
    with faults.at("replacement"):
        meant = re.findall(r"\$\{?(\w+)", redaction.replacement)
        known = {*compiled.groupindex, *(str(number + 1) for number in range(compiled.groups))}
        if wrong := [name for name in meant if name in known]:
            raise SettingError(
                f"'${wrong[0]}' would stand there as it is", r"A group is written \1 or \g<name>."
            )
        try:
            compiled.sub(redaction.replacement, "")
        except (re.error, IndexError) as error:
            raise SettingError(
                f"cannot be filled in: {error}", r"A group is written \1 or \g<name>."
            ) from None
    faults.check()


def _read_format(value: object) -> Format:
    read = read_keys(
        value, {"type": choice("flat", "nested", "template").read, "template": _read_template}
    )
    if "type" not in read:
        raise SettingError("lacks 'type'", "It is one of flat, nested, template.")
    if (read["type"] == "template") != ("template" in read):
        raise SettingError(
            "'type: template' and 'template' go together",
            "Example: `{type: template, template: '{{title}} by {{author.name}}'}`.",
        )
    return Format(**read)


def _read_template(value: object) -> str:
    text = TEXT.read(value)
    places = [place.strip() for place in re.findall(PLACE, text)]
    if not places or "{{" in re.sub(PLACE, "", text):
        raise SettingError("has no place to fill in, or one that does not end", "Write {{a.b}}.")
    for place in places:
        _read_path(place)
    return text


def _read_response(value: object) -> ResponseTransform:
    read = read_keys(
        value,
        {
            "project": _read_project,
            "rename": _read_renames,
            "redact": lambda items: read_list(items, _read_redaction, "[password, token]"),
            "format": _read_format,
        },
    )
    if not read:
        raise SettingError("is empty", "It wants project, rename, redact or format.")
    return ResponseTransform(**read)


_READERS: Final[Mapping[str, Callable[[object], Transform]]] = {
    "namespace": _read_namespace,
    "filter": _read_filter,
    "rename": _read_rename,
    "describe": _read_describe,
    "response": _read_response,
}


def _read_transform(value: object) -> Transform:
    words = ", ".join(_READERS)
    if not isinstance(value, Mapping):
        raise SettingError(f"wants one of {words} with its settings, and this is {noun(value)}")
    faults = Faults()
    for key in value:
        with faults.at(str(key)):
            if key not in _READERS:
                raise unknown_key(str(key), _READERS)
    faults.check()
    if not value:
        raise SettingError(f"is empty; it wants one of {words}")
    if len(value) > 1:
        raise SettingError(
            f"holds {len(value)} transforms", "Make a list item of each: their order counts."
        )
    key, settings = next(iter(value.items()))
    read: list[Transform] = []
    with faults.at(key):
        read.append(_READERS[key](settings))
    faults.check()
    return read[0]


def _read_transforms(value: object) -> tuple[Transform, ...]:
    if not isinstance(value, list | tuple):
        raise SettingError(
            f"wants a list, and this is {noun(value)}",
            "Begin each transform with a dash: `- namespace: gmail`.",
        )
    transforms: list[Transform] = []
    faults = Faults()
    for index, item in enumerate(value):
        with faults.at(index):
            transforms.append(_read_transform(item))
    faults.check()
    check_distinct(transforms, "the same transform")
    _check_chain(transforms)
    return tuple(transforms)


def _check_chain(transforms: Sequence[Transform]) -> None:
    """Refuse a rename to a name that an earlier rename has given to another tool."""
    faults = Faults()
    given: set[str] = set()
    for index, transform in enumerate(transforms):
        if isinstance(transform, Namespace):
            given = {f"{transform.prefix}{transform.separator}{name}" for name in given}
        elif isinstance(transform, Filter):
            given = {name for name in given if transform.passes(name)}
        elif isinstance(transform, Rename):
            names = dict(transform.names)
            for old, new in transform.names:
                with faults.at(index, "rename", old):
                    if new in given and new not in names:
                        raise SettingError(
                            f"an earlier rename has given the name {new!r} to another tool",
                            "Two tools of one name cannot be told apart.",
                        )
            given = {names.get(name, name) for name in given} | set(names.values())
    faults.check()


TRANSFORMS: Final[Kind[tuple[Transform, ...]]] = Kind(
    "list of transforms", _read_transforms, lambda value: "[...]" if value else "[]"
)
"""The kind of `backends.<name>.transform`."""

RESPONSE: Final[Kind[ResponseTransform]] = Kind(
    "map of project, rename, redact and format", _read_response, lambda _: "{...}"
)
"""The kind of the `transform` of a single tool: what becomes of its answers."""
