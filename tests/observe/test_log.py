"""Log lines: bounded, without secrets and control characters, and our own words whole."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mcpgw.observe import log
from mcpgw.observe.redactor import Redactor
from tests.observe.test_printable import controls

HOSTILE = "n\x1b]0;PWNED\x07\x1b[2J\x9b\x7f\u202e\u2028\ud800"
SECRET = "words-of-a-secret-7"
_logger = log.get_logger("test")


@pytest.fixture(params=["text", "json"])
def output(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Write log lines to a text, in both forms."""
    stream = io.StringIO()
    log.configure(form=request.param, output=stream)
    yield stream
    log.configure()


@pytest.mark.parametrize(
    "value",
    [
        HOSTILE,
        f"with blanks {HOSTILE}",
        [HOSTILE],
        {HOSTILE: HOSTILE},
        ValueError(HOSTILE),
        log.OwnWords(HOSTILE),
        (HOSTILE, [HOSTILE]),
        "line\nbreak",
        {"a\nb"},
    ],
)
def test_values_control_nothing(output: io.StringIO, value: Any) -> None:
    """A value of any type stays on its line and reaches no terminal raw."""
    _logger.warning("event", name=value)
    text = output.getvalue()
    assert ["\n"] == controls(text)
    assert text.endswith("\n")


def test_a_traceback(output: io.StringIO) -> None:
    """A traceback keeps its lines, but no control characters and no secret."""
    redactor = Redactor((SECRET,))
    log.protect(redactor)
    try:
        raise ValueError(f"boom {HOSTILE} {SECRET}")
    except ValueError as error:
        _logger.error("event", exc_info=error)
    text = output.getvalue()
    assert {"\n"} == set(controls(text))
    assert "boom" in text
    assert SECRET not in text


@pytest.mark.parametrize("wrap", [str, lambda s: [s], lambda s: {"k": s}, ValueError, log.OwnWords])
def test_known_secrets(output: io.StringIO, wrap: Any) -> None:
    """Secrets of a redactor in use are in no value; later they are forgotten with it."""
    redactor = Redactor((SECRET,))
    log.protect(redactor)
    _logger.warning("event", name=wrap(f"it was {SECRET}"))
    assert SECRET not in output.getvalue()
    assert "[redacted]" in output.getvalue()
    del redactor
    _logger.warning("event", name=wrap(f"it was {SECRET}"))
    assert SECRET in output.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        (
            "gateway.yaml:11: backends.a.env.GITHUB_TOKEN: 'a': the variable TOK is not set. Set,"
            " or add a default: ${TOK:-...}."
        ),
        "backends.s.headers.Authorization: 's': the variable NOTSET is not set",
        "auth.bearer_token: must be a string",
        "auth.enabled is true, but auth.bearer_token is not set; set a token",
    ],
)
def test_own_words_stay_whole(output: io.StringIO, words: str) -> None:
    """Our messages about secrets are not redacted."""
    _logger.warning("event", problem=log.OwnWords(words))
    assert json.dumps(words)[1:-1] in output.getvalue().replace("\\'", "'")


def test_foreign_words_are_searched(output: io.StringIO) -> None:
    """Texts that look like a credential are redacted in all other values."""
    _logger.warning("event", reason="Authorization: Bearer words-of-something")
    assert "words-of-something" not in output.getvalue()


def test_huge_values(output: io.StringIO) -> None:
    """A text of 9 MB, or a list of a million, costs what its shown part costs."""
    began = time.process_time()
    _logger.warning("event", reason="token=abc " * 900_000, items=["x"] * 1_000_000)
    _logger.warning("event", problem=log.OwnWords("y" * 9_000_000))
    assert time.process_time() - began < 1
    assert len(output.getvalue()) < 20_000
