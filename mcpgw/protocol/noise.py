"""Account of a peer's output that is not a message."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from mcpgw.observe.log import get_logger
from mcpgw.protocol.jsonrpc import Malformed
from mcpgw.text.plural import plural

log = get_logger("mcpgw.peer")

REPORTED: Final = frozenset(10**exponent for exponent in range(10))
"""The lines that are logged: the 1st, 10th, 100th ..."""
BURST: Final = 500
PAUSE: Final = 0.025
"""Seconds that reading pauses after every `BURST` lines: a program's endless output must not take
all processor time."""


@attrs.define(slots=True)
class Noise:
    """Lines of one peer that are not messages: how many, and the last.

    Args:
      peer: the name of the other side.
    """

    peer: str
    lines: int = 0
    last: Malformed | None = None

    async def add(self, line: Malformed) -> None:
        """Count a line, log it if it is one of the first, and wait if there are too many."""
        self.lines += 1
        self.last = line
        if self.lines in REPORTED:
            log.warning(
                "line.ignored",
                peer=self.peer,
                reason=line.reason,
                count=self.lines,
                line=line.excerpt,
            )
        elif self.lines % BURST == 0:
            await trio.sleep(PAUSE)

    def described(self, since: int = 0) -> str:
        """Describe the lines after the first `since` in words; "" if there are none.

        The text quotes the other side.
        """
        count = self.lines - since
        if count <= 0 or self.last is None:
            return ""
        quoted = f" {self.last.excerpt!r:.100}" if self.last.excerpt else ""
        return (
            f"its output has {plural(count, 'line')} that {'is' if count == 1 else 'are'} not MCP"
            f" messages; the last:{quoted} ({self.last.reason})"
        )
