"""The state of an instance in words, for errors and listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from mcpgw.backends.states import State

if TYPE_CHECKING:
    from mcpgw.backends.endpoint import Endpoint
    from mcpgw.backends.states import Failure
    from mcpgw.protocol.peer import Peer


def situation(
    server: str,
    state: State,
    *,
    killed: bool,
    since: float,
    endpoint: Endpoint | None,
    peer: Peer | None,
    failure: Failure | None,
    lists: str = "",
) -> str:
    """Describe the state of an instance and its cause in one sentence.

    Args:
      server: the name of the server.
      state: the state.
      killed: whether the operator's kill switch is on.
      since: when the state began, by Trio's clock.
      endpoint: the running process or connection.
      peer: the conversation with it.
      failure: the last failure.
      lists: what is wrong with the lists of a connection that is ready.
    """
    if killed:
        return f"Server '{server}' is disabled by the operator's kill switch"
    if state is State.OPEN:
        text = f"The circuit breaker of server '{server}' is open"
    elif state is not State.STARTING:
        text = f"Server '{server}' is {state.value}"
    else:
        seconds = trio.current_time() - since
        text = (
            f"Server '{server}' has been {state.value} for {seconds:.0f} s and has not answered"
            " `initialize` yet"
        )
        if noise := peer.noise.described() if peer is not None else "":
            text += f"; {noise}"
        if tail := endpoint.stderr_tail() if endpoint is not None else "":
            text += f"; its stderr ends: {tail}"
    if failure is not None:
        text += f": {failure.reason}"
    elif state is State.READY and lists:
        text += f", but {lists}"
    return text
