"""Annotations of capabilities: as the file declares them, else by the HTTP method."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgw.capabilities.tool_definition import tool_definition
from tests.support.capability_calls import capability


def annotations(provider: str, metadata: str = "{}", fallback: str = "") -> Any:
    """Return the annotations of a capability."""
    more = f", fallback: {fallback}" if fallback else ""
    return tool_definition(
        capability(
            f"name: x\ndescription: x\nmetadata: {metadata}\n"
            f"providers: {{primary: {provider}{more}}}\n"
        )
    )["annotations"]


def rest(method: str) -> str:
    """Return a provider."""
    return f"{{config: {{base_url: 'https://a.example', method: {method}}}}}"


GRAPHQL = "{service: graphql, config: {endpoint: 'https://a.example', query: '{x}'}}"
COMMAND = "{service: cli, config: {command: [date]}}"


@pytest.mark.parametrize(
    ("provider", "metadata", "fallback", "read_only"),
    [
        (rest("GET"), "{}", "", True),
        (rest("get"), "{}", "", True),
        (rest("HEAD"), "{}", "", True),
        (rest("GET"), "{read_only: false}", "", False),
        (rest("POST"), "{}", "", False),
        (rest("POST"), "{read_only: true}", "", True),
        (rest("DELETE"), "{}", "", False),
        (rest("GET"), "{}", rest("GET"), True),
        (rest("GET"), "{}", rest("POST"), False),
        (GRAPHQL, "{}", "", False),
        (COMMAND, "{}", "", False),
        (COMMAND, "{read_only: true}", "", True),
    ],
)
def test_read_only(provider: str, metadata: str, fallback: str, read_only: bool) -> None:
    """A GET is safe by HTTP unless the file says otherwise; nothing else is assumed."""
    found = annotations(provider, metadata, fallback)
    assert read_only is found["readOnlyHint"]
    assert read_only is not found.get("destructiveHint", True)
    assert read_only is found["idempotentHint"]
