"""Pagination: requests for further pages, and joining of their items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

import attrs

from mcpgw.capabilities.http_sender import HttpResponse, origin_of
from mcpgw.capabilities.model import Pagination
from mcpgw.capabilities.requests import Draft
from mcpgw.capabilities.responses import pick
from mcpgw.config.json_path import parse_path, replaced

_LINK: Final = re.compile(r'<([^<>]*)>\s*((?:;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^\s;,"]+)\s*)*)')
_NO_RESULTS: Final = re.compile(r';\s*results\s*=\s*"?false\b', re.IGNORECASE)
_REL: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def next_draft(
    rule: Pagination, draft: Draft, value: Any, response: HttpResponse, page: int
) -> Draft | None:
    """Return the request for the next page, None after the last one.

    Args:
      rule: the pagination of the provider.
      draft: the request of this page.
      value: the parsed response of this page.
      response: the same response with its headers.
      page: the number of this page, from 1.
    """
    items = pick(value, rule.items) if rule.items else value
    count = len(items) if isinstance(items, list) else None
    if rule.style == "link":
        target = link_next(response.headers.get("link", ""))
        if target is None:
            return None
        url = urljoin(response.url, target)
        try:
            same = origin_of(url) == origin_of(draft.url)
        except ValueError:
            return None
        # Credentials must only go to the declared host.
        return attrs.evolve(draft, url=url, query=()) if same else None
    if rule.style == "cursor":
        cursor = pick(value, rule.next)
        if cursor in (None, "", False):
            return None
        return _with(draft, rule.parameter, cursor)
    if not count:
        return None
    size = _number(draft, rule.size_parameter)
    if size is not None and count < size:
        return None
    if rule.style == "page":
        first = _number(draft, rule.parameter)
        return _with(draft, rule.parameter, (rule.start if first is None else first) + 1)
    offset = _number(draft, rule.parameter) or 0
    return _with(draft, rule.parameter, offset + count)


def append_page(rule: Pagination, whole: Any, more: Any) -> Any:
    """Return a response with the items of a further page appended."""
    old = pick(whole, rule.items) if rule.items else whole
    new = pick(more, rule.items) if rule.items else more
    if not isinstance(old, list) or not isinstance(new, list):
        return whole
    whole = _put(whole, rule.items, old + new)
    if rule.style == "cursor" and rule.next:
        whole = _put(whole, rule.next, pick(more, rule.next))
    return whole


def link_next(header: str) -> str | None:
    """Return the target of `rel="next"` in a Link header (RFC 8288), None without one.

    A link with `results="false"` leads to an empty page (Sentry).
    """
    for target, parameters in _LINK.findall(header):
        found = _REL.search(parameters)
        if found and "next" in (found[1] or found[2] or "").lower().split():
            return None if _NO_RESULTS.search(parameters) else str(target)
    return None


def cursor_of(rule: Pagination, draft: Draft, value: Any) -> Any:
    """Return the value of the paging parameter in the request for a further page.

    Args:
      rule: the pagination of the provider.
      draft: the request for the further page.
      value: the parsed response before it.
    """
    if rule.style == "cursor":
        return pick(value, rule.next)
    if rule.style == "link":
        query = parse_qs(urlsplit(draft.url).query)
        return query[rule.parameter][-1] if rule.parameter in query else draft.url
    return _number(draft, rule.parameter)


def _with(draft: Draft, name: str, value: Any) -> Draft:
    if draft.method == "GET" or not isinstance(draft.body, Mapping):
        return draft.with_query(name, value)
    return draft.with_key(name, value)


def _number(draft: Draft, name: str) -> int | None:
    for pair in draft.query:
        if pair.name == name and pair.value.isdecimal():
            return int(pair.value)
    body = draft.body if isinstance(draft.body, Mapping) else {}
    value = body.get(name)
    return value if isinstance(value, int) else None


def _put(whole: Any, path: str, value: Any) -> Any:
    """Return a copy of a value with another one at a path, which is parsed as `pick` does."""
    return replaced(whole, parse_path(path.removeprefix("$").removeprefix(".")).steps, value)
