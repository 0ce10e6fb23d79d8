"""The `transform` settings: what is read, and what is refused with which words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.transforms import (
    RESPONSE,
    TRANSFORMS,
    Describe,
    Filter,
    Format,
    Namespace,
    Projection,
    Redaction,
    Rename,
    ResponseTransform,
)
from mcpgw.config.value_types import SettingError
from tests.config.conftest import Faults, LoadYaml

BACKEND = "backends:\n  mail:\n    command: mail-server\n"


def each(error: Exception) -> Iterator[SettingError]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from each(inner)
    else:
        assert isinstance(error, SettingError)
        yield error


def refusals(value: object, kind: object = TRANSFORMS) -> list[tuple[tuple[str | int, ...], str]]:
    """Read a value that must be refused; return the key and the words of each fault."""
    with pytest.raises((SettingError, ExceptionGroup)) as caught:
        kind.read(value)  # type: ignore[attr-defined]
    return [(fault.key, f"{fault.message}. {fault.hint}") for fault in each(caught.value)]


def test_every_transform_is_read(load_yaml: LoadYaml) -> None:
    """All forms of a list of transforms become records, in the order of the file."""
    text = (
        BACKEND
        + """
    transform:
      - namespace: gmail
      - namespace: {prefix: work, separator: "."}
      - filter: {allow: ["work.*"], deny: ["*_delete"]}
      - rename: {work.gmail_send: send, work.gmail_read: read}
      - describe: {send: "Send a mail."}
      - response:
          project: [title, author.name, {as: owner, path: "owners[0].name"}]
          rename: {title: name, name: title}
          redact: [password, {pattern: "\\\\d{4}", replacement: "####"}, {pattern: x+}]
          format: {type: template, template: "{{ title }} by {{author.name}}"}
"""
    )
    assert (
        Namespace("gmail"),
        Namespace("work", "."),
        Filter(("work.*",), ("*_delete",)),
        Rename((("work.gmail_send", "send"), ("work.gmail_read", "read"))),
        Describe((("send", "Send a mail."),)),
        ResponseTransform(
            (
                Projection("title"),
                Projection("author.name"),
                Projection("owners[0].name", "owner"),
            ),
            (("title", "name"), ("name", "title")),
            ("password", Redaction(r"\d{4}", "####"), Redaction("x+", "[REDACTED]")),
            Format("template", "{{ title }} by {{author.name}}"),
        ),
    ) == load_yaml(text).config.backends["mail"].transform


def test_a_tool_has_the_response_part_alone(load_yaml: LoadYaml) -> None:
    """`tools.<name>.transform` has the form of `response` elsewhere."""
    text = BACKEND + "    tools: {read: {transform: {redact: [token], format: {type: flat}}}}\n"
    tool = load_yaml(text).config.backends["mail"].tool("read")
    assert ResponseTransform(redact=("token",), format=Format("flat")) == tool.transform


def test_faults_name_file_line_and_key(faults: Faults) -> None:
    """All nested faults are reported together, each with its own line."""
    text = (
        BACKEND
        + """    transform:
      - filter:
          alow: ["send_*"]
      - rename: {a: "two words"}
