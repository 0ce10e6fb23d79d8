"""A capability file as frozen classes: every key, its default and its unit, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs

from mcpgw.config.parsing import read_keys, read_some_text
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
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that change nothing (RFC 9110, section 9.2.1)."""
REPEATABLE: Final = frozenset({*SAFE_METHODS, "PUT", "DELETE"})
"""Requests that may be sent twice (RFC 9110, section 9.2.2)."""
LARGEST_ANSWER: Final = 10 * 1024 * 1024

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

ANY: Final[Kind[Any]] = Kind("any value", lambda value: value, str)


def _read_map(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingError(f"wants a map of keys, and this is {noun(value)}")
    for name in value:
        if not isinstance(name, str):
            raise SettingError(f"the name {name!r:.40} of a key is not text", "Put it in quotes.")
    return value


MAP: Final[Kind[Mapping[str, Any]]] = Kind("map", _read_map, str)


COMMON_FORM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "actor": ("id", "display_name", "email", "handle"),
        "subject": ("id", "title", "kind"),
        "env_time": ("created", "updated"),
        "url": ("href", "label"),
        "body": ("text", "format"),
    }
)
"""The parts of the form that answers of many APIs have in common."""


def _read_projection(value: object) -> Mapping[str, Mapping[str, str]]:
    return read_keys(
        value,
        {
            bucket: partial(read_keys, readers=dict.fromkeys(names, read_some_text))
            for bucket, names in COMMON_FORM.items()
        },
    )


PROJECTION: Final[Kind[Mapping[str, Mapping[str, str]]]] = Kind(
    "map of " + ", ".join(COMMON_FORM), _read_projection, str
)


def _read_list(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SettingError(f"wants a list, and this is {noun(value)}")
    return tuple(value)


LIST: Final[Kind[tuple[Any, ...]]] = Kind("list", _read_list, str)


def _read_method(value: object) -> str:
    text = TEXT.read(value)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-/]*", text):
        raise SettingError(f"{text!r:.40} is no method")
    return text


METHOD: Final[Kind[str]] = Kind("method", _read_method, str)


def _read_sha256(value: object) -> str:
    text = str(value).strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise SettingError("is no SHA-256 in hex", "`mcp-gateway cap pin FILE` writes it.")
    return text


SHA256: Final[Kind[str]] = Kind("64 hex digits", _read_sha256, str)


@attrs.frozen
class PathSelector:
    """The route of a request, chosen by the value of an input."""

    parameter: str = setting("", "The input that chooses.", TEXT)
    default: str = setting("", "Its value where it is not given.", TEXT)
    paths: Mapping[str, str] = setting(NOTHING, "Values of the input to paths.", TEXT_MAP)


@attrs.frozen
class Pagination:
    """How the next page of an answer is asked for."""

    style: str = setting("cursor", "The way.", choice("cursor", "page", "offset", "link"))
    parameter: str = setting("", "The query parameter (or key of the body) to set.", TEXT)
    next: str = setting("", "Where in an answer the next cursor stands.", TEXT)
    items: str = setting("", "Where in an answer the list stands that grows.", TEXT)
    size_parameter: str = setting("", "The query parameter that is the size of a page.", TEXT)
    start: int = setting(1, "The number of the first page, or the first offset.", whole(minimum=0))
    max_pages: int = setting(1, "How many pages one call reads at most.", whole(minimum=1))


@attrs.frozen
class ProviderConfig:
    """What a provider needs to be called. Which keys have a meaning depends on the service."""

    base_url: str = setting("", "What the URL begins with.", TEXT)
    path: str = setting("", "What follows it.", TEXT)
    endpoint: str = setting("", "The whole URL; wins over `base_url` and `path`.", TEXT)
    method: str = setting("GET", "HTTP method; the method's name for `jsonrpc`.", METHOD)
    headers: Mapping[str, str] = setting(NOTHING, "Templates of headers.", TEXT_MAP)
    params: Mapping[str, Any] = setting(NOTHING, "Templates of query parameters.", MAP)
    param_map: Mapping[str, str] = setting(NOTHING, "Inputs to query parameters.", TEXT_MAP)
    static_params: Mapping[str, Any] = setting(NOTHING, "Fixed inputs, below the caller's.", MAP)
    body: Any = setting(None, "Template of the body.", ANY)
    body_content_type: str = setting("", "The body's media type; JSON if unset.", TEXT)
    array_style: str = setting(
        "repeat", "How lists stand in a query.", choice("repeat", "comma", "brackets", "json")
    )
    response_path: str = setting("", "The part of the answer that is wanted.", TEXT)
    response_format: str = setting(
        "auto",
        "How the answer is read; bytes become an image or sound, else base64 in JSON (`binary`) or"
        " an embedded resource (`resource`, `auto`).",
        choice("auto", "json", "xml", "text", "binary", "resource"),
    )
    path_selector: PathSelector | None = attrs.field(
        default=None, metadata=section(PathSelector, "The route by an input.")
    )
    pagination: Pagination | None = attrs.field(
        default=None, metadata=section(Pagination, "Further pages.")
    )
    query: str = setting("", "The text of a GraphQL operation; never a template.", TEXT)
    variables: Mapping[str, Any] = setting(NOTHING, "Templates of GraphQL variables.", MAP)
    server: str = setting("", "The MCP server that has the tool.", TEXT)
    tool: str = setting("", "The tool of the MCP server.", TEXT)
    arguments: Mapping[str, Any] | None = setting(
        None, "Templates of the tool's arguments; all inputs if unset.", optional(MAP)
    )
    command: tuple[Any, ...] = setting((), "The words of a command; no shell runs.", LIST)
    stdin: str = setting("", "Template of the command's input.", TEXT)
    env: tuple[str, ...] = setting((), "Variables that the command is given.", TEXTS)
    output: str = setting("auto", "How its output is read.", choice("auto", "json", "text"))
    cwd: str = setting("", "The folder in which it runs.", TEXT)


