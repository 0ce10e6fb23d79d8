"""Run file of a gateway: its port and token, for other processes of the same user."""

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
    """The file in which a gateway publishes its port to other processes of the same user.

    It is named by the configured port, so that a process with the same configuration finds it. It
    contains the bearer token if that was generated at the start.
    """

    folder: Path
    port: int

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.folder / f"listening-{self.port}.json"

    def write(self, port: int, token: str) -> None:
        """Write the file. A failure is only logged, as the gateway itself works without it."""
        content = {"pid": os.getpid(), "port": port, "token": token}
        try:
            write_atomically(self.path, json.dumps(content).encode())
        except OSError as error:
            log.warning("run_file.write_failed", path=str(self.path), reason=str(error))

    def read(self) -> Mapping[str, Any]:
        """Return the content; {} if there is no file, or its gateway is no longer running."""
        content = read_json(self.path)
        if not isinstance(content, dict) or not isinstance(content.get("pid"), int):
            return {}
        try:
            os.kill(content["pid"], 0)
        except ProcessLookupError:
            return {}
        except PermissionError:
            pass  # it runs as another user
        return content

    def remove(self) -> None:
        """Remove the file if this process wrote it."""
        if self.read().get("pid") == os.getpid():
            with contextlib.suppress(OSError):
                self.path.unlink()
