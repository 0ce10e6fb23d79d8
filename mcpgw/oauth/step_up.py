"""Requests for additional scopes when a token lacks some, with a limit on attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.oauth.errors import Refused

if TYPE_CHECKING:
    from mcpgw.oauth.challenge import Challenge
    from mcpgw.oauth.model import Tokens

MOST_ATTEMPTS: Final = 2
"""Logins for the same missing scopes, until the user runs `auth login`."""


@attrs.define
class StepUps:
    """Counts the logins for each set of missing scopes."""

    _attempts: dict[frozenset[str], int] = attrs.field(factory=dict, init=False)

    def clear(self) -> None:
        """Reset all counts."""
        self._attempts.clear()

    def missing(self, tokens: Tokens | None, challenge: Challenge | None) -> tuple[str, ...]:
        """Return the scopes that a server requires, if requesting them may help.

        Raises:
          Refused: the token has all of them, or they were requested and not granted.
        """
        wanted = challenge.scopes if challenge is not None else ()
        if tokens is None:
            return wanted
        missing = [scope for scope in wanted if scope not in tokens.scopes]
        if not missing:
            what = f"the scopes {' '.join(wanted)}, which it has" if wanted else "an unnamed scope"
            raise Refused(f"the server requires {what}; another token would not help")
        key = frozenset(wanted)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        if self._attempts[key] > MOST_ATTEMPTS:
            raise Refused(f"the scopes {' '.join(missing)} were requested and not granted")
        return wanted
