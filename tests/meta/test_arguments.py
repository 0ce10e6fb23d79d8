"""Arguments of the meta-tools: none is ignored without a word."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgw.meta.invoke import beside
from mcpgw.meta.registry import META_TOOLS
from mcpgw.meta.tool import MetaTool, unknown_argument
from mcpgw.protocol.errors import RpcError
from tests.e2e.running import running, text
from tests.support.driver import fake

OWN = ("server", "tool", "arguments", "idempotency_key", "args")
ECHO = {"text": {"type": "string"}, "times": {"type": "integer"}}
CHECKED = [tool for tool in META_TOOLS if not tool.takes_others]


class TestNames:
    @pytest.mark.parametrize("tool", CHECKED, ids=lambda tool: str(tool.name))
    def test_every_listed_or_documented_name_is_known(self, tool: MetaTool) -> None:
        """The names of the schema are accepted, `_meta` is, and so is null for anything."""
        tool.check_names({**dict.fromkeys(tool.properties, 1), "_meta": {}, "whatever": None})
        tool.check_names(dict.fromkeys(tool.unlisted, 1))

    @pytest.mark.parametrize("tool", CHECKED, ids=lambda tool: str(tool.name))
    def test_an_unknown_name_is_refused_with_the_known_ones(self, tool: MetaTool) -> None:
        """The error has the name, the tool, and what there is instead."""
        with pytest.raises(RpcError, match=f"'zzz_unknown'.*{tool.name}") as caught:
            tool.check_names({"zzz_unknown": 1})
        assert all(name in str(caught.value) for name in tool.properties)

    @pytest.mark.parametrize("tool", [t for t in CHECKED if t.properties], ids=lambda t: t.name)
    def test_a_misspelt_name_is_corrected(self, tool: MetaTool) -> None:
        """A slip in the name of any argument gets the right one."""
        for name in tool.properties:
            slip = name[:-2] + name[-1] if len(name) > 4 else f"{name}s"
            with pytest.raises(RpcError, match=f"did you mean '{name}'"):
                tool.check_names({slip: 1})

    @pytest.mark.parametrize("tool", [t for t in CHECKED if not t.properties], ids=lambda t: t.name)
    def test_placeholders_are_accepted_where_there_are_no_arguments(self, tool: MetaTool) -> None:
        """Some clients must send something to a tool without arguments."""
        tool.check_names({"random_string": "x"})

    def test_a_long_name_is_cut(self) -> None:
        """An invented name of any length makes a short error."""
        assert len(unknown_argument("x" * 5000, ())) < 100


class TestBeside:
    @pytest.mark.parametrize("given", [{}, {"arguments": {}}, {"arguments": None}])
    @pytest.mark.parametrize("names", [ECHO, None])
    def test_arguments_of_the_tool_are_taken_in(
        self, given: dict[str, Any], names: dict[str, Any] | None
    ) -> None:
        """Without `arguments`, those beside it count if they are the tool's, or may be."""
        call = {"server": "s", "tool": "echo", "text": "1", "times": 2, **given}

        assert {"text": "1", "times": 2} == beside(call, {}, OWN, names)

    def test_options_of_the_gateway_are_taken_in_always(self) -> None:
        """`_full` and `_fields` mean the same in both places."""
        call = {"arguments": {"text": "1"}, "_full": True}

        assert {"text": "1", "_full": True} == beside(call, {"text": "1"}, OWN, ECHO)

    def test_a_name_that_is_not_the_tools_is_refused_with_the_right_form(self) -> None:
        """The error has the probable name and a call to copy."""
        call = {"server": "s", "tool": "echo", "txt": "1"}
        with pytest.raises(RpcError) as caught:
            beside(call, {}, OWN, ECHO)

        message = str(caught.value)
        assert "'txt' (did you mean 'text'?)" in message
        assert '{"server": "…", "tool": "…", "arguments": {"text": "…", "times": "…"}}' in message

    def test_a_misspelt_name_of_the_meta_tool_is_corrected(self) -> None:
        """The slip may be in the word `arguments` itself."""
        with pytest.raises(RpcError, match="did you mean 'arguments'"):
            beside({"server": "s", "argumnets": {"text": "1"}}, {}, OWN, ECHO)

    def test_both_at_once_are_refused(self) -> None:
        """Nothing tells which of two places is right; the error shows them in one."""
        call = {"server": "s", "tool": "echo", "arguments": {"text": "1"}, "times": 2}
        with pytest.raises(RpcError) as caught:
            beside(call, {"text": "1"}, OWN, ECHO)

        assert "'times' is given beside 'arguments'" in str(caught.value)
        assert '"arguments": {"text": "…", "times": "…"}' in str(caught.value)


class TestHints:
    @pytest.mark.parametrize("tool", META_TOOLS, ids=lambda tool: str(tool.name))
    def test_a_tool_that_calls_others_may_destroy(self, tool: MetaTool) -> None:
        """A client that approves calls by their hints must not pass these without asking."""
        calls_any = {"gateway_invoke", "gateway_run_playbook", "gateway_execute"}
        hints = tool.hints.to_wire()
        if tool.name in calls_any:
            assert (False, True) == (hints["readOnlyHint"], hints["destructiveHint"])
        assert not (hints["readOnlyHint"] and hints["destructiveHint"])


@pytest.mark.process
async def test_a_call_with_flat_arguments_reaches_the_tool() -> None:
    """`gateway_invoke`, `gateway_execute` and steps of a chain take them in or refuse them."""
    async with running({"one": fake("--tools", "echo")}) as gateway:
        flat = {"server": "one", "tool": "echo", "text": "hi"}
        assert "hi" == text(await gateway.call("gateway_invoke", flat))
        assert "hi" == text(await gateway.call("gateway_invoke", flat))  # its schema is known now
        with pytest.raises(Exception, match=r"did you mean .*text"):
            await gateway.call("gateway_invoke", {"server": "one", "tool": "echo", "txt": "hi"})
        with pytest.raises(Exception, match=r"did you mean .*server"):
            await gateway.call("gateway_list_tools", {"servr": "one"})

    async with running({"one": fake("--tools", "echo")}, code_mode={"enabled": True}) as gateway:
        assert "hi" == text(
            await gateway.call("gateway_execute", {"tool": "one:echo", "text": "hi"})
        )
        chain = {"chain": [{"tool": "one:echo", "text": "hi"}]}
        assert "hi" in text(await gateway.call("gateway_execute", chain))
        with pytest.raises(Exception, match="txt"):
            await gateway.call("gateway_execute", {"chain": [{"tool": "one:echo", "txt": "hi"}]})
        with pytest.raises(Exception, match="text"):
            await gateway.call("gateway_execute", {**chain, "text": "hi"})
