"""Install the npm servers and clients used by the tests into .cache/npm.

Without Node and npm nothing is installed, and the tests that need them are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from conformance_suite import NODE_VERSION, node_package

PACKAGES = {
    "@modelcontextprotocol/server-everything": "2026.8.31",
    "@modelcontextprotocol/server-filesystem": "2026.8.31",
    "@modelcontextprotocol/server-memory": "2026.8.31",
    "@modelcontextprotocol/sdk": "1.32.2",
    "@modelcontextprotocol/inspector": "2.12.0",
    # The Inspector needs a newer Node than many systems have.
    node_package(): NODE_VERSION,
}
FOLDER = Path(__file__).parent.parent / ".cache" / "npm"


def main() -> int:
    """Install missing packages; return 0 if all are installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("Node.js is not installed: tests with npm servers will be skipped", file=sys.stderr)
        return 1
    stamp = FOLDER / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == PACKAGES:
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    done = subprocess.run(
        [npm, "install", "--prefix", str(FOLDER), "--ignore-scripts", "--no-audit", "--no-fund",
         "--silent", *wanted],
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )  # fmt: skip
    if done.returncode == 0:
        stamp.write_text(json.dumps(PACKAGES))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
