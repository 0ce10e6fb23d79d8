"""Caching of responses: what the file allows, what the API forbids, and what writes change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from mcpgw.capabilities.executor import CACHED_FOR
from mcpgw.capabilities.freshness import cacheable_seconds
from mcpgw.capabilities.parsing import read_capability
from mcpgw.config.problems import ConfigError
from tests.support.capability_calls import Between, capability, executor, value_of
from tests.support.playback import Asked, Playback, Played, playback

LOCAL = ("127.0.0.0/8", "localhost")
KEPT = "cache: {strategy: exact, ttl: 60}"


@pytest.fixture
def stage() -> Iterator[Playback]:
    """Run a local server that counts its answers."""
    with playback() as running:
        running.play = counting()
        yield running


def counting(**headers: str) -> Any:
    """Return answers that are numbered."""
    count = 0

    def play(_: Asked) -> Played:
        nonlocal count
        count += 1
        return Played.json({"n": count}, **headers)

    return play


def tool(url: str, more: str = KEPT, method: str = "GET", name: str = "x") -> Any:
    """Return a capability without inputs."""
    body = "body: {a: 1}, " if method in ("POST", "PUT", "PATCH") else ""
    return capability(
        f"name: {name}\ndescription: x\nnetwork: {{allow_private: true}}\n"
        "providers: {primary: {config: "
        f"{{{body}base_url: '{url}', method: {method}}}}}}}\n{more}",
        name,
    )


async def numbers(calls: Any, *found: Any) -> list[Any]:
    """Call capabilities one after the other; return the numbers of their answers."""
    return [value_of(await calls.call(each, {}))["n"] for each in found]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, float("inf")),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "NO-CACHE"}, 0),
        ({"cache-control": 'no-cache="set-cookie", max-age=9'}, 9),
        ({"cache-control": "private, max-age=5"}, 5),
        ({"cache-control": 'max-age="7"'}, 7),
        ({"cache-control": "max-age=60", "age": "50"}, 10),
        ({"cache-control": "max-age=60", "age": "70"}, 0),
        ({"cache-control": "max-age=soon"}, 0),
        ({"cache-control": "public, s-maxage=5"}, float("inf")),
        ({"vary": "*"}, 0),
        ({"vary": "Accept, *", "cache-control": "max-age=60"}, 0),
        ({"vary": "Accept"}, float("inf")),
        ({"expires": "0"}, 0),
        ({"expires": "Tue, 01 Dec 2026 00:01:00 GMT", "date": "Tue, 01 Dec 2026 00:00:00 GMT"}, 60),
        (
            {
                "expires": "Tue, 01 Dec 2026 00:01:00 GMT",
                "date": "Tue, 01 Dec 2026 00:00:00 GMT",
                "cache-control": "max-age=3",
            },
            3,
        ),
        ({"pragma": "no-cache"}, 0),
    ],
)
def test_headers_limit_the_time(headers: dict[str, str], seconds: float) -> None:
    """As RFC 9111 says for a cache that never revalidates."""
    assert seconds == cacheable_seconds(headers)


@pytest.mark.parametrize(
    ("more", "headers", "answers"),
    [
        ("", {}, [1, 2]),
        ("cache: {strategy: none, ttl: 60}", {}, [1, 2]),
        (KEPT, {}, [1, 1]),
        (KEPT, {"cache-control": "no-store"}, [1, 2]),
        (KEPT, {"cache-control": "no-cache"}, [1, 2]),
        (KEPT, {"cache-control": "max-age=0, must-revalidate"}, [1, 2]),
        (KEPT, {"cache-control": "private"}, [1, 1]),
        (KEPT, {"vary": "*"}, [1, 2]),
    ],
)
async def test_a_get_is_cached_as_file_and_api_allow(
    more: str, headers: dict[str, str], answers: list[int], stage: Playback, tmp_path: Path
) -> None:
    """Not without the file's own word, and not against the API's."""
    stage.play = counting(**headers)
    async with executor(tmp_path, inside=LOCAL) as calls:
        assert answers == await numbers(calls, *[tool(stage.url, more)] * 2)


async def test_a_shorter_age_of_the_api_wins(stage: Playback, tmp_path: Path) -> None:
    """The file's time to live is the most; the age is given with the answer."""
    stage.play = counting(**{"cache-control": "max-age=5"})
    found = tool(stage.url)
    async with executor(tmp_path, inside=LOCAL) as calls:
        first = await calls.call(found, {})
        assert CACHED_FOR not in first.get("_meta", {})
        # The clock is moved by hand, since a test clock cannot wait for a real server.
        for kept in calls._cache._responses.values():
            object.__setattr__(kept, "stored", kept.stored - 4)
            object.__setattr__(kept, "until", kept.until - 4)
        again = await calls.call(found, {})
        assert 4 == pytest.approx(again["_meta"][CACHED_FOR], abs=0.9)
        assert 1 == value_of(again)["n"]
        for kept in calls._cache._responses.values():
            object.__setattr__(kept, "until", kept.until - 1)
        assert [2] == await numbers(calls, found)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_write_drops_what_it_may_have_changed(
    method: str, status: int, stage: Playback, tmp_path: Path
) -> None:
    """Answers of the same origin, whatever the outcome; those of another one are kept."""
    read, write = tool(stage.url), tool(stage.url, "", method, "w")
    with playback() as other:
        other.play = counting()
        elsewhere = tool(other.url, name="y")
        async with executor(tmp_path, inside=LOCAL) as calls:
            assert [1, 1, 1] == await numbers(calls, read, read, elsewhere)
            inner = stage.play
            stage.play = lambda asked: Played(status) if asked.method == method else inner(asked)
            await calls.call(write, {})
            assert [2, 1] == await numbers(calls, read, elsewhere)


