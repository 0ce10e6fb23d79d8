"""The standard streams of a command: output that cannot be written ends it with one line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator

from mcpgw.cli.exit_codes import FAILED

_UNWRITABLE = (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EBADF)


def with_output(run: Callable[[], int]) -> int:
    """Run a command and write its output; return its exit status.

    Output that cannot be written (a full disk) is reported in one line. If its reader has
    exited, as `| head` does, nothing is reported.
    """
    try:
        status = run()
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except OSError as error:
        failure = error
    except BaseExceptionGroup as group:
        found = [each for each in leaves(group) if isinstance(each, OSError)]
        if not found or len(found) < len(list(leaves(group))):
            raise
        failure = found[0]
    if failure.errno not in _UNWRITABLE or failure.filename is not None:
        raise failure
    if failure.errno != errno.EPIPE and sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"Error: the output cannot be written: {failure.strerror}.\n")
            sys.stderr.flush()
    _drop_output()
    return FAILED


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Iterate over the exceptions in a group, without the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def _drop_output() -> None:
    """Let the interpreter's own flush at its end succeed."""
    with contextlib.suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)
