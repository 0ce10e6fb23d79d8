"""Override variables `MCP_GATEWAY_SECTION__KEY`."""

from __future__ import annotations

import pytest

from mcpgw.config.overrides import apply_overrides, read_value

from .conftest import Faults, LoadYaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ("yes", "yes"),
        ("30s", "30s"),
        ("2025-06-18", "2025-06-18"),
        ("", None),
        ("'5'", "5"),
        ("[a, 'b c', 1]", ["a", "b c", 1]),
        ("{A: b}", {"A": "b"}),
        ("npx: x", "npx: x"),
        ("- x", "- x"),
        ("@x", "@x"),
        ("a #b", "a"),
    ],
)
def test_values(text: str, value: object) -> None:
    """A value is a YAML scalar, list or map; text that only looks like more stays text."""
    assert value == read_value(text)


def test_variables_come_over_the_file(load_yaml: LoadYaml) -> None:
    """A variable wins over the file, reaches keys in other spelling, and leaves the rest."""
    loaded = load_yaml(
        """
server: {shutdown_timeout: 5s, max_body_size: 2048}
backends:
  Git-Hub: &one {command: x, env: {TOKEN: old, OTHER: kept}}
  twin: *one
""",
        {
            "MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT": "",
            "MCP_GATEWAY_META_MCP__WARM_START": "[Git-Hub]",
            "MCP_GATEWAY_FAILSAFE__RETRY__MAX_ATTEMPTS": "9",
            "MCP_GATEWAY_BACKENDS__GIT_HUB__ENV__TOKEN": "new",
            "MCP_GATEWAY_BACKENDS__MORE__COMMAND": "run it",
            "MCP_GATEWAY_HOME": "/x",
            "MCP_GATEWAY_CONFIG": "/y",
        },
    )
    config = loaded.config
    assert () == loaded.warnings
    assert (30.0, 2048) == (config.server.shutdown_timeout, config.server.max_body_size)
    assert ("Git-Hub",) == config.meta_mcp.warm_start
    assert 9 == config.failsafe.retry.max_attempts
    assert {"TOKEN": "new", "OTHER": "kept"} == config.backends["Git-Hub"].env
    assert {"TOKEN": "old", "OTHER": "kept"} == config.backends["twin"].env
    assert ("run", "it") == config.backends["more"].command


def test_data_of_the_file_is_left_as_it_is() -> None:
    """Laying variables over data makes new maps and changes none."""
    data: dict[object, object] = {"server": {"port": 1}}
    laid = apply_overrides(data, {"MCP_GATEWAY_SERVER__PORT": "2"})
    assert ({"server": {"port": 2}}, {"server": {"port": 1}}) == (laid.data, data)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT",
            "soon",
            (
                "MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT: server.shutdown_timeout: must be a"
                " duration, not a string. Write it as 500ms, 30s, 5m, 2h or 1m30s."
            ),
        ),
        (
            "MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOT",
            "5s",
            (
                "MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOT: server.shutdown_timeot: unknown key."
                " Did you mean 'shutdown_timeout'?"
            ),
        ),
        (
            "MCP_GATEWAY_META_MCP__WARM_START",
            "[a, 5]",
            (
                "MCP_GATEWAY_META_MCP__WARM_START: meta_mcp.warm_start[1]: must be a string, not"
                " a number. Put it in quotes."
            ),
        ),
        (
            "MCP_GATEWAY_META_MCP__WARM_START",
            "[a",
            (
                "MCP_GATEWAY_META_MCP__WARM_START: meta_mcp.warm_start: a '[' above is not closed"
                " by ']', or a ',' is missing."
            ),
        ),
        (
            "MCP_GATEWAY_ENV_FILES__X",
            "a",
            (
                "MCP_GATEWAY_ENV_FILES__X: env_files.x: cannot set a key of 'env_files', which"
                " is not a map in the file."
            ),
        ),
        (
            "MCP_GATEWAY_BACKENDS__NEW__TIMEOUT",
            "5s",
            (
                "MCP_GATEWAY_BACKENDS__NEW__TIMEOUT: backends.new: the backend has no transport."
                " Set 'command' (a program to start), 'http_url' or 'ws_url'."
            ),
        ),
        (
            "MCP_GATEWAY_BACKENDS__OLD__ENV__TOKEN",
            "123456",
            (
                "MCP_GATEWAY_BACKENDS__OLD__ENV__TOKEN: backends.old.env.token: must be a string,"
                " not a number. Put it in quotes."
            ),
        ),
    ],
)
def test_errors_name_the_variable(faults: Faults, name: str, value: str, problem: str) -> None:
    """A fault in an override is reported with the variable instead of file and line."""
    text = "env_files: []\nbackends:\n  old: {command: x}\n"
    assert problem == str(faults(text, {name: value}))


def test_a_fault_beside_a_variable_keeps_its_line(faults: Faults) -> None:
    """A fault in the file keeps its line, even if a variable sets another key beside it."""
    error = faults("server:\n  max_body_size: 1\n", {"MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT": "5s"})
    assert [("gateway.yaml", 2)] == [(problem.file, problem.line) for problem in error.problems]


def test_names_with_nothing_between_underscores_are_ignored(load_yaml: LoadYaml) -> None:
    """A name that leads nowhere, or to an unknown place, warns and stops nothing."""
    loaded = load_yaml("", {"MCP_GATEWAY_A____B": "1", "MCP_GATEWAY_ZZZZ__B": "1"})
    assert [
        "MCP_GATEWAY_A____B: a name is missing before or after '__'; variable ignored.",
        "MCP_GATEWAY_ZZZZ__B: zzzz: unknown key, ignored.",
    ] == [str(warning) for warning in loaded.warnings]
