"""The gateway's state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgw.state.folder import state_folder


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.mcp-gateway"),
        ({"HOME": "/h", "MCP_GATEWAY_HOME": "/a", "MCP_GATEWAY_CONFIG_DIR": "/b"}, "/a"),
        ({"HOME": "/h", "MCP_GATEWAY_CONFIG_DIR": "/b"}, "/b"),
        ({"HOME": "/h", "MCP_GATEWAY_HOME": "", "MCP_GATEWAY_CONFIG_DIR": "/b"}, "/b"),
        ({"HOME": "/home/ada", "MCP_GATEWAY_HOME": "~/x"}, "/home/ada/x"),
        ({"HOME": "/home/ada", "MCP_GATEWAY_HOME": "~"}, "/home/ada"),
        ({"HOME": "/home/ada", "MCP_GATEWAY_HOME": "/a/~/b"}, "/a/~/b"),
        ({"HOME": "/h", "MCP_GATEWAY_HOME": "~no-such-user-here/x"}, "~no-such-user-here/x"),
    ],
)
def test_state_folder(environ: dict[str, str], expected: str) -> None:
    """MCP_GATEWAY_HOME comes first, then MCP_GATEWAY_CONFIG_DIR, then a folder in the home."""
    assert Path(expected) == state_folder(environ)


def test_without_home() -> None:
    """Without HOME the system's home folder is used."""
    assert ".mcp-gateway" == state_folder({}).name
    assert state_folder({}).is_absolute()
