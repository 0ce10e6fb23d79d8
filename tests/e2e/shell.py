"""A shell script's view of the commands: a folder, a gateway.yaml, and how a command ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.e2e.running import Backends, new_mark
from tests.support.driver import MARK, processes_with, yaml_config
from tests.support.patience import PATIENCE
from tests.support.processes import WITHOUT_CAPABILITIES


@attrs.frozen
class Done:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what stdout holds, which must be JSON and nothing else."""
        return json.loads(self.out)


@attrs.frozen
class Shell:
    """A folder with a gateway.yaml in which commands are run."""

    folder: Path
    mark: str

    def configure(self, backends: Backends, **sections: Any) -> None:
        """Write gateway.yaml."""
        content = yaml_config(backends, mark=self.mark, **sections)
        (self.folder / "gateway.yaml").write_text(content)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a command."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
        own = {
            "HOME": str(self.folder),
            "MCP_GATEWAY_HOME": str(self.folder / "home"),
            MARK: self.mark,
            **WITHOUT_CAPABILITIES,
        }
        return {**inherited, **own, **variables}

    def run(self, *words: str, stdin: str | None = None, **variables: str) -> Done:
        """Run a command; without `stdin` its input is empty."""
        done = subprocess.run(
            [sys.executable, "-m", "mcpgw", *words],
            input=stdin or "",
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment(**variables),
            timeout=2 * PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def shell_in(folder: Path, backends: Backends) -> Iterator[Shell]:
    """Give a folder with these backends for commands, and see that they leave no process."""
    shell = Shell(folder, new_mark())
    shell.configure(backends)
    yield shell
    end = time.monotonic() + PATIENCE
    while processes_with(shell.mark) and time.monotonic() < end:
        time.sleep(0.02)
    assert [] == processes_with(shell.mark)
