"""Loading of the configuration for commands that do not run a gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpgw.cli.app import settle
from mcpgw.cli.exit_codes import FAILED
from mcpgw.cli.output import say, say_lines
from mcpgw.observe.printable import printable

if TYPE_CHECKING:
    from mcpgw.config.loader import Loaded


def usable_state_folder() -> Path:
    """Return the state folder, with its permissions corrected if others could write to it.

    Raises:
      click.ClickException: it belongs to another user.
    """
    from mcpgw.state.folder import state_folder
    from mcpgw.state.permissions import UnsafeFolder, secure_folder

    folder = state_folder(os.environ)
    try:
        for done in secure_folder(folder):
            say(f"Warning: others could change the state folder; {done}", err=True)
    except UnsafeFolder as error:
        raise click.ClickException(printable(str(error))) from None
    return folder


def configured(ctx: click.Context, options: Mapping[str, Any]) -> tuple[Loaded, Path]:
    """Load the configuration; exit if it is not valid.

    Returns:
      The configuration, and the folder to which its paths are relative.
    """
    from mcpgw.config import loader
    from mcpgw.config.problems import ConfigError

    given = settle(ctx, **options, level="error")
    path = Path(given).expanduser() if given else loader.find(os.environ, Path.cwd())
    try:
        loaded = loader.load(path, environ=os.environ)
    except ConfigError as error:
        say_lines(f"Error: {error}", err=True)
        ctx.exit(FAILED)
    return loaded, path.parent if path else Path.cwd()
