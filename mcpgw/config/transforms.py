"""The `transform` settings, which change how clients see a backend's tools and results."""

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
"""Default replacement of redacted values."""

PLACE: Final = r"\{\{([^{}]*)\}\}"
"""Regular expression of a placeholder in a template: `{{path}}`, with optional spaces."""

# Patterns are compiled when used, so that files without transforms load faster.
_TOOL_NAME: Final = r"[A-Za-z0-9_.\-]{1,128}"
_NAME_RULE: Final = "Use 1 to 128 letters (A-Z, a-z), digits, '_', '-' or '.'."

_PATH_RULE: Final = "Write it as `title`, `author.name`, `items[0].id` or `items[].id`."


@attrs.frozen
class Namespace:
    """A prefix of the name of every tool."""

    prefix: str
    separator: str = "_"


@attrs.frozen
class Filter:
    """Selection of tools: those that match `allow` (all if empty) and do not match `deny`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def passes(self, name: str) -> bool:
        """Return true if a tool of this name is offered."""
        allowed = not self.allow or any_matches(self.allow, name)
        return allowed and not any_matches(self.deny, name)


@attrs.frozen
class Rename:
    """New names of tools, as pairs of old and new name in the order written."""

    names: tuple[tuple[str, str], ...]


@attrs.frozen
class Describe:
    """New descriptions of tools, as pairs of name and description."""

    texts: tuple[tuple[str, str], ...]


@attrs.frozen
class Projection:
    """A value to keep of a result: its path and new key; "" keeps the key of the path."""

    path: str
    name: str = ""


@attrs.frozen
class Redaction:
    """A regular expression for the texts of a result, and the replacement of matches."""

    pattern: str
    replacement: str = REDACTED


@attrs.frozen
class Format:
    """The form of a result: `flat`, `nested` (unchanged) or `template`."""

    type: str
    template: str = ""


@attrs.frozen(cache_hash=True)
class ResponseTransform:
    """Transformation of results: project, then rename, then redact, then format."""

    project: tuple[Projection, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    redact: tuple[str | Redaction, ...] = ()
    """Names of fields, which are redacted at any depth, and regular expressions."""
    format: Format | None = None


Transform: TypeAlias = Namespace | Filter | Rename | Describe | ResponseTransform


def _read_name(value: object) -> str:
    text = TEXT.read(value)
    if not re.fullmatch(_TOOL_NAME, text):
        raise SettingError(f"{text!r:.60} is not a valid tool name", _NAME_RULE)
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
                raise SettingError("must not be renamed to itself", "Remove the line.")
            if new in taken:
                raise SettingError(
                    f"{new!r} is already the new name of {taken[new]!r}",
                    "Choose another name.",
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
        raise SettingError("must have a prefix", "Write it as `namespace: gmail`.")
    if not re.fullmatch(_TOOL_NAME, f"{space.prefix}{space.separator}x"):
        shown = f"{space.prefix}{space.separator}"
        raise SettingError(f"{shown!r:.60} is not a valid prefix of tool names", _NAME_RULE)
    return space


def _read_patterns(value: object) -> tuple[str, ...]:
    patterns = TEXTS.read(value)
    if not patterns:
        raise SettingError(
            "must not be empty",
            "Remove it, or write `deny: ['*']` to hide every tool.",
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
        raise SettingError("must have 'allow' or 'deny'", "Example: `allow: ['send_*']`.")
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
        raise SettingError(f"is not a valid path: {error}", _PATH_RULE) from None
    return text


def _read_projection(value: object) -> Projection:
    if not isinstance(value, Mapping):
        return Projection(_read_path(value))
    read = read_keys(value, {"as": read_some_text, "path": _read_path})
    if missing := [key for key in ("as", "path") if key not in read]:
        raise SettingError(
            f"must have {missing[0]!r}", "Write it as `{as: author, path: author.name}`."
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
                    f"{item.name!r} is already the key of another path",
                    "Set another name with 'as'.",
                )
        named.add(item.name)
    faults.check()
    return items


def _read_redaction(value: object) -> str | Redaction:
    if not isinstance(value, Mapping):
        return read_some_text(value)
    read = read_keys(value, {"pattern": read_some_text, "replacement": TEXT.read})
    if "pattern" not in read:
        raise SettingError(
            "must have 'pattern'", "Write it as `{pattern: '...', replacement: '...'}`."
        )
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
                f"is not a valid regular expression: {error}", "Use the syntax of Python's `re`."
            ) from None
        if compiled.search(""):
            raise SettingError(
                "must not match the empty string", "Use '+' instead of '*', such as '.+'."
            )
    faults.check()
    with faults.at("replacement"):
        meant = re.findall(r"\$\{?(\w+)", redaction.replacement)
        known = {*compiled.groupindex, *(str(number + 1) for number in range(compiled.groups))}
        if wrong := [name for name in meant if name in known]:
            raise SettingError(
                f"'${wrong[0]}' is not a group reference", r"Refer to a group as \1 or \g<name>."
            )
        try:
            compiled.sub(redaction.replacement, "")
        except (re.error, IndexError) as error:
            raise SettingError(
                f"is not a valid replacement: {error}", r"Refer to a group as \1 or \g<name>."
            ) from None
    faults.check()


def _read_format(value: object) -> Format:
    read = read_keys(
        value, {"type": choice("flat", "nested", "template").read, "template": _read_template}
    )
    if "type" not in read:
        raise SettingError("must have 'type'", "It must be one of flat, nested, template.")
    if (read["type"] == "template") != ("template" in read):
        raise SettingError(
            "must have 'template' if, and only if, it has 'type: template'",
            "Example: `{type: template, template: '{{title}} by {{author.name}}'}`.",
        )
    return Format(**read)


def _read_template(value: object) -> str:
    text = TEXT.read(value)
    places = [place.strip() for place in re.findall(PLACE, text)]
    if not places or "{{" in re.sub(PLACE, "", text):
        raise SettingError("must have placeholders, and each must be closed", "Example: {{a.b}}.")
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
        raise SettingError("must have project, rename, redact or format")
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
        raise SettingError(f"must be a map of one of {words}, not {noun(value)}")
    faults = Faults()
    for key in value:
        with faults.at(str(key)):
            if key not in _READERS:
                raise unknown_key(str(key), _READERS)
    faults.check()
    if not value:
        raise SettingError(f"must have one of {words}")
    if len(value) > 1:
        raise SettingError(
            f"must have one transform, not {len(value)}", "Make a list item of each; order matters."
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
            f"must be a list, not {noun(value)}",
            "Start each transform with a dash: `- namespace: gmail`.",
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
    """Raise the faults of renames to a name that an earlier rename gave to another tool."""
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
                            f"an earlier rename gives the name {new!r} to another tool",
                            "Choose another name.",
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
"""The kind of the `transform` of a single tool, which transforms its results."""
