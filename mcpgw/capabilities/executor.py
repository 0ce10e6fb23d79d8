"""Execution of capability calls: cache, rate limit, then each provider with safe retries.

cache → rate limit → for each provider: secrets → request → circuit breaker → response → transform
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from mcpgw.backends.rate_limit import TokenBucket
from mcpgw.capabilities import requests
from mcpgw.capabilities.api_protocols import request_draft, select_result
from mcpgw.capabilities.bodies import FILLER, with_files
from mcpgw.capabilities.commands import run_command
from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.errors import CallProblem, failure
from mcpgw.capabilities.http_calls import CallState, HttpCalls
from mcpgw.capabilities.http_sender import HttpRequest, Sender
from mcpgw.capabilities.inputs import with_defaults
from mcpgw.capabilities.model import Capability, Provider
from mcpgw.capabilities.outcomes import check_success, extras_of, with_extras
from mcpgw.capabilities.pagination import append_page, next_draft
from mcpgw.capabilities.response_cache import Answer, ResponseCache
from mcpgw.capabilities.response_view import FULL, PLAIN, transformed, view_of
from mcpgw.capabilities.responses import Blob, content_blocks, load_json, parse_response, pick
from mcpgw.capabilities.templating import Inputs, Missing
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import AllowedNetworks

log = get_logger("mcpgw.capabilities")

CallTool = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a tool of an MCP server; takes server, tool and arguments."""
CACHED_FOR: Final = "gateway/cached_for_s"
"""The key of `_meta` that has the age of a cached response, in seconds."""
ALLOWED: Final = (
    "To allow it, set `network: {allow_private: true}` in the file, and add the host or its"
    " network to `capabilities.allow_private` in gateway.yaml."
)


