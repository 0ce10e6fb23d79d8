"""Fail if a module of mcpgw is longer than 450 lines.

python scripts/check_size.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 450


def long_modules(folder: Path, limit: int = LIMIT) -> list[tuple[Path, int]]:
    """Return the modules below a folder that exceed the limit, longest first, and their lines."""
    sizes = [(path, len(path.read_text("utf-8").splitlines())) for path in folder.rglob("*.py")]
    return sorted((each for each in sizes if each[1] > limit), key=lambda each: -each[1])


def main() -> int:
    """Print the modules that are too long; return 1 if there are any."""
    found = long_modules(ROOT / "mcpgw")
    for path, lines in found:
        print(f"{path.relative_to(ROOT)} has {lines} lines; split it, the limit is {LIMIT}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
