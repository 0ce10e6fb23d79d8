"""Requests and responses of the protocols over HTTP: REST, GraphQL and JSON-RPC."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcpgw.capabilities import requests
from mcpgw.capabilities.bodies import FILLER
from mcpgw.capabilities.errors import CallProblem
from mcpgw.capabilities.model import Capability, Provider
from mcpgw.capabilities.responses import Blob, compact, pick
from mcpgw.capabilities.templating import Inputs, Missing

if TYPE_CHECKING:
    from mcpgw.capabilities.requests import Draft


def request_draft(
    capability: Capability,
    provider: Provider,
    inputs: Mapping[str, Any],
    values: Inputs,
    credential: str,
) -> Draft:
    """Return the HTTP request of a provider.

    Args:
      capability: the capability, for its `auth`.
      provider: one of its providers: `rest`, `graphql` or `jsonrpc`.
      inputs: the caller's arguments with their defaults.
      values: the values of templates.
      credential: the credential, "" for none.

    Raises:
      CallProblem: an input is missing, or not allowed where the request needs it.
    """
    config, auth = provider.config, capability.auth
    if provider.service == "rest":
        return requests.draft(provider, inputs, values, auth, credential)
    url = requests.endpoint_url(config, inputs, values)
    if provider.service == "graphql":
        query = config.query or _query_text(config.body) or str(inputs.get("query", ""))
        if not query:
            raise CallProblem("a GraphQL provider must have a `query`.")
        variables = FILLER.fill(dict(config.variables), values)
        sent = {} if isinstance(variables, Missing) else variables
        if not config.variables:
            own = inputs.get("variables")
            rest = {k: v for k, v in inputs.items() if k not in ("query", "variables")}
            sent = {**rest, **(own if isinstance(own, Mapping) else {})}
        body: dict[str, Any] = {"query": query}
        if sent:
            body["variables"] = sent
    else:
        filled = dict(inputs) if config.body is None else FILLER.fill(config.body, values)
        number = random.getrandbits(48)
        body = {"jsonrpc": "2.0", "id": number, "method": config.method}
        if not isinstance(filled, Missing) and filled not in ({}, None):
            body["params"] = filled
    return requests.json_post(url, body, config.headers, values, auth, credential)


def _query_text(body: Any) -> str:
    if isinstance(body, Mapping):
        body = body.get("query")
    return body if isinstance(body, str) else ""


def select_result(provider: Provider, value: Any) -> Any:
    """Return the part of a response that `response_path` selects.

    Raises:
      CallProblem: the response is a GraphQL or JSON-RPC error, which may come with any status.
    """
    path = provider.config.response_path
    if isinstance(value, (Blob, str)):
        return value
    errors = value.get("errors") if isinstance(value, Mapping) else None
    if provider.service == "jsonrpc" and isinstance(value, Mapping):
        error = value.get("error")
        if isinstance(error, Mapping):
            more = f" (data: {compact(error['data'])[:200]})" if error.get("data") else ""
            text = f"{error.get('code')}: {error.get('message')}{more}"
            raise CallProblem(f"JSON-RPC error {text}.", sent=True)
        value = value.get("result", value)
    elif provider.service == "graphql" and isinstance(value, Mapping):
        data = value.get("data")
        if errors and data in (None, {}):
            raise CallProblem(_graphql_errors(errors), sent=True)
        path = path.removeprefix("data").removeprefix(".") if _starts_with_data(path) else path
        value = data if "data" in value else value
        found = pick(value, path)
        if errors:
            # A partial result: the errors explain what is missing (GraphQL, section 7.1).
            return {"data": found, "errors": errors}
        return found
    found = pick(value, path)
    if found is None and errors and provider.service == "rest" and isinstance(errors, list):
        raise CallProblem(_graphql_errors(errors), sent=True)
    return found


def _starts_with_data(path: str) -> bool:
    return path == "data" or path.startswith(("data.", "data["))


def _graphql_errors(errors: Any) -> str:
    found = [
        str(each.get("message", each)) if isinstance(each, Mapping) else str(each)
        for each in (errors if isinstance(errors, list) else [errors])
    ]
    return f"GraphQL error: {'; '.join(found)[:500]}"
