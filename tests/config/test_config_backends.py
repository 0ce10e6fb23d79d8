"""The backends of a gateway.yaml."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgw.config.failsafe import FailsafeConfig, RetryConfig
from mcpgw.config.schema import BackendConfig
from mcpgw.config.server_names import usable_names, why_unusable

from .conftest import Faults, LoadYaml

SECRET = "hunter2-hunter2"


def warnings_of(load_yaml: LoadYaml, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Load a text and return its warnings as `key: message`."""
    loaded = load_yaml(text, environ)
    return [f"{warning.key}: {warning.message}" for warning in loaded.warnings]


def test_a_full_backend(load_yaml: LoadYaml) -> None:
    """Every setting of a stdio backend arrives, expanded, in seconds and words."""
    loaded = load_yaml(
        """
backends:
  git.hub-1_x:
    command: npx -y "@scope/pkg" ${FLAG:---fast}
    args: [--token, "${TOKEN}", "a b"]
    env: {KEY: "${TOKEN}", PLAIN: text, EMPTY: "", FALLBACK: "${NO:-x}"}
    cwd: ~/${WHERE}
    enabled: true
    timeout: 5s
    start_timeout: 10
    description: code
    stop_when_idle_for: 5m
    protocol_version: 2025-06-18
""",
        {"TOKEN": SECRET, "WHERE": "work", "HOME": "/home/ann"},
    )
    assert () == loaded.warnings
    assert (
        BackendConfig(
            name="git.hub-1_x",
            command=("npx", "-y", "@scope/pkg", "--fast", "--token", SECRET, "a b"),
            env={"KEY": SECRET, "PLAIN": "text", "EMPTY": "", "FALLBACK": "x"},
            cwd="/home/ann/work",
            timeout=5.0,
            start_timeout=10.0,
            description="code",
            stop_when_idle_for=300.0,
            protocol_version="2025-06-18",
        )
        == loaded.config.backends["git.hub-1_x"]
    )


def test_defaults_and_forms_of_command(load_yaml: LoadYaml) -> None:
    """A command may be text or a list; the order of the file is kept; disabled ones stay."""
    loaded = load_yaml(
        """
backends:
  z: {command: [run, "a b", "${X}"]}
  a: {command: run, enabled: false, timeout: null, description: }
""",
        {"X": "c d"},
    )
    backends = loaded.config.backends
    assert ["z", "a"] == list(backends)
    assert ("run", "a b", "c d") == backends["z"].command
    assert BackendConfig("a", command=("run",), enabled=False) == backends["a"]
    assert (60.0, 60.0, None) == (
        backends["z"].timeout,
        backends["z"].start_timeout,
        backends["z"].stop_when_idle_for,
    )


@pytest.mark.parametrize(
    ("backend", "key", "message"),
    [
        ("{}", "a", "the backend has no transport"),
        ("", "a", "the backend has no transport"),
        ("{command: ''}", "a", "the backend has no transport"),
        ("npx x", "a", "must be a map of settings, not a string"),
        ("{command: x, http_url: 'http://h'}", "a", "'command' and 'http_url' exclude each other"),
        (
            "{ws_url: 'ws://h', a2a_url: 'http://h'}",
            "a",
            "'ws_url' and 'a2a_url' exclude each other",
        ),
        ('{command: "run \'x"}', "a.command", "has an unclosed quote, or a backslash at its end"),
        ("{command: ' '}", "a.command", "must not be blank"),
        ("{command: ['', x]}", "a.command", "the program to start must not be blank"),
        ("{command: 5}", "a.command", "must be a string or a list of strings, not a number"),
        ("{command: [x, 5]}", "a.command[1]", "must be a string, not a number"),
        ("{command: x, args: y}", "a.args", "must be a list of strings, not a string"),
        ("{command: x, args: [y, 5]}", "a.args[1]", "must be a string, not a number"),
        ("{command: x, env: [A]}", "a.env", "must be a map of names to strings, not a list"),
        ("{command: x, env: {A: 5}}", "a.env.A", "must be a string, not a number"),
        ("{command: x, env: {A: }}", "a.env.A", "must be a string, not null"),
        (
            "{command: x, env: {A=B: c}}",
            "a.env.A=B",
            "a name must not be empty or contain '=' or NUL",
        ),
        ('{command: x, env: {A: "\\0"}}', "a.env.A", "must not contain NUL"),
        ("{command: x, cwd: [y]}", "a.cwd", "must be a string, not a list"),
        ("{command: x, timeout: 0}", "a.timeout", "must be greater than 0, not 0"),
        ("{http_url: 'ftp://h'}", "a.http_url", "is not a valid URL"),
        ("{http_url: 'http://'}", "a.http_url", "is not a valid URL"),
        ("{http_url: 'http://h:x'}", "a.http_url", "is not a valid URL"),
        ("{ws_url: 'http://h'}", "a.ws_url", "is not a valid URL"),
        (
            "{http_url: 'http://h', stop_when_idle_for: 5s}",
            "a.stop_when_idle_for",
            "is only valid with 'command'",
        ),
        ("{command: x, retry: 5}", "a.retry", "must be a map, not a number"),
        (
            "{command: x, retry: {max_attempts: -1}}",
            "a.retry.max_attempts",
            "must be at least 0, not -1",
        ),
        (
            "{command: x, retry: {initial_backoff: 11s}}",
            "a.retry.max_backoff",
            "must not be shorter than initial_backoff (11s), not 10s",
        ),
        ("{command: x, retry: {maxattempts: 1}}", "a.retry.maxattempts", "unknown key"),
        ("{url: 'http://h', command: x}", "a.url", "unknown key"),
    ],
)
def test_a_backend_that_cannot_work_is_refused(
    faults: Faults, backend: str, key: str, message: str
) -> None:
    """Each fault of a backend is reported once, with its key and line."""
    error = faults(f"backends:\n  a: {backend}\n")
    told = [
        (problem.line, problem.key, problem.message)
        for problem in error.problems
        if problem.level == "error"
    ]
    assert [(2, f"backends.{key}", message)] == told


