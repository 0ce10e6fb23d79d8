"""Loading of gateway.yaml: settings, invalid values, and error messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcpgw.config.loader import load
from mcpgw.config.problems import ConfigError, Problem
from mcpgw.config.schema import GatewayConfig
from mcpgw.config.yamlfile import YamlSyntaxError, parse

from .conftest import Faults, LoadYaml


def lines_of(error: ConfigError) -> list[str]:
    """Write each problem of an error as one line."""
    return [str(problem) for problem in error.problems]


@pytest.mark.parametrize("text", ["", "# only a note\n", "---\n", "\ufeff", "server:\nbackends:\n"])
def test_an_empty_file_or_section_means_the_defaults(load_yaml: LoadYaml, text: str) -> None:
    """Nothing said, in the file or below a key, is the same as the defaults."""
    loaded = load_yaml(text)
    assert (GatewayConfig(), ()) == (loaded.config, loaded.warnings)


def test_no_file_gives_defaults_with_overrides() -> None:
    """Without a file there are the defaults, and the override variables count."""
    loaded = load(None, environ={"MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT": "5s", "X": "y"})
    assert 5.0 == loaded.config.server.shutdown_timeout
    assert (None, (), ()) == (loaded.path, loaded.watched, loaded.warnings)
    assert "y" == loaded.environ["X"]


def test_values_of_all_kinds(load_yaml: LoadYaml) -> None:
    """Settings are read in their units, unnamed ones keep their defaults."""
    loaded = load_yaml("""
server: {shutdown_timeout: 1m30s, max_body_size: 1024}
meta_mcp: {cache_ttl: "90", warm_start: all}
failsafe:
  circuit_breaker: {failure_threshold: 1}
  retry: {max_attempts: 0, initial_backoff: 0, multiplier: 1}
  rate_limit: {requests_per_second: 0.5}
  concurrency: {max_in_flight: 2}
  health_check: {interval: 15}
""")
    config = loaded.config
    assert (90.0, 1024) == (config.server.shutdown_timeout, config.server.max_body_size)
    assert 90.0 == config.meta_mcp.cache_ttl
    assert config.meta_mcp.warms("anything")
    assert (1, 3) == (
        config.failsafe.circuit_breaker.failure_threshold,
        config.failsafe.circuit_breaker.success_threshold,
    )
    assert (1, 0.0, 1.0) == (
        config.failsafe.retry.max_attempts,
        config.failsafe.retry.initial_backoff,
        config.failsafe.retry.multiplier,
    )
    assert 0.5 == config.failsafe.rate_limit.requests_per_second
    assert (True, 2) == (
        config.failsafe.concurrency.enabled,
        config.failsafe.concurrency.max_in_flight,
    )
    assert (15.0, 5.0) == (
        config.failsafe.health_check.interval,
        config.failsafe.health_check.timeout,
    )
    assert () == loaded.warnings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "server: {shutdown_timeout: soon}",
            (
                "gateway.yaml:1: server.shutdown_timeout: must be a duration, not 'soon'."
                " Write it as 500ms, 30s, 5m, 2h or 1m30s."
            ),
        ),
        (
            "server: {shutdown_timeout: 0s}",
            "gateway.yaml:1: server.shutdown_timeout: must be greater than 0, not '0s'.",
        ),
        (
            "server: {shutdown_timeout: -1}",
            "gateway.yaml:1: server.shutdown_timeout: must be greater than 0, not -1.",
        ),
        (
            "server: {max_body_size: 1023}",
            "gateway.yaml:1: server.max_body_size: must be at least 1024, not 1023.",
        ),
        (
            'server: {max_body_size: "4096"}',
            (
                "gateway.yaml:1: server.max_body_size: must be a whole number without quotes,"
                " not '4096'."
            ),
        ),
        (
            "server: {max_body_size: true}",
            (
                "gateway.yaml:1: server.max_body_size: must be a whole number without quotes,"
                " not true."
            ),
        ),
        (
            "failsafe: {retry: {enabled: yes}}",
            (
                "gateway.yaml:1: failsafe.retry.enabled: must be true or false without quotes, not"
                " 'yes'. In YAML 1.2, yes, no, on and off are strings."
            ),
        ),
        (
            "meta_mcp: {warm_start: github}",
            (
                "gateway.yaml:1: meta_mcp.warm_start: must be a list, not a string."
                " Put it in brackets: [...]."
            ),
        ),
        (
            "meta_mcp:\n  warm_start:\n  - a\n  - 5",
            (
                "gateway.yaml:4: meta_mcp.warm_start[1]: must be a string, not a number."
                " Put it in quotes."
            ),
        ),
        ("server: 5", "gateway.yaml:1: server: must be a map, not a number."),
        ("env_files: {}", "gateway.yaml:1: env_files: must be a list, not a map."),
        (
            "failsafe:\n  circuit_breaker:\n    failure_threshold: 0",
            (
                "gateway.yaml:3: failsafe.circuit_breaker.failure_threshold:"
                " must be at least 1, not 0."
            ),
        ),
        (
            "failsafe: {rate_limit: {requests_per_second: 0}}",
            (
                "gateway.yaml:1: failsafe.rate_limit.requests_per_second:"
                " must be greater than 0, not 0."
            ),
        ),
        (
            "failsafe: {retry: {multiplier: .nan}}",
            "gateway.yaml:1: failsafe.retry.multiplier: must be a finite number of at most 1e12.",
        ),
        (
            "failsafe: {retry: {multiplier: 0.9}}",
            "gateway.yaml:1: failsafe.retry.multiplier: must be at least 1, not 0.9.",
        ),
        (
            "failsafe:\n  retry:\n    initial_backoff: 1m",
            (
                "gateway.yaml:2: failsafe.retry.max_backoff: must not be shorter than"
                " initial_backoff (1m), not 10s. Raise max_backoff or lower initial_backoff."
            ),
        ),
        (
            "backends: [a]",
            (
                "gateway.yaml:1: backends: must be a map of names to settings, not a list."
                " Write each backend as 'name:' with its settings below it."
            ),
        ),
        (
            "comand: 1\nmcpServers: {}",
            (
                "gateway.yaml:2: mcpServers: belongs to the configuration of AI clients."
                " Define servers below 'backends'."
            ),
        ),
        ("1: 2", "gateway.yaml:1: 1: the name of a key must be a string. Put it in quotes."),
    ],
)
def test_a_value_that_does_not_fit_is_refused(faults: Faults, text: str, problem: str) -> None:
    """An error names file, line, key and value, and says what to write."""
    assert problem == str(faults(text))


def test_all_problems_are_told_at_once(faults: Faults) -> None:
    """Every fault of the file is in one exception: errors by line, then warnings."""
    error = faults("""\
