"""Authorization requests: the link, and the checks of the redirect (OAuth 2.1, section 4.1)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import parse_qsl, urlencode, urlunsplit

import attrs

from mcpgw.oauth.address_policy import split_url
from mcpgw.oauth.errors import ErrorAnswer, Refused, origin_of, quoted
from mcpgw.oauth.metadata import PKCE_METHOD, ServerMetadata
from mcpgw.oauth.redirect import Redirect
from mcpgw.oauth.scopes import OFFLINE


def _random() -> str:
    return secrets.token_urlsafe(32)


@attrs.frozen
class AuthorizationRequest:
    """The request of one login. The issuer is recorded before the browser is sent there."""

    server: ServerMetadata
    resource: str | None
    scopes: tuple[str, ...]
    pkce_required: bool = True
    """True if the server must declare that it supports PKCE."""
    state: str = attrs.field(factory=_random, repr=False)
    verifier: str = attrs.field(factory=_random, repr=False)

    def link(self, *, client_id: str, redirect_uri: str) -> str:
        """Return the link that the user opens.

        Raises:
          Refused: the server has no valid authorization endpoint, or does not declare support for
            PKCE with S256.
        """
        endpoint = self.server.authorization_endpoint
        if endpoint is None:
            raise Refused(f"{origin_of(self.server.token_endpoint)} has no authorization endpoint")
        methods = self.server.code_challenge_methods_supported
        if PKCE_METHOD not in methods and (methods or self.pkce_required):
            way_out = "" if methods else "; to allow it, set `allow_missing_pkce` under `oauth`"
            raise Refused(
                f"{origin_of(endpoint)} does not declare support for PKCE with S256, so others"
                f" could use a stolen code: refused{way_out}"
            )
        try:
            parts = split_url(endpoint)
        except Refused as problem:
            raise Refused(f"the authorization endpoint is not usable: {problem}") from None
        own = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "state": self.state,
            "code_challenge": _challenge(self.verifier),
            "code_challenge_method": PKCE_METHOD,
        }
        if self.resource is not None:
            own["resource"] = self.resource
        if self.scopes:
            own["scope"] = " ".join(self.scopes)
        if OFFLINE in self.scopes:
            # Offline access needs the user's consent (OpenID Connect Core, section 11).
            own["prompt"] = "consent"
        given = [(key, value) for key, value in parse_qsl(parts.query) if key not in own]
        return urlunsplit(parts._replace(query=urlencode([*given, *own.items()]), fragment=""))

    def code(self, redirect: Redirect) -> str:
        """Return the code of a redirect whose state has been verified.

        The issuer is compared as a plain string, before any other parameter is used (RFC 9207,
        section 2.4).

        Raises:
          Refused: the issuer is missing or wrong, or there is no code.
          ErrorAnswer: the login was refused.
        """
        issuer = redirect.get("iss")
        if issuer is None and self.server.iss_supported:
            raise Refused(
                "the redirect lacks the issuer, which the authorization server declares to send:"
                " refused"
            )
        if issuer is not None and self.server.issuer and issuer != self.server.issuer:
            raise Refused(
                f"the redirect names the issuer {quoted(issuer)!r} instead of"
                f" {self.server.issuer!r}: refused"
            )
        error = redirect.get("error")
        if error is not None:
            description = quoted(redirect.get("error_description"))
            where = origin_of(self.server.issuer or self.server.token_endpoint)
            raise ErrorAnswer(quoted(error), where, description)
        code = redirect.get("code")
        if not code:
            raise Refused("the redirect contains no code")
        return code


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
