"""Logins at servers that differ from the specifications as providers do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.oauth.authorizer import OAuthAuthorizer
from mcpgw.oauth.errors import ErrorAnswer, Refused, Unreachable
from mcpgw.oauth.fetch import Answer
from mcpgw.oauth.store import TokenStore
from mcpgw.oauth.token_answer import read_tokens
from mcpgw.transports.authorization import AuthorizationFailed
from tests.oauth.authorization_server import AuthorizationPlace
from tests.oauth.person import Clock, Person, call
from tests.oauth.servers import Reply, Resource, Seen, reply

Make = Callable[..., OAuthAuthorizer]
Document = dict[str, Any]
ENDPOINT = "https://auth.example/token"


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer resource_metadata="URL"',
        "Bearer resource_metadata=URL, error=invalid_token",
        "Bearer error='invalid_token', resource_metadata='URL'",
        'Bearer resource_metadata="/.well-known/oauth-protected-resource/mcp"',
        'Basic realm="a, b", BEARER Realm="x" , Resource_Metadata = "URL"',
        'Bearer realm="x", Bearer resource_metadata="URL"',
        'Negotiate abc==, Bearer resource_metadata="URL"',
        'Bearer resource_metadata="ftp://example.org/"',
        'Bearer resource_metadata="https://[::1"',
        'Bearer resource_metadata="http://169.254.169.254/latest"',
        'Bearer resource_metadata="',
        "Bearer",
        "Basic",
    ],
)
async def test_forms_of_challenges(
    make: Make, resource: Resource, place: AuthorizationPlace, challenge: str
) -> None:
    """Every form leads to the metadata, by its URL or by the well-known one."""
    resource.challenge = challenge
    assert 200 == await call(make())


def slack(document: Document) -> Reply:
    user = {"id": "U1", "scope": "a:read,b:write", "access_token": document["access_token"]}
    return reply(200, {"ok": True, "authed_user": {**user, "token_type": "user"}, "team": {}})


def as_form(document: Document) -> Reply:
    return 200, {"content-type": "application/x-www-form-urlencoded"}, urlencode(document).encode()


def with_members(**members: object) -> Callable[[Document], Reply]:
    def answer(document: Document) -> Reply:
        changed = {**document, **members}
        return reply(200, {key: value for key, value in changed.items() if value != "absent"})

    return answer


@pytest.mark.parametrize(
    "answers",
    [
        slack,
        as_form,
        with_members(token_type="user"),
        with_members(token_type="BEARER"),
        with_members(token_type="absent"),
        with_members(token_type=None),
        with_members(expires_in="3600"),
        with_members(expires_in=3599.5),
        with_members(expires_in=0),
        with_members(expires_in=-1),
        with_members(expires_in=None, refresh_token=None, scope=None),
        with_members(expires_in="never", scope=["a", "b"]),
        with_members(scope="a,b"),
    ],
)
async def test_answers_of_token_endpoints(
    make: Make, place: AuthorizationPlace, answers: Callable[[Document], Reply]
) -> None:
    """Each gives a token that the server takes."""
    place.token_answers = answers
    authorizer = make()
    assert [200, 200] == [await call(authorizer), await call(authorizer)]
    assert 1 == place.counts["authorization_code"]


async def test_a_renewal_without_a_new_refresh_token(
    make: Make, place: AuthorizationPlace, clock: Clock
) -> None:
    """The old one is kept."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.token_answers = with_members(refresh_token="absent")
    for token in place.tokens:
        token.refresh_used = False
    clock.shift = 3400
    await authorizer.headers()
    assert authorizer.status().refreshable


def read(document: object, status: int = 200, asked: tuple[str, ...] = ()) -> Any:
    body = document if isinstance(document, dict) else None
    return read_tokens(Answer(status, body), ENDPOINT, asked=asked, now=1000.0)


@pytest.mark.parametrize(
    ("value", "expires_at"),
    [
        (60, 1060.0),
        (59.5, 1059.5),
        ("60", 1060.0),
        ("1e2", 1100.0),
        *((value, None) for value in (0, -5, "0", "", "soon", None, True, [], "nan", "inf", 1e999)),
    ],
)
def test_lifetimes(value: object, expires_at: float | None) -> None:
    """A number in any form is seconds; what says nothing gives a token without an end."""
    assert expires_at == read({"access_token": "t", "expires_in": value}).expires_at


