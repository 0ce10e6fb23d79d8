"""The environment of a child: what it inherits, and what it does not."""

from __future__ import annotations

import pytest

from mcpgw.backends.process import inherited


@pytest.mark.parametrize("name", ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"])
def test_the_variables_of_the_sdks(name: str) -> None:
    """The variables that the official SDKs pass to servers are passed."""
    assert {name: "x"} == inherited({name: "x"})


@pytest.mark.parametrize(
    "name",
    ["SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"],
)
def test_access_to_other_things(name: str) -> None:
    """Agents and secrets of the gateway's environment have to be named in `env`."""
    assert {} == inherited({name: "/run/user/1000/agent"})


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "PIP_INDEX_URL", "UV_INDEX_URL"])
@pytest.mark.parametrize(
    ("url", "passed"),
    [
        ("http://proxy.example:3128", True),
        ("proxy.example:3128", True),
        ("http://me:pass@proxy.example:3128", False),
        ("me:pass@proxy.example:3128", False),
        ("https://token@proxy.example/simple", False),
        ("https://a.example/simple https://me:pass@b.example/simple", False),
    ],
)
def test_urls_with_passwords(name: str, url: str, passed: bool) -> None:
    """A proxy or package index is inherited unless its URL has a user or password."""
    assert ({name: url} if passed else {}) == inherited({name: url})
