"""Lists of a live connection: independent of one another, and reported if unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from mcpgw.backends.list_reading import LIST_TIMEOUT
from mcpgw.backends.list_sync import ListSync
from mcpgw.backends.manifest import Manifest, ManifestStore
from mcpgw.backends.verdict import Verdict
from mcpgw.protocol.errors import PARSE_ERROR, RpcError
from mcpgw.protocol.peer import Params, Request
from tests.support.scripted import READ_TOOL, FakeServices, Life, Script, scripted_pool

HANG = object()


@attrs.define
class Lister(Life):
    """A server whose lists are answered, refused, late, or never answered."""

    lists: Mapping[str, Any] = attrs.field(factory=dict)
    delays: Mapping[str, float] = attrs.field(factory=dict)

    async def serve(self, request: Request) -> Params:
        if request.method == "initialize":
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }
        found = self.lists.get(request.method)
        if found is None and not request.method.endswith("/list"):
            return await Life.serve(self, request)
        await trio.sleep(self.delays.get(request.method, 0))
        if found is HANG:
            await trio.sleep_forever()
        if isinstance(found, RpcError):
            raise found
        return found if found is not None else {}


TOOLS = {"tools/list": {"tools": [READ_TOOL]}}


@pytest.mark.parametrize("method", ["resources/list", "resources/templates/list", "prompts/list"])
async def test_a_list_that_hangs_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, method: str
) -> None:
    """The tools are known a moment after they were answered, and changes of them are seen; the
    other list is reported as unreadable in the end."""
    life = Lister(lists={**TOOLS, method: HANG})
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        backend = pool.get("one")
        assert backend is not None
        began = trio.current_time()
        await backend.learned()
        assert trio.current_time() - began < 2
        assert {"read"} == set(backend.tools)
        life.lists = {**TOOLS, "tools/list": {"tools": []}}
        assert backend.lists.changed("notifications/tools/list_changed")
        await trio.sleep(2)
        assert {} == backend.tools
        await trio.sleep(LIST_TIMEOUT)
        assert f"its {method} was not answered within 20 s" == backend.lists.problem
        assert method in backend.situation()


@pytest.mark.parametrize("reason", ["not JSON: nested too deeply", "the message has 20 MB"])
async def test_an_unreadable_list_is_reported(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, reason: str
) -> None:
    """The server is ready, but its tools are not known, and why; it is asked again."""
    life = Lister(lists={"tools/list": RpcError(PARSE_ERROR, reason)})
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        assert f"its tools/list could not be read: {reason} (code -32700)" == backend.lists.problem
        assert "is ready, but its tools/list could not be read" in backend.situation()
        assert backend.withholds
        life.lists = TOOLS
        await trio.sleep(6)
        assert "" == backend.lists.problem
        assert {"read"} == set(backend.tools)


async def test_a_server_that_has_not_listed_yet(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It is not just `ready`: its situation says what it has not answered."""
    life = Lister(lists={"tools/list": HANG})
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.shared.connected()
        assert "has not answered `tools/list` yet" in backend.situation()
        await backend.learned()
        assert "its tools/list was not answered within 20 s" in backend.situation()