servr: {}
server:
  shutdown_timeout: never
  colour: red
failsafe:
  retry: {max_attempts: -1, multiplier: x}
backends:
  a b:
    comand: x
""")
    assert [
        "gateway.yaml:1: servr: unknown key. Did you mean 'server'?",
        (
            "gateway.yaml:3: server.shutdown_timeout: must be a duration, not 'never'."
            " Write it as 500ms, 30s, 5m, 2h or 1m30s."
        ),
        "gateway.yaml:6: failsafe.retry.max_attempts: must be at least 0, not -1.",
        "gateway.yaml:6: failsafe.retry.multiplier: must be a number without quotes, not 'x'.",
        (
            "gateway.yaml:8: backends.a b: the backend has no transport."
            " Set 'command' (a program to start), 'http_url' or 'ws_url'."
        ),
        "gateway.yaml:9: backends.a b.comand: unknown key. Did you mean 'command'?",
        "gateway.yaml:4: server.colour: unknown key, ignored.",
        (
            "gateway.yaml:8: backends.a b: the name must not contain ' '; it is called 'a-b'"
            " instead. Use 1 to 128 letters (a-z, A-Z), digits, '-', '_' or '.'."
        ),
    ] == lines_of(error)
    assert "colour" not in str(error)
    assert "\n\n".join(lines_of(error)[:-2]) == str(error)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a:\n\tb: 1", 2, "column 1: tabs are not allowed; indent with spaces"),
        ("a: @b", 1, "column 4: a plain string must not start with @; put it in quotes"),
        ("a: 1\nb: 2\na: s3cret", 3, "column 1: duplicate key 'a'"),
        ("a: 'b", 1, "column 6: unclosed quote"),
        ("a: [b}", 1, "column 6: a '[' above is not closed by ']', or a ',' is missing"),
        ("a: *b", 1, "column 4: unknown alias (*name): its anchor (&name) is missing above"),
        ("a: 1\n---\nb: 1", 2, "column 1: a second document ('---') is not allowed"),
        ("a: !x b", 1, "column 4: unsupported tag (!name)"),
        ("a:\n  b: 1\n c: 2", 3, "column 2: unexpected text; check the indentation"),
        ("a: b: c", 1, "column 5: unexpected ':'"),
        ("a: 1\nb: \x01", 2, "column 4: the control character '\\x01' is not allowed in YAML"),
        ("a: !!int b", None, "invalid number; put it in quotes if it is a string"),
        ("- a", 1, "the top level of the file must be a map, not a list"),
        ("only words", 1, "the top level of the file must be a map, not a string"),
    ],
)
def test_what_is_no_yaml_is_told_in_plain_words(
    faults: Faults, text: str, line: int | None, message: str
) -> None:
    """A syntax error names the file, the line, the column, and the cause without the values."""
    (problem,) = faults(text).problems
    assert ("gateway.yaml", line) == (problem.file, problem.line)
    assert problem.message.startswith(message)
    assert "s3cret" not in problem.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and invalid UTF-8 have distinct errors."""
    (tmp_path / "bytes.yaml").write_bytes(b"a: 1\nb: \xff\n")
    told = {}
    for name in ("missing.yaml", "", "bytes.yaml"):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name, environ={})
        (problem,) = caught.value.problems
        told[name] = (problem.line, problem.message)
    assert {
        "missing.yaml": (None, "the file does not exist"),
        "": (None, "this is a folder, not a file"),
        "bytes.yaml": (2, "the file is not valid UTF-8"),
    } == told


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "denied"), "permission denied"),
        (OSError(5, "Input/output error"), "the file cannot be read: Input/output error"),
    ],
)
def test_a_file_that_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    """The operating system's message about the file reaches the user."""

    def refuse(_: Path) -> bytes:
        raise error

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError) as caught:
        load(Path("gateway.yaml"), environ={})
    assert [message] == [problem.message for problem in caught.value.problems]


