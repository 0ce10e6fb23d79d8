"""HTTP requests, made from the settings of a provider and the inputs of a call."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import attrs

from mcpgw.capabilities.bodies import FILLER, files_of
from mcpgw.capabilities.body_encoding import JSON, Body, Field, Fields, encode_body
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.http_sender import HttpRequest
from mcpgw.capabilities.model import Auth, Provider, ProviderConfig
from mcpgw.capabilities.responses import compact
from mcpgw.capabilities.serialization import (
    QueryPair,
    cookie_pairs,
    flattened,
    header_text,
    is_empty,
    query_pairs,
)
from mcpgw.capabilities.styles import NOTHING, Serialization
from mcpgw.capabilities.templating import (
    MISSING,
    Inputs,
    Missing,
    Values,
    as_text,
    fill_given,
    fill_text,
    lone_input,
    placeholders,
)
from mcpgw.capabilities.urls import request_url

WITH_BODY: Final = ("POST", "PUT", "PATCH", "DELETE", "QUERY")


@attrs.frozen
class Draft:
    """A request whose files must still be fetched."""

    method: str
    url: str
    query: tuple[QueryPair, ...]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: Any = attrs.field(default=MISSING, repr=False)
    content_type: str = ""
    fields: Fields = NOTHING
    """Fields of the body whose form is declared."""
    body_required: bool = False

    def files(self) -> list[str]:
        """Return the URLs of the files in the body."""
        return [each.url for each in files_of(self.body)]

    def outgoing(self, body: Any = MISSING) -> HttpRequest:
        """Return the complete request, with another body if one is given."""
        value = self.body if isinstance(body, Missing) else body
        made = Body()
        if self.method in WITH_BODY:
            made = encode_body(value, self.content_type, self.fields, required=self.body_required)
        headers = dict(self.headers)
        if made.content is not None:
            headers.setdefault("content-type", made.type)
            if made.type.startswith("multipart/"):
                headers["content-type"] = made.type
        url = self.url
        if self.query:
            url += ("&" if "?" in url else "?") + "&".join(pair.text for pair in self.query)
        return HttpRequest(self.method, url, headers, made.content)

    def with_query(self, name: str, value: Any) -> Draft:
        """Return the draft with another value of a query parameter."""
        kept = [pair for pair in self.query if pair.name != name]
        return attrs.evolve(self, query=(*kept, *query_pairs(name, value)))

    def with_key(self, name: str, value: Any) -> Draft:
        """Return the draft with another value of a key of its JSON body."""
        body = self.body if isinstance(self.body, Mapping) else {}
        return attrs.evolve(self, body={**body, name: value})


def secret_references(provider: Provider) -> set[str]:
    """Return the references to secrets in the templates of a provider."""
    config = provider.config
    texts: list[Any] = [
        *(config.base_url, config.path, config.endpoint, config.stdin),
        *(config.headers, config.params, config.cookies, config.body, config.variables),
        *(config.arguments, list(config.command)),
        *(each.headers for each in config.styles.body.values()),
    ]
    if config.path_selector is not None:
        texts.append(config.path_selector.paths)
    return {each.secret for text in texts for each in placeholders(text) if each.secret is not None}


def draft(
    provider: Provider,
    inputs: Mapping[str, Any],
    values: Values,
    auth: Auth,
    credential: str,
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
    headers = _headers(config.headers, values, config.styles.header)
    cookies = _cookies(config, values)
    if "accept" not in headers and config.response_format in ("auto", "json"):
        headers["accept"] = "application/json, */*;q=0.5"
    url = request_url(config, inputs, values)
    if credential:
        if auth.param:
            query = [pair for pair in query if pair.name != auth.param]
            query.append(QueryPair.of(auth.param, credential))
        elif auth.cookie:
            cookies = [each for each in cookies if not each.startswith(f"{auth.cookie}=")]
            cookies.insert(0, cookie_value(auth.cookie, credential))
        elif auth.header.lower() == "cookie":
            cookies.insert(0, header_value(auth, credential))
        else:
            headers[auth.header.lower()] = header_value(auth, credential)
    if cookies:
        own = [headers["cookie"]] if "cookie" in headers else []
        headers["cookie"] = "; ".join([*own, *cookies])
    fields = {
        name: Field(each, _part_headers(each, values)) for name, each in config.styles.body.items()
    }
    return Draft(
        method,
        url,
        tuple(query),
        headers,
        body,
        config.body_content_type,
        fields,
        config.body_required,
    )


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
    space = "" if prefix.endswith("=") else " "
    return check_header(auth.header, f"{prefix}{space}{credential}".strip())


def cookie_value(name: str, credential: str) -> str:
    """Return the cookie that carries a credential.

    Raises:
      CallProblem: the credential contains a character that would end the cookie.
    """
    if ";" in credential or "," in credential or any(sign.isspace() for sign in credential):
        raise CallProblem(f"the credential of the cookie {name} must not contain ';' or blanks.")
    return check_header("Cookie", f"{name}={credential}")


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


def _headers(
    templates: Mapping[str, str],
    values: Values,
    styles: Mapping[str, Serialization] = NOTHING,
) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, template in templates.items():
        value = fill_given(template, values)
        # A lone input may be an empty string; a text that comes out empty has no value.
        if isinstance(value, Missing) or is_empty(value):
            continue
        if value == "" and lone_input(template) is None:
            continue
        how = styles.get(name)
        text = header_text(value) if how is None else header_text(value, how)
        headers[name.lower()] = check_header(name, text)
    return headers


def _cookies(config: ProviderConfig, values: Values) -> list[str]:
    found: list[str] = []
    for name, template in config.cookies.items():
        value = fill_given(template, values)
        if isinstance(value, Missing) or (value == "" and lone_input(template) is None):
            continue
        how = config.styles.cookie.get(name)
        pairs = cookie_pairs(name, value) if how is None else cookie_pairs(name, value, how)
        found += (check_header("Cookie", pair) for pair in pairs)
    return found


def _part_headers(how: Serialization, values: Values) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, template in how.headers.items():
        text = fill_text(template, values)
        if not isinstance(text, Missing):
            found[name] = check_header(name, text)
    return found


def _query(
    config: ProviderConfig, inputs: Mapping[str, Any], values: Values, method: str
) -> list[QueryPair]:
    query: dict[str, Any] = {}
    for name, template in config.params.items():
        value = (
            fill_given(template, values)
            if isinstance(template, str)
            else FILLER.fill(template, values)
        )
        if isinstance(value, Missing) or is_empty(value):
            continue
        if value != "" or lone_input(template) is not None:
            query[name] = value
    for name, parameter in config.param_map.items():
        if not is_empty(value := inputs.get(name)):
            query[parameter] = value
    if method == "GET":
        taken = {each.root for each in placeholders(config.params)} | config.param_map.keys()
        for name, value in config.static_params.items():
            if name not in query and name not in taken:
                given = inputs.get(name)
                query[name] = value if given is None else given
    return [
        pair
        for name, value in query.items()
        for pair in _query_pairs(name, value, config.styles.query.get(name), config.array_style)
    ]


def _query_pairs(
    name: str, value: Any, how: Serialization | None, array_style: str
) -> list[QueryPair]:
    if how is not None:
        return query_pairs(name, value, how)
    if array_style == "json" and not is_empty(value):
        return [QueryPair.of(name, as_text(value))]
    if isinstance(value, Mapping):
        return [QueryPair.of(key, text) for key, text in flattened(name, value)]
    if array_style == "comma" and isinstance(value, list):
        texts = [as_text(each) for each in value if each is not None]
        return [QueryPair.of(name, ",".join(texts))]
    key = f"{name}[]" if array_style == "brackets" and isinstance(value, list) else name
    return query_pairs(key, value)


def json_post(
    url: str,
    body: Any,
    headers: Mapping[str, str],
    values: Values,
    auth: Auth,
    credential: str,
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
    query: tuple[QueryPair, ...] = ()
    if credential:
        if auth.param:
            query = (QueryPair.of(auth.param, credential),)
        elif auth.cookie:
            filled["cookie"] = cookie_value(auth.cookie, credential)
        else:
            filled[auth.header.lower()] = header_value(auth, credential)
    return Draft("POST", url, query, filled, body, JSON)


def endpoint_url(config: ProviderConfig, inputs: Mapping[str, Any], values: Values) -> str:
    """Return the URL of a GraphQL or JSON-RPC provider."""
    return request_url(config, inputs, values)


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
