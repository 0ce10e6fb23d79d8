"""One request for authorization: its link, and the checks of what comes back (OAuth 2.1, 4.1)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from mcpgw.oauth.errors import ErrorAnswer, Refused, origin_of, quoted
from mcpgw.oauth.metadata import PKCE_METHOD, ServerMetadata
from mcpgw.oauth.redirect import Redirect
from mcpgw.oauth.scopes import OFFLINE


def _random() -> str:
    return secrets.token_urlsafe(32)


@attrs.frozen
class AuthorizationRequest:
    """A request that is good for one login; the issuer is recorded before the browser leaves."""

    server: ServerMetadata
    resource: str
    scopes: tuple[str, ...]
    state: str = attrs.field(factory=_random, repr=False)
    verifier: str = attrs.field(factory=_random, repr=False)

    def link(self, *, client_id: str, redirect_uri: str) -> str:
        """Return the link that the person opens.

        Raises:
          Refused: the server has no page to log in, or does not promise PKCE with S256.
        """
        endpoint = self.server.authorization_endpoint
        if endpoint is None:
            raise Refused(f"{origin_of(self.server.token_endpoint)} has no page to log in")
        if PKCE_METHOD not in self.server.code_challenge_methods_supported:
            raise Refused(
                f"{origin_of(endpoint)} does not promise PKCE with S256, so a stolen code could be"
                " used by others: refused"
            )
        parts = urlsplit(endpoint)
        own = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "state": self.state,
            "code_challenge": _challenge(self.verifier),
            "code_challenge_method": PKCE_METHOD,
            "resource": self.resource,
        }
        if self.scopes:
            own["scope"] = " ".join(self.scopes)
        if OFFLINE in self.scopes:
            # OpenID Connect Core section 11: no lasting access without asking the person.
            own["prompt"] = "consent"
        given = [(key, value) for key, value in parse_qsl(parts.query) if key not in own]
        return urlunsplit(parts._replace(query=urlencode([*given, *own.items()]), fragment=""))

    def code(self, redirect: Redirect) -> str:
        """Return the code of a redirect whose state was found to be ours.

        The issuer is compared as plain text, before anything else in the redirect is believed
        (RFC 9207 section 2.4).

        Raises:
          Refused: another issuer answered, or ours did not say that it was it.
          ErrorAnswer: the login was refused.
        """
        issuer = redirect.get("iss")
        if issuer is None and self.server.iss_supported:
            raise Refused(
                "the answer to the login does not name its issuer, though the authorization server"
                " promises that: refused"
            )
        if issuer is not None and issuer != self.server.issuer:
            raise Refused(
                f"the answer to the login names the issuer {quoted(issuer)!r}, and"
                f" {self.server.issuer!r} was asked: refused"
            )
        error = redirect.get("error")
        if error is not None:
            description = quoted(redirect.get("error_description"))
            raise ErrorAnswer(quoted(error), origin_of(self.server.issuer), description)
        code = redirect.get("code")
        if not code:
            raise Refused("the answer to the login holds no code")
        return code


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
