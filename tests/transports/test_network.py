"""Shared settings of network connections."""

from __future__ import annotations

import ssl

import pytest

from mcpgw.transports.network import Network


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://a.example/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://a.example/", "http://p:1"),
        (
            {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"},
            "https://a/",
            "http://low:1",
        ),
        ({"HTTP_PROXY": "http://p:1"}, "https://a.example/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "ws://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "example"}, "http://a.example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ".example"}, "http://example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "ample"}, "http://a.example/", "http://p:1"),
        (
            {"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:81"},
            "http://a.example/",
            "http://p:1",
        ),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:80"}, "http://a.example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8, x"}, "http://10.1.2.3/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "::1"}, "http://[::1]:9/", None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, "http://a.example/", None),
    ],
)
def test_proxies(environ: dict[str, str], url: str, proxy: str | None) -> None:
    """They come from the given variables, in both cases, and NO_PROXY leaves hosts out."""
    assert proxy == Network(environ).proxy_for(url)


def test_the_process_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the given environment counts."""
    monkeypatch.setenv("HTTPS_PROXY", "http://other:1")
    assert Network({}).proxy_for("https://a.example/") is None


def test_one_context_for_all() -> None:
    """It is made once and verifies."""
    network = Network({})
    assert network.tls() is network.tls()
    assert ssl.CERT_REQUIRED is network.tls().verify_mode
