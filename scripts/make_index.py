"""Write `capabilities/index.json`, the index of the built-in capability files.

    python scripts/make_index.py [--check]

With `--check` nothing is written; the exit status is 1 if the file is not up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mcpgw.capabilities.library import Library
from mcpgw.capabilities.metadata_cache import INDEX
from mcpgw.capabilities.scanning import SCAN_VERSION, scan_capability

FOLDER = Path(__file__).resolve().parent.parent / "capabilities"


def text() -> str:
    """Return the content of the up-to-date index."""
    library = Library(scan=scan_capability, scan_version=SCAN_VERSION)
    library.use((), fixed=(FOLDER,))
    index = library.index()
    broken = {
        name: raw[-1] or raw[-2] for name, raw in index["files"].items() if raw[-1] or raw[-2]
    }
    if broken:
        sys.exit("\n".join(f"{name}: {why}" for name, why in broken.items()))
    lines = [
        f"{json.dumps(name)}:{json.dumps(raw, ensure_ascii=False, separators=(',', ':'))}"
        for name, raw in sorted(index["files"].items())
    ]
    files = ",\n".join(lines)
    return f'{{"key":{json.dumps(index["key"])},"files":{{\n{files}\n}}}}\n'


def main() -> int:
    """Parse the command line; write or check the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    flags = parser.parse_args()
    path, wanted = FOLDER / INDEX, text()
    if flags.check:
        same = path.exists() and path.read_text("utf-8") == wanted
        if not same:
            print(f"{path.name} is not up to date; run: python scripts/make_index.py")
        return 0 if same else 1
    path.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
