"""Demonstrate the gateway as a client sees it: list the tools, find one, call it.

Everything printed is measured in this run, with the example server of the package and without
network access. The exit status is 0 only if every step succeeded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from demo_client import (
    PROTOCOL,
    Client,
    DemoFailed,
    descendants,
    still_running,
    text_of,
    with_gateway,
)

from mcpgw import __version__
from mcpgw.meta.statistics import tokens

QUESTION: Final = "what is the current time in Tokyo"
TOOL: Final = "current_time"
CITY: Final = ("Asia/Tokyo", "+09:00")
"""Tokyo's zone, and its offset for a machine without time zone data."""
CLOCK_SLACK: Final = 60.0
"""Greatest difference between the tool's time and the local clock, in seconds."""
DEADLINE: Final = 60.0
"""Seconds for the whole demo."""
WIDTHS: Final = (64, 96)
BAR_START: Final = 50
"""Columns before the bars of the comparison."""
RULE: Final = "one token for 4 characters of compact JSON"
GIVEN: Final = ("name", "description", "inputSchema")
"""The parts of a definition that a model needs to call a tool."""
_STYLES: Final = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "name": "36", "head": "1;34"}


@attrs.define
class Paper:
    """The output of the demo: optionally styled text, cut to the width."""

    coloured: bool
    width: int
    verbose: bool = False

    def style(self, text: str, style: str) -> str:
        """Return the text in a style of `_STYLES`."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.coloured and text else text

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line below a heading."""
        print(f"   {self.style(text, style) if style else text}" if text else "", flush=True)

    def heading(self, text: str, note: str = "") -> None:
        """Print the heading of a step."""
        gap = " " * max(2, self.width - len(text) - len(note))
        noted = gap + self.style(note, "dim") if note else ""
        print(f"\n{self.style(text, 'head')}{noted}", flush=True)

    def entry(self, name: str, middle: str, rest: str, name_width: int) -> None:
        """Print one entry of a list: a name, a column, and a text cut to the width."""
        room = max(12, self.width - 3 - name_width - 2 - len(middle) - 2)
        styled = self.style(f"{name:{name_width}}", "name")
        self.line(f"{middle}  {styled}  {self.style(cut(rest, room), 'dim')}".rstrip())

    def sentence(self, text: str) -> None:
        """Print a text, wrapped to the width."""
        words, row = text.split(), ""
        for word in words:
            if row and len(row) + 1 + len(word) > self.width - 3:
                self.line(row)
                row = word
            else:
                row = f"{row} {word}".lstrip()
        self.line(row)

    def wire(self, direction: str, line: str) -> None:
        """Print a line of the conversation in verbose mode."""
        if self.verbose:
            print(self.style(f"{direction} {line}", "dim"), flush=True)


