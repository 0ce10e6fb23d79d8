"""Listing the tools of a server that runs, but has not listed them yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mcpgw.meta.discovery import _learn_one


@pytest.mark.parametrize(("running", "words"), [(True, "loading its tools"), (False, "starting")])
async def test_the_reason_is_told(running: bool, words: str, autojump_clock: MockClock) -> None:
    """`ready` with no tools would read as if it had none."""
    backend: Any = SimpleNamespace(
        name="big",
        known=False,
        killed=False,
        config=SimpleNamespace(timeout=30.0),
        shared=SimpleNamespace(connection=object() if running else None),
        situation=lambda: "Server 'big' has been starting for 5 s",
        learned=trio.sleep_forever,
    )
    assert words in await _learn_one(backend)
