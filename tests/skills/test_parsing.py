"""Reading SKILL.md."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.skills.model import LARGEST, CodeBlock, Skill, SkillError, shown, shown_line
from mcpgw.skills.parsing import parse_skill, render_skill

HEAD = "---\nname: greet\ndescription: Say hello.\n---\n"


def fault(text: str | bytes) -> SkillError:
    with pytest.raises(SkillError) as caught:
        parse_skill(text, place="SKILL.md")
    return caught.value


def check(text: str | bytes) -> None:
    """Assert that a text is a valid skill or gives a one-line error."""
    told = ""
    try:
        skill = parse_skill(text, place="SKILL.md")
    except SkillError as error:
        told = str(error)
    else:
        json.dumps(skill.extra, allow_nan=False)
        assert skill.name
        assert skill.description
    assert told == "" or told.startswith("SKILL.md")
    assert "\n" not in told


def test_a_whole_skill() -> None:
    """All known fields are read, and the rest is kept."""
    skill = parse_skill(
        "---\n"
        "name: greet\n"
        "description: Say hello.\n"
        "version: 1.10\n"
        "effort: low\n"
        "allowed-tools: Read, Bash(git add:*, git commit:*)\n"
        "triggers: [hello, hi there]\n"
        "keywords: greeting, manners\n"
        "license: MIT\n"
        "metadata: {author: someone, years: [2025, 2026], date: 2026-11-23}\n"
        "---\n"
        "\n"
        "# Greeting\n\nText.\n\n```sh\necho hello\n```\n\n"
    )
    assert skill == Skill(
        name="greet",
        description="Say hello.",
        version="1.10",
        effort="low",
        allowed_tools=("Read", "Bash(git add:*, git commit:*)"),
        triggers=("hello", "hi there"),
        keywords=("greeting", "manners"),
        body="# Greeting\n\nText.\n\n```sh\necho hello\n```\n",
        code_blocks=(CodeBlock("sh", "echo hello"),),
        extra={
            "license": "MIT",
            "metadata": {"author": "someone", "years": [2025, 2026], "date": "2026-11-23"},
        },
    )
    assert skill.title == "Greeting"


def test_tools_parted_by_spaces() -> None:
    """Tools may be parted by spaces, as the open format of Agent Skills writes them."""
    skill = parse_skill(HEAD.replace("---\n", "---\nallowed-tools: Bash(git add:*) Read\n", 1))
    assert ("Bash(git add:*)", "Read") == skill.allowed_tools


@pytest.mark.parametrize("before", ["", "\ufeff", "\n\n", "\ufeff \t\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_empty_lines_and_line_ends(before: str, end: str) -> None:
    """A byte order mark, empty lines before, and line ends of all systems change nothing."""
    text = before + (HEAD + "Body\n\n```py\nx = 1\n```").replace("\n", end)
    skill = parse_skill(text.encode())
    assert "Body\n\n```py\nx = 1\n```\n" == skill.body
    assert (CodeBlock("py", "x = 1"),) == skill.code_blocks


def test_the_first_closing_line_counts() -> None:
    """A rule in the body stays in the body, and dashes inside of a value are its own."""
    skill = parse_skill("---\nname: a\ndescription: |\n  x\n  ---\n  y\n---  \none\n\n---\n\ntwo")
    assert "x\n---\ny" == skill.description
    assert "one\n\n---\n\ntwo\n" == skill.body


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty; it must start with '---' front matter."),
        ("\n\n  \n", "the file is empty; it must start with '---' front matter."),
        ("\n# Title\n", "SKILL.md:2: must start with '---' front matter that has"),
        ("---\nname: a\n", "SKILL.md:1: the front matter that starts here has no closing"),
        ("---\n---\n", "SKILL.md:2: the front matter must be a map"),
        ("---\n- a\n---\n", "the front matter must be a map"),
        ("---\ndescription: b\n---\n", "SKILL.md:1: missing required field 'name'."),
        ("---\nname: a\n---\n", "SKILL.md:1: missing required field 'description'."),
        ("---\nname: 7\ndescription: b\n---", "SKILL.md:2: field 'name' must be a string"),
        ("---\nname: a\ndescription: [b]\n---", "SKILL.md:3: field 'description' must be a string"),
        ("---\nname: '  '\ndescription: b\n---", "SKILL.md:2: field 'name' must not be empty."),
        ("---\nname:\ndescription: b\n---", "SKILL.md:2: field 'name' must not be empty."),
        ("---\nname: a\ndescription: ''\n---", "SKILL.md:3: field 'description' must not be empty"),
        ('---\nname: "a\\eb"\ndescription: b\n---', "must be one line without control characters"),
        (f"---\nname: {'n' * 129}\ndescription: b\n---", "must have at most 128 characters."),
        ("---\nname: a\ndescription: b\nversion: true\n---", "SKILL.md:4: field 'version' must be"),
        ("---\nname: a\ndescription: b\nkeywords: {a: 1}\n---", "field 'keywords' must be a list"),
        ("---\nname: a\ndescription: b: c\n---", "SKILL.md:3: front matter: unexpected ':'"),
        ("---\nname: a\nname: b\ndescription: c\n---", "duplicate key 'name'"),
        ("---\nname: a\ndescription: b\nx: .inf\n---", "field 'x' must contain only strings"),
        ("---\nname: a\ndescription: b\nx: !!set {c}\n---", "field 'x' must contain only strings"),
        (b"---\nname: a\ndescription: \xff\n---", "SKILL.md:3: the text is not UTF-8"),
        (b"---\nname: a\ndescription: b\n---\n\0", "SKILL.md:5: this is not text"),
        (b"-" * (LARGEST + 1), "is larger than 1 MiB."),
    ],
)
def test_faults(text: str | bytes, words: str) -> None:
    """Each error is a sentence with the line of its cause."""
    assert words in str(fault(text))


def test_anchors_do_not_multiply() -> None:
    """A few lines that expand to billions of values are refused and never expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "---\nname: a\ndescription: b\n" + "\n".join(lines) + "\n---\n"
    assert "have more than 2000 values" in str(fault(text))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "!!seq [", "&a [", "[\n", ": "])
