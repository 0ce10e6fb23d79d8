"""Changing gateway.yaml under a running gateway, and waiting for what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from tests.e2e.running import Backends, payload, servers, text
from tests.support.driver import Gateway, Message, yaml_config
from tests.support.patience import PATIENCE

BROKEN = 'backends:\n  one:\n    command: "cat"\n    tiemout: 5s\n'
"""A gateway.yaml whose fourth line is wrong."""
TOOLS_CHANGED = "notifications/tools/list_changed"


def write(gateway: Gateway, backends: Backends, **sections: object) -> None:
    """Put another gateway.yaml in the place of the gateway's, in one step."""
    write_text(gateway, yaml_config(backends, mark=gateway.mark, **sections))


def write_text(gateway: Gateway, content: str) -> None:
    """Put another text in the place of the gateway's gateway.yaml, in one step."""
    fresh = gateway.folder / "gateway.yaml.new"
    fresh.write_text(content)
    fresh.replace(gateway.folder / "gateway.yaml")


async def reload(gateway: Gateway) -> Message:
    """Reload by the tool and return the outcome."""
    outcome: Message = payload(await gateway.call("gateway_reload_config", timeout=PATIENCE))
    return outcome


async def names_are(gateway: Gateway, names: set[str]) -> None:
    """Wait until the gateway has these servers."""
    there: set[str] = set()
    with trio.move_on_after(PATIENCE):
        while (there := set(await servers(gateway))) != names:  # noqa: ASYNC110
            await trio.sleep(0.05)
        return
    raise AssertionError(f"servers {there}, not {names}; {gateway.describe()}")


async def tools_are(gateway: Gateway, server: str, names: list[str]) -> None:
    """Wait until a server has these tools."""
    with trio.fail_after(PATIENCE):
        while True:
            result = await gateway.call("gateway_list_tools", {"server": server}, timeout=PATIENCE)
            if names == [tool["name"] for tool in payload(result)["tools"]]:
                return
            await trio.sleep(0.05)


async def config_problem(gateway: Gateway) -> str | None:
    """Return what gateway_list_servers says of the configuration."""
    listed = payload(await gateway.call("gateway_list_servers", timeout=PATIENCE))
    problem: str | None = listed.get("config_problem")
    return problem


def no_error(result: Message) -> str:
    """Return the text of a result that must not be an error."""
    assert not result.get("isError"), text(result)
    return text(result)


def message(*, after: int, gateway: Gateway) -> list[Mapping[str, object]]:
    """Return the log messages that the client got after so many notifications."""
    return [
        notification["params"]
        for notification in gateway.notifications[after:]
        if notification["method"] == "notifications/message"
    ]
