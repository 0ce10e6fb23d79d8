"""Configuration reload: loads gateway.yaml, compares it with the one in use, applies it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import attrs
import trio

from mcpgw.config.schema import GatewayConfig
from mcpgw.config.settings import Settings, Snapshot
from mcpgw.observe.log import OwnWords, get_logger
from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.peer import Params
from mcpgw.state.file_watcher import SETTLE

log = get_logger("mcpgw.gateway")

Stamp = tuple[int, int, int] | None
REJECTED: Final = "gateway.yaml has changed but is not used:\n"


class Broken(Protocol):
    """Called when a configuration cannot be used; `first` at the start of the gateway."""

    def __call__(self, problem: str, *, first: bool) -> None:
        """Report it."""


@attrs.define(eq=False)
class ConfigReloader:
    """Loads the configuration at the start and whenever its files change.

    A file that cannot be used changes nothing: the previous configuration stays in use.

    Args:
      config_path: the file to load; None to look in the usual places.
      environ: the environment of the process.
      settings: receives each loaded configuration.
      must_exist: whether a missing `config_path` is an error.
      broken: called when a configuration cannot be used.
      reloaded: called after a reload.
    """

    config_path: Path | None
    environ: Mapping[str, str]
    settings: Settings
    must_exist: bool = attrs.field(kw_only=True)
    broken: Broken = attrs.field(kw_only=True)
    reloaded: Callable[[], None] = attrs.field(kw_only=True)
    problem: str = ""
    """Why the configuration could not be loaded at the start; empty if it was."""
    refused: str = ""
    """Why none may be loaded in this run; empty if one may."""
    _previous: GatewayConfig = attrs.field(factory=GatewayConfig)
    _file: Path | None = None
    """The file in use; None for the defaults."""
    _told: bool = False
    """True once the log has the file in use."""
    _seen: dict[Path, Stamp] = attrs.field(factory=dict)
    """The watched files as they were at the last check."""

    def load_first(self, given: GatewayConfig | None) -> None:
        """Load the configuration at the start; a broken one does not end the gateway.

        The session goes on, so that the client shows the error and a corrected file takes
        effect; the exit status still reports it to scripts.
        """
        from mcpgw.config.problems import ConfigError

        if given is not None:
            self.settings.update(Snapshot(given, self.environ, _working_folder()))
            return
        try:
            self._load()
        except ConfigError as error:
            self.problem = f"The configuration could not be loaded:\n{error}"
            self.broken(self.problem, first=True)

    def refuse(self, reason: str) -> None:
        """Load no configuration in this run, for a reason outside of it."""
        self.problem = self.refused = reason
        self.broken(reason, first=True)

    def reload(self) -> Params:
        """Load the configuration again and apply the changes.

        Raises:
          ConfigError: the file cannot be used; nothing has changed.
        """
        from mcpgw.config.problems import ConfigError

        try:
            outcome = self._load()
        except ConfigError as error:
            self.broken(f"{REJECTED}{error}", first=False)
            raise
        log.info("config.reloaded", changes=outcome["changes"])
        self.reloaded()
        return outcome

    async def reload_for_client(self) -> Params:
        """Reload at a client's request.

        Raises:
          RpcError: the file cannot be used.
        """
        from mcpgw.config.problems import ConfigError

        try:
            return self.reload()
        except ConfigError as error:
            raise RpcError(INTERNAL_ERROR, f"Failed to parse config: {error}") from error

    async def check(self) -> None:
        """Reload if a watched file has changed and has settled."""
        from mcpgw.config.problems import ConfigError

        now = _stamps(self._seen)
        if now == self._seen:
            return
        await trio.sleep(SETTLE)
        if _stamps(self._seen) == now:
            self._seen = now
            with contextlib.suppress(ConfigError):  # `broken` has reported it
                self.reload()

    def differs(self, sections: Iterable[str]) -> bool:
        """Tell whether sections differ between the previous configuration and the one in use."""
        config = self.settings.config
        return any(getattr(self._previous, name) != getattr(config, name) for name in sections)

    def _tell_file(self, file: Path | None, places: Iterable[Path]) -> None:
        """Log which configuration is in use: it depends on the working folder."""
        self._told = True
        if file is not None:
            log.preface("config.used", path=str(file))
        else:
            looked = ", ".join(map(str, places))
            log.preface("config.used", path="none", hint=f"the defaults are used; tried: {looked}")

    def _load(self) -> Params:
        from mcpgw.config import changes, loader
        from mcpgw.config.problems import ConfigError, Problem

        if self.refused:
            raise ConfigError([Problem("", None, "", self.refused)])
        if self._file is not None and not self._file.exists():
            # An editor or a sync program may replace it; what it protects must not fall away.
            hint = "The configuration in use stays in use until the file is back."
            raise ConfigError([Problem(str(self._file), None, "", "the file is missing", hint)])
        here = _working_folder()
        path = self.config_path or loader.find(self.environ, here)
        places = (here / path,) if path else loader.places(self.environ, here)
        # Before reading, so that a change meanwhile is noticed; a broken file is watched too.
        self._seen = _stamps({**self._seen, **dict.fromkeys(places)})
        if path is not None and not path.exists() and not self.must_exist:
            log.warning("config.missing", path=str(path), hint="the defaults are used")
            path = None
        fresh = loader.load(path, environ=self.environ)
        self._previous = self.settings.config
        outcome = changes.diff(self._previous, fresh.config)
        file = here / path if path else None
        if path != self._file or not self._told:
            self._tell_file(file, places)
        for warning in fresh.warnings:
            log.warning("config.warning", problem=OwnWords(warning))
        watched = fresh.watched or places
        self._seen = {**_stamps(watched), **{p: self._seen[p] for p in watched if p in self._seen}}
        folder = path.parent if path else here
        self.settings.update(Snapshot(fresh.config, fresh.environ, folder, file))
        self.problem, self._file = "", path
        restart = [change.name for change in outcome.sections if change.outcome == "restart"]
        return {
            "status": "ok",
            "changes": outcome.describe(),
            "restart_required": outcome.restart_required,
            "restart_reason": f"changed: {', '.join(restart)}" if restart else None,
        }


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it has been removed
        return Path("/")


def _stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
