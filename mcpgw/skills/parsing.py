"""Parser and writer for SKILL.md: front matter between two `---` lines, then Markdown."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final

import attrs

from mcpgw.skills.fences import fenced_blocks
from mcpgw.skills.model import FILE, LARGEST, CodeBlock, Skill, SkillError, name_problem

MOST_VALUES: Final = 2_000
"""Values that the front matter keys unknown to the gateway may hold together."""
DEEPEST: Final = 20
LONGEST_KEY: Final = 100
LARGEST_FRONT: Final = 64 << 10
KEPT_LANGUAGES: Final = frozenset({"bash", "sh", "shell", "python", "py", "json"})
DEEPEST_FLOW: Final = 100
"""Nested brackets allowed in front matter, counting those in quotes."""
LONGEST_NAME: Final = 128

_LINE_END: Final = re.compile(r"\r\n?")
_BRACKET: Final = re.compile(r"[\[\]{}]")
_DEEP_BLOCK: Final = re.compile(r"(?:[-?:][ \t]+){100}")
"""Nested lists or maps that start on one line."""
_KEY_LINE: Final = r"[\"']?{key}[\"']?[ \t]*:[ \t]+(?P<value>[\d.eE+_-]+)[ \t]*(?:#.*)?"
_LISTS: Final = {"allowed-tools": "allowed_tools", "triggers": "triggers", "keywords": "keywords"}
_TEXTS: Final = ("name", "description", "version", "effort")


def parse_skill(data: bytes | str, *, place: str = FILE) -> Skill:
    """Read one SKILL.md.

    A byte order mark, any line ends and empty lines before the front matter are accepted.
    `name` and `description` are required; `version` and `effort` must be strings;
    `allowed-tools`, `triggers` and `keywords` must be lists or strings with commas. All other
    keys are kept in `extra`. Fenced blocks in shell, Python and JSON are kept.

    Args:
      data: the file's content.
      place: the file or URL, for errors.

    Raises:
      SkillError: the text is not a valid skill.
    """
    text = _LINE_END.sub("\n", _decoded(data, place))
    reader = _Reader(*_split_front_matter(text, place), place)
    reader.check_depth()
    fields = reader.mapping()
    known = {key: reader.text(fields, key) for key in _TEXTS}
    name = reader.name(known["name"])
    if not known["description"]:
        raise reader.error("description", "must not be empty")
    return Skill(
        name=name,
        description=known["description"],
        version=known["version"],
        effort=known["effort"],
        allowed_tools=reader.words(fields, "allowed-tools"),
        triggers=reader.words(fields, "triggers"),
        keywords=reader.words(fields, "keywords"),
        body=reader.body,
        code_blocks=code_blocks(reader.body),
        extra=reader.others(fields),
    )


def code_blocks(body: str) -> tuple[CodeBlock, ...]:
    """Return the fenced blocks of a body in one of `KEPT_LANGUAGES`."""
    return tuple(block for block in fenced_blocks(body) if block.lang in KEPT_LANGUAGES)


def render_skill(skill: Skill) -> str:
    """Write a skill as a SKILL.md that parses to the same skill; front matter values are JSON."""
    pairs: list[tuple[str, object]] = [(key, getattr(skill, key)) for key in _TEXTS]
    pairs += [(key, list(getattr(skill, field))) for key, field in _LISTS.items()]
    given = [(key, value) for key, value in pairs if value]
    given += [(_json(key), value) for key, value in skill.extra.items()]
    front = "".join(f"{key}: {_json(value)}\n" for key, value in given)
    return f"---\n{front}---\n\n{skill.body}"


def _json(value: object) -> str:
    # Characters that YAML rejects or reads as line ends are written as YAML escapes.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in text)


def _decoded(data: bytes | str, place: str) -> str:
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > LARGEST:
        raise SkillError(place, f"is larger than {LARGEST >> 20} MiB")
    if isinstance(data, bytes):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise SkillError(place, "the text is not UTF-8; save it as such", line=line) from None
    else:
        text = data
        _check_surrogates(text, place)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SkillError(place, "this is not text: it contains a zero byte", line=line)
    return text.removeprefix("\ufeff")


def _check_surrogates(text: str, place: str) -> None:
    found = re.search(r"[\ud800-\udfff]", text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise SkillError(place, "the text contains a lone surrogate", line=line)


def _split_front_matter(text: str, place: str) -> tuple[str, int, str]:
    """Return the front matter, the line before its first one, and the body."""
    lines = text.split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise SkillError(place, "the file is empty; it must start with '---' front matter")
    if lines[first].rstrip() != "---":
        advice = "must start with '---' front matter that has 'name' and 'description'"
        raise SkillError(place, advice, line=first + 1)
    for index in range(first + 1, len(lines)):
        if lines[index].rstrip() == "---":
            body = "\n".join(lines[index + 1 :]).strip("\n").rstrip()
            front = "\n".join(lines[first + 1 : index])
            return front, first + 1, f"{body}\n" if body else ""
    raise SkillError(
        place, "the front matter that starts here has no closing '---' line", line=first + 1
    )


@attrs.frozen
class _Reader:
    """Reads the front matter of one file; `offset` is the line before its first one."""

    front: str
    offset: int
    body: str
    place: str

    def check_depth(self) -> None:
        """Reject nesting so deep that the YAML parser, written in C, would crash."""
        if len(self.front) > LARGEST_FRONT:
            message = f"the front matter is larger than {LARGEST_FRONT >> 10} KiB"
            raise SkillError(self.place, message, line=self.offset)
        deep = _DEEP_BLOCK.search(self.front)
        depth = 0
        for found in _BRACKET.finditer(self.front):
            depth = depth + 1 if found[0] in "[{" else max(0, depth - 1)
            if depth > DEEPEST_FLOW:
                deep = found
                break
        if deep is not None:
            line = self.front.count("\n", 0, deep.start()) + self.offset + 1
            raise SkillError(self.place, "front matter: nested too deeply", line=line)

    def mapping(self) -> Mapping[object, object]:
        from mcpgw.config.yamlfile import YamlSyntaxError, parse

        try:
            found = parse(self.front)
        except YamlSyntaxError as error:
            line = None if error.line is None else error.line + self.offset
            raise SkillError(self.place, f"front matter: {error.message}", line=line) from None
        except (TypeError, AttributeError):
            # The YAML parser does not handle a map or list that is a key.
            raise SkillError(self.place, "front matter: every key must be a string") from None
        if not isinstance(found, dict):
            advice = "the front matter must be a map of keys and values such as 'name: my-skill'"
            raise SkillError(self.place, advice, line=self.offset + 1)
        return found

    def error(self, key: str, what: str) -> SkillError:
        return SkillError(self.place, f"field '{key}' {what}", line=self._line(key))

    def _line(self, key: str) -> int | None:
        from mcpgw.config.yamlfile import Lines

        found = Lines.of(self.front).find((key,))
        return None if found is None else found + self.offset

    def name(self, name: str) -> str:
        if not name:
            raise self.error("name", "must not be empty")
        if len(name) > LONGEST_NAME:
            raise self.error("name", f"must have at most {LONGEST_NAME} characters")
        if problem := name_problem(name):
            raise self.error("name", problem)
        if not name.isprintable():
            raise self.error("name", "must be one line without control characters")
        return name

    def text(self, fields: Mapping[object, object], key: str) -> str:
        """Return a field's text; a version that YAML reads as a number keeps its spelling."""
        value = fields.get(key)
        if value is None and key in ("name", "description"):
            if key in fields:
                raise self.error(key, "must not be empty")
            raise SkillError(self.place, f"missing required field '{key}'", line=self.offset)
        if value is None:
            return ""
        if key in ("version", "effort") and isinstance(value, int | float):
            found = re.search(rf"^{_KEY_LINE.format(key=key)}$", self.front, re.MULTILINE)
            if found is not None and not isinstance(value, bool):
                return found["value"]
        if not isinstance(value, str):
            raise self.error(key, "must be a string; quote the value")
        _check_surrogates(value, self.place)
        return value.strip()

    def words(self, fields: Mapping[object, object], key: str) -> tuple[str, ...]:
        """Return the items of a list, or of a string split at commas outside of parentheses."""
        value = fields.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            items = _split(value, ",")
            if len(items) == 1 and key == "allowed-tools":
                # The open Agent Skills format separates tools by spaces.
                items = _split(value, None)
        elif isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
            items = [item if isinstance(item, str) else json.dumps(item) for item in value]
        else:
            raise self.error(key, "must be a list of strings or one string with commas")
        for item in items:
            _check_surrogates(item, self.place)
        return tuple(item.strip() for item in items if item.strip())

    def others(self, fields: Mapping[object, object]) -> dict[str, object]:
        left = [MOST_VALUES]
        found: dict[str, object] = {}
        for key, value in fields.items():
            name = key if isinstance(key, str) else str(key)
            if name in _TEXTS or name in _LISTS:
                continue
            try:
                found[_plain_key(key)] = _plain(value, left, DEEPEST)
            except _NotPlain as error:
                raise SkillError(
                    self.place, f"field '{name[:60]}' {error}", line=self._line(name)
                ) from None
        return found


