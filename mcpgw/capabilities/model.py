"""Capability files as frozen classes: every key with its type, default and description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from mcpgw.capabilities.file_values import (
    HEADER_NAME,
    HEADER_NAMES,
    HEADERS,
    METHOD,
    PROJECTION,
    SHA256,
    VALUES,
)
from mcpgw.capabilities.styles import NOTHING, Styles
from mcpgw.config.api_login import ENDPOINT, SECRET_METHODS
from mcpgw.config.setting import listed, named, section, setting
from mcpgw.config.transforms import RESPONSE, ResponseTransform
from mcpgw.config.value_types import (
    FLAG,
    TEXT,
    TEXT_MAP,
    TEXTS,
    Kind,
    SettingError,
    choice,
    noun,
    number,
    optional,
    whole,
)

Service = Literal["rest", "graphql", "jsonrpc", "mcp", "cli"]
SERVICES: Final = ("rest", "graphql", "jsonrpc", "mcp", "cli")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
"""Safe methods (RFC 9110, section 9.2.1; OpenAPI 3.2.0 for QUERY)."""
REPEATABLE: Final = frozenset({*SAFE_METHODS, "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, section 9.2.2)."""
CLIENT_CREDENTIALS: Final = "client_credentials"
GRANTS: Final = ("authorization_code", CLIENT_CREDENTIALS)
"""OAuth grants (RFC 6749, section 1.3)."""
LARGEST_RESPONSE: Final = 10 * 1024 * 1024
"""Default of `max_bytes`."""

ANY: Final[Kind[Any]] = Kind("any value", lambda value: value, str)


