"""On SIGUSR1, writes how many objects of which kinds a Python process holds.

Python imports this by itself where the folder is in PYTHONPATH; `census.py` uses it.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path


def _count() -> Counter[str]:
    import gc

    return Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in map(type, gc.get_objects())
        if kind.__module__.startswith(("mcpgw", "trio", "hypercorn", "wsproto"))
    )


def _write(*_: object) -> None:
    import gc

    before = _count()
    gc.collect()
    path = Path(os.environ["MCPGW_TEST_CENSUS"])
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps({"before": before, "after": _count()}))
    fresh.rename(path)


if "MCPGW_TEST_CENSUS" in os.environ:
    signal.signal(signal.SIGUSR1, _write)
