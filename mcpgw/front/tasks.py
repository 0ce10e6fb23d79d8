"""Tasks in transparent sessions: calls whose results are fetched later.

Both flavours are supported: the experimental one of MCP 2025-11-25, where the client asks for a
task, and the extension of 2026-07-28, where the server decides. They are forwarded to a server of
the same era and translated for the other. Towards the client a task has an id of the gateway,
which identifies its client and the process that runs it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from mcpgw.backends.instance import BackendInstance
from mcpgw.backends.services import Instance
from mcpgw.protocol.errors import INVALID_PARAMS, MISSING_CAPABILITY, RpcError
from mcpgw.protocol.mcp import MODERN_VERSION, RELATED_TASK_META, TASKS_EXTENSION
from mcpgw.protocol.peer import Params, Request

if TYPE_CHECKING:
    from mcpgw.front.client_session import ClientSession

MOST_TASKS: Final = 10_000
"""The most tasks that are kept; the oldest are dropped first."""
FORGOTTEN_AFTER: Final = 24 * 3600.0
"""Seconds after which a task is dropped, even if its server still knows it."""
RESULT_PATIENCE: Final = 3600.0
"""Seconds that `tasks/result` waits for the end of a task."""
LIST_PATIENCE: Final = 10.0
"""Seconds that a call waits for the list of tools, which tells whether its tool needs a task."""

_TERMINAL: Final = ("completed", "failed", "cancelled")


@attrs.define(eq=False)
class Task:
    """One task: its client, its server's instance, and its last known state."""

    id: str
    server: str
    instance: str
    """The session whose instance created it; empty for the shared instance."""
    own_id: str
    """The server's own id of the task."""
    principal: str
    session: str
    connection: object
    """The connection on which it was created; a restarted server does not know it any more."""
    modern: bool
    """True if its server is of the stateless era."""
    created: float = attrs.field(factory=time.time)
    known: Params = attrs.field(factory=dict)
    """Its state as its server last reported it, with the gateway's id."""


@attrs.define(eq=False)
class Tasks:
    """The tasks of all servers that clients may still fetch."""

    _tasks: dict[str, Task] = attrs.field(factory=dict)
    _by_own: dict[tuple[str, str, str], Task] = attrs.field(factory=dict)
    """Tasks by server, session of the instance, and the server's own id: two processes of one
    server may use equal ids."""

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, session: ClientSession, instance: BackendInstance, reported: Params) -> Task:
        """Record a task that a server has created."""
        self._forget_old()
        connection = instance.connection
        task = Task(
            os.urandom(16).hex(),
            instance.name,
            instance.session,
            str(reported.get("taskId")),
            session.principal,
            session.state.id,
            connection,
            connection is not None and connection.protocol_version == MODERN_VERSION,
        )
        self._tasks[task.id] = task
        self._by_own[task.server, task.instance, task.own_id] = task
        self.learned(task, reported)
        return task

    def learned(self, task: Task, reported: Params) -> Params:
        """Record the state of a task that a server reported; return it with the gateway's id."""
        named = {**reported, "taskId": task.id}
        task.known = {key: value for key, value in named.items() if key not in _NOT_KEPT}
        return named

    def find(self, session: ClientSession, task_id: object) -> Task:
        """Return a task of this client.

        Raises:
          RpcError: there is no such task, or it belongs to another client.
        """
        task = self._tasks.get(task_id) if isinstance(task_id, str) else None
        fits = (
            task is not None
            and task.server == session.target
            and task.principal == session.principal
        )
        if task is None or not fits:
            raise RpcError(INVALID_PARAMS, f"unknown task {task_id!r:.80}, or it has expired")
        return task

    def of(self, session: ClientSession) -> list[Task]:
        """Return the tasks that a session has created, the newest first."""
        own = [task for task in self._tasks.values() if task.session == session.state.id]
        return own[::-1]

    def named(self, instance: Instance, params: Params) -> tuple[Task | None, Params]:
        """Return the task that params of a server concern, and the params with the gateway's id."""
        place = instance.name, instance.session
        task = self._by_own.get((*place, str(params.get("taskId"))))
        if task is not None:
            return task, self.learned(task, params)
        meta = params.get("_meta")
        related = meta.get(RELATED_TASK_META) if isinstance(meta, Mapping) else None
        own_id = related.get("taskId") if isinstance(related, Mapping) else None
        task = self._by_own.get((*place, str(own_id)))
        return task, params if task is None else related_to(params, task.id)

    def _forget_old(self) -> None:
        now = time.time()
        while self._tasks:
            task = next(iter(self._tasks.values()))
            if len(self._tasks) < MOST_TASKS and now - task.created < FORGOTTEN_AFTER:
                return
            del self._tasks[task.id]
            self._by_own.pop((task.server, task.instance, task.own_id), None)


