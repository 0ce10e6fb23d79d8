"""The settings under `oauth`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcpgw.config.loader import load
from mcpgw.config.oauth import OAuthConfig
from mcpgw.config.problems import ConfigError
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
        ("trusted_issuers", "https://a.example"),
        ("trusted_issuers", ["http://a.example"]),
        ("trusted_issuers", ["https://a.example/?x=1"]),
        ("trusted_issuers", ["https://[::1"]),
        ("trusted_issuers", ["a.example"]),
        ("token_endpoint_auth_method", "basic"),
        ("allow_missing_pkce", "perhaps"),
        ("send_resource", 3),
    ],
)
def test_what_does_not_fit_is_refused(key: str, value: object) -> None:
    """The error names the key."""
    with pytest.raises(Exception) as raised:
        structure({key: value}, OAuthConfig)
    assert [("oauth", key)] == [path[:2] for path, _ in faults(raised.value, ("oauth",))]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"allow_missing_pkce": True, "grant": "client_credentials"}, "allow_missing_pkce"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method"),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "private_key_file": "k.pem"},
            "token_endpoint_auth_method",
        ),
        (
            {"token_endpoint_auth_method": "none", "client_id": "a", "client_secret": "b"},
            "token_endpoint_auth_method",
        ),
        (
            {"token_endpoint_auth_method": "none", "grant": "client_credentials"},
            "token_endpoint_auth_method",
        ),
        (
            {"token_endpoint_auth_method": "client_secret_post", "client_id": "a"},
            "token_endpoint_auth_method",
        ),
    ],
)
def test_settings_that_contradict_each_other(
    tmp_path: Path, settings: dict[str, object], key: str
) -> None:
    """The error names the key, and its line in the file."""
    with pytest.raises(Exception) as raised:
        structure(settings, OAuthConfig)
    assert [("oauth", key)] == [path for path, _ in faults(raised.value, ("oauth",))]
    lines = [f"      {name}: {json.dumps(value)}" for name, value in settings.items()]
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "\n".join(["backends:", "  x:", "    http_url: https://x.example/", "    oauth:", *lines])
    )
    line = 5 + list(settings).index(key)
    with pytest.raises(ConfigError, match=rf"gateway\.yaml:{line}.*{key}"):
        load(file, environ={})


@pytest.mark.parametrize(
    "settings",
    [
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "none", "client_id": "a"},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "client_id": "a",
            "private_key_file": "k.pem",
        },
        {"allow_missing_pkce": True, "grant": "authorization_code"},
        {"trusted_issuers": ["https://a.example/tenant", "http://localhost:8080"]},
    ],
)
def test_settings_that_fit_together(settings: dict[str, object]) -> None:
    """They are read."""
    config = structure(settings, OAuthConfig)
    assert settings == {
        key: list(value) if isinstance(value := getattr(config, key), tuple) else value
        for key in settings
    }
