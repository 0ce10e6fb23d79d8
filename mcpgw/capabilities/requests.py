"""HTTP requests, made from the settings of a provider and the inputs of a call."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import attrs

from mcpgw.capabilities.bodies import (
    FILLER,
    JSON,
    Body,
    encode_body,
    encode_pairs,
    encode_query,
    files_of,
)
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest
from mcpgw.capabilities.model import Auth, Provider, ProviderConfig
from mcpgw.capabilities.responses import compact
from mcpgw.capabilities.templating import (
    MISSING,
    Inputs,
    Missing,
    Placeholder,
    Values,
    fill_text,
    fill_value,
    parse,
    placeholders,
)

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
WITH_BODY: Final = ("POST", "PUT", "PATCH", "DELETE")


@attrs.frozen
class Draft:
    """A request whose files must still be fetched."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: Any = attrs.field(default=MISSING, repr=False)
    content_type: str = ""

    def files(self) -> list[str]:
        """Return the URLs of the files in the body."""
        return [each.url for each in files_of(self.body)]

    def outgoing(self, body: Any = MISSING) -> HttpRequest:
        """Return the complete request, with another body if one is given."""
        value = self.body if isinstance(body, Missing) else body
        made = Body() if self.method not in WITH_BODY else encode_body(value, self.content_type)
        headers = dict(self.headers)
        if made.content is not None:
            headers.setdefault("content-type", made.type)
            if made.type.startswith("multipart/"):
                headers["content-type"] = made.type
        url = self.url
        if self.query:
            url += ("&" if "?" in url else "?") + encode_pairs(list(self.query))
        return HttpRequest(self.method, url, headers, made.content)

    def with_query(self, name: str, value: Any) -> Draft:
        """Return the draft with another value of a query parameter."""
        kept = [pair for pair in self.query if pair[0] != name]
        return attrs.evolve(self, query=(*kept, *encode_query({name: value}, "repeat")))

    def with_key(self, name: str, value: Any) -> Draft:
        """Return the draft with another value of a key of its JSON body."""
        body = self.body if isinstance(self.body, Mapping) else {}
        return attrs.evolve(self, body={**body, name: value})


def secret_references(provider: Provider) -> set[str]:
    """Return the references to secrets in the templates of a provider."""
    config = provider.config
    texts: list[Any] = [
        *(config.base_url, config.path, config.endpoint, config.stdin),
        *(config.headers, config.params, config.body, config.variables),
        *(config.arguments, list(config.command)),
    ]
    if config.path_selector is not None:
        texts.append(config.path_selector.paths)
    return {each.secret for text in texts for each in placeholders(text) if each.secret is not None}


def draft(
    provider: Provider, inputs: Mapping[str, Any], values: Values, auth: Auth, credential: str
) -> Draft:
    """Make the request of a REST provider.

    Args:
      provider: the provider.
      inputs: the caller's arguments with their defaults.
      values: the values of templates: inputs and secrets.
      auth: how the credential is sent.
      credential: the credential, "" for none.

    Raises:
      CallProblem: the URL lacks an input, or a value is not allowed in a URL or header.
    """
    config = provider.config
    method = config.method.upper()
    body = FILLER.fill(config.body, values) if config.body is not None else MISSING
    query = _query(config, inputs, values, method)
    headers = _headers(config.headers, values)
    if "accept" not in headers and config.response_format in ("auto", "json"):
        headers["accept"] = "application/json, */*;q=0.5"
    url = _url(config, inputs, values)
    if credential:
        if auth.param:
            query = [pair for pair in query if pair[0] != auth.param]
            query.append((auth.param, credential))
        else:
            headers[auth.header.lower()] = header_value(auth, credential)
    return Draft(method, url, tuple(query), headers, body, config.body_content_type)


def is_unencrypted(url: str) -> bool:
    """Return whether a request to a URL crosses a network without encryption."""
    from mcpgw.transports.address_policy import is_loopback_host

    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback_host(parts.hostname or "")


def check_encryption(url: str) -> None:
    """Refuse to send a credential unencrypted, except to this machine.

    Raises:
      CallProblem: the URL is an http URL of another machine.
    """
    if is_unencrypted(url):
        raise CallProblem(
            f"the URL of {urlsplit(url).netloc} must be an https URL, since http would send the"
            " credential unencrypted. If it is a private address that you trust, set `network:"
            " {allow_private: true}` in the file, and add the host or its network to"
            " `capabilities.allow_private` in gateway.yaml."
        )


def header_value(auth: Auth, credential: str) -> str:
    """Return the value of the header that carries a credential."""
    prefix = auth.prefix
    if prefix is None:
        prefix = {"basic": "Basic", "api_key": ""}.get(auth.type, "Bearer")
    if auth.type == "basic" and ":" in credential:
        credential = base64.b64encode(credential.encode()).decode()
    return check_header(auth.header, f"{prefix} {credential}".strip())


