"""Checks of the configuration and of the state folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mcpgw.cli.doctor.check import Check
from mcpgw.config.loader import Loaded, find, load, places
from mcpgw.config.problems import ConfigError
from mcpgw.state.permissions import UnsafeFolder, exposure, restrict, secure_folder
from mcpgw.text.plural import plural

INIT = "mcp-gateway init --profile local"
PRIVATE = ("oauth", "logins")
"""Subfolders of the state folder whose files contain tokens."""


def check_config(
    given: Path | None, environ: Mapping[str, str], cwd: Path
) -> tuple[list[Check], Loaded | None]:
    """Load and check the configuration; return the checks, and None if it is not valid."""
    path = given or find(environ, cwd)
    kind = ("Configuration", "config")
    if path is None:
        searched = ", ".join(map(str, places(environ, cwd)))
        return [
            Check(
                *(*kind, "fail", f"no gateway.yaml found (searched {searched})"),
                "Without one, the gateway only offers its built-in capabilities.",
                INIT,
                partial(_make_config, cwd),
            )
        ], None
    try:
        loaded = load(path, environ=environ)
    except ConfigError as error:
        return [
            Check(*kind, "fail", str(problem), f"Fix {problem.file}.")
            for problem in error.problems
            if problem.level == "error"
        ], None
    enabled = sum(each.enabled for each in loaded.config.backends.values())
    checks = [Check(*kind, "pass", f"{path}: {plural(enabled, 'server')}")]
    files = (*loaded.watched,)
    exposed = [file for file in files if exposure(file)]
    checks += [_exposed(file) for file in exposed]
    checks += [
        Check(*kind, "warn", str(problem))
        for problem in loaded.warnings
        if problem.message != f"the file {exposure(Path(problem.file))}"
    ]
    return checks, loaded


def _exposed(file: Path) -> Check:
    return Check(
        *("Configuration", "config", "fail", f"{file} {exposure(file)}"),
        "It decides which programs run. Make it yours, and take the write permission from others.",
        f"chmod go-w {file}",
        partial(restrict, file),
    )


def _make_config(cwd: Path) -> str:
    from mcpgw.cli.init import write_first

    written = write_first(cwd / "gateway.yaml", "local", examples=True)
    return f"wrote {', '.join(map(str, written))}"


def check_state(folder: Path) -> Iterator[Check]:
    """Check that the state folder is usable and that its tokens are private."""
    from mcpgw.state.database import StateError
    from mcpgw.usage.store import FILE, UsageStore

    kind = ("State folder", "state")
    if not folder.exists():
        yield Check(*kind, "pass", f"{folder} does not exist yet; it is created when needed")
        return
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        hint = "No state is kept between runs. Check its owner and permissions."
        yield Check(*kind, "fail", f"{folder} is not a writable folder", hint)
        return
    if fault := exposure(folder):
        foreign = "another user" in fault
        yield Check(
            *(*kind, "fail", f"{folder} {fault}"),
            "The gateway does not start with it; use a folder of your own (MCP_GATEWAY_HOME)."
            if foreign
            else "Others can plant logins, approvals and skills; the gateway corrects this at its"
            " start.",
            f"chown -R $(id -u) {folder}" if foreign else f"chmod -R go-w {folder}",
            None if foreign else partial(_secure, folder),
        )
        return
    try:
        UsageStore(folder / FILE).read()
    except StateError as error:
        hint = "Counters, approvals and queued events are not stored until this is fixed."
        yield Check(*kind, "fail", str(error), hint)
    exposed = [path for name in PRIVATE for path in _readable_by_others(folder / name)]
    for path in exposed:
        yield Check(
            *("Tokens", "state", "fail", f"{path} can be read by others"),
            "It contains tokens. Restrict its permissions, and log in again if others use this"
            " machine.",
            f"chmod go-rwx {path}",
            partial(_restrict, path),
        )
    if not exposed:
        yield Check(*kind, "pass", f"{folder} is usable, and its tokens are private")


def _secure(folder: Path) -> str:
    try:
        return "; ".join(secure_folder(folder))
    except UnsafeFolder as error:
        raise OSError(str(error)) from error


def _readable_by_others(folder: Path) -> Iterator[Path]:
    if os.name == "posix" and folder.is_dir():
        for path in (folder, *sorted(folder.rglob("*"))):
            if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink():
                yield path


def _restrict(path: Path) -> str:
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode & 0o700)
    return f"permissions of {path}: {mode:04o} -> {mode & 0o700:04o}"
