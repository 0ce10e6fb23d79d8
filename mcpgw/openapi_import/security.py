"""Credentials of operations, derived from the security schemes of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mcpgw.openapi_import.references import References
from mcpgw.openapi_import.texts import identifier, sentence


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
        return attrs.evolve(found, auth={**base, "key": self.auth_key})

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
            elif mapped["key"].startswith("env:"):
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
            auth: dict[str, Any] = {"type": "oauth2", "key": key, **more}
            needed = [str(each) for each in scopes] if isinstance(scopes, list) else []
            if needed:
                auth["scopes"] = needed
            hint = f"Put an access token into {key[4:]}."
            auth["description"] = f"{about} {hint}".strip()
            return auth
        return None

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
