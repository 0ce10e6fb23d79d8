"""Execution of capability calls: cache, rate limit, then each provider with safe retries.

cache → rate limit → for each provider: secrets → request → circuit breaker → response → transform
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from mcpgw.backends.breaker import CircuitBreaker
from mcpgw.backends.rate_limit import TokenBucket
from mcpgw.capabilities import requests
from mcpgw.capabilities.api_protocols import request_draft, select_result
from mcpgw.capabilities.bodies import FILLER, with_files
from mcpgw.capabilities.commands import run_command
from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.errors import CallProblem, failure
from mcpgw.capabilities.http_sender import HttpRequest, HttpResponse, Sender, retry_after
from mcpgw.capabilities.model import REPEATABLE, SAFE_METHODS, Capability, Provider
from mcpgw.capabilities.pagination import append_page, next_draft
from mcpgw.capabilities.redaction import encodings_of, redacted
from mcpgw.capabilities.response_cache import ResponseCache
from mcpgw.capabilities.response_view import FULL, PLAIN, transformed, view_of
from mcpgw.capabilities.responses import Blob, content_blocks, error_text, parse_response, pick
from mcpgw.capabilities.templating import Inputs, Missing
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import AllowedNetworks

log = get_logger("mcpgw.capabilities")

CallTool = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a tool of an MCP server; takes server, tool and arguments."""
RETRIED: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a request is retried (RFC 9110, RFC 6585)."""
FAILING: Final = frozenset({429, *range(500, 600)})
"""Statuses after which the next provider is tried."""
LONGEST_WAIT: Final = 30.0
"""The longest Retry-After that is waited for, in seconds."""
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
    _breakers: dict[str, CircuitBreaker] = attrs.field(factory=dict)
    _buckets: dict[tuple[str, str], TokenBucket] = attrs.field(factory=dict)

    async def call(
        self,
        capability: Capability,
        arguments: Mapping[str, Any],
        *,
        content_hash: str = "",
        path: Path | None = None,
        fresh: bool = False,
        view: str = PLAIN,
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
        """
        inputs = with_defaults(capability.schema.input, arguments)
        used: set[str] = set()
        try:
            value = await self._cache.get(
                capability,
                content_hash,
                inputs,
                lambda: self._try_providers(capability, inputs, path, used),
                fresh=fresh or view == FULL,
            )
            return self._result(capability, view_of(capability, value, view))
        except CallProblem as problem:
            text = f"{problem} {ALLOWED}" if problem.inside else str(problem)
            return failure(_redact(text, used))

    # -- providers -------------------------------------------------------------------------------

    async def _try_providers(
        self, capability: Capability, inputs: Mapping[str, Any], path: Path | None, used: set[str]
    ) -> Any:
        await self._wait_for_rate(capability)
        problems: list[str] = []
        for place, provider in enumerate(capability.providers):
            try:
                value = await self._call_provider(capability, provider, inputs, path, used)
                value = _redact(value, used)
                return transformed(value, capability.transform)
            except CallProblem as problem:
                problems.append(str(problem))
                last = place == len(capability.providers) - 1
                harmless = capability.repeatable or not problem.sent
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
        used: set[str],
    ) -> Any:
        inputs = {**provider.config.static_params, **inputs}
        secrets = {
            reference: await self.credentials.optional(reference)
            for reference in requests.secret_references(provider)
        }
        used.update(value for value in secrets.values() if value)
        values = requests.values_of(inputs, secrets)
        if provider.service == "cli":
            refused = self.commands_allowed(path, capability.sha256)
            if refused:
                raise CallProblem(refused)
            folder = path.parent if path is not None else Path.cwd()
            return await run_command(provider, values, self.credentials.environ(), folder)
        if provider.service == "mcp":
            return await self._tool(provider, inputs, values)
        credential = await self._credential(capability, used)
        try:
            return await self._over_http(capability, provider, inputs, values, credential, used)
        except CallProblem as problem:
            if not (problem.unauthorized and credential):
                raise
            # A refused request had no effect. The credential may have been renewed or replaced.
            renewed = await self._renewed(capability, credential, used)
            if renewed in ("", credential):
                raise
        return await self._over_http(capability, provider, inputs, values, renewed, used)

    async def _credential(
        self, capability: Capability, used: set[str], *, rejected: str = ""
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
        used.add(found)
        return found

    async def _renewed(self, capability: Capability, rejected: str, used: set[str]) -> str:
        """Return the credential that replaces a refused one, "" if there is none."""
        try:
            return await self._credential(capability, used, rejected=rejected)
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
        return _tool_value(result, config.response_path)

    # -- HTTP --------------------------------------------------------------------------------------

    async def _over_http(
        self,
        capability: Capability,
        provider: Provider,
        inputs: Mapping[str, Any],
        values: Inputs,
        credential: str,
        used: set[str],
    ) -> Any:
        address_policy = self._networks(capability)
        draft = request_draft(capability, provider, inputs, values, credential)
        # A value in the host of the URL is an address, not a secret.
        used -= {each for each in used if each in urlsplit(draft.url).netloc}
        if files := draft.files():
            fetched = {url: await self._fetch(url, provider, address_policy) for url in files}
            draft = attrs.evolve(draft, body=with_files(draft.body, fetched))
        whole: Any = None
        rule = provider.config.pagination
        pages = rule.max_pages if rule is not None else 1
        for page in range(1, pages + 1):
            response = await self._send(
                capability, provider, draft.outgoing(), address_policy, values
            )
            value = parse_response(response, provider.config.response_format)
            whole = value if page == 1 or rule is None else append_page(rule, whole, value)
            more = next_draft(rule, draft, value, response, page) if rule is not None else None
            if more is None:
                break
            draft = more
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

    async def _send(
        self,
        capability: Capability,
        provider: Provider,
        outgoing: HttpRequest,
        address_policy: AllowedNetworks,
        values: Inputs,
    ) -> HttpResponse:
        """Send a request and retry it if that is safe; raise for an error response."""
        breaker = self._breakers.setdefault(outgoing.host, _new_breaker())
        rule = capability.retry
        attempt = 1
        while True:
            permit = breaker.admit()
            if permit is None:
                raise CallProblem(
                    f"{outgoing.host} failed several times in a row; retry in"
                    f" {breaker.retry_after():.0f} s.",
                    again=True,
                )
            wait: float | None = None
            try:
                response = await self.sender.send(
                    outgoing,
                    address_policy=address_policy,
                    timeout=provider.timeout,
                    limit=provider.max_bytes,
                )
            except CallProblem as problem:
                if problem.again:
                    permit.failure(str(problem), common=True)
                safe = not problem.sent or _may_repeat(capability, provider, outgoing)
                if not (problem.again and safe and attempt < rule.attempts):
                    raise
            else:
                if response.status >= 500:
                    permit.failure(f"HTTP {response.status}", common=True)
                else:
                    permit.success()
                if response.status < 400:
                    return response
                wait = retry_after(response.headers, time.time())
                may = _may_repeat(capability, provider, outgoing)
                if response.status not in RETRIED or not may or attempt >= rule.attempts:
                    raise _refusal(outgoing, response, wait)
                if wait is not None and wait > LONGEST_WAIT:
                    raise _refusal(outgoing, response, wait)
            finally:
                permit.release()
            pause = min(rule.max_backoff, rule.initial_backoff * 2 ** (attempt - 1))
            await trio.sleep(pause * random.uniform(0.8, 1.2) if wait is None else wait)  # noqa: S311
            attempt += 1

    def _result(self, capability: Capability, value: Any) -> dict[str, Any]:
        blocks = content_blocks(value, f"capability://{capability.name}")
        result: dict[str, Any] = {"content": blocks, "isError": False}
        if capability.schema.output is not None and not isinstance(value, Blob):
            # Structured content must be an object (MCP 2025-11-25, tools).
            wrapped = value if isinstance(value, Mapping) else {"result": value}
            result["structuredContent"] = wrapped
        return result


def _new_breaker() -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=5, success_threshold=1, reset_timeout=30.0)


