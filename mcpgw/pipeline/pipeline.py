"""The order of the stages that a call passes through."""

from __future__ import annotations

import attrs

from mcpgw.backends.pool import BackendPool
from mcpgw.backends.server import BackendServer
from mcpgw.backends.states import Replaced
from mcpgw.config.schema import GatewayConfig
from mcpgw.config.transforms import ResponseTransform
from mcpgw.pipeline.call import Call, Proceed, Stage, compose
from mcpgw.pipeline.error_budgets import ErrorBudgets
from mcpgw.pipeline.idempotency_store import IdempotencyStore
from mcpgw.pipeline.prices import Prices
from mcpgw.pipeline.response_cache import ResponseCache
from mcpgw.pipeline.spending import Spending
from mcpgw.pipeline.stages.accounting import Accounting
from mcpgw.pipeline.stages.breaker import breaker
from mcpgw.pipeline.stages.budget import Budget
from mcpgw.pipeline.stages.cache import Cache
from mcpgw.pipeline.stages.check_arguments import CheckArguments
from mcpgw.pipeline.stages.concurrency import concurrency
from mcpgw.pipeline.stages.deadline import deadline
from mcpgw.pipeline.stages.error_budget import ErrorBudget
from mcpgw.pipeline.stages.find_tool import FindTool
from mcpgw.pipeline.stages.idempotency import Idempotency
from mcpgw.pipeline.stages.kill_switch import kill_switch
from mcpgw.pipeline.stages.live_definition import live_definition
from mcpgw.pipeline.stages.profile import Profile
from mcpgw.pipeline.stages.rate_limit import rate_limit
from mcpgw.pipeline.stages.resolve import Resolve, unreachable
from mcpgw.pipeline.stages.retry import retry
from mcpgw.pipeline.stages.sandbox import Sandbox
from mcpgw.pipeline.stages.send import send
from mcpgw.pipeline.stages.trace import trace
from mcpgw.protocol.peer import Params
from mcpgw.usage.recorder import Usage


@attrs.define(eq=False)
class Pipeline:
    """The composed stages. `call` is for tools, `ask` for all other requests to a backend."""

    pool: BackendPool
    usage: Usage
    config: GatewayConfig = attrs.field(factory=GatewayConfig)
    errors: ErrorBudgets = attrs.field(factory=ErrorBudgets)
    cache: ResponseCache = attrs.field(factory=ResponseCache)
    answers: IdempotencyStore = attrs.field(factory=IdempotencyStore)
    prices: Prices = attrs.field(factory=Prices)
    spending: Spending = attrs.field(init=False)
    _call: Proceed = attrs.field(init=False)
    _call_transparent: Proceed = attrs.field(init=False)
    _chains: dict[tuple[BackendServer, bool, bool, bool, bool], Proceed] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.configure(self.config)

    def configure(self, config: GatewayConfig) -> None:
        """Set the configuration; calls in flight continue with the previous one."""
        self.config = config
        self.errors.use(config.error_budget)
        self.cache.max_entries = config.cache.max_entries
        self.answers.keep = config.idempotency.keep
        self.answers.max_entries = config.idempotency.max_entries
        self.prices = Prices(config.cost_governance)
        self.spending = Spending(config.cost_governance, self.prices, self.usage)
        self._chains.clear()
        self._call = compose(self.call_stages(), self._to_backend)
        self._call_transparent = compose(self.call_stages(transparent=True), self._to_backend)

    def call_stages(self, *, transparent: bool = False) -> tuple[Stage, ...]:
        """Return the stages of every tool call, up to the one that resolves its backend."""
        limits = self.config.sandbox.active
        stages = (
            None if transparent else trace,  # an id for the result, the log and the backend
            Accounting(self.pool, self.usage, self.prices),  # counters and costs, for every outcome
            Sandbox(limits) if limits is not None else None,
            Resolve(self.pool),  # finds the server, or suggests names
        )
        return tuple(stage for stage in stages if stage is not None)

    def backend_stages(
        self,
        backend: BackendServer,
        *,
        full: bool = False,
        keyed: bool = False,
        chosen: bool = False,
        transparent: bool = False,
    ) -> tuple[Stage, ...]:
        """Return the stages of every request to one backend, without those not needed.

        Args:
          backend: the backend.
          full: for calls that bypass the cache and all transforms except redaction.
          keyed: for calls with an idempotency key.
          chosen: for calls that select parts of the result.
          transparent: for calls passed on unchanged.
        """
        config, failsafe = self.config, backend.failsafe
        transforms = tuple(
            each for each in backend.config.transform if isinstance(each, ResponseTransform)
        )
        of_tools = any(each.transform is not None for each in backend.config.tools.values())
        shaped = chosen or transforms or of_tools
        # Capabilities have their own cache, configured in each file.
        cached = not (full or transparent or backend.config.transport == "builtin")
        stages = (
            kill_switch,  # is the server enabled?
            Profile(config) if config.routing_profiles else None,  # may the session use it?
            ErrorBudget(self.errors if config.error_budget.enabled else None),  # counts failures
            deadline,  # the clock starts here
            FindTool(self.pool),  # finds the tool, or suggests names
            None if transparent else CheckArguments(),  # do they match the tool's schema?
            Budget(self.spending) if config.cost_governance.enabled else None,  # may it cost this?
            _transform(transforms) if shaped else None,  # shapes the result
            Cache(config.cache, self.cache) if cached else None,  # is the result cached?
            Idempotency(self.answers) if keyed else None,  # was the call made already?
            rate_limit if backend.bucket is not None else None,
            concurrency if backend.concurrency is not None else None,
            retry,  # repeats the stages below if it is safe
            breaker if failsafe.circuit_breaker.enabled else None,
            live_definition,  # is it what the running server lists?
        )
        return tuple(stage for stage in stages if stage is not None)

    async def call(self, call: Call) -> Params:
        """Call a tool.

        Raises:
          CallFailed: the call ended without a result of the backend.
          RpcError: the backend answered with a JSON-RPC error.
        """
        return await self._call(call)

    async def call_transparent(self, call: Call) -> Params:
        """Call a tool for a client of the server's own endpoint; raises as `call` does."""
        return await self._call_transparent(call)

    async def ask(self, call: Call) -> Params:
        """Send a request other than a tool call to `call.backend`, through the same stages."""
        try:
            return await self._to_backend(call)
        except Replaced as error:
            raise unreachable(call.backend, error) from error

    async def _to_backend(self, call: Call) -> Params:
        key = (
            call.backend,
            call.full,
            call.idempotency_key != "",
            call.fields != (),
            call.transparent,
        )
        chain = self._chains.get(key)
        if chain is None:
            for retired in [key for key in self._chains if key[0].retired]:
                del self._chains[retired]
            _, full, keyed, chosen, transparent = key
            stages = self.backend_stages(
                call.backend, full=full, keyed=keyed, chosen=chosen, transparent=transparent
            )
            chain = self._chains[key] = compose(stages, send)
        return await chain(call)


def _transform(transforms: tuple[ResponseTransform, ...]) -> Stage:
    # Imported on demand, because most configurations have no transforms.
    from mcpgw.pipeline.stages.transform import Transform

    return Transform(transforms)