"""
    )
    first, second = faults(text).problems
    assert (6, "backends.mail.transform[0].filter.alow") == (first.line, first.key)
    assert "Did you mean 'allow'?" == first.hint
    assert (7, "backends.mail.transform[1].rename.a") == (second.line, second.key)
    assert "'two words' is not a valid tool name" == second.message


@pytest.mark.parametrize(
    ("item", "key", "words"),
    [
        ("namespace", (), "must be a map of one of namespace, .* not a string"),
        ({}, (), "must have one of namespace"),
        ({"namespace": "a", "filter": {"deny": ["b"]}}, (), "one transform, not 2.*order matters"),
        ({"namspace": "a"}, ("namspace",), "Did you mean 'namespace'"),
        (
            {"filter": {"deny": ["b"]}, "allow": []},
            ("allow",),
            "unknown key.*Known keys: namespace",
        ),
        ({"namespace": ""}, ("namespace",), "must have a prefix"),
        ({"namespace": {"separator": "."}}, ("namespace",), "must have a prefix"),
        ({"namespace": "a b"}, ("namespace",), "is not a valid prefix of tool names"),
        ({"namespace": "a" * 127}, ("namespace",), "is not a valid prefix of tool names"),
        (
            {"namespace": {"prefix": "a", "separator": ":"}},
            ("namespace",),
            "'a:' is not a valid prefix",
        ),
        ({"namespace": {"prefx": "a"}}, ("namespace", "prefx"), "Did you mean 'prefix'"),
        ({"namespace": 7}, ("namespace",), "must be a string"),
        ({"filter": {}}, ("filter",), "must have 'allow' or 'deny'"),
        ({"filter": ["a"]}, ("filter",), "must be a map of allow, deny, not a list"),
        ({"filter": {"allow": []}}, ("filter", "allow"), "must not be empty"),
        ({"filter": {"allow": "a"}}, ("filter", "allow"), "brackets"),
        ({"filter": {"allow": ["a", "b", "a"]}}, ("filter", "allow", 2), "duplicate"),
        ({"filter": {"deny": ["a", ""]}}, ("filter", "deny", 1), "must not be blank"),
        ({"rename": {}}, ("rename",), "must be a map of old names to new.*and not empty"),
        ({"rename": {"a": "a"}}, ("rename", "a"), "must not be renamed to itself"),
        ({"rename": {"a": "c", "b": "c"}}, ("rename", "b"), "already the new name of 'a'"),
        ({"rename": {"a": "x" * 129}}, ("rename", "a"), "1 to 128"),
        ({"rename": {"a": 1}}, ("rename", "a"), "must be a string"),
        ({"describe": {"a": " "}}, ("describe", "a"), "must not be blank"),
        ({"describe": "a"}, ("describe",), "names of tools to descriptions"),
        ({"response": {}}, ("response",), "must have project, rename, redact or format"),
        ({"response": {"redakt": ["a"]}}, ("response", "redakt"), "Did you mean 'redact'"),
    ],
)
def test_a_bad_transform_is_refused(item: object, key: tuple[str | int, ...], words: str) -> None:
    """The fault has the key of its place and says what to write."""
    [(where, said)] = refusals([{"describe": {"x": "y"}}, item])
    assert (1, *key) == where
    assert re.search(words, said), said


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        (["a"], (), "must be a map of project, rename, redact, format"),
        ({"project": "a"}, ("project",), r"must be a list.*\[title, author.name\]"),
        ({"project": []}, ("project",), "must not be empty"),
        ({"project": ["a", "a..b"]}, ("project", 1), "is not a valid path: .*name is missing"),
        ({"project": ["a[x]"]}, ("project", 0), "must be followed by ']' or a number"),
        ({"project": [""]}, ("project", 0), "must not be blank"),
        ({"project": ["a", "b", "a"]}, ("project", 2), "duplicate"),
        ({"project": [{"path": "a"}]}, ("project", 0), "must have 'as'"),
        ({"project": [{"as": "a"}]}, ("project", 0), "must have 'path'"),
        ({"project": [{"as": "a", "pth": "b"}]}, ("project", 0, "pth"), "'path'"),
        (
            {"project": ["a", {"as": "a", "path": "b"}]},
            ("project", 1),
            "already the key of another path",
        ),
        (
            {"project": [{"as": "a", "path": "b"}, {"as": "a", "path": "c"}]},
            ("project", 1),
            "already the key of another path",
        ),
        ({"rename": {"a": "c", "b": "c"}}, ("rename", "b"), "already the new name of 'a'"),
        ({"redact": "password"}, ("redact",), "must be a list"),
        ({"redact": ["a", "a"]}, ("redact", 1), "duplicate"),
        ({"redact": [{"replacement": "x"}]}, ("redact", 0), "must have 'pattern'"),
        (
            {"redact": [{"pattern": "(a"}]},
            ("redact", 0, "pattern"),
            "not a valid regular expression",
        ),
        ({"redact": [{"pattern": "a*"}]}, ("redact", 0, "pattern"), "'\\+' instead of"),
        (
            {"redact": [{"pattern": "a", "replacement": r"\2"}]},
            ("redact", 0, "replacement"),
            "is not a valid replacement: invalid group",
        ),
        (
            {"redact": [{"pattern": "a", "replacement": r"\g<n>"}]},
            ("redact", 0, "replacement"),
            "is not a valid replacement: unknown group",
        ),
        (
            {"redact": [{"pattern": "(a)b", "replacement": "$1"}]},
            ("redact", 0, "replacement"),
            r"'\$1' is not a group reference",
        ),
        ({"redact": [{"patern": "a"}]}, ("redact", 0, "patern"), "'pattern'"),
        ({"format": {"type": "tree"}}, ("format", "type"), "flat, nested, template"),
        ({"format": {}}, ("format",), "must have 'type'"),
        ({"format": "flat"}, ("format",), "must be a map of type, template"),
        ({"format": {"type": "template"}}, ("format",), "if, and only if"),
        ({"format": {"type": "flat", "template": "{{a}}"}}, ("format",), "if, and only if"),
        (
            {"format": {"type": "template", "template": "{a}"}},
            ("format", "template"),
            "must have placeholders",
        ),
        (
            {"format": {"type": "template", "template": "{{a}} {{b"}},
            ("format", "template"),
            "each must be closed",
        ),
        (
            {"format": {"type": "template", "template": "{{a b.}}"}},
            ("format", "template"),
            "is not a valid path",
        ),
    ],
)
def test_a_bad_response_is_refused(value: object, key: tuple[str | int, ...], words: str) -> None:
    """The fault has the key of its place and says what to write."""
    [(where, said)] = refusals(value, RESPONSE)
    assert key == where
    assert re.search(words, said), said


def test_a_dollar_that_means_no_group_may_stand() -> None:
    """A price in a replacement is not taken for a group."""
    transform = RESPONSE.read({"redact": [{"pattern": "(a)", "replacement": "$5 \\1"}]})
    assert (Redaction("(a)", "$5 \\1"),) == transform.redact


def test_a_map_in_place_of_the_list_is_explained() -> None:
    """A missing dash is explained."""
    [(key, words)] = refusals({"namespace": "a"})
    assert () == key
    assert "Start each transform with a dash" in words


def test_all_faults_are_told_at_once() -> None:
    """One load names every fault, each by its own key."""
    value = [
        {"filter": {"allow": ["a", 1], "deny": []}},
        {"response": {"project": ["a..", "[b"], "redact": [{"pattern": "("}]}},
    ]
    assert [
        (0, "filter", "allow", 1),
        (0, "filter", "deny"),
        (1, "response", "project", 0),
        (1, "response", "project", 1),
        (1, "response", "redact", 0, "pattern"),
    ] == [key for key, _ in refusals(value)]


@pytest.mark.parametrize(
    ("chain", "fine"),
    [
        ([{"rename": {"a": "b"}}, {"rename": {"c": "b"}}], False),
        ([{"rename": {"a": "b"}}, {"namespace": "n"}, {"rename": {"c": "n_b"}}], False),
        ([{"rename": {"a": "b"}}, {"rename": {"c": "b", "b": "d"}}], True),
        ([{"rename": {"a": "b"}}, {"filter": {"deny": ["b"]}}, {"rename": {"c": "b"}}], True),
        ([{"rename": {"a": "b", "b": "a"}}], True),
    ],
)
def test_a_rename_onto_a_name_that_was_given_is_refused(chain: list[object], fine: bool) -> None:
    """Two renames of the chain cannot give one name to two tools."""
    if fine:
        assert len(chain) == len(TRANSFORMS.read(chain))
    else:
        [(key, words)] = refusals(chain)
        assert (len(chain) - 1, "rename", "c") == key
        assert "an earlier rename gives" in words


def test_the_same_transform_twice_is_refused() -> None:
    """A duplicate item is refused."""
    [(key, words)] = refusals([{"namespace": "a"}, {"filter": {"deny": ["b"]}}, {"namespace": "a"}])
    assert (2,) == key
    assert "is a duplicate" in words


def test_settings_are_shown_for_the_docs() -> None:
    """The table of settings has words and a default for both kinds."""
    assert ("list of transforms", "[]") == (TRANSFORMS.words, TRANSFORMS.show(()))
    assert "[...]" == TRANSFORMS.show((Namespace("a"),))
    assert "map of project, rename, redact and format" == RESPONSE.words
    assert "{...}" == RESPONSE.show(ResponseTransform())


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_KEYS = st.sampled_from(
    ["namespace", "filter", "rename", "describe", "response", "allow", "deny", "prefix", "path"]
) | st.sampled_from(
    ["project", "redact", "format", "type", "template", "pattern", "replacement", "as", "x"]
)
_YAML = st.recursive(
    _PLAIN | st.sampled_from(["flat", "template", "{{a}}", "a.b", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(value=st.lists(st.dictionaries(_KEYS, _YAML, min_size=1, max_size=2), max_size=3) | _YAML)
def test_any_value_is_read_or_refused(value: object) -> None:
    """Whatever YAML holds, the answer is a tuple of transforms or faults with keys."""
    for kind in (TRANSFORMS, RESPONSE):
        faults: list[SettingError] = []
        try:
            hash(kind.read(value))
        except (SettingError, ExceptionGroup) as error:
            faults = list(each(error))
        assert all(fault.message and isinstance(fault.key, tuple) for fault in faults)
