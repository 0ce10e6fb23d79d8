"""What is asked of an API by HTTP, and what of its answer is wanted: REST, GraphQL, JSON-RPC."""

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


def draft_of(
    capability: Capability,
    provider: Provider,
    inputs: Mapping[str, Any],
    values: Inputs,
    credential: str,
) -> Draft:
    """Return the request of a provider by HTTP, for these inputs.

    Raises:
      CallProblem: an input that it needs is missing, or cannot stand where it should.
    """
    config, auth = provider.config, capability.auth
    if provider.service == "rest":
        return requests.draft(provider, inputs, values, auth, credential)
    url = requests.endpoint_url(config, inputs, values)
    if provider.service == "graphql":
        query = config.query or _query_text(config.body) or str(inputs.get("query", ""))
        if not query:
            raise CallProblem("a GraphQL capability needs a `query`.")
        variables = FILLER.fill(dict(config.variables), values)
        given = {} if isinstance(variables, Missing) else variables
        if not config.variables:
            own = inputs.get("variables")
            rest = {k: v for k, v in inputs.items() if k not in ("query", "variables")}
            given = {**rest, **(own if isinstance(own, Mapping) else {})}
        body: dict[str, Any] = {"query": query}
        if given:
            body["variables"] = given
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


def picked(provider: Provider, value: Any) -> Any:
    """Return the wanted part of an answer.

    Raises:
      CallProblem: it is an error of GraphQL or JSON-RPC, which come with any status.
    """
    path = provider.config.response_path
    if isinstance(value, (Blob, str)):
        return value
    errors = value.get("errors") if isinstance(value, Mapping) else None
    if provider.service == "jsonrpc" and isinstance(value, Mapping):
        error = value.get("error")
        if isinstance(error, Mapping):
            more = f" (data: {compact(error['data'])[:200]})" if error.get("data") else ""
            said = f"{error.get('code')}: {error.get('message')}{more}"
            raise CallProblem(f"The API answered with the JSON-RPC error {said}.", sent=True)
        value = value.get("result", value)
    elif provider.service == "graphql" and isinstance(value, Mapping):
        data = value.get("data")
        if errors and data in (None, {}):
            raise CallProblem(_graphql_errors(errors), sent=True)
        path = path.removeprefix("data").removeprefix(".") if _begins_with_data(path) else path
        value = data if "data" in value else value
        found = pick(value, path)
        if errors:
            # Part of the answer is there; what is missing is said beside it (GraphQL, 7.1).
            return {"data": found, "errors": errors}
        return found
    found = pick(value, path)
    if found is None and errors and provider.service == "rest" and isinstance(errors, list):
        raise CallProblem(_graphql_errors(errors), sent=True)
    return found


def _begins_with_data(path: str) -> bool:
    return path == "data" or path.startswith(("data.", "data["))


def _graphql_errors(errors: Any) -> str:
    found = [
        str(each.get("message", each)) if isinstance(each, Mapping) else str(each)
        for each in (errors if isinstance(errors, list) else [errors])
    ]
    return f"GraphQL error: {'; '.join(found)[:500]}"
