"""Is there a configuration, can it be used, and is what the gateway keeps safe?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mcpgw.cli.doctor.check import Check
from mcpgw.config.loader import Loaded, find, load, places
from mcpgw.config.problems import ConfigError

INIT = "mcp-gateway init --profile local"
PRIVATE = ("oauth", "logins")
"""Folders of the state folder whose files hold tokens."""


def look_at_config(
    given: Path | None, environ: Mapping[str, str], cwd: Path
) -> tuple[list[Check], Loaded | None]:
    """Load the configuration; return what there is to say of it, None where it cannot be used."""
    path = given or find(environ, cwd)
    kind = ("Configuration", "config")
    if path is None:
        looked = ", ".join(map(str, places(environ, cwd)))
        return [
            Check(
                *(*kind, "fail", f"there is no gateway.yaml (looked at {looked})"),
                "The gateway runs without one, with its built-in APIs only.",
                INIT,
                partial(_make_config, cwd),
            )
        ], None
    try:
        loaded = load(path, environ=environ)
    except ConfigError as error:
        return [
            Check(*kind, "fail", str(problem), f"Mend {problem.file}.")
            for problem in error.problems
            if problem.level == "error"
        ], None
    enabled = sum(each.enabled for each in loaded.config.backends.values())
    checks = [Check(*kind, "pass", f"{path}: {enabled} servers")]
    checks += [Check(*kind, "warn", str(problem)) for problem in loaded.warnings]
    return checks, loaded


def _make_config(cwd: Path) -> str:
    from mcpgw.cli.init import write_first

    written = write_first(cwd / "gateway.yaml", "local", examples=True)
    return f"wrote {', '.join(map(str, written))}"


def look_at_state(folder: Path) -> Iterator[Check]:
    """Look at the state folder: whether it can be used, and who else can read the tokens in it."""
    from mcpgw.state.database import StateError
    from mcpgw.usage.store import FILE, UsageStore

    kind = ("State folder", "state")
    if not folder.exists():
        yield Check(*kind, "pass", f"{folder} is not there yet; it is made when it is needed")
        return
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        hint = "Nothing is kept between runs. Look at its owner and permissions."
        yield Check(*kind, "fail", f"{folder} is no folder that may be written to", hint)
        return
    try:
        UsageStore(folder / FILE).read()
    except StateError as error:
        hint = "Counts, approvals and events that wait are not kept until it can be used."
        yield Check(*kind, "fail", str(error), hint)
    open_ones = [path for name in PRIVATE for path in _open_to_others(folder / name)]
    for path in open_ones:
        yield Check(
            *("Tokens", "state", "fail", f"{path} can be read by others"),
            "It holds tokens. Take its permissions away, and log in anew if others use this"
            " machine.",
            f"chmod go-rwx {path}",
            partial(_close, path),
        )
    if not open_ones:
        yield Check(*kind, "pass", f"{folder} can be used, and no tokens in it are open to others")


def _open_to_others(folder: Path) -> Iterator[Path]:
    if os.name == "posix" and folder.is_dir():
        for path in (folder, *sorted(folder.rglob("*"))):
            if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink():
                yield path


def _close(path: Path) -> str:
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode & 0o700)
    return f"permissions of {path}: {mode:04o} -> {mode & 0o700:04o}"
