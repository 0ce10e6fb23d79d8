"""Exit statuses of all commands, shared by code and docs."""

from __future__ import annotations

from typing import Final


class ExitStatus(int):
    """An exit status with its meaning."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        status = super().__new__(cls, value)
        status.meaning = meaning
        return status


OK: Final = ExitStatus(0, "success")
FAILED: Final = ExitStatus(1, "failure, such as an invalid configuration")
USAGE: Final = ExitStatus(2, "invalid command line or arguments")
NOT_FOUND: Final = ExitStatus(3, "nothing found, or no such server, tool, capability or skill")
TOOL_ERROR: Final = ExitStatus(4, "the tool returned an error")
UNAVAILABLE: Final = ExitStatus(5, "the server is not running, or did not answer in time")
INTERRUPTED: Final = ExitStatus(130, "interrupted from the keyboard")

EXIT_STATUSES: Final = (OK, FAILED, USAGE, NOT_FOUND, TOOL_ERROR, UNAVAILABLE, INTERRUPTED)
