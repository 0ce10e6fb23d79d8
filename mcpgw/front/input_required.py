"""Parked calls: they wait for their client's next request (MCP 2026-07-28, multi round-trip).

A client of the stateless era cannot receive requests while it waits for an answer. So a call that
needs input is parked: its request is answered by `input_required` with the questions and a signed
state, and goes on when the client repeats the request with the answers. If the server itself
answers with `input_required`, nothing is parked: its state is embedded in the gateway's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import trio
from outcome import Error, Outcome, Value

from mcpgw.observe.log import get_logger
from mcpgw.protocol.errors import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from mcpgw.protocol.peer import Client, Params, Request

log = get_logger("mcpgw.front")

PATIENCE: Final = 600.0
"""Seconds that a parked call waits for its client's next request."""
MOST_PARKED: Final = 1_000
"""Calls that may be parked at once; further ones are refused."""
SETTLE: Final = 0.02
"""Seconds without a further question after which a round is complete: a server may ask several
questions at once."""
LONGEST_SETTLE: Final = 5
"""Periods of `SETTLE` after which a round is sent in any case."""

Work = Callable[[Request], Awaitable[Params]]

_VALID_ANSWER: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "elicitation/create": lambda answer: answer.get("action") in ("accept", "decline", "cancel"),
    "sampling/createMessage": lambda answer: "content" in answer,
    "roots/list": lambda answer: isinstance(answer.get("roots"), list),
}
"""Minimal checks of the answer to each kind of question."""


@attrs.define(eq=False)
class _Question:
    method: str
    params: Params
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Params = attrs.field(factory=dict)


@attrs.define(eq=False)
class ParkedCall:
    """A call that spans several requests of its client, the rounds.

    `request` is an internal one that represents the client's latest request: progress and log
    messages go there.
    """

    token: str
    request: Request
    parked_calls: ParkedCalls
    _questions: dict[str, _Question] = attrs.field(factory=dict)
    _outcome: Outcome[Params] | None = None
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _asked: int = 0

    async def run(self, work: Work) -> None:
        """Run the call, independently of the client's requests; this is a task."""
        try:
            with trio.CancelScope() as scope:
                self.request.scope = scope
                if self.request.cancelled:  # before this task has started
                    scope.cancel()
                self._outcome = Value(await work(self.request))
        except RpcError as error:
            self._outcome = Error(error)
        except Exception as error:
            log.error("request.crashed", method=self.request.method, exc_info=error)
            self._outcome = Error(RpcError(INTERNAL_ERROR, "internal gateway error (see the log)"))
        finally:
            self.parked_calls.forget(self)
            self._changed.unpark_all()

    async def ask(self, method: str, params: Params, key: str) -> Params:
        """Send a question to the client in the next round and wait for the answer.

        Raises:
          RpcError: the client did not answer in time.
        """
        self._asked += 1
        name = key or f"{method.replace('/', '_')}_{self._asked}"
        while name in self._questions:
            name += "_"
        question = self._questions[name] = _Question(method, params)
        self._changed.unpark_all()
        try:
            with trio.move_on_after(PATIENCE):
                await question.answered.wait()
                return question.answer
            raise RpcError(INTERNAL_ERROR, f"the client did not answer within {PATIENCE:g} s")
        finally:
            del self._questions[name]

    def take(self, exchange: ResumableClient, request: Request, answers: Mapping[str, Any]) -> None:
        """Continue with the client's next request and its answers.

        Unknown answers are ignored; questions without a valid answer are asked again.

        Raises:
          RpcError: an answer is not an object.
        """
        for name, answer in answers.items():
            if name in self._questions and not isinstance(answer, dict):
                raise RpcError(INVALID_PARAMS, f"inputResponses['{name}'] must be an object")
        self.request.id = request.id
        self.request.progress_token = request.progress_token
        self.request.represents = request
        self.request.client = exchange
        for name, answer in answers.items():
            question = self._questions.get(name)
            if question is not None and _VALID_ANSWER.get(question.method, bool)(answer):
                question.answer = answer
                question.answered.set()

    async def next_round(self) -> Params:
        """Wait for the result, or for questions; return the answer of this round."""
        while self._outcome is None and not self._unanswered():
            await self._changed.park()
        for _ in range(LONGEST_SETTLE):
            before = self._asked
            if self._outcome is None:
                await trio.sleep(SETTLE)
            if self._asked == before:
                break
        if self._outcome is not None:
            return self._outcome.unwrap()
        return {
            "resultType": "input_required",
            "inputRequests": {
                name: {"method": question.method, "params": question.params}
                for name, question in self._unanswered().items()
            },
        }

    def _unanswered(self) -> dict[str, _Question]:
        return {n: q for n, q in self._questions.items() if not q.answered.is_set()}

    @property
    def finished(self) -> bool:
        """True if the call has ended."""
        return self._outcome is not None

    def cancel(self) -> None:
        """Cancel the call."""
        self.request.cancel()
        self.parked_calls.forget(self)