@attrs.define(eq=False)
class Executor:
    """Executes calls of capabilities.

    Args:
      sender: sends HTTP requests.
      credentials: looks up secrets.
      call_tool: calls tools of MCP servers, for `mcp` providers; None outside a gateway.
      inside: private hosts and networks that the operator allows.
      commands_allowed: returns why a file must not run commands, "" if it may; takes the path of
        the file and its pin.
    """

    sender: Sender
    credentials: Credentials
    call_tool: CallTool | None = None
    inside: tuple[str, ...] = ()
    commands_allowed: Callable[[Path | None, str], str] = lambda path, pin: ""
    _cache: ResponseCache = attrs.field(factory=ResponseCache)
    _buckets: dict[tuple[str, str], TokenBucket] = attrs.field(factory=dict)
    _http: HttpCalls = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._http = HttpCalls(self.sender)

    async def call(
        self,
        capability: Capability,
        arguments: Mapping[str, Any],
        *,
        content_hash: str = "",
        path: Path | None = None,
        fresh: bool = False,
        view: str = PLAIN,
        deadline: float = float("inf"),
    ) -> dict[str, Any]:
        """Call a capability and return the result of `tools/call`.

        A failure is a result with `isError`, so that the model sees it (MCP 2025-11-25, tools).

        Args:
          capability: the capability.
          arguments: the caller's arguments; defaults of the schema are added.
          content_hash: hash of the file, so that a changed file does not share cached responses.
          path: path of the file.
          fresh: whether to bypass the response cache.
          view: `plain`, `projected` (in the common form) or `full` (without the reductions of
            `response_transform`).
          deadline: when the caller stops waiting, by Trio's clock.
        """
        inputs = with_defaults(capability, arguments)
        state = CallState(deadline)
        try:
            answer, age = await self._cache.get(
                capability,
                content_hash,
                inputs,
                lambda: self._try_providers(capability, inputs, path, state),
                fresh=fresh or view == FULL,
            )
            value = with_extras(view_of(capability, answer.value, view), answer.extras)
            result = self._result(capability, value)
        except CallProblem as problem:
            text = f"{problem} {ALLOWED}" if problem.inside else str(problem)
            return failure(state.redacted(text), problem.status)
        finally:
            if state.sources and not capability.read_only:
                self._cache.written(state.sources)
        if age is not None:
            result["_meta"] = {CACHED_FOR: round(age, 1)}
        return result

    # -- providers -------------------------------------------------------------------------------

    async def _try_providers(
        self, capability: Capability, inputs: Mapping[str, Any], path: Path | None, state: CallState
    ) -> Answer:
        await self._wait_for_rate(capability)
        if capability.auth.used:
            # Services of one account share data: what one changes, another one may list.
            state.sources.add(f"account {capability.auth.key}")
        problems: list[str] = []
        for place, provider in enumerate(capability.providers):
            state.extras.clear()
            try:
                value = await self._call_provider(capability, provider, inputs, path, state)
                value = state.redacted(value)
                return Answer(
                    transformed(value, capability.transform),
                    state.redacted(dict(state.extras)),
                    state.cacheable_for,
                    frozenset(state.sources),
                )
            except CallProblem as problem:
                problems.append(str(problem))
                last = place == len(capability.providers) - 1
                # An idempotent call is not: another provider would do it a second time.
                harmless = capability.read_only or not problem.sent
                if last or not problem.again or not harmless:
                    text = problems[0] if len(problems) == 1 else "; then ".join(problems)
                    raise attrs.evolve(problem, message=text) from None
                log.info(
                    "capability.provider_failed", capability=capability.name, reason=str(problem)
                )
        raise CallProblem(f"'{capability.name}' has no providers; it only receives webhooks.")

    async def _wait_for_rate(self, capability: Capability) -> None:
        rule = capability.rate_limit
        if rule is None:
            return
        key = (capability.name, f"{rule.requests}/{rule.per}")
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(
                rate=rule.requests / rule.per, burst=rule.requests
            )
        await bucket.take()

    async def _call_provider(
        self,
        capability: Capability,
        provider: Provider,
        inputs: Mapping[str, Any],
        path: Path | None,
        state: CallState,
    ) -> Any:
        inputs = {**provider.config.static_params, **inputs}
        secrets = {
            reference: await self.credentials.optional(reference)
            for reference in requests.secret_references(provider)
        }
        state.secrets.update(value for value in secrets.values() if value)
        values = requests.values_of(inputs, secrets)
        if provider.service == "cli":
            refused = self.commands_allowed(path, capability.sha256)
            if refused:
                raise CallProblem(refused)
            folder = path.parent if path is not None else Path.cwd()
            state.sources.add(f"command {provider.config.command[0]}")
            printed = await run_command(provider, values, self.credentials.environ(), folder)
            check_success(provider, printed, provider.config.command[0], state)
            return printed
        if provider.service == "mcp":
            state.sources.add(f"server {provider.config.server}")
            result = await self._tool(provider, inputs, values)
            check_success(provider, result, provider.config.server, state)
            return pick(result, provider.config.response_path)
        credential = await self._credential(capability, state)
        try:
            return await self._over_http(capability, provider, inputs, values, credential, state)
        except CallProblem as problem:
            if not (problem.unauthorized and credential):
                raise
            # A refused request had no effect. The credential may have been renewed or replaced.
            renewed = await self._renewed(capability, credential, state)
            if renewed in ("", credential):
                raise
        return await self._over_http(capability, provider, inputs, values, renewed, state)

    async def _credential(
        self, capability: Capability, state: CallState, *, rejected: str = ""
    ) -> str:
        auth = capability.auth
        if not auth.used:
            return ""
        networks = self._networks(capability)
        try:
            found = await self.credentials.of(auth, networks, rejected=rejected)
        except CallProblem:
            if auth.required:
                raise
            return ""
        state.secrets.add(found)
        return found

    async def _renewed(self, capability: Capability, rejected: str, state: CallState) -> str:
        """Return the credential that replaces a refused one, "" if there is none."""
        try:
            return await self._credential(capability, state, rejected=rejected)
        except CallProblem as problem:
            log.info("credential.not_renewed", capability=capability.name, reason=str(problem))
            return ""

    def _networks(self, capability: Capability) -> AllowedNetworks:
        inside = self.inside if capability.network.allow_private else ()
        return AllowedNetworks(inside)

    async def _tool(self, provider: Provider, inputs: Mapping[str, Any], values: Inputs) -> Any:
        config = provider.config
        if self.call_tool is None:
            raise CallProblem("tools of MCP servers can only be called in a running gateway.")
        template = config.arguments
        arguments = dict(inputs) if template is None else FILLER.fill(template, values)
        given = {} if isinstance(arguments, Missing) else arguments
        with trio.move_on_after(provider.timeout) as scope:
            result = await self.call_tool(config.server, config.tool, given)
        if scope.cancelled_caught:
            raise CallProblem(
                f"'{config.server}' timed out after {provider.timeout:g} s.", sent=True
            )
        return _tool_value(result)

    # -- HTTP --------------------------------------------------------------------------------------

    async def _over_http(
        self,
        capability: Capability,
        provider: Provider,
        inputs: Mapping[str, Any],
        values: Inputs,
        credential: str,
        state: CallState,
    ) -> Any:
        draft = request_draft(capability, provider, inputs, values, credential)
        # A value in the host of the URL is an address, not a secret.
        state.secrets -= {each for each in state.secrets if _is_address(each, draft.url)}
        networks = self._networks(capability)
        address_policy = _address_policy(networks, draft.url, state)
        if files := draft.files():
            # Fetched without credentials, so the rule for those does not apply.
            fetched = {url: await self._fetch(url, provider, networks) for url in files}
            draft = attrs.evolve(draft, body=with_files(draft.body, fetched))
        whole: Any = None
        more: requests.Draft | None = None
        rule = provider.config.pagination
        pages = rule.max_pages if rule is not None else 1
        for page in range(1, pages + 1):
            response = await self._http.send(
                capability, provider, draft.outgoing(), address_policy, state
            )
            value = parse_response(response, provider.config.response_format)
            check_success(provider, value, urlsplit(draft.url).netloc, state)
            whole = value if page == 1 or rule is None else append_page(rule, whole, value)
            more = next_draft(rule, draft, value, response, page) if rule is not None else None
            if more is None or page == pages:
                break
            draft = more
        state.extras |= extras_of(provider.config, response, value, more)
        return select_result(provider, whole)

    async def _fetch(
        self, url: str, provider: Provider, address_policy: AllowedNetworks
    ) -> tuple[bytes, str]:
        """Fetch a file from a URL in the inputs, without credentials."""
        response = await self.sender.send(
            HttpRequest("GET", url),
            address_policy=address_policy,
            timeout=provider.timeout,
            limit=provider.max_bytes,
        )
        if response.status != 200:
            raise CallProblem(
                f"the file at {url[:120]} could not be fetched: HTTP {response.status}."
            )
        return response.content, response.kind

    def _result(self, capability: Capability, value: Any) -> dict[str, Any]:
        blocks = content_blocks(value, f"capability://{capability.name}")
        result: dict[str, Any] = {"content": blocks, "isError": False}
        if capability.schema.output is not None and not isinstance(value, Blob):
            # Structured content must be an object (MCP 2025-11-25, tools).
            wrapped = value if isinstance(value, Mapping) else {"result": value}
            result["structuredContent"] = wrapped
        return result


