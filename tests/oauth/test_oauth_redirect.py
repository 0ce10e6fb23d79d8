"""The way back from the browser: the listener on this machine, and the checks of what it gets."""

from __future__ import annotations

import socket
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from mcpgw.oauth.authorization_request import AuthorizationRequest
from mcpgw.oauth.errors import ErrorAnswer, Refused
from mcpgw.oauth.metadata import ServerMetadata
from mcpgw.oauth.redirect import CannotListen, Redirect, RedirectReceiver, open_receiver

STATE = "the-right-state"
ISSUER = "https://auth.example"


async def ask(receiver: RedirectReceiver, request: str, *, address: str = "127.0.0.1") -> bytes:
    """Send bytes to a listener and return all that it answers."""
    port = urlsplit(receiver.redirect_uri).port
    assert port is not None
    stream = await trio.open_tcp_stream(address, port)
    async with stream:
        await stream.send_all(request.encode())
        answer = b""
        async for piece in stream:
            answer += piece
    return answer


def get(target: str) -> str:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def receiver_on(**changes: object):
    options = {"host": "localhost", "port": None, "path": "/cb", "state": STATE}
    return open_receiver(**(options | changes))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_localhost_is_both_families(address: str) -> None:
    """A browser that takes either address for `localhost` arrives."""
    async with receiver_on() as receiver, trio.open_nursery() as nursery:
        answers: list[bytes] = []

        async def browser() -> None:
            request = get(f"/cb?code=x&state={STATE}")
            answers.append(await ask(receiver, request, address=address))

        nursery.start_soon(browser)
        redirect = await receiver.redirect()
        assert ("x", None) == (redirect.get("code"), redirect.get("iss"))
        await receiver.show(True, "done <b>")
    assert answers[0].startswith(b"HTTP/1.1 200 OK")
    assert b"done &lt;b&gt;" in answers[0]
    assert b"no-store" in answers[0]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (get("/favicon.ico"), b"404"),
        (get(f"/other?code=x&state={STATE}"), b"404"),
        (get("/cb?code=x&state=wrong"), b"400"),
        (get("/cb?code=x"), b"400"),
        (get(f"/cb?code=x&state={STATE}&state={STATE}"), b"400"),
        (get(f"/cb?code=x&code=y&state={STATE}"), b"400"),
        (get("/cb?code=x&state=%ff"), b"400"),
        (f"POST /cb?code=x&state={STATE} HTTP/1.1\r\n\r\n", b"400"),
        (f"GET /cb?code=x&state={STATE}\r\n\r\n", b"400"),
        ("\r\n\r\n", b"400"),
        ("GET /" + "a" * 40_000, b"400"),
    ],
)
async def test_other_requests_do_not_end_the_waiting(request_text: str, status: bytes) -> None:
    """Wrong paths, states and requests are turned away; the right redirect still counts."""
    async with receiver_on() as receiver, trio.open_nursery() as nursery:
        try:
            answer = await ask(receiver, request_text)
            assert answer.startswith(b"HTTP/1.1 " + status)
        except trio.BrokenResourceError:
            assert len(request_text) > 32_768  # We hung up on somebody who was still sending.
        nursery.start_soon(ask, receiver, get(f"/cb?code=right&state={STATE}"))
        assert "right" == (await receiver.redirect()).get("code")
        await receiver.show(True, "done")


async def test_only_the_first_redirect_counts() -> None:
    """A second redirect with the right state gets 410."""
    async with receiver_on() as receiver, trio.open_nursery() as nursery:
        nursery.start_soon(ask, receiver, get(f"/cb?code=first&state={STATE}"))
        await receiver.redirect()
        late = await ask(receiver, get(f"/cb?code=second&state={STATE}"))
        assert late.startswith(b"HTTP/1.1 410")
        assert "first" == (await receiver.redirect()).get("code")
        await receiver.show(True, "done")


async def test_a_silent_connection_does_not_stand_in_the_way() -> None:
    """A connection without a request, as browsers open, blocks no other."""
    async with receiver_on() as receiver, trio.open_nursery() as nursery:
        port = urlsplit(receiver.redirect_uri).port
        async with await trio.open_tcp_stream("127.0.0.1", port):
            nursery.start_soon(ask, receiver, get(f"/cb?code=x&state={STATE}"))
            assert "x" == (await receiver.redirect()).get("code")
            await receiver.show(True, "done")


