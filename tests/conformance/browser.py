#!/usr/bin/env python3
"""A browser without a screen, for $BROWSER: opens a link and follows it until it gets no further.

It returns at once, as a real one does, and loads the page in a process of its own. Only pages
of this machine are loaded: those of the suite and the gateway's own callback.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from urllib.error import URLError
from urllib.parse import urlsplit

HOSTS = ("localhost", "127.0.0.1", "::1")
PATIENCE = 20
"""Seconds that a page may take."""


class StayHere(urllib.request.HTTPRedirectHandler):
    """Follows redirects as far as they lead to this machine."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        """Return the next request, or None where it would leave the machine."""
        if urlsplit(newurl).hostname not in HOSTS:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def load(link: str) -> None:
    """Load a page and ignore the response."""
    if urlsplit(link).hostname not in HOSTS:
        raise SystemExit(f"{link} is not on this machine")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), StayHere())
    try:
        opener.open(link, timeout=PATIENCE).close()
    except URLError as error:
        raise SystemExit(str(error)) from error


def main() -> None:
    """Open the link that is the last argument."""
    if "--load" in sys.argv:
        load(sys.argv[-1])
        return
    subprocess.Popen(
        [sys.executable, __file__, "--load", sys.argv[-1]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    main()
