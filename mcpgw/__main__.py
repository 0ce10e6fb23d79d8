"""Entry point of the program; imports as little as possible, for a fast start."""

from __future__ import annotations

import gc
import os
import sys


def _keep_descriptors() -> None:
    """Open closed standard descriptors, so that no file or socket gets one of their numbers.

    A closed stderr is replaced by a stream that discards everything. A closed stdin or stdout stays
    None: a command that needs it reports that.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def main() -> None:
    """Run the command line and exit with its status."""
    # Garbage collection during imports finds nothing and takes a tenth of the start time.
    gc.disable()
    _keep_descriptors()
    from mcpgw.cli.fast_path import run_quickly

    status = run_quickly(sys.argv[1:])
    if status is None:
        gc.enable()
        from mcpgw.cli.app import app

        app()
        return
    sys.exit(status)


if __name__ == "__main__":
    main()
