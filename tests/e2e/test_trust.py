"""Trust in a running gateway: what was seen first is remembered, however short the session was."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgw.trust.approvals import ApprovalStore
from tests.e2e.running import running
from tests.support.driver import fake
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process


async def test_a_short_session_remembers_what_it_saw(tmp_path: Path) -> None:
    """The definitions of a server are saved at the end of a session that ends right after them."""
    env = {"MCP_GATEWAY_HOME": str(tmp_path)}
    async with running({"one": fake("--tools", "echo")}, env=env) as gateway:
        await gateway.invoke("one", "echo", {"text": "hi"}, timeout=PATIENCE)

    assert ("one", "tool", "echo") in ApprovalStore.of(tmp_path).hashes()