@pytest.mark.parametrize(
    ("written", "name", "message"),
    [
        ("'My Server'", "My-Server", "the name must not contain ' '"),
        ("'a/b:c/'", "a-b-c", "the name must not contain '/', ':'"),
        ("'@scope/server'", "scope-server", "the name must not contain '@', '/'"),
        ("Büro", "Buro", "the name must not contain 'ü'"),
        ("'天气'", "server-4d9473", "the name must not contain '天', '气'"),
        ("''", "server-e3b0c4", "the name of a backend must not be empty"),
        ("'" + "n" * 129 + "'", "n" * 128, "the name has 129 characters; at most 128 are allowed"),
    ],
)
def test_names_that_cannot_be_used(
    load_yaml: LoadYaml, written: str, name: str, message: str
) -> None:
    """The server gets a usable name, its own describes it, and the others are not affected."""
    loaded = load_yaml(f"backends: {{{written}: {{command: x}}, other: {{command: y}}}}")
    assert [name, "other"] == list(loaded.config.backends)
    server = loaded.config.backends[name]
    assert (name, written.strip("'")) == (server.name, server.description)
    (warning,) = loaded.warnings
    assert f"{message}; it is called {name!r} instead" == warning.message
    assert 1 == warning.line


def test_a_name_that_is_no_string(faults: Faults) -> None:
    """YAML reads `12` as a number."""
    (problem,) = faults("backends: {12: {command: x}}").problems
    assert "the name of a key must be a string" == problem.message


def test_names_that_become_the_same(load_yaml: LoadYaml) -> None:
    """A usable name belongs to the server that has it; others are numbered in their order."""
    loaded = load_yaml(
        "meta_mcp: {warm_start: ['a b', a-b-2]}\n"
        "backends:\n"
        "  a b: {command: first, description: My own words}\n"
        "  a:b: {command: second}\n"
        "  a-b: {command: third}\n"
    )
    commands = {name: each.command[0] for name, each in loaded.config.backends.items()}
    assert {"a-b-2": "first", "a-b-3": "second", "a-b": "third"} == commands
    assert "My own words" == loaded.config.backends["a-b-2"].description
    assert ["unknown backend 'a b'"] == [
        each.message for each in loaded.warnings if "warm_start" in each.key
    ]


@given(st.lists(st.text(max_size=140), max_size=6, unique=True))
def test_every_name_gets_a_usable_one_of_its_own(titles: list[str]) -> None:
    """Whatever a file has, no server is lost, and usable names stay."""
    names = usable_names(titles)
    assert titles == sorted(names, key=titles.index)
    assert len(titles) == len(set(names.values()))
    for title, name in names.items():
        assert "" == why_unusable(name)
        if not why_unusable(title):
            assert title == name


def test_unset_variables_are_warned_about(load_yaml: LoadYaml) -> None:
    """A child starts without an entry whose variable is unset; elsewhere it counts as empty."""
    text = """
backends:
  a:
    command: [run, "${NO}", "${NO}"]
    env: {GONE: "x${NO}", KEPT: "${EMPTY}", ODD: "${not-a-name}", OLD: "env:NO"}
  off: {command: "run ${NO}", enabled: false}
"""
    loaded = load_yaml(text, {"EMPTY": ""})
    backend = loaded.config.backends["a"]
    assert ("run", "", "") == backend.command
    assert {"KEPT": "", "ODD": "${not-a-name}", "OLD": "env:NO"} == backend.env
    assert [
        (4, "backends.a.command", "backend 'a': the variable NO is not set and counts as empty"),
        (
            5,
            "backends.a.env.GONE",
            (
                "backend 'a': the variable NO is not set,"
                " so the entry is left out of the environment of the program"
            ),
        ),
        (
            5,
            "backends.a.env.ODD",
            "a '${' that is not of the form ${NAME} or ${NAME:-default} is not expanded",
        ),
        (5, "backends.a.env.OLD", "'env:' has no meaning here and is passed on unchanged"),
    ] == [(warning.line, warning.key, warning.message) for warning in loaded.warnings]


