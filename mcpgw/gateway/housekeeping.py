"""Housekeeping: the periodic tasks of a gateway, and the guard that each of them runs under."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from mcpgw.backends.pool import BackendPool
from mcpgw.capabilities.service import CapabilityService
from mcpgw.front.session_registry import SessionRegistry
from mcpgw.meta.context import GatewayContext
from mcpgw.observe.log import get_logger, write_preface
from mcpgw.observe.log import prepare as prepare_log
from mcpgw.state.file_watcher import FileWatcher

log = get_logger("mcpgw.gateway")

QUIET: Final = 0.5
"""Seconds between loading the configuration and slow imports."""
RESTART: Final = (1.0, 60.0)
"""Seconds until a task that crashed is started again: at first, and at most."""
COLLECT_AFTER: Final = 5_000
"""New objects after which the youngest generation is collected."""


async def supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a periodic task; log an internal error in it and start it again, so that it ends
    neither the gateway nor the task for good."""
    pause = RESTART[0]
    while True:
        began = trio.current_time()
        try:
            await run()
            return
        except Exception as error:
            log.error("task.crashed", task=name, exc_info=error)
        if trio.current_time() - began > RESTART[1]:
            pause = RESTART[0]
        await trio.sleep(pause)
        pause = min(2 * pause, RESTART[1])


async def sync_usage(context: GatewayContext, folder: Path) -> None:
    """Exchange the counters with `state.db`, which the user's other gateways share."""
    from mcpgw.usage.store import UsageStore
    from mcpgw.usage.sync import keep

    interval = context.config.tool_profiles.persistence_interval
    await keep(context.usage, UsageStore(folder / "state.db"), interval=interval)


async def prepare(pool: BackendPool, capabilities: CapabilityService) -> None:
    """Do slow imports, and start the built-in server, after a client's first answers."""
    await trio.sleep(QUIET)
    # Otherwise the first log line would have to wait for these imports.
    await trio.to_thread.run_sync(prepare_log, abandon_on_cancel=True)
    write_preface()
    _settle_memory()
    builtin = pool.get(capabilities.name)
    if builtin is not None:
        builtin.shared.want()


async def watch_skills(
    context: GatewayContext,
    sessions: SessionRegistry,
    files: FileWatcher,
    environ: Mapping[str, str],
) -> None:
    """Load the skills, and notify clients of changes."""
    from mcpgw.skills.builtin import builtin_folder
    from mcpgw.skills.library import SkillLibrary
    from mcpgw.skills.registry import registry_path

    skills = SkillLibrary(registry_path(environ), builtin_folder())
    await trio.sleep(QUIET)

    async def check() -> None:
        changes = await trio.to_thread.run_sync(skills.refresh)
        for problem in changes.problems:
            log.warning("skill.rejected", reason=problem)
        if context.skills is None:
            context.skills = skills
            if context.skills_loaded is not None:
                context.skills_loaded.set()
        elif changes.any:
            sessions.queue_change(frozenset({"resources"}))

    await check()
    files.poll("skills", check)


def _settle_memory() -> None:
    """Exclude objects that live as long as the process from garbage collection.

    Calls create many short-lived objects; traversing all modules again and again because of them
    was measured as a seventh of the time of a call.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
