"""Built-in capabilities of APIs that report failures with status 200: they become errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.builtin import builtin_folder
from mcpgw.capabilities.parsing import read_capability
from tests.support.capability_calls import executor, text_of
from tests.support.playback import Playback, Played, playback

BUILTIN = builtin_folder()
assert BUILTIN is not None
KEYS = dict.fromkeys(("TELEGRAM_BOT_TOKEN", "DD_APP_KEY"), "example-key-1")
MEDIAWIKI = {"error": {"code": "badvalue", "info": "Unrecognized value"}}


@pytest.fixture(scope="module")
def stage() -> Iterator[Playback]:
    """Run the local server."""
    with playback() as running:
        yield running


@pytest.mark.parametrize(
    ("file", "answer", "expected"),
    [
        ("communication/slack_post_message", {"ok": False, "error": "is_archived"}, "is_archived"),
        ("communication/slack_channel_history", {"ok": False, "error": "no_one"}, "no_one"),
        ("communication/telegram_send_message", {"ok": False, "description": "blocked"}, "blocked"),
        (
            "developer/cloudflare_list_dns_records",
            {"success": False, "errors": [{"code": 7003, "message": "No route"}], "result": None},
            "No route",
        ),
        ("developer/datadog_query_metrics", {"status": "error", "error": "Bad query"}, "Bad query"),
        ("entertainment/poetry_search", {"status": 404, "reason": "Not found"}, "Not found"),
        ("entertainment/random_joke", {"error": True, "message": "No jokes"}, "No jokes"),
        ("entertainment/trivia_question", {"response_code": 5, "results": []}, "response_code"),
        ("entertainment/dog_picture", {"status": "error", "message": "No breed"}, "No breed"),
        (
            "finance/world_bank_indicator",
            [{"message": [{"id": "1", "value": "No such"}]}],
            "No such",
        ),
        (
            "finance/yahoo_stock_quote",
            {"chart": {"result": None, "error": {"code": "X", "description": "No data"}}},
            "No data",
        ),
        ("food/openfoodfacts_product", {"status": 0, "status_verbose": "no code"}, "no code"),
        ("knowledge/wikipedia_search", MEDIAWIKI, "Unrecognized value"),
        ("knowledge/wikidata_search", MEDIAWIKI, "Unrecognized value"),
        (
            "knowledge/wikipedia_article",
            {"query": {"pages": [{"title": "Nonsense", "missing": True}]}},
            "missing",
        ),
        (
            "media/image_to_text",
            {"IsErroredOnProcessing": True, "ErrorMessage": ["Unable to read"]},
            "Unable to read",
        ),
        ("utility/package_track", {"code": -1, "data": {"errors": [{"message": "bad"}]}}, "bad"),
        ("utility/package_register", {"code": -1, "data": {"errors": [{"message": "b"}]}}, "b"),
        ("utility/sunrise_sunset", {"status": "INVALID_DATE", "results": ""}, "INVALID_DATE"),
    ],
)
async def test_a_failure_is_an_error(
    file: str, answer: Any, expected: str, stage: Playback, tmp_path: Path
) -> None:
    """With the API's own message."""
    assert BUILTIN is not None
    path = BUILTIN / f"{file}.yaml"
    found, _ = read_capability(path, path.read_bytes())
    stage.play = lambda _: Played(200, json.dumps(answer).encode(), {"content-type": "text/plain"})
    environ = {**KEYS, found.auth.key.removeprefix("env:"): "example-key-1"}
    arguments = dict(found.examples[0].arguments)
    async with executor(tmp_path, environ, stage=stage) as calls:
        result = await calls.call(found, arguments)
    assert result["isError"]
    assert "reported an error" in text_of(result)
    assert expected in text_of(result)