@attrs.frozen
class Provider:
    """One way to get the answer."""

    service: str = setting("rest", "What kind of thing it is.", choice(*SERVICES))
    cost_per_call: float = setting(0.0, "Price of a call, in USD.", number(minimum=0))
    timeout: float = setting(30.0, "Seconds for one request.", number(minimum=0, above=True))
    max_bytes: int = setting(LARGEST_ANSWER, "Largest answer, in bytes.", whole(minimum=1))
    config: ProviderConfig = attrs.field(
        factory=ProviderConfig, metadata=section(ProviderConfig, "How it is called.")
    )


@attrs.frozen
class Auth:
    """Which credential is sent, and where. Never the credential itself."""

    required: bool = setting(False, "Whether a call without the credential is refused.", FLAG)
    type: str = setting(
        "", "Decides on the prefix.", choice("", "bearer", "api_key", "basic", "oauth2", "none")
    )
    key: str = setting("", "A reference: `env:NAME`, `keychain:NAME`, `oauth:PROVIDER`, ...", TEXT)
    header: str = setting("Authorization", "The header that carries it.", TEXT)
    prefix: str | None = setting(None, "What stands before it; by `type` if unset.", optional(TEXT))
    param: str = setting("", "The query parameter that carries it in place of a header.", TEXT)
    scopes: tuple[str, ...] = setting((), "What a login has to ask for.", TEXTS)
    description: str = setting("", "How a person gets one.", TEXT)
    token_endpoint: str = setting("", "Where an OAuth token is renewed.", TEXT)
    shared_account: bool = setting(False, "One login may serve several people.", FLAG)

    @property
    def used(self) -> bool:
        """Whether there is a credential to send."""
        return bool(self.key) and self.type != "none"


@attrs.frozen
class CacheRule:
    """Whether answers are given again."""

    strategy: str = setting(
        "", "Any but none switches it on.", choice("", "none", "exact", "ttl", "fuzzy", "semantic")
    )
    ttl: float = setting(0.0, "Seconds for which an answer is good.", number(minimum=0))
    key_template: str = setting("", "Understood, and not needed.", TEXT)

    @property
    def seconds(self) -> float:
        """For how long an answer is given again; 0 is never."""
        return self.ttl if self.strategy not in ("", "none") else 0.0


@attrs.frozen
class RateRule:
    """How often the API may be asked."""

    requests: int = setting(60, "Requests.", whole(minimum=1))
    per: float = setting(60.0, "Seconds for so many requests.", number(minimum=0, above=True))


@attrs.frozen
class RetryRule:
    """How a request is repeated that got no answer, or was told to come again."""

    attempts: int = setting(3, "Requests at most.", whole(minimum=1))
    initial_backoff: float = setting(0.1, "Seconds before the second.", number(minimum=0))
    max_backoff: float = setting(2.0, "Seconds between two at most.", number(minimum=0))


@attrs.frozen
class Schemas:
    """The tool's input and output as JSON Schemas."""

    input: Mapping[str, Any] | None = setting(None, "What the tool takes.", optional(MAP))
    output: Mapping[str, Any] | None = setting(None, "What it gives.", optional(MAP))