def test_nesting_without_an_end(opening: str) -> None:
    """Nesting that would crash the reader, which no error handling outlives, never reaches it."""
    for times in (150, 10_000, 100_000):
        text = f"---\nname: a\ndescription: b\nx:\n {opening * times}\n---\n"
        told = str(fault(text))
        assert "nested too deeply" in told or "the front matter is larger than 64 KiB" in told


def test_a_list_that_holds_itself() -> None:
    """An anchor inside of itself is refused."""
    assert "nested deeper than" in str(fault("---\nname: a\ndescription: b\nx: &x [*x]\n---\n"))


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        ("```bash\na\n\nb\n\n```", [("bash", "a\n\nb")]),
        ("~~~python\na\n~~~", [("python", "a")]),
        ("````sh\n```\na\n```\n````", [("sh", "```\na\n```")]),
        ("```sh\na\n`````", [("sh", "a")]),
        ("````sh\na\n```\nb", [("sh", "a\n```\nb")]),
        ("```sh\na\n~~~\nb\n```", [("sh", "a\n~~~\nb")]),
        ("~~~sh `x`\na\n~~~", [("sh", "a")]),
        ("```sh `x`\na\n```", []),
        ("```sh\na\n``` x\n```", [("sh", "a\n``` x")]),
        ("  ```sh\n  a\n    b\n c\n  ```", [("sh", "a\n  b\nc")]),
        ("    ```sh\n    a\n    ```", []),
        ("```sh\na\n    ```\n```", [("sh", "a\n    ```")]),
        ("```SH extra words\na\n```", [("sh", "a")]),
        ("``sh\na\n``", []),
        ("```rust\na\n```\n```json\n{}\n```", [("json", "{}")]),
        ("```\na\n```", []),
        ("```sh\n```", [("sh", "")]),
        ("text\n```sh\na\n```\ntext", [("sh", "a")]),
        ("1. one\n\n   ```sh\n   a\n   ```\n2. two", [("sh", "a")]),
        ("- - ```sh\n    a\n    ```", [("sh", "a")]),
        ("- ```sh\n  a\nb", [("sh", "a")]),
        ("1. a\n   - b\n     ```sh\n     c\n       d\n\n     e\n     ```", [("sh", "c\n  d\n\ne")]),
        ("> ```sh\n> a\n> ```\n", [("sh", "a")]),
        ("> ```sh\n> a\nb", [("sh", "a")]),
        ("-\n  ```sh\n  a\n  ```", [("sh", "a")]),
        ("-\tone\n\n\t```sh\n\ta\n\t```", [("sh", "a")]),
        ("- one\n\n  ```sh\n  a\n  ```", [("sh", "a")]),
        ("* * *\n\n```sh\na\n```", [("sh", "a")]),
        ("-one\n  ```sh\na\n  ```", [("sh", "a")]),
        ("```sh\n- a\n> b\n1. c\n```", [("sh", "- a\n> b\n1. c")]),
        ("```sh\n\ta\n```", [("sh", "\ta")]),
        ("text\n2) ```sh\na", []),
        ("text\n1) ```sh\n   a", [("sh", "a")]),
        ("# Heading\n2) ```sh\n   a", [("sh", "a")]),
        ("> - ```sh\n>   a\n>   ```\n> b", [("sh", "a")]),
        ("> \t```sh\n> a", [("sh", "a")]),
    ],
)  # fmt: skip
def test_fenced_blocks(body: str, blocks: list[tuple[str, str]]) -> None:
    """Blocks are found as CommonMark finds them: any length, both marks, in lists and quotes."""
    found = parse_skill(HEAD + body).code_blocks
    assert blocks == [(block.lang, block.content) for block in found]


