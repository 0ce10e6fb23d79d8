"""The way of one call, from top to bottom. This is the place to read it, and to change it."""

from __future__ import annotations

import attrs

from mcpgw.backends.backend import Backend
from mcpgw.backends.pool import BackendPool
from mcpgw.backends.states import Replaced
from mcpgw.observe.stats import Stats
from mcpgw.pipeline.call import Call, Proceed, Stage, compose
from mcpgw.pipeline.stages.breaker import breaker
from mcpgw.pipeline.stages.check_arguments import check_arguments
from mcpgw.pipeline.stages.concurrency import concurrency
from mcpgw.pipeline.stages.deadline import deadline
from mcpgw.pipeline.stages.find_tool import FindTool
from mcpgw.pipeline.stages.rate import rate
from mcpgw.pipeline.stages.remember import Remember
from mcpgw.pipeline.stages.resolve import Resolve, unreachable
from mcpgw.pipeline.stages.retry import retry
from mcpgw.pipeline.stages.send import send
from mcpgw.pipeline.stages.switch import switch
from mcpgw.pipeline.stages.trace import trace
from mcpgw.protocol.peer import Params


def call_stages(stats: Stats, pool: BackendPool) -> tuple[Stage, ...]:
    """Return the stages of every tool call, up to where its backend is known."""
    return (
        trace,  # an id for the answer and the log
        Remember(stats),  # counters, however it ends
        Resolve(pool),  # which server; did you mean
    )


def backend_stages(backend: Backend, pool: BackendPool) -> tuple[Stage, ...]:
    """Return the stages of every request to one backend; what is not configured is left out."""
    failsafe = backend.failsafe
    stages = (
        switch,  # may it be used at all
        deadline,  # from here on the clock runs
        FindTool(pool),  # which tool; did you mean
        check_arguments,  # a misspelt one; did you mean
        rate if backend.bucket is not None else None,
        concurrency if backend.concurrency is not None else None,
        retry,  # around what may be lost and repeated
        breaker if failsafe.circuit_breaker.enabled else None,
    )
    return tuple(stage for stage in stages if stage is not None)


@attrs.define(eq=False)
class Pipeline:
    """The composed stages. `call` is for tools, `ask` for all else that a backend answers."""

    pool: BackendPool
    stats: Stats
    _call: Proceed = attrs.field(init=False)
    _chains: dict[Backend, Proceed] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._call = compose(call_stages(self.stats, self.pool), self._to_backend)

    async def call(self, call: Call) -> Params:
        """Call a tool. Raise `CallFailed`, or `RpcError` where the backend answered with one."""
        return await self._call(call)

    async def ask(self, call: Call) -> Params:
        """Send another request to a known backend (`call.backend`), under the same guards."""
        try:
            return await self._to_backend(call)
        except Replaced as error:
            raise unreachable(call.backend, error) from error

    async def _to_backend(self, call: Call) -> Params:
        chain = self._chains.get(call.backend)
        if chain is None:
            for gone in [b for b in self._chains if b.retired]:
                del self._chains[gone]
            chain = self._chains[call.backend] = compose(
                backend_stages(call.backend, self.pool), send
            )
        return await chain(call)