@pytest.mark.parametrize(
    ("value", "asked", "scopes"),
    [
        ("a b", (), ("a", "b")),
        ("a,b, c", (), ("a", "b", "c")),
        ("a,b", ("a,b",), ("a,b",)),
        (["a", "b", 7, ""], (), ("a", "b")),
        (None, ("a",), ("a",)),
        ("", ("a",), ("a",)),
        ([], ("a",), ("a",)),
        (7, ("a",), ("a",)),
    ],
)
def test_scopes(value: object, asked: tuple[str, ...], scopes: tuple[str, ...]) -> None:
    """A text or a list; without one the requested scopes were granted (RFC 6749 section 5.1)."""
    assert scopes == read({"access_token": "t", "scope": value}, asked=asked).scopes


@pytest.mark.parametrize("kind", ["dpop", "mac", "N_A", "pop"])
def test_token_types_that_need_more_than_a_header(kind: str) -> None:
    """They are refused."""
    with pytest.raises(Refused, match="type must be Bearer"):
        read({"access_token": "t", "token_type": kind})


@pytest.mark.parametrize(
    ("document", "status", "error", "text"),
    [
        ({"error": "invalid_grant"}, 400, ErrorAnswer, "invalid_grant"),
        ({"ok": False, "error": "bad_client_secret"}, 200, ErrorAnswer, "bad_client_secret"),
        (
            {"error": "bad_verification_code", "error_description": "it expired"},
            200,
            ErrorAnswer,
            "bad_verification_code': it expired",
        ),
        (
            {"error": {"message": "wrong app", "type": "OAuthException", "code": 190}},
            400,
            ErrorAnswer,
            "OAuthException': wrong app",
        ),
        (
            {"errorCode": "invalid_client", "errorSummary": "no such app"},
            401,
            ErrorAnswer,
            "invalid_client': no such app",
        ),
        ({"message": "Not found"}, 404, ErrorAnswer, "HTTP 404': Not found"),
        (None, 403, ErrorAnswer, "HTTP 403"),
        (None, 502, Unreachable, "HTTP 502"),
        (None, 429, Unreachable, "HTTP 429"),
        (None, 200, Refused, "sent no access token"),
        ({"ok": True}, 200, Refused, "sent no access token"),
        ({"access_token": "a b"}, 200, Refused, "not valid in a header"),
    ],
)
def test_errors(document: object, status: int, error: type[Exception], text: str) -> None:
    """The provider's own words are in the message, wherever they stand."""
    with pytest.raises(error, match=text):
        read(document, status)


@pytest.mark.parametrize(
    ("error", "status", "rejects", "passing"),
    [
        ("invalid_client", None, True, False),
        ("unauthorized_client", None, True, False),
        ("deleted_client", None, True, False),
        ("invalid_grant", None, False, False),
        ("invalid_request", None, False, False),
        ("temporarily_unavailable", None, False, True),
        ("HTTP 401", 401, True, False),
        ("HTTP 400", 400, False, False),
        ("HTTP 403", 403, False, True),
    ],
)
def test_what_an_error_means(error: str, status: int | None, rejects: bool, passing: bool) -> None:
    """Errors of the client, errors of the grant, and passing errors are distinguished."""
    problem = ErrorAnswer(error, "https://a.example", status=status)
    assert (rejects, passing) == (problem.rejects_client, problem.passing)


class Forgetful:
    """Answers the requests of clients that an authorization server has forgotten."""

    def __init__(self, place: AuthorizationPlace, page: Reply, token: Reply) -> None:
        self.place, self.page, self.token = place, page, token
        self.forgotten = set(place.clients)

    def __call__(self, seen: Seen) -> Reply | None:
        client = {**seen.query, **seen.form}.get("client_id")
        if client not in self.forgotten:
            return None
        return {"/authorize": self.page, "/token": self.token}.get(seen.path)


