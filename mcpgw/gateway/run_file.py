"""Run file: where other processes of the same user find a running gateway."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.state.files import read_json, write_atomically

log = get_logger("mcpgw.gateway")


@attrs.frozen
class RunFile:
    """A file that tells other programs of this person where a gateway listens.

    It is named by the configured port, so that who reads the same configuration finds it; it
    holds the token where that was made at the start.
    """

    folder: Path
    port: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"listening-{self.port}.json"

    def write(self, port: int, token: str) -> None:
        """Write down where the gateway listens; it works without, so a failure is only logged."""
        said = {"pid": os.getpid(), "port": port, "token": token}
        try:
            write_atomically(self.path, json.dumps(said).encode())
        except OSError as error:
            log.warning("run_file.write_failed", path=str(self.path), reason=str(error))

    def read(self) -> Mapping[str, Any]:
        """Return what is written down; nothing where no gateway of it lives."""
        said = read_json(self.path)
        if not isinstance(said, dict) or not isinstance(said.get("pid"), int):
            return {}
        try:
            os.kill(said["pid"], 0)
        except ProcessLookupError:
            return {}
        except PermissionError:
            pass  # it lives, as somebody else
        return said

    def remove(self) -> None:
        """Remove the file if it is of this process."""
        if self.read().get("pid") == os.getpid():
            with contextlib.suppress(OSError):
                self.path.unlink()
