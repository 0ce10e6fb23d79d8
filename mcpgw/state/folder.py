"""Where the gateway keeps what it learns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLES: Final = ("MCP_GATEWAY_HOME", "MCP_GATEWAY_CONFIG_DIR")
"""The variables that may name the folder; the first that is not empty counts."""
DEFAULT: Final = "~/.mcp-gateway"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return the state folder; it need not exist.

    A leading `~` is HOME of `environ`, or the home folder of the user (or of `~user`) as the
    system knows it. A home that nobody knows is left as it stands.

    Args:
      environ: the environment variables to look at.
    """
    text = next((value for name in VARIABLES if (value := environ.get(name))), DEFAULT)
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    return Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser raises where unknown
