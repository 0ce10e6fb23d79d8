"""Asking for more scopes when a server says that a token lacks some, and knowing when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from mcpgw.oauth.errors import Refused

if TYPE_CHECKING:
    from mcpgw.oauth.challenge import Challenge
    from mcpgw.oauth.model import Tokens

MOST_TRIES: Final = 2
"""Logins for the same missing scopes, until a person asks for one."""


@attrs.define
class StepUps:
    """Counts the logins for each set of missing scopes."""

    _tries: dict[frozenset[str], int] = attrs.field(factory=dict, init=False)

    def clear(self) -> None:
        """Begin to count anew."""
        self._tries.clear()

    def missing(self, tokens: Tokens | None, challenge: Challenge | None) -> tuple[str, ...]:
        """Return the scopes that a server wants, if asking for them makes sense.

        Raises:
          Refused: the token has them all, or they were asked for and never granted.
        """
        wanted = challenge.scopes if challenge is not None else ()
        if tokens is None:
            return wanted
        missing = [scope for scope in wanted if scope not in tokens.scopes]
        if not missing:
            what = f"the scopes {' '.join(wanted)}, which it has" if wanted else "a scope, unnamed"
            raise Refused(f"the server says that the token lacks {what}; another would not help")
        key = frozenset(wanted)
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] > MOST_TRIES:
            raise Refused(f"the scopes {' '.join(missing)} were asked for and not granted")
        return wanted