async def test_a_read_that_overlaps_a_write_is_not_kept(stage: Playback, tmp_path: Path) -> None:
    """It may have been answered before the change."""
    read, write = tool(stage.url), tool(stage.url, "", "POST", "w")
    begun, written = trio.Event(), trio.Event()
    async with executor(tmp_path, inside=LOCAL) as calls:

        async def slow(outgoing: Any, **options: Any) -> Any:
            response = await calls.sender.send(outgoing, **options)
            if outgoing.method == "GET" and not begun.is_set():
                begun.set()
                await written.wait()
            return response

        calls._http.sender = Between(slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls.call, read, {})
            await begun.wait()
            await calls.call(write, {})
            written.set()
        assert [3] == await numbers(calls, read)


async def test_services_of_one_account_share_their_data(stage: Playback, tmp_path: Path) -> None:
    """A write with the same credential drops answers of other hosts too."""
    auth = 'auth: {key: "env:KEY"}\n'
    with playback() as other:
        other.play = counting()
        async with executor(tmp_path, {"KEY": "secret-1"}, inside=LOCAL) as calls:
            read = tool(other.url, auth + KEPT)
            assert [1, 1] == await numbers(calls, read, read)
            await calls.call(tool(stage.url, auth, "POST", "w"), {})
            assert [2] == await numbers(calls, read)


async def test_equal_calls_share_only_what_may_be_shared(stage: Playback, tmp_path: Path) -> None:
    """Calls that wait for an answer with `no-store` make their own requests."""
    stage.play = counting(**{"cache-control": "no-store"})
    found = tool(stage.url)
    async with executor(tmp_path, inside=LOCAL) as calls, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(calls.call, found, {})
    assert 4 == len(stage.asked)


@pytest.mark.parametrize(
    ("method", "metadata", "valid"),
    [
        ("GET", "{}", True),
        ("GET", "{read_only: true}", True),
        ("GET", "{read_only: false}", False),
        ("POST", "{}", False),
        ("POST", "{read_only: true}", True),
        ("DELETE", "{idempotent: true}", False),
    ],
)
def test_a_cache_of_writes_is_an_error(method: str, metadata: str, valid: bool) -> None:
    """It would do nothing; the error has the line and the fix."""
    text = (
        "name: x\ndescription: x\n"
        f"providers: {{primary: {{config: {{base_url: 'https://a.example', method: {method}}}}}}}\n"
        f"{KEPT}\nmetadata: {metadata}\n"
    )
    if valid:
        read_capability(Path("x.yaml"), text.encode())
        return
    with pytest.raises(ConfigError) as caught:
        read_capability(Path("x.yaml"), text.encode())
    (problem,) = [each for each in caught.value.problems if each.level == "error"]
    assert (4, "cache") == (problem.line, problem.key)
    assert "read_only: true" in problem.hint
