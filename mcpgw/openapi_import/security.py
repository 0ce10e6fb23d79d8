"""Credentials of operations, derived from the security schemes of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from mcpgw.config.api_login import read_endpoint
from mcpgw.config.value_types import SettingError
from mcpgw.openapi_import.references import References
from mcpgw.openapi_import.texts import identifier, sentence

_GRANT_KEYS: Final = frozenset(
    {"grant", "token_endpoint", "authorization_endpoint", "client_id", "client_secret"}
)
_SWAGGER_FLOWS: Final = {"authorizationCode": "accessCode", "clientCredentials": "application"}


@attrs.frozen
class Credentials:
    """Credentials that an operation sends.

    Args:
      auth: the `auth` section of the capability file; None without credentials.
      headers: templates of headers with further secrets.
      params: templates of query parameters with further secrets.
      cookies: templates of cookies with further secrets.
      sent: locations and names of the parameters that carry credentials, so that they do not
        become inputs; names of headers in lower case.
      notes: schemes that could not be mapped.
    """

    auth: dict[str, Any] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    params: Mapping[str, str] = attrs.field(factory=dict)
    cookies: Mapping[str, str] = attrs.field(factory=dict)
    sent: frozenset[tuple[str, str]] = frozenset()
    notes: tuple[str, ...] = ()


@attrs.frozen
class Security:
    """The security schemes of a document.

    Args:
      document: the whole document.
      references: resolves `$ref`.
      owner: prefix of the environment variables, so that two APIs do not share one.
      auth_key: reference to the credential; by default each scheme gets a variable.
    """

    document: Mapping[str, Any]
    references: References
    owner: str
    auth_key: str | None = None

    def of(self, operation: Mapping[str, Any]) -> Credentials:
        """Return the credentials of an operation, by its own requirement or the document's."""
        requirements = operation.get("security", self.document.get("security"))
        if self.auth_key is not None:
            return self._configured(requirements)
        if not isinstance(requirements, list) or not requirements:
            return Credentials()
        optional = any(not each for each in requirements if isinstance(each, Mapping))
        ways = [each for each in requirements if isinstance(each, Mapping) and each]
        if not ways:
            return Credentials()
        return min((self._way(way, optional) for way in ways), key=_rank)

    def _configured(self, requirements: Any) -> Credentials:
        found = attrs.evolve(self, auth_key=None).of(
            {"security": requirements} if requirements else {}
        )
        base = found.auth or {"required": True, "type": "bearer"}
        kept = {key: value for key, value in base.items() if key not in _GRANT_KEYS}
        return attrs.evolve(found, auth={**kept, "key": self.auth_key})

    def _way(self, way: Mapping[str, Any], optional: bool) -> Credentials:
        """Return the credentials of one alternative, which needs all of its schemes."""
        auth: dict[str, Any] | None = None
        headers: dict[str, str] = {}
        params: dict[str, str] = {}
        cookies: dict[str, str] = {}
        sent: set[tuple[str, str]] = set()
        notes: list[str] = []
        for name, scopes in way.items():
            scheme = self.references.follow(self._schemes().get(name))
            if not isinstance(scheme, Mapping) or not scheme:
                notes.append(f"the security scheme {str(name)[:60]!r} is not defined")
                continue
            mapped = self._scheme(str(name), scheme, scopes)
            if mapped is None:
                kind = str(scheme.get("type"))[:30]
                notes.append(f"the security scheme {str(name)[:60]!r} ({kind}) cannot be mapped")
                continue
            sent.add(_carrier(mapped))
            if auth is None:
                auth = {"required": not optional, **mapped}
            elif mapped.get("key", "").startswith("env:"):
                template = f"{{env.{mapped['key'][4:]}}}"
                if "param" in mapped:
                    params[mapped["param"]] = template
                elif "cookie" in mapped:
                    cookies[mapped["cookie"]] = template
                else:
                    headers[mapped.get("header", "Authorization")] = template
            else:
                notes.append(f"the second security scheme {str(name)[:60]!r} is left out")
        return Credentials(auth, headers, params, cookies, frozenset(sent), tuple(notes))

    def _schemes(self) -> Mapping[str, Any]:
        components = self.references.follow(self.document.get("components"))
        found = components.get("securitySchemes") if isinstance(components, Mapping) else None
        if found is None:
            found = self.document.get("securityDefinitions")
        return found if isinstance(found, Mapping) else {}

    def _scheme(self, name: str, scheme: Mapping[str, Any], scopes: Any) -> dict[str, Any] | None:
        kind = str(scheme.get("type", "")).lower()
        about = sentence(scheme.get("description"), 300)
        more = {"description": about} if about else {}
        key = f"env:{self._variable(name)}"
        http = str(scheme.get("scheme", "")).lower()
        if kind == "basic" or (kind == "http" and http == "basic"):
            hint = f"Set {key[4:]} to user:password."
            return {"type": "basic", "key": key, "description": f"{about} {hint}".strip()}
        if kind == "http":
            if http == "bearer":
                return {"type": "bearer", "key": key, **more}
            return {"type": "bearer", "key": key, "prefix": http.title(), **more} if http else None
        if kind == "apikey":
            place, header = scheme.get("in"), str(scheme.get("name", ""))
            if not header:
                return None
            base = {"type": "api_key", "key": key, **more}
            if place == "query":
                return {**base, "param": header}
            if place == "header":
                return {**base, "header": header}
            if place == "cookie":
                return {**base, "cookie": header}
            return None
        if kind in ("oauth2", "openidconnect"):
            needed = [str(each) for each in scopes] if isinstance(scopes, list) else []
            granted, hint = self._grant(name, scheme)
            auth: dict[str, Any] = {"type": "oauth2", **(granted or {"key": key})}
            if needed:
                auth["scopes"] = needed
            hint = hint or f"Put an access token into {key[4:]}."
            auth["description"] = f"{about} {hint}".strip()
            return auth
        return None

    def _grant(self, name: str, scheme: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the settings of an OAuth grant, and how to get its client; empty without one.

        A login of a user reaches all operations, so it is preferred to a token of the client.
        """
        variable = self._variable(name)
        make = "Make an OAuth client at the provider"
        code, own = _flow(scheme, "authorizationCode"), _flow(scheme, "clientCredentials")
        login = _endpoint(code.get("authorizationUrl"))
        if login and (token := _endpoint(code.get("tokenUrl"))):
            provider = variable.lower()
            endpoints = {"authorization_endpoint": login, "token_endpoint": token}
            hint = f"{make}, and run: mcp-gateway auth login {provider}."
            return {"key": f"oauth:{provider}", **endpoints}, hint
        if token := _endpoint(own.get("tokenUrl")):
            client, secret = f"{variable}_CLIENT_ID", f"{variable}_CLIENT_SECRET"
            granted = {
                "grant": "client_credentials",
                "token_endpoint": token,
                "client_id": f"env:{client}",
                "client_secret": f"env:{secret}",
            }
            return granted, f"{make}, and set {client} and {secret}."
        return {}, ""

    def _variable(self, name: str) -> str:
        own = identifier(name) or "key"
        start = identifier(self.owner)
        if start and not own.startswith(start):
            own = f"{start}_{own}"
        return (own if not own[0].isdigit() else f"api_{own}").upper()


def _carrier(mapped: Mapping[str, Any]) -> tuple[str, str]:
    """Return the location and name of the parameter that carries a credential."""
    if "param" in mapped:
        return "query", mapped["param"]
    if "cookie" in mapped:
        return "cookie", mapped["cookie"]
    return "header", mapped.get("header", "Authorization").lower()


def _rank(found: Credentials) -> int:
    """Return the rank of an alternative; credentials that a person sets only once come first."""
    order = ("bearer", "api_key", "basic", "oauth2")
    kind = found.auth["type"] if found.auth else ""
    return order.index(kind) if kind in order else len(order)


def _flow(scheme: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a flow of an `oauth2` scheme, empty if it has no such flow."""
    if "flow" in scheme:  # Swagger 2.0
        return scheme if scheme["flow"] == _SWAGGER_FLOWS[name] else {}
    flows = scheme.get("flows")
    found = flows.get(name) if isinstance(flows, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _endpoint(value: Any) -> str:
    """Return the URL of an endpoint, "" if it cannot be used."""
    try:
        return read_endpoint(value)
    except SettingError:
        return ""
