"""Files of imported operations: their text, and a second import into the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgw.cli.app import group
from mcpgw.config.yamlfile import parse
from mcpgw.openapi_import import convert, write
from mcpgw.openapi_import.writing import MARK
from mcpgw.openapi_import.yaml_text import to_yaml
from tests.openapi_import.documents import SOURCE, document
from tests.support.playback import Asked, Played, playback

NASTY = st.sampled_from(
    [
        *("", " ", "yes", "NO", "null", "~", "1", "1e3", "0x1f", "1_000", "12:30", "2026-01-01"),
        *("a: b", "- a", "# a", "a #b", "{a}", "[a]", "a,b", "*a", "&a", "!a", "|", ">", "%a"),
        *("@a", "`a", "'a'", '"a"', "a\nb", "a\n\nb ", "\ta", "a ", " a", "---", "...", "=", "<<"),
        *(
            "\x7f",
            "\x85",
            "\u2028",
            "\ufeff",
            "a" * 200,
            "ab " * 80,
            "é " * 80 + "é",
            "\ud83d\ude00",
        ),
        *("word " * 40 + "end", "a\x07", "\\", "$ref", "?", "? a", "a:", ":a", "(a", "a'b,c"),
    ]
)
TEXTS = NASTY | st.text(st.characters(codec="utf-8"), max_size=150)
VALUES = st.recursive(
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_yaml(value: dict[str, Any]) -> None:
    """Whatever the data, the text reads back as it."""
    assert value == parse(to_yaml(value))


def paths(*names: str) -> dict[str, Any]:
    """Return the paths of operations."""
    return {f"/{name}": {"get": {"operationId": name}} for name in names}


def test_a_second_import(tmp_path: Path) -> None:
    """Removed and renamed operations are reported; edited files are kept, and stop nothing."""
    write(convert(document(paths("first", "second", "third")), source=SOURCE), tmp_path)
    (tmp_path / "first.yaml").write_text("name: first\n")
    changed = {**paths("first", "new"), "/second": {"get": {"operationId": "renamed"}}}
    found = convert(document(changed), source=SOURCE)
    done = write(found, tmp_path)
    assert [tmp_path / "first.yaml"] == list(done.kept)
    assert {"new.yaml", "renamed.yaml"} == {path.name for path in done.files}
    assert {
        "second.yaml": "GET /second is now renamed",
        "third.yaml": "GET /third no longer exists",
    } == {path.name: reason for path, reason in done.stale}
    assert "name: first\n" == (tmp_path / "first.yaml").read_text()


def test_another_import_is_not_stale(tmp_path: Path) -> None:
    """Files of other documents, of other people and of operations left out stay unmentioned."""
    others = document(paths("other", "first"))
    write(convert(others, source="https://b.example/api.json", prefix="b"), tmp_path)
    write(convert(document(paths("first", "second")), source=SOURCE), tmp_path)
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    found = convert(document(paths("first", "second")), source=SOURCE)
    some = found.capabilities[:1]
    assert () == write(type(found)(some, (), (), found.source, found.operations), tmp_path).stale
    assert MARK in (tmp_path / "b_other.yaml").read_text()


class TestCommand:
    def run(self, *words: str, home: Path) -> Any:
        return CliRunner().invoke(group, ["cap", *words], env={"MCP_GATEWAY_HOME": str(home)})

    def test_reports_are_short(self, tmp_path: Path) -> None:
        """Many operations of one kind are one line, and all with `--details`."""
        spec = tmp_path / "api.json"
        spec.write_text(json.dumps(document(paths(*(f"op{n}" for n in range(40))))))
        words = ("import", str(spec), "-o", str(tmp_path / "out"), "--include", "op7")
        done = self.run(*words, home=tmp_path)
        assert "Skipped: 39 operations: not included (--details lists them)" in done.output
        assert 40 > len(done.output.splitlines())
        assert 39 == self.run(*words, "--details", home=tmp_path).output.count("not included")

    def test_kept_and_stale_files(self, tmp_path: Path) -> None:
        """Each is named, and the rest is written."""
        spec, out = tmp_path / "api.json", tmp_path / "out"
        spec.write_text(json.dumps(document(paths("a", "b"))))
        assert 0 == self.run("import", str(spec), "-o", str(out), home=tmp_path).exit_code
        (out / "a.yaml").write_text((out / "a.yaml").read_text() + "# mine\n")
        spec.write_text(json.dumps(document(paths("a", "c"))))
        done = self.run("import", str(spec), "-o", str(out), home=tmp_path)
        assert 0 == done.exit_code
        assert "Imported 1 tool" in done.output
        assert f"Kept: {out / 'a.yaml'}" in done.output
        assert f"Stale: {out / 'b.yaml'}: GET /b no longer exists" in done.output

    def test_a_document_without_its_files(self, tmp_path: Path) -> None:
        """It fails, and writes nothing."""
        spec = tmp_path / "api.json"
        spec.write_text(json.dumps(document({"/x": {"$ref": "x.yaml"}, "/y": {"$ref": "y.yaml"}})))
        done = self.run("import", str(spec), "-o", str(tmp_path / "out"), home=tmp_path)
        assert 0 != done.exit_code
        assert not (tmp_path / "out").exists()

    def test_a_local_api(self, tmp_path: Path) -> None:
        """Its files, the document's own files included, run as they are written."""
        answers = {
            "/openapi.json": document({"/x": {"$ref": "x.json"}}, servers=[{"url": "/v1"}]),
            "/x.json": {"get": {"operationId": "readX"}},
        }
        with playback() as stage:

            def play(asked: Asked) -> Played:
                return Played.json(answers.get(asked.target, {"at": asked.target}))

            stage.play = play
            out = tmp_path / "caps"
            words = ("import", f"{stage.url}/openapi.json", "-o", str(out))
            done = self.run(*words, "--allow-private", "127.0.0.1", home=tmp_path)
            assert 0 == done.exit_code, done.output
            assert "\n    allow_private: [127.0.0.1]\n" in done.output
            config = tmp_path / "gateway.yaml"
            config.write_text("capabilities:\n  allow_private: [127.0.0.1]\n")
            test = ("test", str(out / "read_x.yaml"), "-c", str(config))
            called = self.run(*test, home=tmp_path)
        assert 0 == called.exit_code, called.output
        assert "/v1/x" in called.output

    @pytest.mark.parametrize("url", ["ftp://x", "example.com", "https://"])
    def test_an_invalid_base_url(self, url: str, tmp_path: Path) -> None:
        """It is refused in words."""
        spec = tmp_path / "api.json"
        spec.write_text(json.dumps(document(paths("a"))))
        done = self.run("import", str(spec), "--base-url", url, home=tmp_path)
        assert "must be an http or https URL" in done.output
        assert 2 == done.exit_code
