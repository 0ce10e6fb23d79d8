"""Judge how a call went: what an error answer tells, and whether it is the backend's fault."""

from __future__ import annotations

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.error_budgets import ErrorBudgets
from mcpgw.pipeline.error_classifier import classify, is_backend_fault, recovery_object
from mcpgw.protocol.errors import INTERNAL_ERROR, RpcError
from mcpgw.protocol.peer import Params

log = get_logger("mcpgw.call")


@attrs.define(eq=False)
class ErrorBudget:
    """The stage that explains error answers and keeps the error budgets.

    `budgets` is None where none are kept.
    """

    budgets: ErrorBudgets | None
    _lost_connection: object = None
    """The connection whose loss was counted last: one crash counts once, however many calls
    it took along."""

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Refuse what is disabled; else let the call through and judge its outcome."""
        if self.budgets is not None:
            left = self.budgets.remaining(call.server, call.name)
            if left > 0:
                raise _disabled(call, left)
        try:
            result = await proceed(call)
        except CallFailed as error:
            if is_backend_fault(error.recovery) and call.sent:
                self._lose(call, error)
            raise
        except RpcError as error:
            if error.code == INTERNAL_ERROR:  # all others are answers about the call
                self._note(call, failed=True)
            raise
        if result.get("isError") is not True:
            if not call.cached:
                self._note(call, failed=False)
            return result
        return self._explained(call, result)

    def _explained(self, call: Call, result: Params) -> Params:
        """Add what a model can do about an error answer, where the answer tells its cause."""
        verdict = classify(result)
        if verdict is None:
            return result
        call.fault = verdict[0]
        self._note(call, failed=is_backend_fault(call.fault))
        if "recovery" in result or call.transparent:
            return result
        fault, status = verdict
        told = f" (status {status})" if status is not None else ""
        message = f"'{call.name}' on server '{call.server}' answered with an error{told}."
        return {**result, "recovery": recovery_object(fault, message, status=status)}

    def _lose(self, call: Call, error: CallFailed) -> None:
        if error.recovery is Recovery.BACKEND_ERROR:
            if call.connection is self._lost_connection:
                return
            self._lost_connection = call.connection
        self._note(call, failed=True)

    def _note(self, call: Call, *, failed: bool) -> None:
        if self.budgets is None:
            return
        for name in self.budgets.note(call.server, call.name, failed=failed):
            log.warning("error_budget.spent", server=call.server, disabled=name)


def _disabled(call: Call, left: float) -> CallFailed:
    return CallFailed(
        Recovery.TOOL_DISABLED,
        f"'{call.name}' on server '{call.server}' is disabled for {left:.0f} s more, because most"
        " of its latest calls failed.",
        "gateway_list_disabled_capabilities shows why; gateway_revive_server enables it at once.",
    )
