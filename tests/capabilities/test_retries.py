"""Retries: what may be sent again, and how long a rate limit is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpgw.capabilities.errors import CallProblem
from mcpgw.pipeline.call import Recovery
from mcpgw.pipeline.error_classifier import classify
from tests.support.capability_calls import Between, capability, executor, text_of, value_of
from tests.support.playback import Asked, Playback, Played, playback

LOCAL = ("127.0.0.0/8", "localhost")


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server."""
    with playback() as running:
        yield running


def tool(
    stage: Playback, method: str = "GET", metadata: str = "{}", more: str = "", config: str = ""
) -> Any:
    """Return a capability that makes one request."""
    body = "body: {a: 1}, " if method in ("POST", "PUT", "PATCH") else ""
    return capability(
        f"name: x\ndescription: x\nnetwork: {{allow_private: true}}\nmetadata: {metadata}\n"
        "schema: {input: {type: object, properties: {key: {type: string}}}}\n"
        "providers: {primary: {timeout: 1, config: "
        f"{{{body}{config}base_url: '{stage.url}', method: {method}}}}}}}\n{more}"
    )


def script(*answers: Any) -> Any:
    """Play one answer after the other, the last again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


READ, SAME = "{read_only: true}", "{idempotent: true}"
BOTH = "{read_only: true, idempotent: true}"


@pytest.mark.parametrize("failure", ["status", "lost"])
@pytest.mark.parametrize(
    ("method", "metadata", "more", "config", "requests"),
    [
        ("GET", "{}", "", "", 3),
        ("GET", READ, "", "", 3),
        ("GET", "{read_only: false}", "", "", 1),
        ("GET", "{read_only: false, idempotent: true}", "", "", 3),
        ("POST", "{}", "", "", 1),
        ("POST", READ, "", "", 1),
        ("POST", SAME, "", "", 1),
        ("POST", BOTH, "", "", 1),
        ("PATCH", BOTH, "", "", 1),
        ("PUT", "{}", "", "", 1),
        ("PUT", SAME, "", "", 3),
        ("DELETE", SAME, "", "", 3),
        ("POST", "{}", "retry: {idempotency_header: X-Request-Key}", "", 3),
        ("POST", "{}", "", "headers: {Idempotency-Key: '{key}'}, ", 3),
    ],
)
async def test_what_may_have_taken_effect(
    failure: str,
    method: str,
    metadata: str,
    more: str,
    config: str,
    requests: int,
    stage: Playback,
    tmp_path: Path,
) -> None:
    """It is repeated only if HTTP or a key makes that safe, whatever the file calls it."""
    stage.play = lambda _: Played(502)
    found = tool(stage, method, metadata, more, config)
    async with executor(tmp_path, inside=LOCAL) as calls:
        if failure == "lost":

            async def lose(*args: Any, **options: Any) -> Any:
                await calls.sender.send(*args, **options)
                raise CallProblem("No response.", again=True, sent=True)

            calls._http.sender = Between(lose)
        assert (await calls.call(found, {"key": "k-1"}))["isError"]
    assert requests == len(stage.asked)


@pytest.mark.parametrize(("method", "repeated"), [("POST", False), ("GET", True)])
async def test_a_timeout(method: str, repeated: bool, stage: Playback, tmp_path: Path) -> None:
    """The request may still be processed, so a POST that only reads is not sent again."""

    def slow(_: Asked) -> Played:
        time.sleep(1.5)
        return Played.json({})

    stage.play = slow
    found = tool(stage, method, BOTH, "retry: {attempts: 2}")
    async with executor(tmp_path, inside=LOCAL) as calls:
        assert "timed out after 1 s" in text_of(await calls.call(found, {}))
    assert repeated is (len(stage.asked) > 1)


async def test_the_key_is_the_same_in_all_retries(stage: Playback, tmp_path: Path) -> None:
    """And another one for another call."""
    stage.play = lambda _: Played(502)
    found = tool(stage, "POST", more="retry: {idempotency_header: Idempotency-Key}")
    async with executor(tmp_path, inside=LOCAL) as calls:
        await calls.call(found, {})
        await calls.call(found, {})
    keys = [each.headers["idempotency-key"] for each in stage.asked]
    assert 5 <= len(keys)  # the breaker opens after five failures
    assert 2 == len(set(keys))
    assert 1 == len(set(keys[:3]))


async def test_what_was_not_sent_is_sent_again(tmp_path: Path) -> None:
    """A refused connection has no effect, so any request is tried again."""
    with playback() as gone:
        found = tool(gone, "POST")
    async with executor(tmp_path, inside=LOCAL) as calls:
        tried = 0

        async def count(*args: Any, **options: Any) -> Any:
            nonlocal tried
            tried += 1
            return await calls.sender.send(*args, **options)

        calls._http.sender = Between(count)
        said = text_of(await calls.call(found, {}))
    assert 3 == tried
    assert "connection refused" in said.lower()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "refusal",
    [
        Played(429),
        Played(429, headers={"retry-after": "0"}),
        Played(503, headers={"retry-after": "0"}),
        Played(403, headers={"retry-after": "0"}),
        Played(403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}),
        Played(403, headers={"ratelimit": '"default";r=0;t=0'}),
        Played.json({"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}, 403),
    ],
)
async def test_a_rate_limit_is_waited_for(
    method: str, refusal: Played, stage: Playback, tmp_path: Path
) -> None:
    """The API did not process the request, so a write may be sent again as well."""
    stage.play = script(refusal, Played.json({"ok": 1}))
    async with executor(tmp_path, inside=LOCAL) as calls:
        assert {"ok": 1} == value_of(await calls.call(tool(stage, method), {}))
    assert 2 == len(stage.asked)


@pytest.mark.parametrize(
    "refusal",
    [
        Played(429, headers={"retry-after": "3"}),
        Played(503, headers={"retry-after": "3"}),
        Played.json(
            {"message": "API rate limit exceeded", "status": "403"},
            403,
            **{"x-ratelimit-remaining": "0", "retry-after": "3"},
        ),
    ],
)
async def test_a_wait_beyond_the_deadline_is_told(
    refusal: Played, stage: Playback, tmp_path: Path
) -> None:
    """At once, with the time, and as a rate limit rather than a rejected credential."""
    import trio

    stage.play = lambda _: refusal
    async with executor(tmp_path, inside=LOCAL) as calls:
        began = time.monotonic()
        result = await calls.call(tool(stage), {}, deadline=trio.current_time() + 1)
        with trio.move_on_after(1):
            await calls.call(tool(stage), {})
        assert time.monotonic() - began < 0.9
    said = text_of(result)
    assert 2 == len(stage.asked)
    assert "rate limit" in said
    assert "Retry after 3 s" in said
    assert "credential" not in said
    verdict = classify(result)
    assert verdict is not None
    assert Recovery.RATE_LIMITED is verdict[0]


async def test_a_plain_403_is_a_rejected_credential(stage: Playback, tmp_path: Path) -> None:
    """It is not retried."""
    stage.play = lambda _: Played.json({"message": "no"}, 403, **{"x-ratelimit-remaining": "59"})
    async with executor(tmp_path, inside=LOCAL) as calls:
        result = await calls.call(tool(stage), {})
    assert 1 == len(stage.asked)
    assert "credential was rejected" in text_of(result)
    verdict = classify(result)
    assert verdict is not None
    assert Recovery.NOT_AUTHORIZED is verdict[0]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_redirect_to_the_same_origin_keeps_the_body(
    status: int, method: str, stage: Playback, tmp_path: Path
) -> None:
    """As frameworks do for a missing slash."""
    stage.play = lambda asked: (
        Played.json({"got": asked.json})
        if asked.target == "/things/"
        else Played(status, headers={"location": "/things/"})
    )
    async with executor(tmp_path, inside=LOCAL) as calls:
        assert {"got": {"a": 1}} == value_of(await calls.call(tool(stage, method), {}))
    assert [method, method] == [each.method for each in stage.asked]


async def test_a_write_is_not_repeated_for_the_page_after_it(
    stage: Playback, tmp_path: Path
) -> None:
    """After 303 the write is done, however the GET that follows ends."""
    stage.play = lambda asked: (
        Played(303, headers={"location": "/done"}) if asked.method == "POST" else Played(429)
    )
    async with executor(tmp_path, inside=LOCAL) as calls:
        assert (await calls.call(tool(stage, "POST"), {}))["isError"]
    assert ["POST", "GET"] == [each.method for each in stage.asked]


async def test_a_fallback_does_not_do_it_twice(stage: Playback, tmp_path: Path) -> None:
    """An idempotent write that may have happened here would happen again elsewhere."""
    put = f"base_url: '{stage.url}', method: PUT, body: {{}}"
    found = capability(
        "name: x\ndescription: x\nnetwork: {allow_private: true}\nmetadata: {idempotent: true}\n"
        f"providers:\n  primary: {{config: {{path: /one, {put}}}}}\n"
        f"  fallback: {{config: {{path: /two, {put}}}}}\n"
    )
    stage.play = lambda _: Played(500)
    async with executor(tmp_path, inside=LOCAL) as calls:
        await calls.call(found, {})
    assert {"/one"} == {each.target for each in stage.asked}
