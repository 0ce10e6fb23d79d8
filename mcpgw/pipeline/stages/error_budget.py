"""Classify error results, and count failures of the backend against its error budget."""

from __future__ import annotations

from collections.abc import Sequence

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
    """The stage that explains error results and keeps the error budgets.

    `budgets` is None if error budgets are disabled.
    """

    budgets: ErrorBudgets | None

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Refuse a disabled tool; otherwise proceed and record the outcome."""
        if self.budgets is not None:
            left = self.budgets.remaining(call.server, call.name, call.instance.incarnation)
            if left > 0:
                raise _disabled(call, left)
        try:
            result = await proceed(call)
        except CallFailed as error:
            if is_backend_fault(error.recovery) and call.sent and self.budgets is not None:
                _log_disabled(
                    call,
                    self.budgets.record_unanswered(
                        call.server,
                        call.name,
                        call.incarnation,
                        call.sent_at,
                        silent=error.recovery is Recovery.BACKEND_TIMEOUT,
                    ),
                )
            raise
        except RpcError as error:
            if error.code == INTERNAL_ERROR:  # other codes are about the request
                self._record(call, failed=True)
            raise
        if result.get("isError") is not True:
            if not call.cached:
                self._record(call, failed=False)
            return result
        return self._explained(call, result)

    def _explained(self, call: Call, result: Params) -> Params:
        """Add advice for a model to an error result whose cause is recognised."""
        verdict = classify(result)
        if verdict is None:
            return result
        call.fault = verdict[0]
        self._record(call, failed=is_backend_fault(call.fault))
        if "recovery" in result or call.transparent:
            return result
        fault, status = verdict
        suffix = f" (status {status})" if status is not None else ""
        message = f"'{call.name}' on server '{call.server}' returned an error{suffix}."
        return {**result, "recovery": recovery_object(fault, message, status=status)}

    def _record(self, call: Call, *, failed: bool) -> None:
        if self.budgets is not None:
            _log_disabled(call, self.budgets.record(call.server, call.name, failed=failed))


def _log_disabled(call: Call, names: Sequence[str]) -> None:
    for name in names:
        log.warning("error_budget.exhausted", server=call.server, disabled=name)


def _disabled(call: Call, left: float) -> CallFailed:
    return CallFailed(
        Recovery.TOOL_DISABLED,
        f"'{call.name}' on server '{call.server}' is temporarily disabled because of a high error"
        f" rate; it is enabled again in {left:.0f} s.",
        "gateway_list_disabled_capabilities shows why; gateway_revive_server enables it at once.",
    )
