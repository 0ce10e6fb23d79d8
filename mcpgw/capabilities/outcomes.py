"""Outcomes of calls: responses that are errors despite their status, and additions to results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcpgw.capabilities.api_errors import explained
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import FailureRule, Provider, ProviderConfig
from mcpgw.capabilities.pagination import cursor_of
from mcpgw.capabilities.responses import Blob, pick

if TYPE_CHECKING:
    from mcpgw.capabilities.http_calls import CallState
    from mcpgw.capabilities.http_sender import HttpResponse
    from mcpgw.capabilities.requests import Draft

HEADERS: Final = "_headers"
"""The key of a result that has the headers of the response."""
RESULT: Final = "result"
"""The key of a result that is not an object itself."""


def check_success(provider: Provider, value: Any, source: str, state: CallState) -> None:
    """Raise a problem if `fails_when` of a provider applies to a response.

    Args:
      provider: the provider.
      value: the parsed response.
      source: the host, server or program that it came from, for the message.
      state: the call, whose secrets are redacted.
    """
    rule = provider.config.fails_when
    if rule is None or isinstance(value, Blob) or not is_failure(rule, value):
        return
    text = explained(state.redacted(value), rule.message)
    raise CallProblem(f"{source} reported an error: {text}", sent=True)


def is_failure(rule: FailureRule, value: Any) -> bool:
    """Return whether a response is an error.

    Without `equals` and `not_equals`, any value at the path is an error, except false and empty
    ones. A value that is missing only equals null, and never counts for `not_equals`.
    """
    found = pick(value, rule.path) if isinstance(value, (Mapping, list)) else None
    if rule.equals and any(_same(found, each) for each in rule.equals):
        return True
    if rule.not_equals and found is not None:
        return not any(_same(found, each) for each in rule.not_equals)
    if rule.equals or rule.not_equals:
        return False
    return found not in (None, False, "", [], {})


def _same(one: Any, other: Any) -> bool:
    """Compare JSON values; unlike in Python, false is not 0."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def extras_of(
    config: ProviderConfig, response: HttpResponse, value: Any, more: Draft | None
) -> dict[str, Any]:
    """Return what is added to the result: headers, and the cursor of the next page.

    Args:
      config: the settings of the provider.
      response: the last response.
      value: the same, parsed.
      more: the request for the page after it, None if there is none.
    """
    extras: dict[str, Any] = {}
    rule = config.pagination
    if rule is not None and rule.returned_as:
        extras[rule.returned_as] = None if more is None else cursor_of(rule, more, value)
    if config.response_headers:
        extras[HEADERS] = {
            name: response.headers[name.lower()]
            for name in config.response_headers
            if name.lower() in response.headers
        }
    return extras


def with_extras(value: Any, extras: Mapping[str, Any]) -> Any:
    """Return a result with additions; one that is not an object goes under `result`.

    Bytes are returned as they are.
    """
    if not extras or isinstance(value, Blob):
        return value
    return {**value, **extras} if isinstance(value, Mapping) else {RESULT: value, **extras}