class ResumableClient(Client, Protocol):
    """The client of a request that may be answered by `input_required`."""

    parked: ParkedCall | None
    """The call that sends its questions through this request."""

    @property
    def principal(self) -> str:
        """The authenticated identity of the client; empty without authentication."""


@attrs.define(eq=False)
class ParkedCalls:
    """The parked calls of a gateway, and the key that signs their states.

    `run` is the nursery of the calls.
    """

    _secret: bytes = attrs.field(factory=lambda: os.urandom(32), repr=False)
    _parked: dict[str, ParkedCall] = attrs.field(factory=dict)
    _nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the parked calls; on cancellation all end."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def __len__(self) -> int:
        return len(self._parked)

    async def serve(self, exchange: ResumableClient, request: Request, work: Work) -> Params:
        """Answer a request, or a further round of one.

        Raises:
          RpcError: its `requestState` was not issued by this gateway, has expired, or belongs to
            another request.
        """
        about = _digest(exchange.principal, request)
        state = request.params.get("requestState")
        if state is None:
            parked = self._begin(exchange, request, work)
        else:
            claim = self._verify(state, about)
            if "parked" in claim:
                known = self._parked.get(str(claim["parked"]))
                if known is None:
                    raise _stale("its call has ended or was cancelled")
                parked = known
                parked.take(exchange, request, _answers(request.params))
            else:
                request.params = {**request.params, "requestState": claim["state"]}
                parked = self._begin(exchange, request, work)
        exchange.parked = parked
        try:
            result = await parked.next_round()
        except trio.Cancelled:
            if request.cancelled:
                parked.cancel()
            raise
        if result.get("resultType") != "input_required":
            return result
        return self._signed(result, parked, about)

    def forget(self, parked: ParkedCall) -> None:
        """Remove a call that has ended."""
        self._parked.pop(parked.token, None)

    def _begin(self, exchange: ResumableClient, request: Request, work: Work) -> ParkedCall:
        assert self._nursery is not None, "`run` must run first"
        if len(self._parked) >= MOST_PARKED:
            raise RpcError(
                INTERNAL_ERROR,
                f"too many calls ({MOST_PARKED}) are waiting for their clients; try again later",
            )
        inner = Request(
            request.peer,
            request.id,
            request.method,
            request.params,
            progress_token=request.progress_token,
            client=exchange,
            represents=request,
        )
        parked = ParkedCall(os.urandom(18).hex(), inner, self)
        self._parked[parked.token] = parked
        self._nursery.start_soon(parked.run, work)
        return parked

    # -- the signed state ------------------------------------------------------------------

    def _signed(self, result: Params, parked: ParkedCall, about: str) -> Params:
        """Return a result that asks for input, with the gateway's own signed state."""
        if parked.finished:
            if "requestState" not in result:
                return result  # without a state, the next round is an ordinary request
            claim: Params = {"state": result["requestState"]}
        else:
            claim = {"parked": parked.token}
        claim |= {
            "about": about,
            "until": int(time.time() + PATIENCE),
            "round": os.urandom(6).hex(),
        }
        text = base64.urlsafe_b64encode(json.dumps(claim).encode()).decode()
        return {**result, "requestState": f"{text}.{self._sign(text)}"}

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _verify(self, state: object, about: str) -> Params:
        text, _, signature = state.rpartition(".") if isinstance(state, str) else ("", "", "")
        if not signature.isascii() or not hmac.compare_digest(self._sign(text), signature):
            raise _stale("it was not issued by this gateway, or was modified")
        claim: Params = json.loads(base64.urlsafe_b64decode(text))
        if claim["about"] != about:
            raise _stale("it belongs to another request")
        if claim["until"] < time.time():
            raise _stale("it has expired")
        return claim


def _answers(params: Params) -> Mapping[str, Any]:
    answers = params.get("inputResponses")
    if answers is None:
        return {}
    if not isinstance(answers, dict):
        raise RpcError(INVALID_PARAMS, "'inputResponses' must be an object of answers by key")
    return answers


def _digest(principal: str, request: Request) -> str:
    """Return a hash that ties a state to its request: client, method and parameters."""
    salient = {
        key: value
        for key, value in request.params.items()
        if key not in ("_meta", "inputResponses", "requestState")
    }
    if salient.get("arguments") == {}:
        del salient["arguments"]
    text = json.dumps([principal, request.method, salient], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _stale(why: str) -> RpcError:
    return RpcError(
        INVALID_PARAMS, f"'requestState' was rejected: {why}. Send the request again without it."
    )