def _read_map(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingError(f"must be a map of keys, not {noun(value)}")
    for name in value:
        if not isinstance(name, str):
            raise SettingError(f"the key {name!r:.40} must be a string", "Put it in quotes.")
    return value


MAP: Final[Kind[Mapping[str, Any]]] = Kind("map", _read_map, str)


def _read_list(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SettingError(f"must be a list, not {noun(value)}")
    return tuple(value)


LIST: Final[Kind[tuple[Any, ...]]] = Kind("list", _read_list, str)


@attrs.frozen
class PathSelector:
    """The path of a request, selected by the value of an input."""

    parameter: str = setting("", "The input that selects the path.", TEXT)
    default: str = setting("", "The value of the input if it is not given.", TEXT)
    paths: Mapping[str, str] = setting(NOTHING, "Paths by the value of the input.", TEXT_MAP)


@attrs.frozen
class Pagination:
    """Pagination of a response."""

    style: str = setting("cursor", "The style.", choice("cursor", "page", "offset", "link"))
    parameter: str = setting("", "The query parameter (or key of the body) to set.", TEXT)
    next: str = setting("", "Path of the next cursor in a response.", TEXT)
    returned_as: str = setting(
        "", "The key of the result that holds the cursor of the page after the last one read.", TEXT
    )
    items: str = setting("", "Path of the list of items in a response.", TEXT)
    size_parameter: str = setting("", "The query parameter with the size of a page.", TEXT)
    start: int = setting(1, "The number of the first page, or the first offset.", whole(minimum=0))
    max_pages: int = setting(1, "The most pages that one call reads.", whole(minimum=1))


@attrs.frozen
class FailureRule:
    """A condition under which a successful response is an error of the API."""

    path: str = setting("", "Path of the value that decides.", TEXT)
    equals: tuple[Any, ...] = setting((), "The value, or values, that mean failure.", VALUES)
    not_equals: tuple[Any, ...] = setting(
        (), "The value, or values, that mean success; any other value means failure.", VALUES
    )
    message: str = setting("", "Path of the error message.", TEXT)


@attrs.frozen
class ProviderConfig:
    """Settings of a provider; which of them are used depends on its service."""

    base_url: str = setting("", "Start of the URL.", TEXT)
    path: str = setting("", "Template of the path after `base_url`.", TEXT)
    endpoint: str = setting(
        "", "Template of the whole URL, instead of `base_url` and `path`.", TEXT
    )
    method: str = setting("GET", "HTTP method; the method's name for `jsonrpc`.", METHOD)
    headers: Mapping[str, str] = setting(NOTHING, "Templates of headers.", HEADERS)
    params: Mapping[str, Any] = setting(NOTHING, "Templates of query parameters.", MAP)
    cookies: Mapping[str, str] = setting(NOTHING, "Templates of cookies.", TEXT_MAP)
    param_map: Mapping[str, str] = setting(NOTHING, "Query parameters by input.", TEXT_MAP)
    static_params: Mapping[str, Any] = setting(NOTHING, "Inputs that the caller may override.", MAP)
    body: Any = setting(None, "Template of the body.", ANY)
    body_content_type: str = setting("", "The body's media type; JSON if unset.", TEXT)
    body_required: bool = setting(
        False, "Whether a body is sent even if no input is given: `{}` for JSON.", FLAG
    )
    array_style: str = setting(
        "repeat",
        "How lists without a style of their own are written in a query.",
        choice("repeat", "comma", "brackets", "json"),
    )
    styles: Styles = attrs.field(
        factory=Styles, metadata=section(Styles, "Serialization of single parameters.")
    )
    response_path: str = setting("", "Path of the wanted part of the response.", TEXT)
    response_format: str = setting(
        "auto",
        "How the response is parsed; bytes become an image or audio, else base64 in JSON (`binary`)"
        " or an embedded resource (`resource`, `auto`).",
        choice("auto", "json", "xml", "text", "binary", "resource"),
    )
    response_headers: tuple[str, ...] = setting(
        (), "Headers of the response that are added to the result, under `_headers`.", HEADER_NAMES
    )
    fails_when: FailureRule | None = attrs.field(
        default=None,
        metadata=section(FailureRule, "When a response with a success status is an error."),
    )
    path_selector: PathSelector | None = attrs.field(
        default=None, metadata=section(PathSelector, "The path by an input.")
    )
    pagination: Pagination | None = attrs.field(
        default=None, metadata=section(Pagination, "Further pages.")
    )
    query: str = setting("", "A GraphQL document; not a template.", TEXT)
    variables: Mapping[str, Any] = setting(NOTHING, "Templates of GraphQL variables.", MAP)
    server: str = setting("", "The MCP server that has the tool.", TEXT)
    tool: str = setting("", "The tool of the MCP server.", TEXT)
    arguments: Mapping[str, Any] | None = setting(
        None, "Templates of the tool's arguments; all inputs if unset.", optional(MAP)
    )
    command: tuple[Any, ...] = setting((), "Program and arguments, run without a shell.", LIST)
    stdin: str = setting("", "Template of the command's standard input.", TEXT)
    env: tuple[str, ...] = setting((), "Environment variables that the command gets.", TEXTS)
    output: str = setting("auto", "How its output is parsed.", choice("auto", "json", "text"))
    cwd: str = setting("", "Its working folder.", TEXT)


@attrs.frozen
class Provider:
    """A provider: one way to answer a call."""

    service: str = setting("rest", "Kind of provider.", choice(*SERVICES))
    cost_per_call: float = setting(0.0, "Price of a call, in USD.", number(minimum=0))
    timeout: float = setting(30.0, "Seconds for one request.", number(minimum=0, above=True))
    max_bytes: int = setting(LARGEST_RESPONSE, "Largest response, in bytes.", whole(minimum=1))
    config: ProviderConfig = attrs.field(
        factory=ProviderConfig, metadata=section(ProviderConfig, "Settings of the service.")
    )


@attrs.frozen
class Auth:
    """The credential of requests, by reference, and how it is sent."""

    required: bool = setting(False, "Whether calls without the credential fail.", FLAG)
    type: str = setting(
        "",
        "Kind of credential; decides on the prefix.",
        choice("", "bearer", "api_key", "basic", "oauth2", "none"),
    )
    key: str = setting("", "A reference: `env:NAME`, `keychain:NAME`, `oauth:PROVIDER`, ...", TEXT)
    header: str = setting("Authorization", "The header that carries it.", HEADER_NAME)
    prefix: str | None = setting(None, "Prefix in the header; by `type` if unset.", optional(TEXT))
    param: str = setting("", "The query parameter that carries it instead of a header.", TEXT)
    cookie: str = setting("", "The cookie that carries it instead of a header.", TEXT)
    scopes: tuple[str, ...] = setting((), "Scopes that a login must request.", TEXTS)
    description: str = setting("", "How to get the credential.", TEXT)
    grant: str = setting(
        "",
        "OAuth grant: `client_credentials` for a token of the client itself, instead of `key`;"
        " `authorization_code` for the login that `key: oauth:PROVIDER` names.",
        choice("", *GRANTS),
    )
    token_endpoint: str = setting("", "URL at which OAuth tokens are issued and renewed.", ENDPOINT)
    authorization_endpoint: str = setting(
        "", "URL at which a user logs in, for `key: oauth:PROVIDER`.", ENDPOINT
    )
    client_id: str = setting(
        "", "Client ID for `grant: client_credentials`, or a reference to it.", TEXT
    )
    client_secret: str = setting(
        "", "Reference to the client secret for `grant: client_credentials`.", TEXT
    )
    token_endpoint_auth_method: str = setting(
        "",
        "How the client secret is sent; if unset, by `client_secret_basic`, and by"
        " `client_secret_post` if that is refused.",
        choice("", *SECRET_METHODS),
    )
    audience: str = setting(
        "", "The `audience` parameter that some providers require, such as Auth0.", TEXT
    )
    shared_account: bool = setting(False, "Whether several people may share one login.", FLAG)

    @property
    def used(self) -> bool:
        """True if a credential is sent."""
        return bool(self.key or self.own) and self.type != "none"

    @property
    def own(self) -> bool:
        """True if the token is issued to the client itself, without a login of a user."""
        return self.grant == CLIENT_CREDENTIALS


@attrs.frozen
class CacheRule:
    """Response cache."""

    strategy: str = setting(
        "",
        "Any value but `none` enables the cache.",
        choice("", "none", "exact", "ttl", "fuzzy", "semantic"),
    )
    ttl: float = setting(0.0, "Seconds for which a response is cached.", number(minimum=0))
    key_template: str = setting("", "Ignored; the key is made from all inputs.", TEXT)

    @property
    def seconds(self) -> float:
        """Seconds for which a response is cached; 0 if it is not."""
        return self.ttl if self.strategy not in ("", "none") else 0.0


@attrs.frozen
class RateRule:
    """Rate limit of requests to the API."""

    requests: int = setting(60, "Number of requests.", whole(minimum=1))
    per: float = setting(
        60.0, "Period of that many requests, in seconds.", number(minimum=0, above=True)
    )


@attrs.frozen
class RetryRule:
    """Retries of requests that failed or were refused for the moment.

    A request that may have taken effect is repeated only if that is safe: a GET or HEAD, a PUT or
    DELETE of a tool marked `idempotent`, or a request with an idempotency key.
    """

    attempts: int = setting(3, "The most requests, including the first.", whole(minimum=1))
    initial_backoff: float = setting(0.1, "Seconds before the first retry.", number(minimum=0))
    max_backoff: float = setting(2.0, "The most seconds between two requests.", number(minimum=0))
    idempotency_header: str = setting(
        "",
        "The header in which the API expects an idempotency key; each call sends a new one, the"
        " same in all its retries.",
        HEADER_NAME,
    )


@attrs.frozen
class Schemas:
    """The tool's input and output as JSON Schemas."""

    input: Mapping[str, Any] | None = setting(None, "Schema of the input.", optional(MAP))
    output: Mapping[str, Any] | None = setting(None, "Schema of the output.", optional(MAP))


@attrs.frozen
class Metadata:
    """Metadata of the tool, for search, annotations and people."""

    category: str = setting("", "Category.", TEXT)
    tags: tuple[str, ...] = setting((), "Words for search.", TEXTS)
    cost_category: str = setting("", "free, cheap, paid, expensive or unknown.", TEXT)
    execution_time: str = setting("", "instant, fast, medium or slow.", TEXT)
    read_only: bool | None = setting(
        None,
        "Whether it changes nothing; true for a `rest` provider with GET, HEAD or OPTIONS if"
        " unset.",
        optional(FLAG),
    )
    destructive: bool | None = setting(None, "Whether it may destroy data.", optional(FLAG))
    idempotent: bool | None = setting(None, "Whether it may be repeated safely.", optional(FLAG))
    open_world: bool | None = setting(None, "Whether it accesses external systems.", optional(FLAG))
    produces: tuple[str, ...] = setting((), "Hints for search.", TEXTS)
    consumes: tuple[str, ...] = setting((), "Hints for search.", TEXTS)
    chains_with: tuple[str, ...] = setting((), "Tools that are often called next.", TEXTS)
    exposure: str = setting(
        "shared", "Whether it is shared or personal.", choice("shared", "personal")
    )
    identity_owner: str = setting("", "Owner of a personal tool.", TEXT)
    docs: str = setting("", "URL of the API's documentation.", TEXT)
    license: str = setting("", "License of its output.", TEXT)
    notes: Any = setting(None, "For people.", ANY)
    rate_limit: Any = setting(None, "For people; only the top-level `rate_limit` is enforced.", ANY)
    examples: Any = setting(None, "For people.", ANY)


@attrs.frozen
class AllowedNetworks:
    """Addresses that requests may go to."""

    allow_private: bool = setting(
        False, "Whether to reach private addresses that the operator allows.", FLAG
    )


@attrs.frozen
class Example:
    """An example call."""

    description: str = setting("", "Purpose of the call.", TEXT)
    arguments: Mapping[str, Any] = setting(NOTHING, "Its arguments.", MAP)


@attrs.frozen
class WebhookRule:
    """A webhook endpoint, which `mcpgw.webhooks` parses further."""

    path: str = setting("", "Path below `webhooks.base_path`.", TEXT)
    method: str = setting("POST", "HTTP method.", METHOD)
    signature: str = setting(
        "",
        "Kind of signature; derived from `signature_header` if unset.",
        choice("", "github", "linear", "stripe", "hmac-sha256", "none"),
    )
    secret: str = setting("", "A reference to the secret.", TEXT)
    signature_header: str = setting("", "The header that carries the signature.", HEADER_NAME)
    tolerance: float = setting(300.0, "Seconds that a signed time may be off.", number(minimum=0))
    notify: bool = setting(True, "Whether clients are notified.", FLAG)
    transform: Mapping[str, Any] = setting(NOTHING, "Templates of the event.", MAP)


@attrs.frozen
class Capability:
    """A parsed and checked capability file."""

    fulcrum: str = setting("1.0", "Version of the format.", TEXT)
    name: str = setting("", "Name of the tool; by default that of the file.", TEXT)
    title: str = setting("", "Display name.", TEXT)
    description: str = setting("", "The result of the tool, and when to use it.", TEXT)
    schema: Schemas = attrs.field(
        factory=Schemas, metadata=section(Schemas, "Input and output of the tool.")
    )
    primary: Provider | None = attrs.field(
        default=None, metadata=section(Provider, "The first provider.")
    )
    fallback: tuple[Provider, ...] = attrs.field(
        default=(), metadata=listed(Provider, "Further providers, in order.")
    )
    auth: Auth = attrs.field(factory=Auth, metadata=section(Auth, "The credential."))
    cache: CacheRule = attrs.field(
        factory=CacheRule, metadata=section(CacheRule, "Response cache.")
    )
    rate_limit: RateRule | None = attrs.field(
        default=None, metadata=section(RateRule, "Rate limit of the API.")
    )
    retry: RetryRule = attrs.field(factory=RetryRule, metadata=section(RetryRule, "Retries."))
    metadata: Metadata = attrs.field(
        factory=Metadata, metadata=section(Metadata, "Metadata of the tool.")
    )
    transform: ResponseTransform | None = setting(
        None, "Transform of a response before it is cached.", optional(RESPONSE)
    )
    response_transform: ResponseTransform | None = setting(
        None, "Transform of a response for each caller, after `transform`.", optional(RESPONSE)
    )
    projection: Mapping[str, Mapping[str, str]] | None = setting(
        None,
        "Paths of the parts of a common form, for `meta_mcp.projection_mode`.",
        optional(PROJECTION),
    )
    webhooks: Mapping[str, WebhookRule] = attrs.field(
        default=NOTHING, metadata=named(WebhookRule, "Webhook endpoints.")
    )
    network: AllowedNetworks = attrs.field(
        factory=AllowedNetworks,
        metadata=section(AllowedNetworks, "Addresses that requests may go to."),
    )
    sha256: str = setting("", "The pin, a hash of the file.", SHA256)
    visible_in_states: tuple[str, ...] = setting(
        (), "Workflow states in which it is visible.", TEXTS
    )
    examples: tuple[Example, ...] = attrs.field(
        default=(), metadata=listed(Example, "Example calls.")
    )

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All providers, in the order in which they are tried."""
        return (() if self.primary is None else (self.primary,)) + self.fallback

    @property
    def read_only(self) -> bool:
        """True if a call changes nothing: as the file declares it, else by the HTTP methods."""
        declared = self.metadata.read_only
        if declared is not None:
            return declared
        return bool(self.providers) and all(
            each.service == "rest" and each.config.method.upper() in SAFE_METHODS
            for each in self.providers
        )