def test_a_key_of_another_version_only_warns(load_yaml: LoadYaml) -> None:
    """Unknown keys without a suggestion, and unsupported ones, only cause warnings."""
    loaded = load_yaml("""\
x-common: &common {timeout: 5s}
telepathy: true
key_server: {enabled: true, sub: {}}
server:
  ws_port: 1
backends:
  a: {<<: *common, command: x, weather: fine, runtime_profile: p, transport: stdio}
""")
    assert [
        "gateway.yaml:2: telepathy: unknown key, ignored.",
        "gateway.yaml:3: key_server: is not supported by this version and is ignored.",
        "gateway.yaml:3: key_server.sub: unknown key, ignored.",
        "gateway.yaml:5: server.ws_port: is not supported by this version and is ignored.",
        "gateway.yaml:7: backends.a.weather: unknown key, ignored.",
        (
            "gateway.yaml:7: backends.a.runtime_profile: is not supported by this version and is"
            " ignored."
        ),
        (
            "gateway.yaml:7: backends.a.transport: is ignored."
            " 'command', 'http_url' or 'ws_url' determines the transport."
        ),
    ] == [str(warning) for warning in loaded.warnings]
    assert {"warning"} == {warning.level for warning in loaded.warnings}
    assert 5.0 == loaded.config.backends["a"].timeout


def test_a_slip_inside_a_list_of_maps_is_found(faults: Faults) -> None:
    """A misspelt key is an error even in lists and unsupported sections."""
    error = faults("auth:\n  api_keys:\n  - key: a\n    nam: b\n")
    assert "gateway.yaml:4: auth.api_keys[0].nam: unknown key. Did you mean 'name'?" == str(error)


def test_a_fault_in_merged_keys_is_found_where_it_stands(faults: Faults) -> None:
    """A key merged by `<<` is reported with the line of the anchor."""
    error = faults("x-a: &a\n  timeout: soon\nbackends:\n  b:\n    <<: *a\n    command: x\n")
    assert [("backends.b.timeout", 2)] == [(p.key, p.line) for p in error.problems]


