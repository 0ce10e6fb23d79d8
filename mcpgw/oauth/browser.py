"""Open links in the browser of the local user."""

from __future__ import annotations

import contextlib
import os
import sys

import trio

from mcpgw.oauth.address_policy import split_url
from mcpgw.oauth.errors import Refused
from mcpgw.transports.address_policy import is_loopback_host

_PATIENCE = 15.0


async def open_browser(url: str) -> bool:
    """Open a link in a browser; return whether one was started.

    No shell is involved, and `$BROWSER` is respected. Only https links and links to loopback hosts
    are opened.
    """
    try:
        parts = split_url(url)
    except Refused:
        return False
    if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
        return False
    # A text browser would run until its user ends it; do not wait for that.
    with trio.move_on_after(_PATIENCE):
        return await trio.to_thread.run_sync(_open, url, abandon_on_cancel=True)
    return True


def _open(url: str) -> bool:
    import webbrowser

    if not os.environ.get("BROWSER") and sys.platform.startswith("linux") and not _has_screen():
        return False
    with contextlib.suppress(webbrowser.Error, OSError):
        return webbrowser.open(url, new=2, autoraise=True)
    return False


def _has_screen() -> bool:
    """Return whether there is a display; without one, a text browser would start."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
