"""Fast start of `serve` and `--version`, without the command-line library.

Other command lines, including invalid ones, are handled by `mcpgw.cli.app`, which has all options,
help texts and errors.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mcpgw import __version__
from mcpgw.config.environment import CHAIN, CONFIG, LOG_FORMAT, LOG_LEVEL
from mcpgw.observe import log

_WITH_VALUE: Final = {
    "-c": "config",
    "--config": "config",
    "--mode": "mode",
    "--log-level": "log_level",
    "--log-format": "log_format",
}


def run_quickly(arguments: list[str]) -> int | None:
    """Run `--version`, or `serve` for a client at stdin and stdout.

    Returns:
      The exit status, or None for any other command line.
    """
    if arguments in (["--version"], ["-V"]):
        from mcpgw.cli.standard_streams import with_output

        return with_output(_print_version)
    options = _parse(arguments)
    if options is None or (options.get("mode") or default_mode()) != "stdio":
        return None
    level = options.get("log_level") or os.environ.get(LOG_LEVEL) or "info"
    form = options.get("log_format") or os.environ.get(LOG_FORMAT) or "text"
    if level.lower() not in log.LEVELS or form not in log.FORMS:
        return None
    log.configure(level=level, form=form)
    return serve(config=options.get("config") or os.environ.get(CONFIG) or "")


def _print_version() -> int:
    print(f"mcp-gateway {__version__}")
    return 0


def serve(*, config: str) -> int:
    """Serve one client over stdin and stdout. Return the exit status."""
    import trio

    from mcpgw.gateway import tree

    gc.freeze()
    gc.enable()
    path = Path(config).expanduser() if config else None
    if problem := closed_problem() or loop_problem(path, os.environ):
        sys.stderr.write(f"Error: {problem}\n")
        return 1
    return trio.run(tree.run, tree.ServeOptions(path, dict(os.environ)))


def closed_problem() -> str:
    """Return why no client can be served at stdin and stdout; "" if one can."""
    for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout)):
        if stream is None:
            return f"{name} is closed; a client must be connected to it. See also --mode http."
    return ""


def loop_problem(config_path: Path | None, environ: Mapping[str, str]) -> str:
    """Return why a gateway that was started by another one must not start; "" if it may."""
    if CHAIN not in environ:
        return ""
    from mcpgw.config import loader
    from mcpgw.config.chain import problem_of_start

    return problem_of_start(config_path or loader.find(environ, Path.cwd()), environ)


def default_mode() -> str:
    """Return the default mode of `serve`: stdio if a client is connected, otherwise http.

    A pipe, socket or file at stdin counts as a client; a terminal or /dev/null does not.
    """
    try:
        kind = os.fstat(0).st_mode
    except OSError:  # stdin is closed
        return "http"
    client = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISREG(kind)
    return "stdio" if client else "http"


def _parse(arguments: list[str]) -> dict[str, str] | None:
    options: dict[str, str] = {}
    words = iter(arguments)
    served = False
    for word in words:
        name, equals, value = word.partition("=")
        if word == "serve" and not served:
            served = True
        elif word == "--stdio":
            options["mode"] = "stdio"
        elif name in _WITH_VALUE and (equals or name == word):
            if not equals:
                value = next(words, "")
            if not value:
                return None
            options[_WITH_VALUE[name]] = value
        else:
            return None
    return options if served else None