async def test_late_lists_belong_to_the_first_reading(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Lists that arrive after the tools of a new server are vetted as part of its first lists;
    those that are read later are not."""
    seen: list[tuple[int, bool]] = []

    async def vet(
        self: Any, server: str, manifest: Manifest, before: Any = None, *, same_reading: bool
    ) -> Verdict:
        seen.append((len(manifest.prompts), same_reading))
        return Verdict(manifest)

    monkeypatch.setattr(FakeServices, "vet", vet)
    prompts = {"prompts/list": {"prompts": [{"name": "p"}]}}
    life = Lister(lists={**TOOLS, **prompts}, delays={"prompts/list": 3})
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        backend = pool.get("one")
        assert backend is not None
        await backend.learned()
        await trio.sleep(4)
        life.lists = {**TOOLS, "prompts/list": {"prompts": [{"name": "p"}, {"name": "q"}]}}
        backend.lists.changed("notifications/prompts/list_changed")
        await trio.sleep(5)
    assert [(0, False), (1, True), (2, False)] == seen


async def test_servers_in_doubt_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Running ones and stopped ones, but not those of which nothing is withheld."""
    good, broken = Lister(lists=TOOLS), Lister(lists={"tools/list": RpcError(PARSE_ERROR, "bad")})
    scripts = {"good": Script([good]), "broken": Script([broken])}
    async with scripted_pool(monkeypatch, scripts) as pool:
        for backend in pool:
            await backend.learned()
        server = pool.get("broken")
        assert server is not None
        broken.lists = TOOLS
        await pool.look_again(patience=1)
        assert {"read"} == set(server.tools)

        broken.lists = {"tools/list": RpcError(PARSE_ERROR, "bad")}
        await server.learned()
        await server.look_again()
        assert server.withholds
        server.shared.stop()
        await trio.sleep(1)
        broken.lists = TOOLS
        await pool.look_again(patience=1, only="broken")
        assert not server.withholds
        assert [1, 2] == [len(scripts["good"].started), len(scripts["broken"].started)]


@pytest.mark.parametrize("holds", [True, False])
async def test_a_stored_manifest_is_shown_only_if_vetted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holds: bool
) -> None:
    """If its verdict no longer holds, clients see nothing of it until it is vetted again, which
    needs no start of the server; the new verdict is stored."""
    stored = Manifest("s", "f", "", {}, {}, "", (READ_TOOL,), (), (), (), 0.0)
    services = FakeServices().bundle()
    services.manifests = ManifestStore(tmp_path)
    services.manifests.save(stored)
    monkeypatch.setattr(FakeServices, "to_json", lambda *_: {"rules": "new"})
    if not holds:
        monkeypatch.setattr(FakeServices, "restore", lambda *_: None)
    seen: list[frozenset[str]] = []
    lists = ListSync("s", "f", services, log_level=lambda: None, listed=seen.append)
    assert holds == lists.prepared == (lists.manifest is not None)
    await lists.prepare()
    assert lists.prepared
    assert {"read"} == set(lists.tools)
    assert ([] if holds else [frozenset({"tools"})]) == seen
    record = services.manifests.load_vetted("s", "f")[1]
    assert (None if holds else {"rules": "new"}) == record


@attrs.define
class Paging(Life):
    """A server that lists one tool a page; `cursors` are the pages' cursors."""

    cursors: tuple[Any, ...] = ()
    asked: list[Any] = attrs.field(factory=list)

    async def serve(self, request: Request) -> Params:
        if request.method != "tools/list":
            return await Life.serve(self, request)
        self.asked.append(request.params.get("cursor"))
        page = len(self.asked) - 1
        return {
            "tools": [{**READ_TOOL, "name": f"read{page}"}],
            "nextCursor": self.cursors[page] if page < len(self.cursors) else None,
        }


@pytest.mark.parametrize(
    ("cursors", "pages"),
    [
        ((2, 3, 4), 4),
        ((1.5,), 2),
        (("a", "b"), 3),
        (("a", "a", "a"), 2),
        ((True,), 1),
        (({"page": 2},), 1),
        (([1],), 1),
    ],
    ids=str,
)
async def test_cursors_of_any_kind(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    cursors: tuple[Any, ...],
    pages: int,
) -> None:
    """Numbers count and are sent back as they came; a cursor that repeats ends the list."""
    life = Paging(cursors=cursors)
    async with scripted_pool(monkeypatch, {"one": Script([life])}) as pool:
        server = pool.get("one")
        assert server is not None
        await server.learned()
        assert pages == len(server.tools)
    assert life.asked == [None, *cursors[: pages - 1]]


async def test_a_log_level_that_is_never_acknowledged_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    @attrs.define
    class Logging(Life):
        async def serve(self, request: Request) -> Params:
            if request.method == "logging/setLevel":
                await trio.sleep_forever()
            result = await Life.serve(self, request)
            if request.method == "initialize":
                result["capabilities"]["logging"] = {}
            return result

    monkeypatch.setattr(FakeServices, "log_level", lambda _self, _instance: "debug")
    async with scripted_pool(monkeypatch, {"one": Script([Logging()])}) as pool:
        server = pool.get("one")
        assert server is not None
        with trio.fail_after(1):
            await server.learned()
