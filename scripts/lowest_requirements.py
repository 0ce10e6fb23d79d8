"""Print the lowest versions that pyproject.toml allows, as pins for pip.

    python scripts/lowest_requirements.py > lowest.txt
    pip install --constraint lowest.txt --editable .

Each `>=` bound of the dependencies and of the extras becomes `==`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def lowest(project: dict[str, Any]) -> list[str]:
    """Return a pin for each dependency; exit if one has no lower bound.

    Extras in brackets are left out, since constraints must not have them.
    """
    extras = project.get("optional-dependencies", {})
    pins = []
    for entry in [*project["dependencies"], *(each for extra in extras.values() for each in extra)]:
        match = re.match(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)", entry)
        if match is None:
            sys.exit(f"pyproject.toml: {entry!r} has no lower bound; write NAME>=VERSION")
        pins.append(f"{match[1]}=={match[2]}")
    return pins


if __name__ == "__main__":
    with (ROOT / "pyproject.toml").open("rb") as file:
        print("\n".join(lowest(tomllib.load(file)["project"])))
