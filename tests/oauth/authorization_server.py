"""A real authorization server for the tests: Authlib decides, this gives it memory and HTTP."""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import attrs
from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    JsonRequest,
    TokenMixin,
    grants,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from tests.oauth.servers import Reply, Running, Seen, reply

METHODS = ["client_secret_basic", "client_secret_post", "none"]


@attrs.define(eq=False)
class Client(ClientMixin):
    """A client that the server knows."""

    client_id: str
    client_secret: str
    metadata: dict[str, Any]
    scope_limit: set[str] | None = None

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.metadata["redirect_uris"][0]

    def get_allowed_scope(self, scope: str | None) -> str:
        if self.scope_limit is None:
            return scope or ""
        return " ".join(each for each in (scope or "").split() if each in self.scope_limit)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.metadata["redirect_uris"]

    def check_client_secret(self, client_secret: str) -> bool:
        return self.client_secret == client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.metadata["token_endpoint_auth_method"]

    def check_response_type(self, response_type: str) -> bool:
        return response_type in self.metadata.get("response_types", [])

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.metadata["grant_types"]


@attrs.define(eq=False)
class Code:
    """A code that was given out, and what it is good for."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    resource: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@attrs.define(eq=False)
class Token(TokenMixin):
    """A pair of tokens that was given out."""

    access_token: str
    refresh_token: str | None
    client_id: str
    scope: str
    resource: str
    expires_at: float
    revoked: bool = False
    refresh_used: bool = False

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return int(self.expires_at - time.time())

    def is_expired(self) -> bool:
        return time.time() >= self.expires_at

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> str:
        return "person"

    def get_client(self) -> None:
        return None


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        data = request.payload.data
        self.server.place.codes[code] = Code(
            code,
            request.client.client_id,
            request.payload.redirect_uri,
            request.scope or "",
            data.get("resource", ""),
            data["code_challenge"],
            data["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = self.server.place.codes.get(code)
        if found is None or found.client_id != client.client_id:
            return None
        # RFC 8707 section 2.2: what is asked for must be what was granted.
        return found if self.request.form.get("resource", "") == found.resource else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.server.place.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return "person"


class _RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        place = self.server.place
        token = next((t for t in place.tokens if t.refresh_token == refresh_token), None)
        if token is not None and token.refresh_used:
            for each in place.tokens:  # Reuse of a rotated token: the whole family ends.
                each.revoked = True
        return None if token is None or token.revoked else token

    def authenticate_user(self, refresh_token: Token) -> str:
        return "person"

    def revoke_old_credential(self, refresh_token: Token) -> None:
        refresh_token.refresh_used = True


class _CredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[:2]


class _Registration(ClientRegistrationEndpoint):
    def authenticate_token(self, request: Any) -> str:
        return "open to all"

    def get_server_metadata(self) -> dict[str, Any]:
        return {"token_endpoint_auth_methods_supported": self.server.place.auth_methods}

    def generate_client_info(self, request: Any) -> dict[str, Any]:
        public = request.payload.data["token_endpoint_auth_method"] == "none"
        info = {"client_id": f"client-{secrets.token_hex(4)}", "client_id_issued_at": 1}
        secret = {"client_secret": f"s3cret-{secrets.token_hex(8)}", "client_secret_expires_at": 0}
        return info if public else info | secret

    def save_client(self, info: Any, metadata: Any, request: Any) -> Client:
        place = self.server.place
        place.registrations.append(request.payload.data)
        return place.add_client(info["client_id"], info.get("client_secret", ""), **metadata)


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
        for token in self.server.place.tokens:
            if token_string in (token.access_token, token.refresh_token):
                return token
        return None

    def revoke_token(self, token: Token, request: Any) -> None:
        token.revoked = True


class _Request(OAuth2Request):
    def __init__(self, seen: Seen, origin: str) -> None:
        super().__init__(seen.method, f"{origin}{seen.path}", None, _titled(seen.headers))
        self._query, self._form = seen.query, seen.form
        self.payload = BasicOAuth2Payload({**seen.query, **seen.form})

    @property
    def args(self) -> dict[str, str]:
        return self._query

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Json(JsonRequest):
    def __init__(self, seen: Seen, origin: str) -> None:
        super().__init__(seen.method, f"{origin}{seen.path}", _titled(seen.headers))
        self.payload = BasicOAuth2Payload(json.loads(seen.body))


def _titled(headers: dict[str, str]) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}


class _Library(AuthorizationServer):
    def __init__(self, place: AuthorizationPlace) -> None:
        super().__init__()
        self.place = place
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                lambda **_: f"at-{secrets.token_urlsafe(24)}",
                lambda **_: f"rt-{secrets.token_urlsafe(24)}",
                lambda client, grant: place.token_life,
            ),
        )
        self.register_grant(_CodeGrant, [CodeChallenge(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_grant(_CredentialsGrant)
        self.register_endpoint(_Registration)
        self.register_endpoint(_Revocation)

    def query_client(self, client_id: str) -> Client | None:
        return self.place.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        before = request.authorization_code or request.refresh_token
        resource = before.resource if before else request.form.get("resource", "")
        self.place.tokens.append(
            Token(
                token["access_token"],
                token.get("refresh_token"),
                request.client.client_id,
                token.get("scope", ""),
                resource,
                time.time() + token["expires_in"],
            )
        )

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: Seen) -> _Request:
        return _Request(request, self.place.issuer)

    def create_json_request(self, request: Seen) -> _Json:
        return _Json(request, self.place.issuer)

    def handle_response(self, status: int, body: Any, headers: Any) -> Reply:
        return reply(status, body or None, **{k.replace("-", "_"): v for k, v in headers})


@attrs.define(eq=False)
class AuthorizationPlace:
    """An authorization server with one user, who consents to everything unless `denies`.

    `metadata` overrides what is published; None takes a member out. `iss` is what the answer to a
    login names as its issuer. `token_answers` replaces the answers of the token endpoint, given its
    document. `intercept` may answer a request instead of the server.
    """

    issuer: str = ""
    token_life: int = 3600
    denies: bool = False
    iss: str | None = "correct"
    auth_methods: list[str] = attrs.field(factory=lambda: list(METHODS))
    metadata: dict[str, Any] = attrs.field(factory=dict)
    metadata_path: str = "/.well-known/oauth-authorization-server"
    scope_limit: set[str] | None = None
    token_answers: Callable[[dict[str, Any]], Reply] | None = None
    intercept: Callable[[Seen], Reply | None] | None = None
    failing: set[str] = attrs.field(factory=set)
    clients: dict[str, Client] = attrs.field(factory=dict)
    codes: dict[str, Code] = attrs.field(factory=dict)
    tokens: list[Token] = attrs.field(factory=list)
    registrations: list[dict[str, Any]] = attrs.field(factory=list)
    counts: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))
    running: Running | None = None
    _library: _Library = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._library = _Library(self)

    def add_client(self, client_id: str, secret: str, **metadata: Any) -> Client:
        """Make a client known."""
        client = Client(client_id, secret, metadata, self.scope_limit)
        self.clients[client_id] = client
        return client

    def introspect(self, token: str) -> dict[str, Any] | None:
        """Tell of a token that is good: its scope, and the resource it is for."""
        for each in self.tokens:
            if each.access_token == token and not each.revoked and not each.is_expired():
                return {"scope": each.scope, "resource": each.resource}
        return None

    def secrets(self) -> set[str]:
        """Return everything that must never be seen in logs."""
        found = {client.client_secret for client in self.clients.values()}
        for token in self.tokens:
            found |= {token.access_token, token.refresh_token or ""}
        return found - {""}

    def published(self) -> dict[str, Any]:
        """Return the metadata."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": self.auth_methods,
            "authorization_response_iss_parameter_supported": self.iss is not None,
            **self.metadata,
        }
        return {key: value for key, value in document.items() if value is not None}

    def __call__(self, seen: Seen) -> Reply:
        """Answer a request."""
        name = seen.path.rpartition("/")[2]
        self.counts[seen.form.get("grant_type", name)] += 1
        if self.intercept is not None and (instead := self.intercept(seen)) is not None:
            return instead
        if name in self.failing or seen.form.get("grant_type") in self.failing:
            return reply(503, "later")
        if seen.path == self.metadata_path:
            return reply(200, self.published())
        if name == "authorize":
            return self._authorize(seen)
        if name == "token":
            answer: Reply = self._library.create_token_response(seen)
            document = json.loads(answer[2])
            if self.token_answers is None or "access_token" not in document:
                return answer
            return self.token_answers(document)
        if name == "register":
            return self._library.create_endpoint_response("client_registration", seen)
        if name == "revoke":
            return self._library.create_endpoint_response("revocation", seen)
        return reply(404, "not here")

    def _authorize(self, seen: Seen) -> Reply:
        library = self._library
        try:
            grant = library.get_consent_grant(seen, "person")
        except OAuth2Error as error:
            return library.handle_error_response(library.create_oauth2_request(seen), error)
        user = None if self.denies else "person"
        status, headers, body = library.create_authorization_response(seen, user, grant=grant)
        place = headers.get("Location")
        if place is not None and self.iss is not None:
            issuer = self.issuer if self.iss == "correct" else self.iss
            headers["Location"] = f"{place}&iss={issuer}"
        return status, headers, body
