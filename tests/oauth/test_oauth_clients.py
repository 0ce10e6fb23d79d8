"""Clients at an authorization server, and their authentication."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from mcpgw.config.oauth import OAuthConfig
from mcpgw.oauth import scopes
from mcpgw.oauth.assertion import client_assertion
from mcpgw.oauth.authorizer import OAuthAuthorizer
from mcpgw.oauth.client_registration import auth_method
from mcpgw.oauth.errors import Refused
from mcpgw.oauth.metadata import ServerMetadata
from mcpgw.oauth.store import TokenStore
from mcpgw.transports.authorization import AuthorizationFailed
from tests.oauth.authorization_server import AuthorizationPlace
from tests.oauth.person import Person, call
from tests.oauth.servers import Resource, serving

Make = Callable[..., OAuthAuthorizer]
DOCUMENT = "https://gateway.example/client.json"


async def test_a_configured_client_comes_first(
    make: Make, person: Person, place: AuthorizationPlace, store: TokenStore
) -> None:
    """The client that was made by hand is used, its fixed redirect URI too, and none is made."""
    place.metadata["client_id_metadata_document_supported"] = True
    port = free_port()
    place.add_client(
        "mine",
        "s3cret-of-mine",
        redirect_uris=[f"http://127.0.0.1:{port}/back"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="client_secret_basic",
    )
    settings = {
        "client_id": "mine",
        "client_secret": "s3cret-of-mine",
        "client_metadata_url": DOCUMENT,
        "callback_host": "127.0.0.1",
        "callback_port": port,
        "callback_path": "/back",
    }
    assert 200 == await call(make(settings=settings))
    assert "mine" == person.asked()["client_id"]
    assert [] == place.registrations
    kept = store.path("notes", place.issuer).read_text()
    assert "s3cret-of-mine" not in kept


async def test_a_metadata_document_comes_before_registration(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """If the server supports metadata documents, their URL is the client's id."""
    place.metadata["client_id_metadata_document_supported"] = True
    place.auth_methods = ["none"]
    client = place.add_client(
        DOCUMENT,
        "",
        redirect_uris=[],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    client.check_redirect_uri = lambda uri: uri.startswith("http://localhost:")
    assert 200 == await call(make(settings={"client_metadata_url": DOCUMENT}))
    assert DOCUMENT == person.asked()["client_id"]
    assert [] == place.registrations


async def test_a_document_is_not_used_where_the_server_does_not_say_so(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """Registration is used then."""
    assert 200 == await call(make(settings={"client_metadata_url": DOCUMENT}))
    assert 1 == len(place.registrations)


async def test_without_any_way_the_error_says_what_to_do(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """The redirect URI to register and the keys to set are named."""
    place.metadata["registration_endpoint"] = None
    with pytest.raises(
        AuthorizationFailed, match=r"http://localhost:\d+/oauth/callback.*client_id"
    ):
        await call(make())
    assert [] == person.links


async def test_another_issuer_gets_another_registration(
    make: Make, person: Person, place: AuthorizationPlace, resource: Resource, store: TokenStore
) -> None:
    """When the server moves to a new authorization server, nothing of the old one goes there."""
    authorizer = make()
    assert 200 == await call(authorizer)
    second = AuthorizationPlace()
    with serving(second) as running:
        second.issuer = running.url
        resource.issuer, resource.introspect = second.issuer, second.introspect
        assert 200 == await call(authorizer)
        sent = "".join(repr(attrs.asdict(seen)) for seen in running.seen)
    assert [] == [secret for secret in (*place.secrets(), *place.clients) if secret in sent]
    assert 1 == len(second.registrations)
    assert {place.issuer, second.issuer} == {login.issuer for login in store.all("notes")}


async def test_a_configured_client_does_not_move_to_another_issuer(
    make: Make, place: AuthorizationPlace, resource: Resource
) -> None:
    """The first authorization server that a client made by hand was used with stays the only."""
    place.auth_methods = ["client_secret_post"]
    place.add_client(
        "robot",
        "s3cret-of-the-robot",
        grant_types=["client_credentials"],
        token_endpoint_auth_method="client_secret_post",
    )
    settings = {"client_id": "robot", "client_secret": "s3cret-of-the-robot"}
    authorizer = make(settings=settings, present=None)
    assert 200 == await call(authorizer)
    second = AuthorizationPlace()
    with serving(second) as running:
        second.issuer = running.url
        resource.issuer, resource.introspect = second.issuer, second.introspect
        with pytest.raises(AuthorizationFailed, match="mcp-gateway auth logout notes"):
            await call(authorizer)
        assert ["/.well-known/oauth-authorization-server"] == running.paths()


async def test_a_registration_that_the_server_forgot_is_made_anew(
    make: Make, person: Person, place: AuthorizationPlace, clock: Callable[[], float]
) -> None:
    """`invalid_client` at a renewal leads to a new registration and login."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.clients.clear()
    clock.shift = 3700
    assert 200 == await call(authorizer)
    assert (2, 2) == (len(place.registrations), len(person.links))


@pytest.mark.parametrize(
    ("listed", "secret", "method"),
    [
        (None, True, "client_secret_basic"),
        (None, False, "none"),
        (("client_secret_post", "client_secret_basic"), True, "client_secret_basic"),
        (("client_secret_post", "none"), True, "client_secret_post"),
        (("none",), True, "none"),
        (("client_secret_basic",), False, "none"),
    ],
)
def test_the_proof_is_one_that_the_server_lists(
    listed: tuple[str, ...] | None, secret: bool, method: str
) -> None:
    """Basic comes before post; without a secret nothing is proved."""
    assert method == auth_method(listed, secret=secret)


@pytest.mark.parametrize("secret", [True, False])
def test_a_server_that_wants_a_key_is_told_of(secret: bool) -> None:
    """A secret is not sent if only keys are accepted."""
    with pytest.raises(Refused):
        auth_method(("private_key_jwt",), secret=secret)


def server_of(*supported: str, **more: object) -> ServerMetadata:
    return ServerMetadata("https://a", "https://a/token", scopes_supported=supported, **more)


@pytest.mark.parametrize(
    ("configured", "challenged", "supported", "asked"),
    [
        (("mine",), ("c",), ("s",), ("mine",)),
        ((), ("c",), ("s",), ("c",)),
        ((), (), ("s", "t"), ("s", "t")),
        ((), (), (), ()),
    ],
)
def test_scopes_come_from_the_nearest_source(
    configured: tuple[str, ...],
    challenged: tuple[str, ...],
    supported: tuple[str, ...],
    asked: tuple[str, ...],
) -> None:
    """Configuration, then challenge, then what the resource lists, then none."""
    assert asked == scopes.to_request(
        configured=configured,
        challenged=challenged,
        supported=supported,
        server=server_of("other"),
        interactive=True,
    )


@pytest.mark.parametrize(
    ("server", "person", "offline"),
    [
        (server_of("offline_access"), True, True),
        (server_of("offline_access"), False, False),
        (server_of("s"), True, False),
        (server_of("offline_access", grant_types_supported=("authorization_code",)), True, False),
    ],
)
def test_offline_access_is_asked_for_where_it_is_listed(
    server: ServerMetadata, person: bool, offline: bool
) -> None:
    """It is requested only if the authorization server lists it, not only the resource."""
    asked = scopes.to_request(
        configured=(),
        challenged=(),
        supported=("s", "offline_access"),
        server=server,
        interactive=person,
    )
    assert (("s", "offline_access") if offline else ("s",)) == asked


def test_a_union_keeps_every_scope_once() -> None:
    """Old ones stay in front."""
    assert ("a", "b", "c") == scopes.union(("a", "b"), ("b", "c"), ())


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS256", "EdDSA"])
def test_an_assertion_is_signed_with_the_key(tmp_path: Path, algorithm: str) -> None:
    """The signature holds, and the claims name us, the issuer, and a short life."""
    jwt = pytest.importorskip("joserfc.jwt")
    jwk = pytest.importorskip("joserfc.jwk")
    kinds = {"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "EdDSA": ("OKP", "Ed25519")}
    key = jwk.generate_key(*kinds.get(algorithm, ("RSA", 2048)))
    path = tmp_path / "key.pem"
    path.write_bytes(key.as_pem(private=True))
    config = OAuthConfig(
        private_key_file=str(path), private_key_algorithm=algorithm, private_key_id="k1"
    )
    text = client_assertion(config, "robot", "https://auth.example")
    read = jwt.decode(text, key, algorithms=[algorithm])
    assert {"alg": algorithm, "typ": "JWT", "kid": "k1"} == read.header
    claims = dict(read.claims)
    assert 20 < len(claims.pop("jti"))
    assert 120 == claims.pop("exp") - claims["iat"]
    assert 5 > abs(time.time() - claims.pop("iat"))
    assert {"iss": "robot", "sub": "robot", "aud": "https://auth.example"} == claims


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_key_is_told_of(tmp_path: Path, content: bytes) -> None:
    """The error names the file, and nothing of what is in it."""
    pytest.importorskip("cryptography")
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"key\.pem cannot be read"):
        client_assertion(OAuthConfig(private_key_file=str(path)), "robot", "https://a")


def free_port() -> int:
    """Return a free port."""
    with serving(lambda seen: (404, {}, b"")) as running:
        return int(running.url.rpartition(":")[2])
