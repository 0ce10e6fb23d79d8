"""The settings under `oauth`."""

from __future__ import annotations

import pytest

from mcpgw.config.oauth import OAuthConfig
from mcpgw.config.structuring import faults, structure


def test_the_defaults() -> None:
    """Without settings everything is on, and left to the servers."""
    config = structure({}, OAuthConfig)
    assert OAuthConfig() == config
    assert (True, "auto", "file", True) == (
        config.enabled,
        config.grant,
        config.storage,
        config.open_browser,
    )
    assert ("localhost", None, "/oauth/callback", 300.0) == (
        config.callback_host,
        config.callback_port,
        config.callback_path,
        config.token_refresh_buffer_secs,
    )


def test_what_is_set_is_read() -> None:
    """A plain number is seconds; words are taken in any case."""
    config = structure(
        {
            "scopes": ["a"],
            "client_id": "me",
            "client_secret": "s3cret",
            "callback_host": "127.0.0.1",
            "callback_port": 3118,
            "token_refresh_buffer_secs": 60,
            "grant": "Client_Credentials",
            "private_key_algorithm": "rs256",
        },
        OAuthConfig,
    )
    assert (("a",), 3118, 60.0, "client_credentials", "RS256") == (
        config.scopes,
        config.callback_port,
        config.token_refresh_buffer_secs,
        config.grant,
        config.private_key_algorithm,
    )
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("callback_host", "0.0.0.0"),
        ("callback_host", "example.org"),
        ("callback_port", 70_000),
        ("callback_path", "no-slash"),
        ("callback_path", "/a?b=c"),
        ("callback_path", "/a b"),
        ("client_metadata_url", "http://example.org/client.json"),
        ("client_metadata_url", "https://example.org/"),
        ("grant", "password"),
        ("storage", "cloud"),
        ("private_key_algorithm", "none"),
        ("token_refresh_buffer_secs", -1),
        ("scopes", "a b"),
    ],
)
def test_what_does_not_fit_is_refused(key: str, value: object) -> None:
    """The error names the key."""
    with pytest.raises(Exception) as raised:
        structure({key: value}, OAuthConfig)
    assert [("oauth", key)] == [path[:2] for path, _ in faults(raised.value, ("oauth",))]
