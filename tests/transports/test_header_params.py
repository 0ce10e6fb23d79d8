"""Arguments that are sent as headers too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.protocol.header_params import (
    HeaderParam,
    InvalidHeaderParams,
    decode_header,
    encode_header,
    header_of,
    header_params,
)


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_every_text_survives(text: str) -> None:
    """An encoded header is plain ASCII, and decodes to the same value."""
    header = encode_header(text)
    assert header.isascii()
    assert header == header.strip()
    assert all(" " <= letter <= "~" for letter in header)
    assert text == decode_header(header)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("plain words", "plain words"),
        ("", ""),
        (" edge", "=?base64?IGVkZ2U=?="),
        ("é", "=?base64?w6k=?="),
        ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
        ("=?base64?open", "=?base64?open"),
    ],
)
def test_examples(text: str, header: str) -> None:
    """Plain text stays as it is; all else is base64."""
    assert header == encode_header(text)
    assert text == decode_header(header)


@pytest.mark.parametrize(
    "text", ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?="]
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    """Missing padding, odd letters and bytes that are no UTF-8."""
    with pytest.raises(ValueError, match="base64"):
        decode_header(text)


def test_annotations_are_found() -> None:
    """Through `properties` alone, at any depth."""
    schema = {
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "page": {
                "type": "object",
                "properties": {"size": {"type": "integer", "x-mcp-header": "Page-Size"}},
            },
            "plain": {"type": "string"},
        }
    }
    region = HeaderParam("Region", ("region",), "string")
    size = HeaderParam("Page-Size", ("page", "size"), "integer")
    assert (region, size) == header_params(schema)
    arguments = {"region": "eu", "page": {"size": 20.0}}
    assert ("eu", "20") == (header_of(region, arguments), header_of(size, arguments))
    assert header_of(size, {"page": {"size": None}}) is None
    assert header_of(size, {"page": "none"}) is None


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "string", "x-mcp-header": ""}},
        {"a": {"type": "string", "x-mcp-header": "not a token"}},
        {"a": {"type": "string", "x-mcp-header": 7}},
        {"a": {"type": "number", "x-mcp-header": "A"}},
        {"a": {"x-mcp-header": "A"}},
        {
            "a": {"type": "string", "x-mcp-header": "A"},
            "b": {"type": "string", "x-mcp-header": "a"},
        },
        {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}},
        {"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}]}},
    ],
)
def test_annotations_that_no_request_can_follow(properties: dict[str, Any]) -> None:
    """Such a tool cannot be used by HTTP."""
    with pytest.raises(InvalidHeaderParams):
        header_params({"type": "object", "properties": properties})
