"""URLs of servers that clients may open or show."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mcpgw.backends.guarded_channel import REFUSED, GuardedChannel
from mcpgw.backends.links import elicitation_fault, link_fault, with_safe_images
from mcpgw.observe.redactor import Redactor
from mcpgw.protocol.errors import URL_ELICITATION_REQUIRED
from mcpgw.protocol.memory import channel_pair

GOOD = "https://login.example.org/authorize?state=a-b-c&code=0123456789abcdef"
BAD = [
    "javascript:alert(1)",
    "data:text/html,<script>",
    "file:///etc/passwd",
    "vscode://extension/x",
    "ftp://example.org/x",
    "https://bank.example@evil.example/",
    "https://me:pass@evil.example/",
    "https://evil.example\\@bank.example/",
    "https://evil.example/\u202egro.elpmaxe",
    "https://evil.example/\x1b[2J",
    "https://evil.example/\nx",
    "https://evil.example/ x",
    "https://evil\u200b.example/",
    "https:///x",
    "https://[::1",
    "//evil.example/",
    "evil.example",
    "",
    None,
    17,
]


@pytest.mark.parametrize("url", BAD)
def test_links_that_are_refused(url: object) -> None:
    """Only web pages whose host is plain to see are passed on."""
    assert link_fault(url)
    assert elicitation_fault("elicitation/create", {"mode": "url", "url": url})


@pytest.mark.parametrize("url", [GOOD, "http://127.0.0.1:8080/x", "https://münchen.example/ü?q=ß"])
def test_links_that_pass(url: str) -> None:
    """Web pages pass, with every path and query."""
    assert "" == link_fault(url)


def test_other_requests_pass() -> None:
    """Forms and other methods have no URL to check."""
    assert "" == elicitation_fault("elicitation/create", {"mode": "form", "message": "Name?"})
    assert "" == elicitation_fault("sampling/createMessage", {"url": "javascript:x"})


async def received(message: dict[str, Any]) -> Any:
    """Return a message of a server as the gateway gets it."""
    ours, theirs = channel_pair()
    with trio.fail_after(5):
        await theirs.send(message)
        return await GuardedChannel(ours, Redactor(("words-of-a-secret",))).receive()


@pytest.mark.parametrize("url", BAD)
async def test_input_requests(url: object) -> None:
    """A result that asks for input with such a link becomes an error."""
    asked = {"method": "elicitation/create", "params": {"mode": "url", "url": url}}
    result = {"resultType": "input_required", "inputRequests": {"a": asked}}
    got = await received({"jsonrpc": "2.0", "id": 7, "result": result})
    assert 7 == got["id"]
    assert got["error"]["message"].startswith(REFUSED)
    assert "result" not in got


@pytest.mark.parametrize("url", BAD)
async def test_required_elicitations(url: object) -> None:
    """So does an error that demands it."""
    data = {"elicitations": [{"mode": "url", "url": GOOD}, {"mode": "url", "url": url}]}
    error = {"code": int(URL_ELICITATION_REQUIRED), "message": "m", "data": data}
    got = await received({"jsonrpc": "2.0", "id": 7, "error": error})
    assert got["error"]["message"].startswith(REFUSED)
    assert "data" not in got["error"]


async def test_good_links_pass_unchanged() -> None:
    """States and codes in them look like secrets, and are needed."""
    asked = {"method": "elicitation/create", "params": {"mode": "url", "url": GOOD}}
    result = {"resultType": "input_required", "inputRequests": {"a": asked}, "requestState": "x"}
    message = {"jsonrpc": "2.0", "id": 7, "result": result}
    assert message == await received(message)
    data = {"elicitations": [{"mode": "url", "url": GOOD, "elicitationId": "1"}]}
    error = {"code": int(URL_ELICITATION_REQUIRED), "message": "open it", "data": data}
    assert error == (await received({"jsonrpc": "2.0", "id": 7, "error": error}))["error"]


def test_icons() -> None:
    """Icons of the web and images in `data:` stay; others are left out of their tool."""
    good = [{"src": "https://a.example/i.png"}, {"src": "data:image/png;base64,AAAA"}]
    bad = [{"src": url} for url in ("javascript:x", "data:text/html,x", "file:///x", 3)]
    tool = {"name": "a", "icons": [*good, *bad]}
    result = {"tools": [tool, {"name": "b", "icons": bad}, {"name": "c", "icons": good}]}
    assert [
        {"name": "a", "icons": good},
        {"name": "b"},
        {"name": "c", "icons": good},
    ] == with_safe_images(result)["tools"]
    info = {"serverInfo": {"name": "s", "websiteUrl": "javascript:x", "icons": good}}
    assert {"serverInfo": {"name": "s", "icons": good}} == with_safe_images(info)
    untouched = {"tools": [{"name": "c", "icons": good}], "serverInfo": {"websiteUrl": GOOD}}
    assert with_safe_images(untouched) is untouched