@pytest.mark.parametrize(
    "page",
    [
        reply(400, {"error": "invalid_request", "error_description": "Client ID not found"}),
        reply(401, {"error": "invalid_client"}),
        reply(404, {"error": "unauthorized_client"}),
        reply(400, "<html>Unknown client</html>"),
    ],
)
async def test_a_login_with_a_forgotten_client(
    make: Make, person: Person, place: AuthorizationPlace, page: Reply
) -> None:
    """The user is not sent to an error page: the gateway registers again."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.intercept = Forgetful(place, page, reply(401, {"error": "invalid_client"}))
    assert "valid" == (await authorizer.login()).state
    assert (2, 2) == (len(place.registrations), len(person.links))
    assert person.asked(0)["client_id"] != person.asked(1)["client_id"]


@pytest.mark.parametrize(
    "answer", [reply(401, {"error": "invalid_client"}), reply(401, "<html>No entry</html>")]
)
async def test_a_client_that_only_the_token_endpoint_has_forgotten(
    make: Make, person: Person, place: AuthorizationPlace, answer: Reply
) -> None:
    """The login starts again with a new client, once."""
    authorizer = make()
    assert 200 == await call(authorizer)
    known = set(place.clients)

    def forgetful(seen: Seen) -> Reply | None:
        return answer if seen.path == "/token" and seen.form["client_id"] in known else None

    place.intercept = forgetful
    assert "valid" == (await authorizer.login()).state
    assert (2, 3) == (len(place.registrations), len(person.links))
    place.intercept = lambda seen: answer if seen.path == "/token" else None
    with pytest.raises(AuthorizationFailed):
        await authorizer.login()
    assert 3 == len(place.registrations)


async def test_an_error_page_that_nobody_reports(
    make: Make, person: Person, place: AuthorizationPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a login with an old registration never ends, the next one uses a new registration. The
    tokens stay in use."""
    authorizer = make()
    assert 200 == await call(authorizer)
    assert "" == authorizer.advice
    place.intercept = Forgetful(place, reply(200, "<h1>Unknown client</h1>"), reply(500))
    person.absent = True
    monkeypatch.setattr("mcpgw.oauth.flow.USER_PATIENCE", 0.2)
    with pytest.raises(AuthorizationFailed, match="no login at"):
        await authorizer.login()
    assert "run the command again: mcp-gateway auth login notes" in authorizer.advice
    assert [1, 200] == [len(place.registrations), await call(authorizer)]
    person.absent = False
    assert "valid" == (await make().login()).state
    assert 2 == len(place.registrations)


@pytest.mark.parametrize(
    "answer",
    [
        reply(401, {"error": "invalid_client"}),
        reply(400, {"error": "unauthorized_client"}),
        reply(400, {"error": "invalid_request"}),
        reply(401, "<html>No entry</html>"),
        reply(404, "gone"),
        reply(200, {"ok": False, "error": "invalid_client_id"}),
    ],
)
async def test_a_renewal_that_is_refused_for_good(
    make: Make, person: Person, place: AuthorizationPlace, clock: Clock, answer: Reply
) -> None:
    """A login follows, and the token of it is good."""
    authorizer = make()
    assert 200 == await call(authorizer)

    def refuse(seen: Seen) -> Reply | None:
        return answer if seen.form.get("grant_type") == "refresh_token" else None

    place.intercept = refuse
    clock.shift = 3700
    assert 200 == await call(authorizer)
    assert 2 == len(person.links)


async def test_a_login_with_a_good_registration_uses_it_again(
    make: Make, person: Person, place: AuthorizationPlace, store: TokenStore
) -> None:
    """However often: after each login it is there for the next."""
    authorizer = make()
    assert 200 == await call(authorizer)
    for _ in range(3):
        assert "valid" == (await authorizer.login()).state
    assert 1 == len(place.registrations)
    assert 1 == len({person.asked(number)["client_id"] for number in range(4)})
    assert (person.asked()["redirect_uri"],) == store.all("notes")[0].client.redirect_uris


async def test_a_configured_client_that_is_refused(make: Make, place: AuthorizationPlace) -> None:
    """The error names the settings to check."""
    settings = {"client_id": "robot", "client_secret": "s3cret-of-the-robot"}
    with pytest.raises(AuthorizationFailed, match="Check `client_id` and `client_secret`"):
        await call(make(settings={**settings, "grant": "client_credentials"}))


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_server_that_does_not_declare_pkce(
    make: Make, person: Person, place: AuthorizationPlace, allowed: bool
) -> None:
    """A setting allows it, and PKCE is used all the same."""
    place.metadata["code_challenge_methods_supported"] = None
    authorizer = make(settings={"allow_missing_pkce": allowed})
    if allowed:
        assert 200 == await call(authorizer)
        assert "S256" == person.asked()["code_challenge_method"]
    else:
        with pytest.raises(AuthorizationFailed, match="`allow_missing_pkce` under `oauth`"):
            await call(authorizer)


async def test_a_server_with_plain_pkce_only(make: Make, place: AuthorizationPlace) -> None:
    """No setting allows it."""
    place.metadata["code_challenge_methods_supported"] = ["plain"]
    with pytest.raises(AuthorizationFailed, match=r"could use a stolen code: refused$"):
        await call(make(settings={"allow_missing_pkce": True}))


