"""Logging in for real: against an authorization server made of Authlib, over HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from mcpgw.oauth.authorizer import OAuthAuthorizer
from mcpgw.oauth.store import TokenStore
from mcpgw.transports.authorization import AuthorizationFailed
from tests.oauth.authorization_server import AuthorizationPlace
from tests.oauth.person import Clock, Person, call
from tests.oauth.servers import Resource

Make = Callable[..., OAuthAuthorizer]


async def test_a_first_call_leads_to_discovery_registration_and_a_login(
    make: Make, person: Person, place: AuthorizationPlace, resource: Resource
) -> None:
    """A server that refuses is logged in to with PKCE, state and its resource identifier."""
    resource.needs = ("notes:read",)
    authorizer = make()
    assert 200 == await call(authorizer)
    asked = person.asked()
    assert f"{resource.origin}/mcp" == asked["resource"]
    assert "S256" == asked["code_challenge_method"]
    assert "notes:read" == asked["scope"]
    assert 1 == len(place.registrations)
    registered = place.registrations[0]
    assert "native" == registered["application_type"]
    assert ["authorization_code", "refresh_token"] == registered["grant_types"]
    assert "none" == registered["token_endpoint_auth_method"]
    assert 200 == person.pages[0].status_code
    assert "You are logged in" in person.pages[0].text


async def test_a_login_outlives_the_gateway(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """Another gateway with the same store uses the tokens that the first one got."""
    assert 200 == await call(make())
    assert 200 == await call(make())
    assert 1 == len(person.links)
    assert 1 == place.counts["authorization_code"]


async def test_a_token_is_renewed_before_it_ends_and_rotated(
    make: Make, person: Person, place: AuthorizationPlace, store: TokenStore, clock: Clock
) -> None:
    """A token near its end is renewed with the newest refresh token, without a person."""
    authorizer = make()
    assert 200 == await call(authorizer)
    first = await authorizer.headers()
    for step in (1, 2, 3):
        clock.shift = step * 3400
        assert 200 == await call(authorizer)
    assert first != await authorizer.headers()
    assert 1 == len(person.links)
    assert 3 == place.counts["refresh_token"]
    assert [1, 1, 1, 0] == [token.refresh_used for token in place.tokens]
    stored = store.all("notes")[0].tokens
    assert stored is not None
    assert place.tokens[-1].refresh_token == stored.refresh_token


async def test_a_hundred_calls_at_once_cause_one_renewal(
    make: Make, place: AuthorizationPlace, clock: Clock
) -> None:
    """Calls that find the token near its end together wait for one renewal."""
    authorizer = make()
    assert 200 == await call(authorizer)
    clock.shift = 3400
    got: list[str] = []

    async def ask() -> None:
        got.append((await authorizer.headers())["authorization"])

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert 1 == place.counts["refresh_token"]
    assert [f"Bearer {place.tokens[-1].access_token}"] * 100 == got


async def test_many_refused_calls_share_one_login(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """Calls that are refused together lead to one link, and all of them are served."""
    authorizer = make()
    statuses: list[int] = []

    async def one() -> None:
        statuses.append(await call(authorizer))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one)
    assert [200] * 20 == statuses
    assert 1 == len(person.links)
    assert 1 == place.counts["authorization_code"]


async def test_two_gateways_do_not_use_a_refresh_token_twice(
    make: Make, person: Person, place: AuthorizationPlace, clock: Clock
) -> None:
    """Of two gateways with the same login one renews it, and the other takes that over."""
    one, other = make(), make()
    assert [200, 200] == [await call(one), await call(other)]
    clock.shift = 3400
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.headers)
        nursery.start_soon(other.headers)
    assert [200, 200] == [await call(one), await call(other)]
    assert 1 == place.counts["refresh_token"]
    assert 1 == len(person.links)


async def test_a_revoked_token_is_renewed_without_a_person(
    make: Make, person: Person, place: AuthorizationPlace, clock: Clock
) -> None:
    """A 401 in the life of a token leads to a refresh first."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.tokens[0].expires_at = 0.0
    clock.shift = 60
    assert 200 == await call(authorizer)
    assert 1 == len(person.links)