@attrs.define
class Demo:
    """The steps of the demo, in order; each verifies what it prints."""

    paper: Paper
    started: float = 0.0
    shown: list[dict[str, Any]] = attrs.field(factory=list)
    search_tokens: int = 0
    children: list[int] = attrs.field(factory=list)

    async def run(self, client: Client) -> None:
        """Run all steps.

        Raises:
          DemoFailed: a step did not give the expected result.
        """
        for step in (self.greet, self.look, self.find, self.call, self.compare, self.leave):
            await step(client)

    async def greet(self, client: Client) -> None:
        """Initialize the MCP session."""
        result, _ = await client.ask(
            "initialize",
            protocolVersion=PROTOCOL,
            capabilities={},
            clientInfo={"name": "demo", "version": __version__},
        )
        ready = time.perf_counter() - self.started
        if (name := result.get("serverInfo", {}).get("name")) != "mcp-gateway":
            raise DemoFailed(f"the server calls itself {name!r}, not 'mcp-gateway'")
        await client.notify("notifications/initialized")
        self.paper.heading("1  Start the gateway", f"{1000 * ready:.0f} ms to its first answer")
        self.paper.line(f"$ {self.paper.style('mcp-gateway serve --mode stdio', 'bold')}")
        behind = descendants(client.process.pid)
        if behind:
            raise DemoFailed(f"{len(behind)} processes were started before the first request")
        nothing = "" if behind is None else " No server behind it runs yet."
        self.paper.sentence(f"It speaks MCP {result.get('protocolVersion')}.{nothing}")

    async def look(self, client: Client) -> None:
        """List the tools that the client sees."""
        result, _ = await client.ask("tools/list")
        self.shown = result["tools"]
        names = [tool["name"] for tool in self.shown]
        if missing := {"gateway_search_tools", "gateway_invoke"} - set(names):
            raise DemoFailed(f"tools/list lacks {', '.join(sorted(missing))}")
        self.paper.heading("2  What the AI client sees", "tools/list")
        width = max(map(len, names))
        for tool in self.shown:
            self.paper.entry(tool["name"], f"{tokens([tool]):4} tokens", tool["title"], width)

    async def find(self, client: Client) -> None:
        """Search for a tool in words."""
        arguments = {"query": QUESTION}
        result, seconds = await client.call("gateway_search_tools", arguments)
        answer = json.loads(text_of(result))
        hits = answer["matches"]
        self._step("3  Find a tool", "gateway_search_tools", arguments, seconds)
        if not hits:
            raise DemoFailed(f"the search found nothing: {answer.get('hint')}")
        self.search_tokens = tokens([answer])
        width = max(len(hit["tool"]) for hit in hits[:3])
        for hit in hits[:3]:
            score = f"{hit['score']:6.3f}"
            self.paper.entry(hit["tool"], f"{score}  {hit['server']}", hit["description"], width)
        if (hits[0]["server"], hits[0]["tool"]) != ("example", TOOL):
            raise DemoFailed(f"the best hit is {hits[0]['server']}:{hits[0]['tool']}, not {TOOL}")
        if "zone" not in hits[0].get("inputSchema", {}).get("properties", {}):
            raise DemoFailed("the best hit came without the schema of its arguments")
        more = len(hits) - 3
        self.paper.line(
            f"{f'and {more} more; ' if more > 0 else ''}the server was started to be learned",
            "dim",
        )

    async def call(self, client: Client) -> None:
        """Call the first hit, with the argument that its schema asks for."""
        arguments = {"server": "example", "tool": TOOL, "arguments": {"zone": _zone()}}
        result, seconds = await client.call("gateway_invoke", arguments)
        self._step("4  Call it", "gateway_invoke", arguments, seconds)
        content = result.get("structuredContent") or {}
        try:
            answered = datetime.fromisoformat(content["time"])
        except (KeyError, TypeError, ValueError):
            raise DemoFailed(f"the tool gave no time: {text_of(result):.200}") from None
        if abs((answered - datetime.now(UTC)).total_seconds()) > CLOCK_SLACK:
            raise DemoFailed(f"the tool gave another time than now: {answered}")
        self.paper.line(text_of(result), "good")

    async def compare(self, client: Client) -> None:
        """Compare the tokens of the definitions with the gateway and without it."""
        result, _ = await client.call("gateway_list_tools", {"server": "example"})
        behind = json.loads(text_of(result))["tools"]
        if not behind:
            raise DemoFailed("the example server lists no tools")
        paper, cost, all_cost = self.paper, tokens(self.shown), tokens(behind)
        paper.heading("5  What it costs", "tokens in every request of the model")
        longest = max(cost, all_cost)
        for count, owner, price, style in (
            (len(behind), "behind the gateway", all_cost, "bad"),
            (len(self.shown), "that the client sees", cost, "good"),
        ):
            bar = paper.style(
                "█" * max(1, round(price / longest * (paper.width - BAR_START))), style
            )
            paper.line(f"{count:3} tools {owner:20}  {price:6,} tokens  {bar}")
        paper.line()
        paper.sentence(f"Rule: {RULE}, of the whole definitions. {self._lean(behind)}")
        paper.sentence(
            f"Each search adds its answer to the conversation, this one {self.search_tokens:,}"
            " tokens."
        )
        even = math.ceil(cost / (all_cost / len(behind)))
        paper.sentence(
            f"Break-even is at about {even} tools of this size; with fewer, plug the servers"
            " into the client directly."
        )

    async def leave(self, client: Client) -> None:
        """End the session as a client does, and verify that no process is left."""
        self.children = descendants(client.process.pid) or []
        started = time.perf_counter()
        status = await client.end()
        seconds = time.perf_counter() - started
        if status != 0:
            raise DemoFailed(f"the gateway ended with status {status}")
        if left := still_running(self.children):
            raise DemoFailed(f"processes were left behind: {left}")
        self.paper.heading("6  Close its input", f"{1000 * seconds:.0f} ms to the end")
        gone = len(self.children)
        self.paper.sentence(
            f"The gateway ended with status 0; the {gone} processes below it are gone."
            if gone
            else "The gateway ended with status 0."
        )

    def _step(self, title: str, tool: str, arguments: dict[str, Any], seconds: float) -> None:
        self.paper.heading(title, f"{1000 * seconds:.0f} ms")
        shown = json.dumps(arguments, ensure_ascii=False)
        fits = len(tool) + 1 + len(shown) <= self.paper.width - 3
        self.paper.line(self.paper.style(tool, "bold") + (f" {shown}" if fits else ""))
        if not fits:
            self.paper.line(shown)

    def _lean(self, behind: list[dict[str, Any]]) -> str:
        """Return the comparison for only the parts of a definition that a call needs."""
        lean, all_lean = (
            tokens([{key: tool[key] for key in GIVEN if key in tool} for tool in some])
            for some in (self.shown, behind)
        )
        return f"Of names, descriptions and input schemas alone: {lean:,} against {all_lean:,}."


