"""The schema as the source of the docs, and what it costs to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgw.config.failsafe import RetryConfig
from mcpgw.config.known_keys import KNOWN_KEYS
from mcpgw.config.loader import load
from mcpgw.config.problems import ConfigError
from mcpgw.config.reference import Row, settings_table
from mcpgw.config.value_types import SettingError
from mcpgw.config.yamlfile import parse

HEAVY = (
    "cattrs",
    "ruamel",
    "rapidfuzz",
    "httpx",
    "structlog",
    "click",
    "asyncio",
    "sqlite3",
    "uuid",
)


def imported_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and name the heavy modules that it brought in."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.process
@pytest.mark.parametrize(
    "module", ["schema", "loader", "environment", "changes", "reference", "problems"]
)
def test_importing_is_cheap(module: str) -> None:
    """No module of the configuration brings in a heavy one merely by being imported."""
    assert set() == imported_after(f"import mcpgw.config.{module}")


@pytest.mark.process
def test_a_good_file_needs_no_fuzzy_matching() -> None:
    """A file without unknown keys loads without the library that finds near names."""
    statement = (
        "from mcpgw.config.loader import load\n"
        "load(None, environ={'MCP_GATEWAY_SERVER__SHUTDOWN_TIMEOUT': '5s'})"
    )
    assert {"cattrs", "ruamel"} == imported_after(statement)


def test_the_table_of_settings() -> None:
    """Every setting has a row with a sentence; defaults are written as YAML has them."""
    rows = {row.key: row for row in settings_table()}
    assert (
        Row(
            "server.shutdown_timeout",
            "duration",
            "30s",
            "How long running calls may take to finish at shutdown.",
            "live",
        )
        == rows["server.shutdown_timeout"]
    )
    assert {
        "env_files": "[]",
        "meta_mcp.cache_ttl": "5m",
        "failsafe.retry.enabled": "true",
        "failsafe.retry.initial_backoff": "100ms",
        "failsafe.retry.multiplier": "2",
        "backends.<name>.stop_when_idle_for": "none",
        "backends.<name>.retry": "as failsafe.retry",
        "backends.<name>.args": "[]",
    }.items() <= {key: row.default for key, row in rows.items()}.items()
    assert all(row.doc.endswith((".", ".)")) for row in rows.values())
    assert "restart" == rows["server.max_body_size"].reload


def test_defaults_in_the_table_are_valid_yaml_for_their_settings(tmp_path: Path) -> None:
    """Writing the default of a plain setting into a file gives the defaults again."""
    sections: dict[str, dict[str, object]] = {}
    for row in settings_table():
        parts = row.key.split(".")
        if parts[0] in ("server", "meta_mcp", "cache", "playbooks") and len(parts) == 2:
            sections.setdefault(parts[0], {})[parts[1]] = parse(row.default)
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(sections))
    assert load(None, environ={}).config == load(path, environ={}).config


def test_waits_that_contradict_each_other() -> None:
    """The rule between two settings holds however the class is made."""
    with pytest.raises(SettingError, match="shorter than initial_backoff"):
        RetryConfig(initial_backoff=2.0, max_backoff=1.0)


def names_in(tree: object) -> set[str]:
    """Give every key of a tree, flat."""
    if not isinstance(tree, dict):
        return set()
    return set(tree) | {name for below in tree.values() for name in names_in(below)}


KEYS = st.sampled_from(sorted(names_in(KNOWN_KEYS))) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["30s", "${A}", "${", "run 'x", "all"])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BACKENDS = st.fixed_dictionaries({"backends": st.dictionaries(KEYS, DATA, max_size=3)})


@given(st.dictionaries(KEYS, DATA, max_size=4) | BACKENDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_data_loads_or_is_refused_with_problems(tmp_path: Path, data: object) -> None:
    """Whatever a file holds, the outcome is settings or a list of problems, nothing else."""
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(data), "utf-8")
    try:
        problems = load(path, environ={}).warnings
        refused = False
    except ConfigError as error:
        problems = error.problems
        refused = True
    assert refused is any(problem.level == "error" for problem in problems)
    assert all(problem.message for problem in problems)
