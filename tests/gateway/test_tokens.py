"""The bearer token of the HTTP front."""

from __future__ import annotations

import pytest

from mcpgw.config.server import AuthConfig
from mcpgw.gateway.tokens import bearer_token


@pytest.mark.parametrize("written", ["env:TOK", "${TOK}", "words-of-a-token"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", " "])
def test_a_token_from_a_file(written: str, end: str) -> None:
    """A line break at the end, as in a mounted secret file, does not belong to the token."""
    auth = AuthConfig(enabled=True, bearer_token=written)
    assert "words-of-a-token" == bearer_token(auth, {"TOK": f"words-of-a-token{end}"})


def test_no_token() -> None:
    """A switched off or missing token, and an unset variable, give none."""
    assert "" == bearer_token(AuthConfig(bearer_token="x"), {})
    assert "" == bearer_token(AuthConfig(enabled=True), {})
    assert "" == bearer_token(AuthConfig(enabled=True, bearer_token="env:TOK"), {"TOK": "\n"})