def cut(text: str, width: int) -> str:
    """Return the text in one line of at most `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def _zone() -> str:
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(CITY[0]).key
    except zoneinfo.ZoneInfoNotFoundError:
        return CITY[1]


def _environment(home: Path) -> dict[str, str]:
    """Return the environment without the settings of the user's own gateway."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MCP_GATEWAY_")}
    return {**kept, "MCP_GATEWAY_HOME": str(home), "MCP_GATEWAY_LOG_LEVEL": "warning"}


def _gateway_yaml() -> str:
    command = json.dumps([sys.executable, "-m", "mcpgw.example"])
    # Without the built-in capabilities, so that only the example server is shown.
    head = "capabilities: {enabled: false}\n"
    return f"{head}backends:\n  example:\n    command: {command}\n"


async def show(paper: Paper, command: Sequence[str]) -> None:
    """Run the demo in a temporary folder.

    Raises:
      DemoFailed: a step failed, or the demo took longer than `DEADLINE`.
    """
    demo = Demo(paper)
    with tempfile.TemporaryDirectory(prefix="mcpgw-demo-") as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(_gateway_yaml())
        demo.started = time.perf_counter()
        with trio.move_on_after(DEADLINE) as scope:
            await with_gateway(
                [*command, "serve", "--mode", "stdio"],
                demo.run,
                cwd=folder,
                env=_environment(folder / "home"),
                watch=paper.wire,
            )
        if scope.cancelled_caught:
            raise DemoFailed(f"timed out after {DEADLINE:g} s")


def _paper(options: argparse.Namespace) -> Paper:
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    wanted = terminal and "NO_COLOR" not in os.environ
    coloured = options.color == "always" or (options.color == "auto" and wanted)
    width = min(max(shutil.get_terminal_size((WIDTHS[1], 24)).columns, WIDTHS[0]), WIDTHS[1])
    return Paper(coloured, width, options.verbose)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if every step succeeded, else 1."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="show every line sent")
    parser.add_argument("--color", choices=["auto", "always", "never"], default="auto")
    parser.add_argument("--gateway", nargs="+", metavar="WORD", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # print question marks on a terminal without UTF-8
    paper = _paper(options)
    print(paper.style(f"mcp-gateway {__version__}", "bold"))
    command = options.gateway or [str(Path(sys.executable).with_name("mcp-gateway"))]
    try:
        trio.run(show, paper, command)
    except (DemoFailed, FileNotFoundError) as error:
        print(f"\n{paper.style('The demo failed', 'bad')}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{paper.style('All of this really happened.', 'good')} Next: docs/quickstart.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
