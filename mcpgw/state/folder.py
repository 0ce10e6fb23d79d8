"""Location of the state folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLES: Final = ("MCP_GATEWAY_HOME", "MCP_GATEWAY_CONFIG_DIR")
"""Variables that set the folder; the first one that is not empty is used."""
DEFAULT: Final = "~/.mcp-gateway"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return the state folder, which need not exist.

    A leading `~` is replaced by HOME of `environ`, or by the home folder of the user (or of
    `~user`) according to the system. An unknown home folder is left unchanged.

    Args:
      environ: the environment variables.
    """
    text = next((value for name in VARIABLES if (value := environ.get(name))), DEFAULT)
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    return Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser raises for unknown users