async def test_a_login_that_was_ended_at_the_server_is_made_anew(
    make: Make, person: Person, place: AuthorizationPlace, clock: Clock
) -> None:
    """If the refresh token is refused, the user must log in; the registration is kept."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.tokens[0].revoked = True
    clock.shift = 60
    assert 200 == await call(authorizer)
    assert 2 == len(person.links)
    assert 1 == len(place.registrations)


async def test_a_good_token_is_used_while_the_authorization_server_is_ill(
    make: Make, place: AuthorizationPlace, logs: io.StringIO, clock: Clock
) -> None:
    """A failed renewal ahead of time costs nothing, and is not tried again at once."""
    authorizer = make()
    assert 200 == await call(authorizer)
    place.failing.add("refresh_token")
    clock.shift = 3400
    assert {"authorization"} == set(await authorizer.headers())
    assert {"authorization"} == set(await authorizer.headers())
    assert 1 == place.counts["refresh_token"]
    clock.shift = 3700
    with pytest.raises(AuthorizationFailed, match="HTTP 503"):
        await authorizer.headers()
    place.failing.clear()
    assert {"authorization"} == set(await authorizer.headers())


async def test_missing_scopes_are_asked_for_beside_those_there_are(
    make: Make, person: Person, resource: Resource, place: AuthorizationPlace
) -> None:
    """A 403 that names scopes leads to a login for the union of old and new ones."""
    resource.needs = ("read",)
    authorizer = make()
    assert 200 == await call(authorizer)
    resource.needs = ("write",)
    assert 200 == await call(authorizer)
    assert {"read", "write"} == set(person.asked()["scope"].split())
    assert 2 == len(person.links)


async def test_scopes_that_the_token_has_are_not_asked_for_again(
    make: Make, person: Person, resource: Resource, place: AuthorizationPlace
) -> None:
    """A server that wants what the token holds already is believed to want something else."""
    resource.needs = ("admin",)
    authorizer = make()
    assert 200 == await call(authorizer)
    place.tokens[0].scope = "less"
    with pytest.raises(AuthorizationFailed, match="another token would not help"):
        await call(authorizer)
    assert 1 == len(person.links)


async def test_scopes_that_are_never_granted_are_asked_for_twice_at_most(
    make: Make, person: Person, resource: Resource, place: AuthorizationPlace
) -> None:
    """Step-up ends after a few tries, so that a person is not asked for ever."""
    place.scope_limit = {"read"}
    resource.needs = ("read",)
    authorizer = make()
    assert 200 == await call(authorizer)
    resource.needs = ("write",)
    with pytest.raises(AuthorizationFailed, match="write were requested and not granted"):
        await call(authorizer, tries=10)
    assert 3 == len(person.links)


async def test_a_server_that_rejects_what_it_ordered_is_not_asked_again(
    make: Make, person: Person, resource: Resource
) -> None:
    """A 401 right after a login ends in an error, not in another login."""
    resource.introspect = lambda token: None
    with pytest.raises(AuthorizationFailed, match="rejects the token"):
        await call(make(), tries=10)
    assert 1 == len(person.links)


async def test_a_refused_login_is_told_to_the_person_and_not_repeated(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """A user who declined is not asked again by the next call, only by an explicit login."""
    place.denies = True
    authorizer = make()
    for _ in range(2):
        with pytest.raises(AuthorizationFailed, match="access_denied"):
            await call(authorizer)
    assert 1 == len(person.links)
    assert "The login failed" in person.pages[0].text
    place.denies = False
    assert "valid" == (await authorizer.login()).state
    assert 2 == len(person.links)


async def test_without_a_person_the_error_names_the_command(make: Make) -> None:
    """Without an interactive user the error says which command to run."""
    with pytest.raises(AuthorizationFailed, match="mcp-gateway auth login notes"):
        await call(make(present=None))


async def test_a_login_in_a_nursery_outlives_the_call(
    make: Make, person: Person, place: AuthorizationPlace
) -> None:
    """A call that gives up leaves the login to those after it."""
    person.absent = True
    async with trio.open_nursery() as nursery:
        authorizer = make(nursery=nursery)
        with trio.CancelScope() as one_call:
            nursery.start_soon(person.wait_and_cancel, one_call)
            await call(authorizer)
        assert one_call.cancelled_caught
        assert "waiting" == authorizer.status().state
        await person.browse(person.links[0])
        assert 200 == await call(authorizer)
    assert 1 == place.counts["authorization_code"]


async def test_logout_revokes_and_forgets(
    make: Make, place: AuthorizationPlace, store: TokenStore
) -> None:
    """After a logout the server knows the tokens no more, and nothing is left here."""
    authorizer = make()
    assert 200 == await call(authorizer)
    assert (1, 1) == attrs.astuple(await authorizer.logout())
    assert place.tokens[0].revoked
    assert () == store.all("notes")
    assert {} == dict(await authorizer.headers())
    assert "none" == authorizer.status().state
    assert (0, 0) == attrs.astuple(await authorizer.logout())


async def test_a_login_asks_the_server_what_it_wants(
    make: Make, person: Person, resource: Resource
) -> None:
    """An explicit login hears the challenge first, and so asks for the right scopes."""
    resource.needs = ("notes:read",)
    state = await make().login()
    assert ("valid", True) == (state.state, state.refreshable)
    assert "notes:read" == person.asked()["scope"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_a_client_proves_who_it_is_as_the_server_lists(
    make: Make, place: AuthorizationPlace, method: str, clock: Clock
) -> None:
    """Code and refresh token are exchanged by the one method that the server takes."""
    place.auth_methods = [method]
    authorizer = make()
    assert 200 == await call(authorizer)
    clock.shift = 3400
    await authorizer.headers()
    assert 1 == place.counts["refresh_token"]
    assert {method} == {
        client.metadata["token_endpoint_auth_method"] for client in place.clients.values()
    }


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_logs_in_for_itself(
    make: Make, place: AuthorizationPlace, method: str, clock: Clock
) -> None:
    """With a secret and without a person the client's own credentials get the token."""
    secret = "s3cret-of-the-robot"
    place.auth_methods = [method]
    place.add_client(
        "robot-1", secret, grant_types=["client_credentials"], token_endpoint_auth_method=method
    )
    settings = {"client_id": "robot-1", "client_secret": secret, "scopes": ("notes:read",)}
    authorizer = make(settings=settings, present=None)
    assert 200 == await call(authorizer)
    clock.shift = 3400
    renewed = (await authorizer.headers())["authorization"]
    assert f"Bearer {place.tokens[-1].access_token}" == renewed
    assert 2 == place.counts["client_credentials"]
    assert "notes:read" == place.tokens[-1].scope