def test_a_foreign_text_is_shown_without_what_a_terminal_acts_on() -> None:
    """Control characters, unseen ones and those that turn the text round become escapes."""
    assert "a\\x1b[2Jb\\u202ec\\u200bd\\x9b\n\té \u3000漢" == shown(
        "a\x1b[2Jb\u202ec\u200bd\x9b\n\té \u3000漢"
    )
    assert "a b\\x07" == shown_line("a\r\n\tb\x07")


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes, there is a skill or one sentence about it."""
    for text in (data, b"---\n" + data, b"---\nname: a\ndescription: b\n" + data + b"\n---\n"):
        check(text)


YAML_TEXT = st.text(alphabet="ab:- \n\t[]{}&*!|>'\"#,?%@`0123.~\\e\ud800\x85\u2028", max_size=60)


@settings(max_examples=300)
@given(YAML_TEXT)
def test_any_front_matter(front: str) -> None:
    """Any front matter gives a skill or a one-line error."""
    for text in (f"---\n{front}\n---\n", f"---\nname: a\ndescription: b\nx: {front}\n---\n"):
        check(text)


@settings(max_examples=300)
@given(st.text(alphabet="`~ \t\n>-1.ab", max_size=80))
def test_any_body(body: str) -> None:
    """Whatever the body, a block contains only lines of the body."""
    for block in parse_skill(f"{HEAD}```sh\n{body}").code_blocks:
        for line in block.content.split("\n"):
            assert line.strip() in body


PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORD = st.text("abcé-_:", min_size=1, max_size=8).filter(lambda word: word.strip() == word)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)
SKILLS = st.builds(
    Skill,
    name=WORD,
    description=WORD,
    version=WORD | st.just(""),
    effort=WORD | st.just(""),
    allowed_tools=st.lists(WORD, max_size=3).map(tuple),
    triggers=st.lists(WORD, max_size=3).map(tuple),
    keywords=st.lists(WORD, max_size=3).map(tuple),
    extra=st.dictionaries(st.text("xyz", min_size=1, max_size=4), JSON, max_size=3),
)


@settings(max_examples=300)
@given(SKILLS)
def test_what_is_written_reads_the_same(skill: Skill) -> None:
    """The text that is given to clients is a SKILL.md with the same fields."""
    assert skill == parse_skill(render_skill(skill))