def check_header(name: str, value: str) -> str:
    """Return the value of a header, percent-encoded if it is not ASCII.

    Raises:
      CallProblem: it contains a control character, which could start another header.
    """
    if any((ord(sign) < 32 and sign != "\t") or ord(sign) == 127 for sign in value):
        raise CallProblem(
            f"the value of the header {name} must not contain line breaks or other control"
            " characters."
        )
    try:
        value.encode("ascii")
    except UnicodeEncodeError:
        return quote(value, safe=" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return value.strip()


def _headers(templates: Mapping[str, str], values: Values) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, template in templates.items():
        text = fill_text(template, values)
        if isinstance(text, Missing) or text == "":
            continue
        headers[name.lower()] = check_header(name, text)
    return headers


def _query(
    config: ProviderConfig, inputs: Mapping[str, Any], values: Values, method: str
) -> list[tuple[str, str]]:
    query: dict[str, Any] = {}
    for name, template in config.params.items():
        value = (
            fill_value(template, values)
            if isinstance(template, str)
            else FILLER.fill(template, values)
        )
        if not isinstance(value, Missing) and value not in ("", []):
            query[name] = value
    for name, parameter in config.param_map.items():
        value = inputs.get(name)
        if value is not None and value not in ("", []):
            query[parameter] = value
    if method == "GET":
        taken = {each.root for each in placeholders(config.params)} | config.param_map.keys()
        for name, value in config.static_params.items():
            if name not in query and name not in taken:
                query[name] = inputs.get(name, value)
    return encode_query(query, config.array_style)


def _encode(text: str, placeholder: Placeholder) -> str:
    """Percent-encode a value as a single path segment (RFC 3986), except for `{+name}`."""
    if placeholder.raw:
        if any(part in (".", "..") for part in re.split(r"[/\\?#]", text)):
            raise CallProblem(f"{placeholder.path} must not contain '.' or '..' as a path segment.")
        return quote(text, safe=":/?#[]@!$&'()*+,;=%-._~")
    if text in (".", "..", ""):
        # Such a segment is resolved as a relative path even if it is percent-encoded.
        raise CallProblem(f"{placeholder.path}: {text!r} must not be a path segment of a URL.")
    return quote(text, safe="")


def _url(config: ProviderConfig, inputs: Mapping[str, Any], values: Values) -> str:
    template = config.endpoint or (config.base_url.rstrip("/") + _path(config, inputs))
    _check_host(template, values)
    filled = fill_text(template, values, _encode)
    if isinstance(filled, Missing):
        absent = ", ".join(
            part.path
            for part in parse(template)
            if isinstance(part, Placeholder) and _is_missing(part, values)
        )
        raise CallProblem(f"missing inputs for the URL: {absent}.")
    return filled


def _is_missing(part: Placeholder, values: Values) -> bool:
    found = values.secret(part.secret) if part.secret is not None else values.input(part)
    return isinstance(found, Missing)


def _check_host(template: str, values: Values) -> None:
    """Refuse an input that changes the host that the file declares.

    One label of a name may be an input (`{language}.wikipedia.org`). A template that starts with
    `{+url}` leaves the whole URL to the caller; the guarded client checks its address.

    Raises:
      CallProblem: an input would change the host.
    """
    parts = parse(template)
    if parts and isinstance(parts[0], Placeholder) and parts[0].raw:
        return
    before = ""
    for place, part in enumerate(parts):
        if isinstance(part, str):
            before += part
        elif part.secret is not None:
            before += "0" if "://" in before else "secret://0"
        else:
            if before.count("/") >= 3:
                return
            after = parts[place + 1] if place + 1 < len(parts) else ""
            rest = after.partition("/")[0] if isinstance(after, str) else ""
            if not (rest.startswith(".") and rest.count(".") > 1 and before.endswith("://")):
                raise CallProblem(f"{part.text}: an input must not change the host of the URL.")
            label = str(values.input(part))
            if not _LABEL.fullmatch(label):
                raise CallProblem(
                    f"{part.path}: {label!r:.40} must be a valid label of a host name."
                )
            before += "0"


def _path(config: ProviderConfig, inputs: Mapping[str, Any]) -> str:
    selector = config.path_selector
    if selector is None or not selector.paths:
        path = config.path
    else:
        chosen = inputs.get(selector.parameter, selector.default)
        if chosen not in selector.paths:
            known = ", ".join(selector.paths)
            raise CallProblem(f"{selector.parameter} must be one of {known}, not {chosen!r:.60}.")
        path = selector.paths[chosen]
    return path if not path or path.startswith(("/", "?", "{")) else f"/{path}"


def json_post(
    url: str, body: Any, headers: Mapping[str, str], values: Values, auth: Auth, credential: str
) -> Draft:
    """Make a POST request with a JSON body, for GraphQL and JSON-RPC.

    Args:
      url: the URL.
      body: the body.
      headers: templates of further headers.
      values: the values of the templates.
      auth: how the credential is sent.
      credential: the credential, "" for none.
    """
    filled = _headers(headers, values)
    filled.setdefault("content-type", JSON)
    filled.setdefault("accept", JSON)
    query: tuple[tuple[str, str], ...] = ()
    if credential:
        if auth.param:
            query = ((auth.param, credential),)
        else:
            filled[auth.header.lower()] = header_value(auth, credential)
    return Draft("POST", url, query, filled, body, JSON)


def endpoint_url(config: ProviderConfig, inputs: Mapping[str, Any], values: Values) -> str:
    """Return the URL of a GraphQL or JSON-RPC provider."""
    return _url(config, inputs, values)


def values_of(inputs: Mapping[str, Any], secrets: Mapping[str, str | None]) -> Inputs:
    """Return the values of templates.

    Args:
      inputs: the caller's arguments with their defaults.
      secrets: secrets by their references; None for one that is not set.

    Raises:
      CallProblem: an input contains a lone surrogate, which cannot be encoded.
    """
    try:
        compact(inputs).encode()
    except UnicodeEncodeError:
        raise CallProblem(
            "An argument contains a lone surrogate (such as \\ud800), which cannot be encoded."
            " Pass the whole character, or remove it."
        ) from None

    def secret(reference: str) -> str | Missing:
        found = secrets.get(reference)
        return MISSING if found is None else found

    return Inputs(inputs, secret)