_NOT_KEPT: Final = ("_meta", "resultType", "result", "error", "inputRequests")


def related_to(params: Params, task_id: str) -> Params:
    """Return params or a result with this task id in `_meta`."""
    meta = params.get("_meta")
    return {
        **params,
        "_meta": {
            **(meta if isinstance(meta, dict) else {}),
            RELATED_TASK_META: {"taskId": task_id},
        },
    }


def wants_tasks(request: Request) -> bool:
    """Tell whether a request of the stateless era declares support for tasks."""
    extensions = request.client.capabilities.get("extensions") if request.client else None
    return isinstance(extensions, Mapping) and TASKS_EXTENSION in extensions


def declared(capabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a server's capabilities with its tasks declared in both flavours."""
    extensions = capabilities.get("extensions")
    known = extensions if isinstance(extensions, Mapping) else {}
    if "tasks" in capabilities and TASKS_EXTENSION not in known:
        return {**capabilities, "extensions": {**known, TASKS_EXTENSION: {}}}
    if TASKS_EXTENSION in known and "tasks" not in capabilities:
        older_form: Params = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        return {**capabilities, "tasks": older_form}
    return capabilities


async def prepared(backend: BackendInstance, request: Request, params: Params) -> Params:
    """Return the params of a call; if the server's era requires it, they ask for a task.

    Raises:
      RpcError: the tool runs only as a task, and the client does not support tasks.
    """
    if request.client is None or not request.client.supports_input_required:
        return params  # a client of the handshake revisions sends `task` itself
    connection = backend.connection
    if connection is None or connection.protocol_version == MODERN_VERSION:
        return params
    if not connection.declares("tasks"):
        return params
    with trio.move_on_after(LIST_PATIENCE):
        await connection.listed.wait()
    if _task_support(backend, str(params.get("name"))) != "required":
        return params
    if not wants_tasks(request):
        needed: Params = {"extensions": {TASKS_EXTENSION: {}}}
        raise RpcError(
            MISSING_CAPABILITY,
            "this tool runs only as a task, which the client does not support",
            {"requiredCapabilities": needed},
        )
    return {**params, "task": {}}


def _task_support(backend: BackendInstance, name: str) -> str:
    execution = (backend.tools.get(name) or {}).get("execution")
    return str(execution.get("taskSupport", "")) if isinstance(execution, Mapping) else ""


def created(
    tasks: Tasks, session: ClientSession, backend: BackendInstance, request: Request, result: Params
) -> Params:
    """Return the result of a call, a created task with the gateway's id in the client's flavour."""
    reported = result.get("task") if isinstance(result.get("task"), dict) else None
    if reported is None and result.get("resultType") == "task":
        reported = {
            key: value for key, value in result.items() if key not in ("_meta", "resultType")
        }
    if reported is None or not isinstance(reported.get("taskId"), str):
        return result
    task = tasks.add(session, backend, reported)
    named = {**reported, "taskId": task.id}
    meta = {"_meta": result["_meta"]} if "_meta" in result else {}
    if request.client is not None and request.client.supports_input_required:
        return {"resultType": "task", **(named if task.modern else newer(named)), **meta}
    return {"task": older(named) if task.modern else named, **meta}


def lost(task: Task, backend: BackendInstance) -> bool:
    """Tell whether a task was lost because its server's process or connection has ended."""
    return backend.connection is not task.connection


def gone(task: Task, *, modern: bool) -> Params:
    """Return the state of a lost task: failed, because its server was restarted."""
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat()
    known = {**task.known, "taskId": task.id, "status": "failed", "lastUpdatedAt": now}
    known["statusMessage"] = "the server was restarted while the task was running"
    if modern:
        error = {"code": -32603, "message": known["statusMessage"]}
        return {
            "resultType": "complete",
            **(known if task.modern else newer(known)),
            "error": error,
        }
    return older(known) if task.modern else known


def newer(task: Params) -> Params:
    """Rename the fields of a task from the experimental flavour to the extension's."""
    renamed = {_TO_NEWER.get(key, key): value for key, value in task.items()}
    renamed.setdefault("ttlMs", None)
    return renamed


def older(task: Params) -> Params:
    """Rename the fields of a task from the extension's flavour to the experimental one."""
    kept = {_TO_OLDER.get(key, key): value for key, value in task.items() if key not in _NOT_KEPT}
    kept.setdefault("ttl", None)
    return kept


_TO_NEWER: Final = {"ttl": "ttlMs", "pollInterval": "pollIntervalMs"}
_TO_OLDER: Final = {value: key for key, value in _TO_NEWER.items()}


def is_terminal(task: Params) -> bool:
    """Tell whether a task has ended."""
    return task.get("status") in _TERMINAL
