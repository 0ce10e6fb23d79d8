"""Run many sessions, backend restarts and HTTP clients; check for leaks.

Part `stdio`: each session starts the gateway, initializes, calls a tool of the example server
through `gateway_invoke`, and ends by closing stdin; one in ten is ended by SIGTERM and one in ten
by SIGKILL instead. Afterwards no process with the run's mark may be alive. Then the backend of one
gateway is killed and called again many times; the number of descriptors must not grow.

Part `http`: sessions by HTTP and WebSocket are opened in waves; half are ended and half abandoned.
The gateway's memory and descriptors must be the same as after the first few hundred.

Part `readers`: some clients do not read what is sent to them while another makes calls. The calls
must succeed, the gateway's memory must be bounded, and the slow clients must be disconnected.

The exit status is 0 only if all checks pass.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent.parent))

from scripts import soak_http
from tests.support.driver import (
    Gateway,
    example_command,
    open_descriptors,
    open_gateway,
    processes_with,
    yaml_config,
)

PARTS = ("stdio", "http", "readers")


def config() -> str:
    """Return a configuration with the example server and no rate limit."""
    return yaml_config({"example": example_command()}, failsafe={"rate_limit": {"enabled": False}})


async def call(gateway: Gateway) -> None:
    """Call a tool; exit if it fails."""
    result = await gateway.invoke("example", "count_words", {"text": "one two three"})
    if result.get("isError"):
        raise SystemExit(f"a call failed: {result}")


async def survivors(mark: str, seconds: float) -> list[int]:
    """Wait until no process with the mark is alive; return those still alive."""
    with trio.move_on_after(seconds):
        while processes_with(mark):  # noqa: ASYNC110 - the kernel sends no event
            await trio.sleep(0.05)
    return processes_with(mark)


async def session(number: int) -> list[int]:
    """Run one session and end it; return the processes left behind."""
    async with open_gateway(config()) as gateway:
        await gateway.initialize()
        await call(gateway)
        if number % 10 == 8:
            gateway.process.send_signal(signal.SIGTERM)
        elif number % 10 == 9:
            gateway.process.send_signal(signal.SIGKILL)
        else:
            await gateway.end()
        await gateway.wait()
        return await survivors(gateway.mark, 10)


async def restarts(count: int) -> tuple[int, int]:
    """Restart a backend many times; return the gateway's descriptors before and after."""
    async with open_gateway(config()) as gateway:
        await gateway.initialize()
        before = 0
        for number in range(count):
            await call(gateway)
            await gateway.call("gateway_kill_server", {"server": "example"})
            await gateway.call("gateway_revive_server", {"server": "example"})
            if number == 2:
                await call(gateway)
                before = open_descriptors(gateway.pid)
        await call(gateway)
        return before, open_descriptors(gateway.pid)


async def by_stdio(sessions: int, restart_count: int) -> bool:
    """Run sessions and restarts, and print the processes and descriptors left behind."""
    started = time.perf_counter()
    left: list[int] = []
    for number in range(sessions):
        left += await session(number)
        if (number + 1) % 50 == 0:
            print(f"{number + 1} sessions, {len(left)} processes left", flush=True)
    before, after = await restarts(max(restart_count, 5))
    print(
        f"{sessions} sessions: {len(left)} processes left behind. {restart_count} restarts:"
        f" {before} descriptors at first, {after} at the end."
        f" {time.perf_counter() - started:.0f} s."
    )
    return not left and after <= before


async def main(options: argparse.Namespace) -> int:
    """Run the parts; each prints its results."""
    passed = True
    for part in options.parts or PARTS:
        if part == "stdio":
            passed &= await by_stdio(options.sessions, options.restarts)
        elif part == "http":
            passed &= await soak_http.sessions(options.http_sessions)
        else:
            passed &= await soak_http.readers(options.readers, options.most_memory * 1e6)
    return 0 if passed else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; or all")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--http-sessions", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--most-memory", type=float, default=512, help="MB, beside slow readers")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    sys.exit(trio.run(main, options))
