"""Machine and versions of a run, and the resources used by processes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .programs import Setup


def machine() -> dict[str, str]:
    """Return a description of this machine."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions(setup: Setup) -> dict[str, str]:
    """Return the versions of the measured programs."""
    found = {name: importlib.metadata.version(name) for name in ("mcpgw", "trio", "attrs")}
    if setup.fastmcp is not None:
        found["fastmcp"] = _output_of(
            [setup.fastmcp, "-c", "import fastmcp; print(fastmcp.__version__)"]
        )
    if (node := shutil.which("node")) is not None and any(
        "node" in Path(command[0]).name for command in setup.servers.values()
    ):
        found["node"] = _output_of([node, "--version"])
    return found


def load_average() -> list[float]:
    """Return the load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process, in MB of 1024 kB."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text("ascii", "replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return int(_output_of(["ps", "-o", "rss=", "-p", str(pid)])) / 1024


def cpu_seconds(pid: int) -> float | None:
    """Return the processor time used by a process, or None if the system lacks /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    pairs = (line.split() for line in _output_of(["ps", "-A", "-o", "pid=,ppid="]).splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _output_of(command: list[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / 1024**3:.1f} GiB"
