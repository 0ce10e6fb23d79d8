"""Make a call with an idempotency key once, and repeat its result for further requests."""

from __future__ import annotations

import attrs
import trio

from mcpgw.pipeline.call import Call, CallFailed, Proceed, Recovery
from mcpgw.pipeline.idempotency_store import Entry, IdempotencyStore
from mcpgw.pipeline.response_cache import cache_key
from mcpgw.protocol.errors import RpcError
from mcpgw.protocol.mcp import is_complete
from mcpgw.protocol.peer import Params


@attrs.frozen
class Idempotency:
    """The stage for calls that carry an `idempotency_key`."""

    answers: IdempotencyStore

    async def __call__(self, call: Call, proceed: Proceed) -> Params:
        """Return the stored result of the key, or make the call and store its result.

        A call without effect (refused, not sent, or ended by an error) releases its key. If the
        call may have taken effect, the key stays in use and further calls are refused.
        """
        entry = self.answers.find(call)
        if entry is not None:
            return self._again(call, entry)
        entry = self.answers.begin(call)
        try:
            result = await proceed(call)
        except RpcError:
            self.answers.drop(call)
            raise
        except CallFailed as error:
            self._failed(call, entry, error)
            raise
        except trio.Cancelled:
            self._failed(call, entry, _cancelled(call))
            raise
        except BaseException:
            self.answers.drop(call)
            raise
        if result.get("isError") is True or not is_complete(result):
            self.answers.drop(call)
        else:
            entry.result = dict(result)
            self.answers.settle(entry)
        return result

    def _again(self, call: Call, entry: Entry) -> Params:
        if entry.request != cache_key(call):
            raise CallFailed(
                Recovery.INVALID_PARAM,
                f"The idempotency_key {call.idempotency_key!r:.80} was already used for a different"
                f" call to server '{call.server}'.",
                "Use a new key for each different call.",
            )
        if entry.unknown is not None:
            raise CallFailed(
                entry.unknown.recovery,
                "The first call with this idempotency_key was not repeated."
                f" {entry.unknown.message}",
                "Check its effect; use a new key to make the call again.",
            )
        if entry.result is None:
            raise CallFailed(
                Recovery.DUPLICATE_REQUEST,
                f"Duplicate request in progress for key: {call.idempotency_key:.80}.",
                "Call again in a moment with the same key to get its answer.",
            )
        call.cached = True
        meta = {**(entry.result.get("_meta") or {}), "gateway/repeated_answer": True}
        return {**entry.result, "_meta": meta}

    def _failed(self, call: Call, entry: Entry, error: CallFailed) -> None:
        if not call.sent or call.repeatable:
            self.answers.drop(call)
        else:
            entry.unknown = error
            self.answers.settle(entry)


def _cancelled(call: Call) -> CallFailed:
    return CallFailed(
        Recovery.BACKEND_TIMEOUT,
        f"'{call.name}' was cancelled while server '{call.server}' was processing it;"
        " it may have taken effect.",
    )
