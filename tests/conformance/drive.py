"""The client under test for the official suite: a gateway with the suite's server behind it.

    MCP_CONFORMANCE_SCENARIO=NAME python tests/conformance/drive.py URL

The suite starts this for each scenario. It starts a gateway over pipes whose only backend is
the URL, does through it what the scenario asks a client for, and exits with 0. README.md has
what is done for which scenario.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.driver import Gateway, RpcError, open_gateway

SERVER = "under_test"
PATIENCE = 50.0
"""Seconds for everything; the suite itself waits for a minute."""
BROWSER = Path(__file__).with_name("browser.py")
METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""The client id that the suite expects where it is to be the URL of a document."""
CAPABILITIES: Mapping[str, Any] = {
    "elicitation": {},
    "sampling": {},
    "roots": {"listChanged": True},
}

Message = dict[str, Any]


@attrs.frozen
class Task:
    """The suite's parameters: a scenario, at a revision, against a URL, with its context."""

    scenario: str
    revision: str
    url: str
    context: Mapping[str, Any]

    @classmethod
    def given(cls, arguments: list[str], environ: Mapping[str, str]) -> Task:
        """Read it from the command line and the environment."""
        return cls(
            environ.get("MCP_CONFORMANCE_SCENARIO", "initialize"),
            environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25"),
            arguments[-1],
            json.loads(environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"),
        )

    def config(self, folder: Path) -> str:
        """Return the gateway's configuration; JSON is YAML, too."""
        backend: Message = {"http_url": self.url, "protocol_version": self.revision}
        if self.scenario.startswith("auth/"):
            backend["oauth"] = self.login(folder)
        return json.dumps({"backends": {SERVER: backend}})

    def login(self, folder: Path) -> Message:
        """Return how to log in: with what the context gives, and else as to any server."""
        names = ("client_id", "client_secret", "issuer")
        login: Message = {"storage": "file"}
        login |= {name: self.context[name] for name in names if name in self.context}
        if key := self.context.get("private_key_pem"):
            path = folder / "key.pem"
            path.write_text(key)
            path.chmod(0o600)
            login["private_key_file"] = str(path)
            login["private_key_algorithm"] = self.context.get("signing_algorithm", "ES256")
        if self.scenario.startswith("auth/client-credentials"):
            login["grant"] = "client_credentials"
        if self.scenario == "auth/basic-cimd":
            login["client_metadata_url"] = METADATA_URL
        return login


@attrs.frozen
class Client:
    """A client of the gateway that does what a scenario asks for."""

    gateway: Gateway
    task: Task

    async def tools(self) -> list[Message]:
        """Return the definitions of the server's tools."""
        asked = {"server": SERVER}
        result = await self.gateway.call("gateway_list_tools", asked, timeout=PATIENCE)
        if result.get("isError"):
            raise Refused(f"no tools: {result['content']}")
        listed: list[Message] = result["structuredContent"]["tools"]
        return listed

    async def invoke(self, tool: str, arguments: Message | None = None) -> Message:
        """Call a tool of the server; raise Refused where it fails."""
        result = await self.gateway.invoke(SERVER, tool, arguments, timeout=PATIENCE)
        if result.get("isError"):
            raise Refused(f"{tool} failed: {result['content']}")
        return result


class Refused(Exception):
    """The gateway answered that it could not do what it was asked for."""


class Step(Protocol):
    """Actions of a client in a scenario."""

    def __call__(self, client: Client) -> Awaitable[None]:
        """Do it."""


def calls(tool: str, arguments: Message | None = None) -> Step:
    """Return the step that calls one tool."""

    async def step(client: Client) -> None:
        await client.invoke(tool, arguments)

    return step


async def list_tools(client: Client) -> None:
    """List the tools, and with that connect."""
    await client.tools()


async def answer_rounds(client: Client) -> None:
    """Call tools that ask for input; while one waits for it, call another."""
    pending = True

    async def answer(params: Message) -> Message:
        nonlocal pending
        if pending:
            pending = False
            await client.invoke("test_mrtr_unrelated")
        return accept_defaults(params)

    client.gateway.on_request["elicitation/create"] = answer
    for name in ("echo_state", "no_state", "no_result_type"):
        await client.invoke(f"test_mrtr_{name}")


async def use_everything(client: Client) -> None:
    """Call, read and get whatever is listed, so that each kind of request is made."""
    for tool in await client.tools():
        await client.invoke(tool["name"])
    for resource in (await client.gateway.request("resources/list"))["resources"]:
        # The suite's resources are empty, which a strict client may refuse.
        with suppress(RpcError):
            await client.gateway.request("resources/read", {"uri": resource["uri"]})
    for prompt in (await client.gateway.request("prompts/list"))["prompts"]:
        with suppress(RpcError):
            await client.gateway.request("prompts/get", {"name": prompt["name"]})


async def play_calls(client: Client) -> None:
    """Make the calls that the suite gives."""
    for call in client.task.context["toolCalls"]:
        await client.invoke(call["name"], call["arguments"])


async def call_all(client: Client) -> None:
    """Call every tool that the gateway lets through, with values that fit."""
    for tool in await client.tools():
        await client.invoke(tool["name"], sample(tool["inputSchema"]))


async def leave_references(client: Client) -> None:
    """List tools, and call one whose schema points elsewhere; the suite's server refuses it."""
    await client.tools()
    with suppress(Refused, RpcError):
        await client.invoke("lookup_user", {"id": "somebody", "profile": {"displayName": "S."}})


async def echo_schema(client: Client) -> None:
    """Send a schema back as it came."""
    schemas = {tool["name"]: tool["inputSchema"] for tool in await client.tools()}
    await client.invoke("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]})


async def use_login(client: Client) -> None:
    """Do what takes a login: list the tools, then call one."""
    await client.tools()
    await client.invoke("test-tool")


async def refuse_login(client: Client) -> None:
    """Try to use a server that must not be trusted with a login, or that never grants one."""
    with suppress(Refused, RpcError):
        await client.invoke("test-tool")


REFUSED = (
    "scope-retry-limit",
    "resource-mismatch",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "metadata-issuer-mismatch",
)
"""Logins that must come to nothing."""

STEPS: Mapping[str, Step] = {
    "initialize": list_tools,
    "tools_call": calls("add_numbers", {"a": 5, "b": 3}),
    "elicitation-sep1034-client-defaults": calls("test_client_elicitation_defaults"),
    "sse-retry": calls("test_reconnection"),
    "request-metadata": list_tools,
    "sep-2322-client-request-state": answer_rounds,
    "http-standard-headers": use_everything,
    "http-custom-headers": play_calls,
    "http-invalid-tool-headers": call_all,
    "json-schema-ref-no-deref": leave_references,
    "json-schema-2020-12-preservation": echo_schema,
    **{f"auth/{name}": refuse_login for name in REFUSED},
}


def step_of(scenario: str) -> Step:
    """Return what to do in a scenario; those of `auth/` without an entry use a login."""
    return STEPS.get(scenario, use_login if scenario.startswith("auth/") else list_tools)


def sample(schema: Mapping[str, Any]) -> Message:
    """Return arguments that fit a flat schema."""
    values = {"string": "us-west1", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    kinds = {name: part.get("type") for name, part in schema.get("properties", {}).items()}
    return {
        name: [] if kind == "array" else {} if kind == "object" else values.get(kind, "any")
        for name, kind in kinds.items()
    }


def accept_defaults(params: Message) -> Message:
    """Accept a form as a person would who leaves everything as it stands."""
    properties = params.get("requestedSchema", {}).get("properties", {})
    content = {name: part["default"] for name, part in properties.items() if "default" in part}
    flags = [name for name, part in properties.items() if part.get("type") == "boolean"]
    return {"action": "accept", "content": {**dict.fromkeys(flags, True), **content}}


async def elicit(params: Message) -> Message:
    """Answer a form with its defaults."""
    return accept_defaults(params)


async def sample_model(params: Message) -> Message:
    """Answer for a model."""
    content = {"type": "text", "text": "An answer."}
    return {"role": "assistant", "content": content, "model": "none", "stopReason": "endTurn"}


async def list_roots(params: Message) -> Message:
    """Answer with no roots."""
    return {"roots": []}


async def drive(task: Task, folder: Path) -> None:
    """Start the gateway, play the scenario, and end the gateway."""
    environment = {"BROWSER": str(BROWSER)}
    async with open_gateway(task.config(folder), cwd=folder, env=environment) as gateway:
        gateway.on_request |= {
            "elicitation/create": elicit,
            "sampling/createMessage": sample_model,
            "roots/list": list_roots,
        }
        try:
            await gateway.initialize(dict(CAPABILITIES), timeout=PATIENCE)
            await step_of(task.scenario)(Client(gateway, task))
        finally:
            sys.stderr.write(gateway.stderr)


async def main() -> int:
    """Play the scenario that the suite asks for; return the exit status."""
    import tempfile

    task = Task.given(sys.argv, os.environ)
    with tempfile.TemporaryDirectory() as folder, trio.move_on_after(PATIENCE) as patience:
        try:
            await drive(task, Path(folder))
        except (Refused, RpcError, ConnectionError, TimeoutError) as error:
            sys.stderr.write(f"{task.scenario}: {error}\n")
            return 1
    if patience.cancelled_caught:
        sys.stderr.write(f"{task.scenario}: not done after {PATIENCE:g} s\n")
        return 1
    # What runs the suite looks for this: the suite itself does not tell of the exit status.
    print("done")
    return 0


if __name__ == "__main__":
    sys.exit(trio.run(main))