class _NotPlain(Exception):
    """A value that JSON cannot represent or that is too large."""


def _plain(value: object, left: list[int], depth: int) -> object:
    """Copy a value as JSON data; a YAML anchor counts each time that it is used."""
    left[0] -= 1
    if left[0] < 0:
        raise _NotPlain(f"and other fields have more than {MOST_VALUES} values")
    if depth == 0:
        raise _NotPlain(f"is nested deeper than {DEEPEST} levels")
    if isinstance(value, dict):
        return {_plain_key(key): _plain(item, left, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, left, depth - 1) for item in value]
    if isinstance(value, str):
        left[0] -= len(value) // 256
        return _plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _NotPlain("must contain only strings, numbers, lists and maps")


def _plain_key(key: object) -> str:
    text = key if isinstance(key, str) else str(key)
    if len(text) > LONGEST_KEY:
        raise _NotPlain(f"has a key longer than {LONGEST_KEY} characters")
    return _plain_text(text)


def _plain_text(text: str) -> str:
    if re.search(r"[\ud800-\udfff]", text):
        raise _NotPlain("contains a lone surrogate")
    return text


def _split(text: str, separator: str | None) -> list[str]:
    """Split a text at a separator, or at white space if it is None, outside of parentheses."""
    items, start, depth = [], 0, 0
    for index, letter in enumerate(text):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth = max(0, depth - 1)
        elif depth == 0 and (letter == separator or (separator is None and letter.isspace())):
            items.append(text[start:index])
            start = index + 1
    return [*items, text[start:]]
