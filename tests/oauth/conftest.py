"""Fixtures: an authorization server, a resource behind it, and authorizers for that resource."""

from __future__ import annotations

import io
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpgw.config.oauth import OAuthConfig
from mcpgw.oauth.authorizer import OAuthAuthorizer
from mcpgw.oauth.store import TokenStore
from mcpgw.observe import log
from mcpgw.transports.network import Network
from tests.oauth.authorization_server import AuthorizationPlace
from tests.oauth.person import Clock, Person
from tests.oauth.servers import Resource, serving

Make = Callable[..., OAuthAuthorizer]
BROWSER = """#!{python}
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
page = opener.open(sys.argv[1]).read()
open({seen!r}, "ab").write(sys.argv[1].encode() + b"\\n" + page + b"\\n")
"""


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a script the browser; return the file in which it keeps links and pages."""
    seen = tmp_path / "seen"
    script = tmp_path / "browser"
    script.write_text(BROWSER.format(python=sys.executable, seen=str(seen)))
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(script))
    # The module reads the variable only once.
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    return seen


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Collect all log lines, those for fault finders too."""
    output = io.StringIO()
    log.configure(level="trace", output=output)
    yield output
    log.configure(level="warning")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthorizationPlace]:
    """Run an authorization server."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    place = AuthorizationPlace()
    with serving(place) as running:
        place.issuer, place.running = running.url, running
        yield place


@pytest.fixture
def resource(place: AuthorizationPlace) -> Iterator[Resource]:
    """Run a server at `/mcp` that wants tokens of the authorization server."""
    resource = Resource(place.introspect, place.issuer)
    with serving(resource) as running:
        resource.origin = running.url
        resource.running = running
        yield resource


@pytest.fixture
def network() -> Network:
    """Give connections without proxies."""
    return Network({})


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """Give a place for logins."""
    return TokenStore(tmp_path / "state" / "oauth")


@pytest.fixture
def person() -> Person:
    """Return a user who opens links."""
    return Person()


@pytest.fixture
def clock() -> Clock:
    """Give the time of day, which a test may shift."""
    return Clock()


@pytest.fixture
def make(
    resource: Resource, store: TokenStore, network: Network, person: Person, clock: Clock
) -> Make:
    """Give a maker of authorizers for the resource."""

    def make(*, settings: dict[str, Any] | None = None, **changes: Any) -> OAuthAuthorizer:
        options: dict[str, Any] = {
            "server": "notes",
            "url": f"{resource.origin}/mcp",
            "config": OAuthConfig(**(settings or {})),
            "store": store,
            "network": network,
            "present": person,
            "now": clock,
        }
        return OAuthAuthorizer(**(options | changes))

    return make
