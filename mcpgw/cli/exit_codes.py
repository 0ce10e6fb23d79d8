"""The exit statuses of all commands, in one table that the code and the docs share."""

from __future__ import annotations

from typing import Final


class ExitStatus(int):
    """An exit status that knows its meaning."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        status = super().__new__(cls, value)
        status.meaning = meaning
        return status


OK: Final = ExitStatus(0, "success")
FAILED: Final = ExitStatus(1, "a handled failure, such as a configuration that cannot be loaded")
USAGE: Final = ExitStatus(2, "the command line or the arguments are wrong")
NOT_FOUND: Final = ExitStatus(3, "no such server or tool")
TOOL_ERROR: Final = ExitStatus(4, "the tool answered that it failed")
UNAVAILABLE: Final = ExitStatus(5, "the server does not run, or did not answer in time")
INTERRUPTED: Final = ExitStatus(130, "interrupted from the keyboard")

EXIT_STATUSES: Final = (OK, FAILED, USAGE, NOT_FOUND, TOOL_ERROR, UNAVAILABLE, INTERRUPTED)
