"""Holder of the configuration in use: parts read it, or subscribe to its changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from mcpgw.config.schema import GatewayConfig


@attrs.frozen
class Snapshot:
    """A loaded configuration.

    Args:
      config: the settings.
      environ: the environment with the files of `env_files` over it.
      folder: what relative paths of the settings are below.
      file: the file that it was read from; None for the defaults.
    """

    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    folder: Path = Path()
    file: Path | None = None


@attrs.define(eq=False)
class Settings:
    """The one owner of the configuration in use."""

    current: Snapshot = attrs.field(factory=Snapshot)
    config: GatewayConfig = attrs.field(init=False)
    """The settings in use: those of `current`, without another look-up on every call."""
    _listeners: list[Callable[[Snapshot], None]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.config = self.current.config

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment in use."""
        return self.current.environ

    def subscribe(self, listener: Callable[[Snapshot], None]) -> None:
        """Have a part called with each new configuration, in the order of subscription."""
        self._listeners.append(listener)

    def update(self, snapshot: Snapshot) -> None:
        """Put a new configuration in use, and notify all subscribers."""
        self.current, self.config = snapshot, snapshot.config
        for listener in self._listeners:
            listener(snapshot)
