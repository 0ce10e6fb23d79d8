"""The way of one call: providers in order, each asked again where that helps and does no harm.

cache → rate → for each provider: breaker of its host → secrets → request → answer → shape
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
from mcpgw.capabilities.api_protocols import draft_of, picked
from mcpgw.capabilities.bodies import FILLER, with_files
from mcpgw.capabilities.commands import run_command
from mcpgw.capabilities.credentials import Credentials
from mcpgw.capabilities.errors import CallProblem, failure
from mcpgw.capabilities.http_sender import HttpAnswer, HttpRequest, Sender, retry_after
from mcpgw.capabilities.model import REPEATABLE, SAFE_METHODS, Capability, Provider
from mcpgw.capabilities.pagination import joined, next_draft
from mcpgw.capabilities.redaction import forms_of, without
from mcpgw.capabilities.response_cache import ResponseCache
from mcpgw.capabilities.response_view import FULL, PLAIN, shaped, viewed
from mcpgw.capabilities.responses import Blob, content_blocks, error_text, pick, read_answer
from mcpgw.capabilities.templating import Inputs, Missing
from mcpgw.observe.log import get_logger
from mcpgw.transports.address_policy import Reach

log = get_logger("mcpgw.capabilities")

CallTool = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a tool of an MCP server: server, tool, arguments."""
RETRIED: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may do better (RFC 9110, RFC 6585)."""
FAILING: Final = frozenset({429, *range(500, 600)})
"""Statuses after which another provider is tried."""
LONGEST_WAIT: Final = 30.0
"""Seconds of a Retry-After that are waited for."""
ALLOWED: Final = (
    "To allow it, both have to say so: the file (`network: {allow_private: true}`), and"
    " `capabilities.allow_private` in gateway.yaml, which names the host or its network."
)


@attrs.define(eq=False)
class Executor:
    """Calls capabilities.

    Args:
      sender: sends requests.
      credentials: where secrets come from.
      call_tool: for capabilities that are tools of MCP servers.
      inside: what inside this network an operator lets capability files reach.
      commands_allowed: whether a file may run commands; told its path.
    """

    sender: Sender
    credentials: Credentials
    call_tool: CallTool | None = None
    inside: tuple[str, ...] = ()
    commands_allowed: Callable[[Path | None, str], str] = lambda path, pin: ""
    _kept: ResponseCache = attrs.field(factory=ResponseCache)
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
        """Call a capability; return the result of `tools/call`.

        A failure is a result with `isError`, for the model to see (MCP 2025-11-25, tools).

        Args:
          capability: which.
          arguments: the caller's; defaults of the schema are put in here.
          content_hash: of the file, so that a changed one shares no answers with the old.
          path: of the file.
          fresh: whether a kept answer will not do.
          view: `plain`, `projected` into the common form, or `full`: what `response_transform`
            would leave out too.
        """
        inputs = with_defaults(capability.schema.input, arguments)
        used: set[str] = set()
        try:
            value = await self._kept.get(
                capability,
                content_hash,
                inputs,
                lambda: self._ask(capability, inputs, path, used),
                fresh=fresh or view == FULL,
            )
            return self._result(capability, viewed(capability, value, view))
        except CallProblem as problem:
            text = f"{problem} {ALLOWED}" if problem.inside else str(problem)
            return failure(_hide(text, used))

    # -- providers -------------------------------------------------------------------------------

    async def _ask(
        self, capability: Capability, inputs: Mapping[str, Any], path: Path | None, used: set[str]
    ) -> Any:
        await self._wait_for_rate(capability)
        problems: list[str] = []
        for place, provider in enumerate(capability.providers):
            try:
                value = await self._provider(capability, provider, inputs, path, used)
                value = _hide(value, used)
                return shaped(value, capability.transform)
            except CallProblem as problem:
                problems.append(str(problem))
                last = place == len(capability.providers) - 1
                harmless = capability.repeatable or not problem.sent
                if last or not problem.again or not harmless:
                    text = problems[0] if len(problems) == 1 else "; then ".join(problems)
                    raise attrs.evolve(problem, message=text) from None
                log.info("capability.fallback", capability=capability.name, reason=str(problem))
        raise CallProblem(f"'{capability.name}' has no provider; it only receives webhooks.")

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

    async def _provider(
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
        return await self._over_http(capability, provider, inputs, values, credential, used)

    async def _credential(self, capability: Capability, used: set[str]) -> str:
        auth = capability.auth
        if not auth.used:
            return ""
        try:
            found = await self.credentials.look_up(
                auth.key, hint=auth.description, token_endpoint=auth.token_endpoint
            )
        except CallProblem:
            if auth.required:
                raise
            return ""
        used.add(found)
        return found

    async def _tool(self, provider: Provider, inputs: Mapping[str, Any], values: Inputs) -> Any:
        config = provider.config
        if self.call_tool is None:
            raise CallProblem("tools of MCP servers can be called in a running gateway only.")
        template = config.arguments
        arguments = dict(inputs) if template is None else FILLER.fill(template, values)
        given = {} if isinstance(arguments, Missing) else arguments
        with trio.move_on_after(provider.timeout) as scope:
            result = await self.call_tool(config.server, config.tool, given)
        if scope.cancelled_caught:
            raise CallProblem(
                f"'{config.server}' did not answer within {provider.timeout:g} s.", sent=True
            )
        return _of_tool(result, config.response_path)

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
        reach = Reach(self.inside) if capability.network.allow_private else Reach()
        draft = draft_of(capability, provider, inputs, values, credential)
        # What stands in the host is an address, not a secret.
        used -= {each for each in used if each in urlsplit(draft.url).netloc}
        if files := draft.files():
            fetched = {url: await self._fetch(url, provider, reach) for url in files}
            draft = attrs.evolve(draft, body=with_files(draft.body, fetched))
        whole: Any = None
        rule = provider.config.pagination
        pages = rule.max_pages if rule is not None else 1
        for page in range(1, pages + 1):
            answer = await self._asked(capability, provider, draft.outgoing(), reach, values)
            value = read_answer(answer, provider.config.response_format)
            whole = value if page == 1 or rule is None else joined(rule, whole, value)
            more = next_draft(rule, draft, value, answer, page) if rule is not None else None
            if more is None:
                break
            draft = more
        return picked(provider, whole)

    async def _fetch(self, url: str, provider: Provider, reach: Reach) -> tuple[bytes, str]:
        """Get a file that an input names, without any credential."""
        answer = await self.sender.send(
            HttpRequest("GET", url), reach=reach, timeout=provider.timeout, limit=provider.max_bytes
        )
        if answer.status != 200:
            raise CallProblem(f"the file at {url[:120]} was answered with {answer.status}.")
        return answer.content, answer.kind

    async def _asked(
        self,
        capability: Capability,
        provider: Provider,
        outgoing: HttpRequest,
        reach: Reach,
        values: Inputs,
    ) -> HttpAnswer:
        """Send a request, again where that does no harm; raise for an answer that is an error."""
        breaker = self._breakers.setdefault(outgoing.host, _new_breaker())
        rule = capability.retry
        attempt = 1
        while True:
            permit = breaker.admit()
            if permit is None:
                raise CallProblem(
                    f"{outgoing.host} failed several times in a row; the next try is allowed in"
                    f" {breaker.retry_after():.0f} s.",
                    again=True,
                )
            wait: float | None = None
            try:
                answer = await self.sender.send(
                    outgoing, reach=reach, timeout=provider.timeout, limit=provider.max_bytes
                )
            except CallProblem as problem:
                if problem.again:
                    permit.failure(str(problem), common=True)
                safe = not problem.sent or _may_repeat(capability, provider, outgoing)
                if not (problem.again and safe and attempt < rule.attempts):
                    raise
            else:
                if answer.status >= 500:
                    permit.failure(f"HTTP {answer.status}", common=True)
                else:
                    permit.success()
                if answer.status < 400:
                    return answer
                wait = retry_after(answer.headers, time.time())
                may = _may_repeat(capability, provider, outgoing)
                if answer.status not in RETRIED or not may or attempt >= rule.attempts:
                    raise _refusal(outgoing, answer, wait)
                if wait is not None and wait > LONGEST_WAIT:
                    raise _refusal(outgoing, answer, wait)
            finally:
                permit.release()
            pause = min(rule.max_backoff, rule.initial_backoff * 2 ** (attempt - 1))
            await trio.sleep(pause * random.uniform(0.8, 1.2) if wait is None else wait)  # noqa: S311
            attempt += 1

    def _result(self, capability: Capability, value: Any) -> dict[str, Any]:
        blocks = content_blocks(value, f"capability://{capability.name}")
        result: dict[str, Any] = {"content": blocks, "isError": False}
        if capability.schema.output is not None and not isinstance(value, Blob):
            # MCP wants an object (2025-11-25, tools, structured content).
            wrapped = value if isinstance(value, Mapping) else {"result": value}
            result["structuredContent"] = wrapped
        return result


def _new_breaker() -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=5, success_threshold=1, reset_timeout=30.0)


def _of_tool(result: Mapping[str, Any], path: str) -> Any:
    """Return what a tool of an MCP server gave as a value."""
    blocks = result.get("content") or []
    texts = [
        b.get("text", "") for b in blocks if isinstance(b, Mapping) and b.get("type") == "text"
    ]
    if result.get("isError") is True:
        raise CallProblem(
            "\n".join(texts)[:2000] or "the tool failed without saying why.", sent=True
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


def _refusal(outgoing: HttpRequest, answer: HttpAnswer, wait: float | None) -> CallProblem:
    said = error_text(answer)
    text = f"{outgoing.host} answered with HTTP {answer.status}"
    text += f": {said}" if said else ""
    if answer.status in (401, 403):
        text += " (The credential was refused, or does not allow this.)"
    if wait is not None:
        text += f" (It asks to come again in {wait:.0f} s.)"
    return CallProblem(
        text,
        again=answer.status in FAILING,
        sent=answer.status not in (429, 503),
    )


def with_defaults(schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the schema's defaults for what was not given; null is not given."""
    inputs = {name: value for name, value in arguments.items() if value is not None}
    properties = schema.get("properties") if schema else None
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        if name not in inputs and isinstance(each, Mapping) and each.get("default") is not None:
            inputs[name] = each["default"]
    return inputs


def _hide(value: Any, secrets: set[str]) -> Any:
    """Cut secrets out of all texts of a value: an API may well echo them."""
    forms = forms_of(secrets)
    return without(value, forms) if forms else value