def _tool_value(result: Mapping[str, Any], path: str) -> Any:
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
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
    return pick(value, path)


def _may_repeat(capability: Capability, provider: Provider, outgoing: HttpRequest) -> bool:
    if capability.repeatable:
        return True
    methods = REPEATABLE if capability.metadata.idempotent is not False else SAFE_METHODS
    return provider.service == "rest" and outgoing.method in methods


def _refusal(outgoing: HttpRequest, response: HttpResponse, wait: float | None) -> CallProblem:
    reason = error_text(response)
    text = f"{outgoing.host} returned HTTP {response.status}"
    text += f": {reason}" if reason else ""
    if response.status in (401, 403):
        text += " (The credential was rejected, or lacks the permission.)"
    if wait is not None:
        text += f" (Retry after {wait:.0f} s.)"
    return CallProblem(
        text,
        again=response.status in FAILING,
        sent=response.status not in (401, 429, 503),
        unauthorized=response.status == 401,
    )


def with_defaults(schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the schema's defaults; null counts as missing."""
    inputs = {name: value for name, value in arguments.items() if value is not None}
    properties = schema.get("properties") if schema else None
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        if name not in inputs and isinstance(each, Mapping) and each.get("default") is not None:
            inputs[name] = each["default"]
    return inputs


def _redact(value: Any, secrets: set[str]) -> Any:
    """Redact secrets in all texts of a value, since an API may echo them."""
    forms = encodings_of(secrets)
    return redacted(value, forms) if forms else value