@attrs.frozen
class Metadata:
    """What is known of the tool besides."""

    category: str = setting("", "Where it belongs.", TEXT)
    tags: tuple[str, ...] = setting((), "Words to find it by.", TEXTS)
    cost_category: str = setting("", "free, cheap, paid, expensive or unknown.", TEXT)
    execution_time: str = setting("", "instant, fast, medium or slow.", TEXT)
    read_only: bool = setting(False, "It changes nothing.", FLAG)
    destructive: bool | None = setting(None, "It may destroy something.", optional(FLAG))
    idempotent: bool | None = setting(None, "It may be repeated.", optional(FLAG))
    open_world: bool | None = setting(None, "It reaches the world outside.", optional(FLAG))
    produces: tuple[str, ...] = setting((), "Hints for search.", TEXTS)
    consumes: tuple[str, ...] = setting((), "Hints for search.", TEXTS)
    chains_with: tuple[str, ...] = setting((), "Tools that often come next.", TEXTS)
    exposure: str = setting("shared", "Who may use it.", choice("shared", "personal"))
    identity_owner: str = setting("", "Whose it is, if personal.", TEXT)
    docs: str = setting("", "URL of the API's documentation.", TEXT)
    license: str = setting("", "Terms of what it gives.", TEXT)
    notes: Any = setting(None, "For people.", ANY)
    rate_limit: Any = setting(None, "For people; `rate_limit` at the top is what counts.", ANY)
    examples: Any = setting(None, "For people.", ANY)


@attrs.frozen
class Reach:
    """Which addresses its requests may go to."""

    allow_private: bool = setting(
        False, "Private and loopback addresses too, where the operator allows them.", FLAG
    )


@attrs.frozen
class Example:
    """A call as one would make it."""

    description: str = setting("", "What it is for.", TEXT)
    arguments: Mapping[str, Any] = setting(NOTHING, "Its arguments.", MAP)


@attrs.frozen
class WebhookRule:
    """An endpoint for events from outside; `mcpgw.webhooks` makes sense of it."""

    path: str = setting("", "Below `webhooks.base_path`.", TEXT)
    method: str = setting("POST", "HTTP method.", METHOD)
    signature: str = setting("", "github, linear, stripe, hmac-sha256 or none.", TEXT)
    secret: str = setting("", "A reference to the secret.", TEXT)
    signature_header: str = setting("", "The header that carries the signature.", TEXT)
    tolerance: float = setting(300.0, "Seconds that a time stamp may be off.", number(minimum=0))
    notify: bool = setting(True, "Whether clients are told.", FLAG)
    transform: Mapping[str, Any] = setting(NOTHING, "Templates of the event.", MAP)


@attrs.frozen
class Capability:
    """One capability file, read and checked."""

    fulcrum: str = setting("1.0", "Version of the format.", TEXT)
    name: str = setting("", "Name of the tool; the file's, without its ending, if unset.", TEXT)
    title: str = setting("", "Name for people.", TEXT)
    description: str = setting("", "What the tool gives, and when to use it.", TEXT)
    schema: Schemas = attrs.field(
        factory=Schemas, metadata=section(Schemas, "Input and output of the tool.")
    )
    primary: Provider | None = attrs.field(
        default=None, metadata=section(Provider, "The first way to get the answer.")
    )
    fallback: tuple[Provider, ...] = attrs.field(
        default=(), metadata=listed(Provider, "Further ways, in order.")
    )
    auth: Auth = attrs.field(factory=Auth, metadata=section(Auth, "The credential."))
    cache: CacheRule = attrs.field(
        factory=CacheRule, metadata=section(CacheRule, "Answers given again.")
    )
    rate_limit: RateRule | None = attrs.field(
        default=None, metadata=section(RateRule, "How often the API may be asked.")
    )
    retry: RetryRule = attrs.field(
        factory=RetryRule, metadata=section(RetryRule, "Requests that are repeated.")
    )
    metadata: Metadata = attrs.field(
        factory=Metadata, metadata=section(Metadata, "What is known of the tool.")
    )
    transform: ResponseTransform | None = setting(
        None, "What becomes of an answer.", optional(RESPONSE)
    )
    response_transform: ResponseTransform | None = setting(
        None, "The same, after `transform`.", optional(RESPONSE)
    )
    projection: Mapping[str, Mapping[str, str]] | None = setting(
        None,
        "Where the parts of a common form stand in the answer, for `meta_mcp.projection_mode`.",
        optional(PROJECTION),
    )
    webhooks: Mapping[str, WebhookRule] = attrs.field(
        default=NOTHING, metadata=named(WebhookRule, "Endpoints for events from outside.")
    )
    network: Reach = attrs.field(
        factory=Reach, metadata=section(Reach, "Where its requests may go.")
    )
    sha256: str = setting("", "The pin.", SHA256)
    visible_in_states: tuple[str, ...] = setting((), "Workflow states that show it.", TEXTS)
    examples: tuple[Example, ...] = attrs.field(
        default=(), metadata=listed(Example, "Calls as one would make them.")
    )

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All ways to get the answer, in the order in which they are tried."""
        return (() if self.primary is None else (self.primary,)) + self.fallback

    @property
    def repeatable(self) -> bool:
        """Whether a call may be made twice without harm."""
        return self.metadata.read_only or self.metadata.idempotent is True