async def test_a_server_that_rejects_the_resource_parameter(
    make: Make, person: Person, place: AuthorizationPlace, resource: Resource
) -> None:
    """With `send_resource: false` no request has it."""
    resource.introspect = lambda token: (
        (found := place.introspect(token))
        and {**found, "resource": resource.metadata()["resource"]}
    )

    def strict(seen: Seen) -> Reply | None:
        sent = "resource" in {**seen.query, **seen.form}
        return reply(400, {"error": "invalid_target"}) if sent else None

    place.intercept = strict
    assert 200 == await call(make(settings={"send_resource": False}))
    assert "resource" not in person.asked()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_an_authentication_method_that_the_server_does_not_list(
    make: Make, place: AuthorizationPlace, method: str
) -> None:
    """The configured method is used; the form has the client id with each."""
    place.add_client(
        "robot",
        "s3cret-of-the-robot",
        grant_types=["client_credentials"],
        token_endpoint_auth_method=method,
    )
    place.auth_methods = ["private_key_jwt"]
    settings = {
        "client_id": "robot",
        "client_secret": "s3cret-of-the-robot",
        "grant": "client_credentials",
        "token_endpoint_auth_method": method,
    }
    assert 200 == await call(make(settings=settings))
    (form,) = [seen.form for seen in place.running.seen if seen.path == "/token"]
    assert ("robot", method == "client_secret_post") == (form["client_id"], "client_secret" in form)


async def test_a_trusted_issuer(
    make: Make, place: AuthorizationPlace, person: Person, clock: Clock, store: TokenStore
) -> None:
    """Login and renewal work where the metadata name another issuer that the settings trust."""
    place.metadata["issuer"] = "https://tenant.example"
    with pytest.raises(AuthorizationFailed, match="`trusted_issuers`"):
        await call(make())
    place.iss = "https://tenant.example"
    authorizer = make(settings={"trusted_issuers": ("https://tenant.example",)})
    assert 200 == await call(authorizer)
    clock.shift = 3400
    assert 200 == await call(authorizer)
    assert (1, [place.issuer]) == (
        place.counts["refresh_token"],
        [login.issuer for login in store.all("notes")],
    )


@pytest.mark.parametrize(
    "member", ["authorization_endpoint", "token_endpoint", "registration_endpoint"]
)
@pytest.mark.parametrize("url", ["https://[::1", "//", "https://a.example:x/", "/relative"])
async def test_endpoints_that_are_no_urls(
    make: Make, place: AuthorizationPlace, member: str, url: str
) -> None:
    """They end the login with an error."""
    place.metadata[member] = url
    with pytest.raises(AuthorizationFailed):
        await make().login()


@pytest.mark.parametrize("explicit", [True, False])
async def test_a_server_that_answers_403_without_a_token(
    make: Make, resource: Resource, place: AuthorizationPlace, explicit: bool
) -> None:
    """If the challenge names the metadata, it asks for a login; with a token it does not."""
    resource.refusal = 403
    authorizer = make()
    if explicit:
        assert "valid" == (await authorizer.login()).state
    assert 200 == await call(authorizer)
    resource.introspect = lambda token: None
    assert 403 == await call(authorizer)
    assert 1 == place.counts["authorization_code"]


@pytest.mark.parametrize("member", ["application_type", "software_id", "scope"])
async def test_a_registration_endpoint_that_refuses_unknown_members(
    make: Make, resource: Resource, place: AuthorizationPlace, member: str
) -> None:
    """It gets only the required ones then."""
    resource.needs = ("notes:read",)

    def strict(seen: Seen) -> Reply | None:
        refused = seen.path == "/register" and member in json.loads(seen.body)
        return reply(400, {"error": "invalid_client_metadata"}) if refused else None

    place.intercept = strict
    assert 200 == await call(make())
    assert 2 == place.running.paths("POST").count("/register")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_members = st.sampled_from(
    [
        *("access_token", "refresh_token", "token_type", "expires_in", "scope", "authed_user"),
        *("error", "error_description", "errorCode", "message", "ok"),
    ]
)


@given(st.dictionaries(_members, _values), st.sampled_from([200, 400, 401, 503]))
def test_any_answer_gives_a_token_or_an_error(document: Document, status: int) -> None:
    """Nothing that a server sends raises another error, and a token is fit for a header."""
    try:
        tokens = read(document, status)
    except (Refused, Unreachable, ErrorAnswer):
        return
    assert tokens.access_token.isascii()
    assert tokens.expires_at is None or tokens.expires_at > 1000.0