async def test_a_fixed_port_that_is_taken_is_an_error() -> None:
    """The error names the port and the setting; no other port is used."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} .*callback_port"):
            async with receiver_on(port=port):
                pass


async def test_a_preferred_port_is_taken_if_it_is_free() -> None:
    """The port of an earlier registration is used again, else another one."""
    async with receiver_on() as first:
        port = urlsplit(first.redirect_uri).port
        async with receiver_on(preferred_port=port) as second:
            assert first.redirect_uri != second.redirect_uri
    async with receiver_on(preferred_port=port) as third:
        assert first.redirect_uri == third.redirect_uri


async def test_an_address_is_listened_on_alone() -> None:
    """`127.0.0.1` is IPv4 only, and is the host of the redirect URI."""
    async with receiver_on(host="127.0.0.1", path="/x") as receiver:
        parts = urlsplit(receiver.redirect_uri)
        assert ("http", "127.0.0.1", "/x") == (parts.scheme, parts.hostname, parts.path)
    async with receiver_on(host="::1") as receiver:
        assert receiver.redirect_uri.startswith("http://[::1]:")


def request_to(**metadata: object) -> AuthorizationRequest:
    options = {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/token",
        "authorization_endpoint": f"{ISSUER}/authorize?tenant=1&scope=mine",
        "code_challenge_methods_supported": ("S256",),
    }
    server = ServerMetadata(**(options | metadata))
    return AuthorizationRequest(server, "https://mcp.example/mcp", ("a", "b"))


def test_the_link_holds_what_the_protocol_asks_for() -> None:
    """PKCE, state, resource and scope are in it; what the endpoint's URL holds is kept."""
    request = request_to()
    link = request.link(client_id="me", redirect_uri="http://localhost:1/cb")
    params = {key: value[0] for key, value in parse_qs(urlsplit(link).query).items()}
    assert 43 == len(params.pop("code_challenge"))
    assert {
        "tenant": "1",
        "response_type": "code",
        "client_id": "me",
        "redirect_uri": "http://localhost:1/cb",
        "state": request.state,
        "code_challenge_method": "S256",
        "resource": "https://mcp.example/mcp",
        "scope": "a b",
    } == params
    assert request.verifier not in link


def test_each_request_has_its_own_secrets() -> None:
    """State and verifier are never used twice, and no repr shows them."""
    one, other = request_to(), request_to()
    assert 4 == len({one.state, other.state, one.verifier, other.verifier})
    assert one.state not in repr(one)
    assert one.verifier not in repr(one)


@pytest.mark.parametrize("methods", [(), ("plain",)])
def test_a_server_without_pkce_is_refused(methods: tuple[str, ...]) -> None:
    """S256 must be promised in the metadata."""
    with pytest.raises(Refused, match="PKCE"):
        request_to(code_challenge_methods_supported=methods).link(client_id="me", redirect_uri="x")


@pytest.mark.parametrize(("supported", "iss"), [(True, ISSUER), (False, ISSUER), (False, None)])
def test_the_right_issuer_is_taken(supported: bool, iss: str | None) -> None:
    """The issuer must match, or may be missing if the server does not declare it."""
    params = {"code": "c"} if iss is None else {"code": "c", "iss": iss}
    assert "c" == request_to(iss_supported=supported).code(Redirect(params))


@pytest.mark.parametrize("params", [{"code": "c"}, {"error": "access_denied"}])
@pytest.mark.parametrize(
    ("supported", "iss"),
    [
        (True, None),
        (True, "https://evil.example"),
        (False, "https://evil.example"),
        (True, f"{ISSUER}/"),
        (False, ISSUER.upper()),
        (False, ""),
    ],
)
def test_another_issuer_is_refused(
    supported: bool, iss: str | None, params: dict[str, str]
) -> None:
    """Missing though promised, or another as plain text: nothing of the answer is believed."""
    sent = params if iss is None else {**params, "iss": iss}
    with pytest.raises(Refused, match="issuer"):
        request_to(iss_supported=supported).code(Redirect(sent))


def test_an_error_of_the_server_is_told() -> None:
    """Error and description come through, in a form that can be shown."""
    sent = {"error": "access_denied", "error_description": "no\x1b[31m way\n" + "x" * 999}
    with pytest.raises(ErrorAnswer) as raised:
        request_to().code(Redirect(sent))
    text = str(raised.value)
    assert text.startswith("https://auth.example answered 'access_denied': no [31m way xxx")
    assert 400 > len(text)


def test_an_answer_without_a_code_is_refused() -> None:
    """There is nothing to exchange then."""
    with pytest.raises(Refused, match="no code"):
        request_to().code(Redirect({"state": "x"}))
