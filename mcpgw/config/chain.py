"""The chain of gateways that lead to a server, by which a gateway notices itself among its servers.

A gateway passes the chain on to its servers: to commands in an environment variable, to URLs in a
header. It consists of tokens, which reveal nothing: one for the configuration file of each gateway
above, and one for each gateway process and the server of it that leads here. A gateway whose own
token is in the chain would call itself without end, and start a process at each turn.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from mcpgw.config.environment import CHAIN

HEADER: Final = "x-mcp-gateway-chain"
DEEPEST: Final = 8
"""Gateways that may be started by one another."""
MOST_TOKENS: Final = 64
"""Tokens that are read and passed on."""
_TOKEN: Final = re.compile(r"[cs]-[0-9a-f]{16}")


def read_chain(text: str) -> tuple[str, ...]:
    """Return the tokens of a chain; anything else in it is ignored."""
    return tuple(dict.fromkeys(_TOKEN.findall(text[: 32 * MOST_TOKENS])))[:MOST_TOKENS]


def config_token(file: Path) -> str:
    """Return the token of a configuration file."""
    try:
        file = file.resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links
        file = file.absolute()
    return f"c-{_hash(str(file))}"


def problem_of_start(file: Path | None, environ: Mapping[str, str]) -> str:
    """Return why a gateway must not start with a configuration file; "" if it may.

    Args:
      file: the file that it would use; None for the defaults.
      environ: the environment of the process, with the chain of the gateways above it.
    """
    above = read_chain(environ.get(CHAIN, ""))
    if file is not None and config_token(file) in above:
        return (
            f"{file} has this gateway among its own servers: it would start itself again without"
            " end. Remove the server that runs it from `backends`."
        )
    if sum(token.startswith("c-") for token in above) >= DEEPEST:
        return f"{DEEPEST} gateways were started by one another; a gateway may lead to itself."
    return ""


@attrs.define(eq=False)
class GatewayChain:
    """The chain as one gateway knows it: the gateways that started it, and those among its clients.

    Args:
      above: the tokens of the gateways that started it.
      file: its configuration file; None for the defaults.
    """

    above: tuple[str, ...] = ()
    file: Path | None = None
    _process: str = attrs.field(factory=lambda: os.urandom(16).hex())
    _clients: dict[str | None, dict[str, None]] = attrs.field(factory=dict)
    """The tokens of clients by the server that they are connected to; None for the whole gateway.
    They are kept, because a token of a gateway that has ended stands for nothing else."""

    def to(self, server: str) -> str:
        """Return the chain to pass on to a server."""
        tokens = dict.fromkeys(self.above)
        if self.file is not None:
            tokens[config_token(self.file)] = None
        for target in (None, server):
            tokens |= self._clients.get(target, {})
        tokens[self._token(server)] = None
        return ",".join(list(tokens)[-MOST_TOKENS:])

    def loop(self, chain: Iterable[str], target: str | None, servers: Collection[str]) -> str:
        """Return the server by which a client is this gateway itself; "" if it is not.

        Args:
          chain: the tokens that the client passed on; they are added to the chain of the servers
            that it can reach.
          target: the one server that it connects to; None for the whole gateway.
          servers: the names of all servers.
        """
        found = set(chain)
        for server in servers if target is None else (target,):
            if self._token(server) in found:
                return server
        known = self._clients.setdefault(target, {})
        known.update(dict.fromkeys(token for token in chain if token.startswith("s-")))
        while len(known) > MOST_TOKENS:
            del known[next(iter(known))]
        return ""

    def _token(self, server: str) -> str:
        return f"s-{_hash(f'{self._process}/{server}')}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