def test_warm_start_of_a_backend_that_is_not_there(load_yaml: LoadYaml) -> None:
    """A name in warm_start that no backend has is warned about with the nearest one."""
    loaded = load_yaml("meta_mcp: {warm_start: [githb, all]}\nbackends: {github: {command: x}}")
    assert [
        ("gateway.yaml:1: meta_mcp.warm_start[0]: unknown backend 'githb'. Did you mean 'github'?")
    ] == [str(warning) for warning in loaded.warnings]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "meta_mcp: {surfaced_tools: [{server: githb, tool: x}]}",
            "meta_mcp.surfaced_tools[0].server: unknown backend 'githb'. Did you mean 'github'?",
        ),
        ("meta_mcp: {surfaced_tools: [{server: capabilities, tool: x}]}", ""),
        ("capabilities: {name: apis}\nmeta_mcp: {surfaced_tools: [{server: apis, tool: x}]}", ""),
        (
            "default_routing_profile: readin\nrouting_profiles: {reading: {}}",
            (
                "default_routing_profile: unknown routing profile 'readin', so all tools are"
                " allowed. Did you mean 'reading'?"
            ),
        ),
        ("default_routing_profile: reading\nrouting_profiles: {reading: {}}", ""),
        ("default_routing_profile: default", ""),
    ],
)
def test_names_that_are_not_there(load_yaml: LoadYaml, text: str, told: str) -> None:
    """A setting that names a server or profile that is not configured is warned about."""
    loaded = load_yaml(f"backends: {{github: {{command: x}}}}\n{text}")
    warnings = [str(warning).partition(": ")[2] for warning in loaded.warnings]
    assert ([told] if told else []) == warnings


@pytest.mark.parametrize(
    ("chosen", "name"),
    [(None, "reading"), ("", "reading"), ("raeding", "reading"), ("other", "other")],
)
def test_an_unknown_profile_lifts_no_restriction(
    load_yaml: LoadYaml, chosen: str | None, name: str
) -> None:
    """A session that chose a profile that does not exist has the default one."""
    profiles = "routing_profiles: {reading: {allow_tools: [a]}, other: {}}"
    config = load_yaml(f"default_routing_profile: reading\n{profiles}").config
    assert (name, config.routing_profiles[name]) == config.routing_profile(chosen)


def test_env_files_lie_over_the_environment(
    load_yaml: LoadYaml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later files win over earlier ones and over the process; the process itself is not changed."""
    monkeypatch.setenv("TOKEN", "process")
    home = tmp_path / "home"
    home.mkdir()
    (home / "one.env").write_text("TOKEN=one\nFIRST=1\n")
    (tmp_path / "two.env").write_text("TOKEN=two\nMCP_GATEWAY_META_MCP__CACHE_TTL=7s\nbad\n")
    (tmp_path / "bytes.env").write_bytes(b"A=\xff")
    before = dict(os.environ)
    loaded = load_yaml(
        "env_files: [~/one.env, missing.env, two.env, bytes.env]\n"
        "backends: {a: {command: x, env: {TOKEN: '${TOKEN}${FIRST}${KEPT}'}}}\n",
        {"TOKEN": "process", "KEPT": "!", "HOME": str(home)},
    )
    assert "two1!" == loaded.config.backends["a"].env["TOKEN"]
    assert 7.0 == loaded.config.meta_mcp.cache_ttl
    assert ("two", "1") == (loaded.environ["TOKEN"], loaded.environ["FIRST"])
    assert before == dict(os.environ)
    assert (
        tmp_path / "gateway.yaml",
        home / "one.env",
        tmp_path / "missing.env",
        tmp_path / "two.env",
        tmp_path / "bytes.env",
    ) == loaded.watched
    assert [
        (str(tmp_path / "two.env"), 3, "not of the form NAME=value; line skipped"),
        (str(tmp_path / "bytes.env"), None, "the file is not valid UTF-8; file skipped"),
    ] == [(warning.file, warning.line, warning.message) for warning in loaded.warnings]


def test_a_problem_is_one_paragraph() -> None:
    """A problem reads: place, key, what is wrong, what to do."""
    problem = Problem("a.yaml", 3, "b.c", "is bad", "Do better.")
    assert "a.yaml:3: b.c: is bad. Do better." == str(problem)
    assert "MCP_X: is bad." == str(Problem("MCP_X", None, "", "is bad"))


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: 1}\nserver: {port: 1}\n",
        "server: {port: 1}\nbackends: {}\nserver:\n  port: 1\n",
    ],
)
def test_a_key_that_is_repeated_with_the_same_value_is_accepted(text: str) -> None:
    """It loses nothing; another value under the same key is an error."""
    assert parse(text)["server"] == {"port": 1}  # type: ignore[index]
    with pytest.raises(YamlSyntaxError, match="duplicate key 'server'"):
        parse(f"{text}server: {{port: 2}}\n")