def test_network_backends_are_read(load_yaml: LoadYaml) -> None:
    """Network backends arrive with URL and headers expanded, and a word that they wait."""
    text = """
backends:
  h: {http_url: "https://${HOST}/mcp", headers: {Authorization: "Bearer ${TOKEN}", X: "${NO}"}}
  w: {ws_url: "wss://h/ws", env: {A: b}}
  g: {a2a_url: "https://h"}
  off: {http_url: "https://h", enabled: false}
"""
    loaded = load_yaml(text, {"HOST": "h.example", "TOKEN": SECRET})
    backends = loaded.config.backends
    assert "https://h.example/mcp" == backends["h"].http_url
    assert {"Authorization": f"Bearer {SECRET}", "X": ""} == backends["h"].headers
    assert ["http", "websocket", "a2a", "http"] == [b.transport for b in backends.values()]
    assert [
        "backends.h.headers.X: backend 'h': the variable NO is not set and counts as empty",
        "backends.w.env: is only valid with 'command'",
        "backends.g.a2a_url: backend 'g': A2A agents are not supported by this version",
    ] == [f"{warning.key}: {warning.message}" for warning in loaded.warnings]


def test_keys_with_a_word_of_their_own(load_yaml: LoadYaml) -> None:
    """`passthrough: true` and the retired `idle_timeout` are warned about; false is silent."""
    text = """
backends:
  a: {command: x, passthrough: true, idle_timeout: 5m}
  b: {command: x, passthrough: false}
"""
    assert [
        "backends.a.idle_timeout: is obsolete and ignored",
        ("backends.a.passthrough: is ignored: calls to this backend pass through all guards"),
    ] == warnings_of(load_yaml, text)


def test_own_failsafe_sections_inherit_the_rest(load_yaml: LoadYaml) -> None:
    """Keys that a backend's section does not name are those of the global section."""
    loaded = load_yaml("""
failsafe:
  retry: {max_attempts: 7, multiplier: 3}
  circuit_breaker: {failure_threshold: 9}
backends:
  own: {command: x, retry: {max_attempts: 2, multiplier: null}, health_check: {}}
  plain: {command: x}
""")
    config = loaded.config
    own = config.backends["own"].effective_failsafe(config.failsafe)
    assert RetryConfig(max_attempts=2, multiplier=3.0) == own.retry
    assert 9 == own.circuit_breaker.failure_threshold
    assert config.failsafe == config.backends["plain"].effective_failsafe(config.failsafe)
    assert FailsafeConfig().health_check == config.backends["own"].health_check


def test_no_secret_is_shown(load_yaml: LoadYaml, faults: Faults) -> None:
    """Expanded values are in no repr of the result and in no problem."""
    text = """
backends:
  a: {command: "run --token ${TOKEN}", env: {A: "${TOKEN}", B: "${NO}"}}
  b: {http_url: "https://h/${TOKEN}", headers: {A: "${TOKEN}"}}
"""
    environ = {"TOKEN": SECRET}
    loaded = load_yaml(text, environ)
    assert SECRET in loaded.config.backends["a"].command
    assert SECRET not in repr(loaded)
    assert SECRET not in repr(load_yaml(text, environ).warnings)
    error = faults(text + f"  c: {{http_url: '${{TOKEN}}', env: {SECRET}}}\n", environ)
    assert SECRET not in str(error)
    assert SECRET not in repr(error.problems)


def test_the_fingerprint_covers_what_is_offered() -> None:
    """Whatever decides what a server offers changes the fingerprint, and nothing else does."""
    base = BackendConfig("a", command=("x", "y"), env={"A": "1", "B": "2"})
    offering = [
        attrs.evolve(base, command=("x y",)),
        attrs.evolve(base, cwd="/"),
        attrs.evolve(base, env={"A": "1", "B": "3"}),
        attrs.evolve(base, env={"A": "1", "C": "2"}),
        attrs.evolve(base, protocol_version="2025-06-18"),
        attrs.evolve(base, http_url="http://h"),
        attrs.evolve(base, headers={"A": "1"}),
    ]
    same = [
        attrs.evolve(base, env={"B": "2", "A": "1"}),
        attrs.evolve(base, timeout=1.0, start_timeout=1.0, description="d", enabled=False),
        attrs.evolve(base, retry=RetryConfig()),
    ]
    assert len(offering) + 1 == len({backend.fingerprint() for backend in [base, *offering]})
    assert {base.fingerprint()} == {backend.fingerprint() for backend in same}
    assert 64 == len(base.fingerprint())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("~/srv --root ~/data", ["/home/ann/srv", "--root", "/home/ann/data"]),
        ("'\"~/my srv\" x~/y'", ["/home/ann/my srv", "x~/y"]),
        ("[~/srv, ~/data]", ["/home/ann/srv", "~/data"]),
        ("python ~", ["python", "~"]),
    ],
)
def test_the_home_folder_in_a_command(load_yaml: LoadYaml, command: str, words: list[str]) -> None:
    """`~/` is expanded as a shell would: in each word of a text, in the program of a list."""
    loaded = load_yaml(f"backends: {{a: {{command: {command}}}}}", {"HOME": "/home/ann"})
    assert words == list(loaded.config.backends["a"].command)