async def test_a_configured_client_is_for_one_issuer(
    make: Make, person: Person, place: AuthorizationPlace, resource: Resource
) -> None:
    """The id of a client made by hand is never shown to another authorization server."""
    settings: dict[str, Any] = {"client_id": "mine", "issuer": "https://elsewhere.example"}
    with pytest.raises(AuthorizationFailed, match=r"belongs to 'https://elsewhere\.example'"):
        await call(make(settings=settings))
    assert [] == person.links
    assert 0 == place.counts["authorize"]


async def test_no_secret_is_logged_or_shown(
    make: Make,
    place: AuthorizationPlace,
    resource: Resource,
    person: Person,
    logs: io.StringIO,
    clock: Clock,
) -> None:
    """Through login, renewal, failure and logout no log, repr, page or error holds a token."""
    place.auth_methods = ["client_secret_basic"]
    authorizer = make()
    shown: list[str] = []
    assert 200 == await call(authorizer)
    clock.shift = 3400
    await authorizer.headers()
    shown += [repr(authorizer), repr(authorizer.status()), repr(authorizer._kept)]
    place.failing.add("refresh_token")
    clock.shift = 7400
    with pytest.raises(AuthorizationFailed) as failed:
        await authorizer.headers()
    shown += [str(failed.value), repr(failed.value), repr(authorizer.status())]
    await authorizer.logout()
    shown += [logs.getvalue(), *(page.text for page in person.pages)]
    text = "\n".join(shown)
    assert 5 <= len(place.secrets())
    assert [] == [secret for secret in place.secrets() if secret in text]
    assert "oauth.logged_in" in text
    forms = [seen.form for seen in place.running.seen]
    sent = [form[key] for form in forms for key in ("code", "code_verifier") if key in form]
    assert 2 == len(sent)
    assert [] == [secret for secret in sent if secret in text]


async def test_a_login_works_where_nothing_can_be_kept(
    make: Make, person: Person, tmp_path: Path, logs: io.StringIO
) -> None:
    """On a disk that cannot be written the login is good until the gateway ends."""
    (tmp_path / "file").write_text("")
    authorizer = make(store=TokenStore(tmp_path / "file" / "oauth"))
    assert [200, 200] == [await call(authorizer), await call(authorizer)]
    assert 1 == len(person.links)
    assert "oauth.save_failed" in logs.getvalue()


async def test_a_fault_in_showing_the_link_does_not_end_the_gateway(
    make: Make, logs: io.StringIO
) -> None:
    """If showing the link fails, the call fails, and its nursery goes on."""

    async def broken(link: str) -> None:
        raise ValueError("no window")

    async with trio.open_nursery() as nursery:
        with pytest.raises(AuthorizationFailed, match="the login was aborted"):
            await call(make(present=broken, nursery=nursery))
    assert "no window" in logs.getvalue()


async def test_a_person_who_declines_ends_the_login(make: Make) -> None:
    """Showing the link may end with the user declining."""

    async def declined(link: str) -> None:
        raise AuthorizationFailed("you declined to log in")

    with pytest.raises(AuthorizationFailed, match="you declined to log in"):
        await call(make(present=declined))


async def test_nobody_who_comes_ends_the_login(
    make: Make, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is not opened in time leads to an error that says so."""
    monkeypatch.setattr("mcpgw.oauth.flow.USER_PATIENCE", 0.2)
    person.absent = True
    with pytest.raises(AuthorizationFailed, match="no login at http://localhost"):
        await call(make())


async def test_a_logout_in_another_gateway_counts_here(
    make: Make, person: Person, clock: Clock
) -> None:
    """Tokens that were deleted elsewhere are not renewed here."""
    one, other = make(), make()
    assert [200, 200] == [await call(one), await call(other)]
    await one.logout()
    clock.shift = 3400
    assert {} == dict(await other.headers())
    assert "none" == other.status().state


async def test_switched_off_it_does_nothing(make: Make, person: Person) -> None:
    """With `enabled: false` a 401 stays what it is."""
    assert 401 == await call(make(settings={"enabled": False}))
    assert [] == person.links
