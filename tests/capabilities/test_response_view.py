"""Views of an answer: plain, in the common form, or whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.response_view import FULL, PLAIN, PROJECTED, RAW, projected
from mcpgw.config.problems import ConfigError
from tests.support.capability_calls import capability, executor, value_of
from tests.support.playback import Playback, Played, playback

PROJECTION = {"actor": {"handle": "user.login"}, "subject": {"id": "id", "title": "name"}}
ISSUE = {"id": 7, "name": "Tea", "user": {"login": "ada", "mail": "ada@example.com"}}


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server that answers with an issue."""
    with playback() as running:
        running.play = lambda _: Played.json(ISSUE)
        yield running


def issue(stage: Playback, more: str = "") -> Any:
    """Return a capability of the local server."""
    return capability(
        "name: issue\ndescription: An issue.\nnetwork: {allow_private: true}\n"
        f"providers: {{primary: {{config: {{base_url: '{stage.url}'}}}}}}\n{more}"
    )


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (ISSUE, {"actor": {"handle": "ada"}, "subject": {"id": "7", "title": "Tea"}, RAW: ISSUE}),
        ({"id": 7, "name": ""}, {"subject": {"id": "7"}, RAW: {"id": 7, "name": ""}}),
        ({"id": [1, None]}, {"subject": {"id": "[1,null]"}, RAW: {"id": [1, None]}}),
        ({"other": 1}, {"other": 1}),
        ([], []),
        ("text", "text"),
        (None, None),
    ],
)  # fmt: skip
def test_the_common_form(value: Any, form: Any) -> None:
    """Findings are added as text beside the answer; without findings nothing changes."""
    assert form == projected(value, PROJECTION)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{who: {id: a}}", "projection.who"),
        ("{actor: {ident: a}}", "projection.actor.ident"),
        ("{actor: [id]}", "projection.actor"),
        ("{actor: {id: ''}}", "projection.actor.id"),
        ("text", "projection"),
    ],
)
def test_a_faulty_projection_is_named(stage: Playback, written: str, said: str) -> None:
    """With its key."""
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        issue(stage, f"projection: {written}\n")


async def test_views(stage: Playback, tmp_path: Path) -> None:
    """`full` undoes `response_transform`, all but what it redacts; `transform` holds for all."""
    more = (
        "transform: {project: [id, name, user]}\n"
        "response_transform: {project: [id, user], redact: [mail]}\n"
        "projection: {subject: {id: id}}\n"
    )
    hidden = {"login": "ada", "mail": "[REDACTED]"}
    async with executor(tmp_path, inside=("127.0.0.0/8",)) as calls:
        found = {
            view: value_of(await calls.call(issue(stage, more), {}, view=view))
            for view in (PLAIN, PROJECTED, FULL)
        }
    assert {"id": 7, "user": hidden} == found[PLAIN]
    assert {"subject": {"id": "7"}, RAW: {"id": 7, "user": hidden}} == found[PROJECTED]
    assert {"id": 7, "name": "Tea", "user": hidden} == found[FULL]


async def test_whole_is_fresh(stage: Playback, tmp_path: Path) -> None:
    """A kept answer will not do for `full`."""
    kept = issue(stage, "cache: {strategy: ttl, ttl: 60}\nmetadata: {read_only: true}\n")
    async with executor(tmp_path, inside=("127.0.0.0/8",)) as calls:
        for view, asked in ((PLAIN, 1), (PLAIN, 1), (FULL, 2), (PLAIN, 2)):
            await calls.call(kept, {}, view=view)
            assert asked == len(stage.asked)