def _tool_value(result: Mapping[str, Any]) -> Any:
    """Return the result of an MCP tool as a value."""
    blocks = result.get("content") or []
    texts = [
        b.get("text", "") for b in blocks if isinstance(b, Mapping) and b.get("type") == "text"
    ]
    if result.get("isError") is True:
        raise CallProblem(
            "\n".join(texts)[:2000] or "the tool failed without a message.", sent=True
        )
    value: Any = result.get("structuredContent")
    if value is None:
        text = "\n".join(texts)
        try:
            value = load_json(text)
        except (ValueError, RecursionError):
            return text
    return value


def _address_policy(networks: AllowedNetworks, url: str, state: CallState) -> AllowedNetworks:
    """Return the addresses that a request may go to.

    A credential may go over http only to a private address that both the file and the operator
    allow, such as a device at home; never to a public one.

    Args:
      networks: the private hosts and networks that both allow.
      url: the URL of the request.
      state: the call with its secrets.
    """
    if state.secrets and requests.is_unencrypted(url):
        if not networks.inside:
            requests.check_encryption(url)
        return AllowedNetworks(networks.inside, private_only=True)
    return networks


def _is_address(secret: str, url: str) -> bool:
    """Return whether an environment variable holds the origin or host of a URL, not a secret.

    A whole URL may be secret, such as that of an incoming webhook, which has a token in its path.
    """
    if "://" in secret:
        parts = urlsplit(secret)
        plain = parts.path in ("", "/") and not parts.query and "@" not in parts.netloc
        return plain and url.startswith(secret)
    return secret in urlsplit(url).netloc
