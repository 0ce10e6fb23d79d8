"""Files written for the reference load here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from mcpgw.config.key_names import USED_KEYS
from mcpgw.config.known_keys import ANY_NAME, EACH_ITEM, KNOWN_KEYS, Tree
from mcpgw.config.loader import load
from mcpgw.config.schema import BACKEND_FORM_KEYS, GatewayConfig
from mcpgw.config.yamlfile import parse
from mcpgw.text.did_you_mean import correction

EVERY_KEY = Path(__file__).parent / "every_key.yaml"
Shape = tuple[str, ...]


def shapes(tree: Tree, path: Shape = ()) -> Iterator[Shape]:
    """Give the path of each key of a tree."""
    for name, below in (tree or {}).items():
        yield (*path, name)
        yield from shapes(below, (*path, name))


def given(data: object, tree: Tree, path: Shape = ()) -> Iterator[Shape]:
    """Give the path, in terms of the tree, of each key that data holds."""
    if isinstance(data, list):
        for item in data:
            yield (*path, EACH_ITEM)
            yield from given(item, (tree or {}).get(EACH_ITEM), (*path, EACH_ITEM))
    elif isinstance(data, Mapping) and tree is not None:
        for key, value in data.items():
            name = ANY_NAME if ANY_NAME in tree else key
            yield (*path, name)
            yield from given(value, tree.get(name), (*path, name))


def test_the_example_holds_every_known_key_and_no_other() -> None:
    """The example beside this test is complete."""
    listed = set(given(parse(EVERY_KEY.read_text()), KNOWN_KEYS))
    known = set(shapes(KNOWN_KEYS))
    assert known == {shape for shape in listed if shape in known or shape[-1] != EACH_ITEM}


def test_a_file_with_every_key_of_the_reference_loads() -> None:
    """Such a file gives warnings and no error, and what we use of it is read."""
    loaded = load(EVERY_KEY, environ={"HOME": "/home/ann"})
    config = loaded.config
    assert ["clock", "tickets", "agent"] == list(config.backends)
    assert ("python", "-m", "clock_server", "--zone", "UTC") == config.backends["clock"].command
    assert "/home/ann/clocks" == config.backends["clock"].cwd
    assert (6, 0.25, 25.0) == (
        config.failsafe.circuit_breaker.failure_threshold,
        config.failsafe.retry.initial_backoff,
        config.failsafe.health_check.interval,
    )
    assert {"warning"} == {warning.level for warning in loaded.warnings}
    assert all(warning.line for warning in loaded.warnings)
    assert not [warning for warning in loaded.warnings if "unknown" in warning.message]


def test_each_unused_key_is_told_of_once() -> None:
    """Every top-level section that nothing reads is named by exactly one warning."""
    loaded = load(EVERY_KEY, environ={})
    told = [warning.key for warning in loaded.warnings]
    unused = set(KNOWN_KEYS) - {field.name for field in attrs.fields(GatewayConfig)}
    assert sorted(unused) == sorted(key for key in told if "." not in key)
    assert len(set(told)) == len(told)


def test_what_we_use_is_known_or_ours() -> None:
    """The keys that we read and the reference has not are those that we decided on."""
    ours = {".".join(shape) for shape in set(shapes(USED_KEYS)) - set(shapes(KNOWN_KEYS))}
    top = {key for key in ours if not any(key.startswith(f"{other}.") for other in ours)}
    sections = ("circuit_breaker", "retry", "rate_limit", "concurrency", "health_check")
    shaping = ("transform", "visible_in_states", "tools")
    login = (
        "allow_missing_pkce",
        "client_metadata_url",
        "grant",
        "issuer",
        "open_browser",
        "private_key_algorithm",
        "private_key_file",
        "private_key_id",
        "send_resource",
        "storage",
        "token_endpoint_auth_method",
        "trusted_issuers",
    )
    prices = ("server_costs", "token_costs", "budgets.per_server", "budgets.per_session")
    assert {
        "failsafe.concurrency",
        "backends.*.start_timeout",
        "backends.*.ws_url",
        "backends.*.connect_timeout",
        "backends.*.first_byte_timeout",
        "backends.*.stream_idle_timeout",
        "backends.*.scope",
        "backends.*.watch",
        *(f"backends.*.oauth.{key}" for key in login),
        "security.tool_poisoning",
        "security.definition_changes",
        "capabilities.builtin",
        "capabilities.logins",
        "capabilities.transform",
        "capabilities.allow_private",
        "capabilities.allow_commands",
        "server.allowed_hosts",
        "server.allowed_origins",
        "streaming.max_sessions",
        "backends.*.args",
        "meta_mcp.operator_tools",
        "meta_mcp.result_limit",
        "idempotency",
        "error_budget",
        "sandbox",
        "spec_preview",
        "search",
        "webhooks.max_body_size",
        *(f"cost_governance.{key}" for key in prices),
        *(f"backends.*.{key}" for key in (*sections, *shaping)),
    } == top
    assert {"args", "passthrough"} == {key.name for key in BACKEND_FORM_KEYS}


def test_corrections_have_a_limit() -> None:
    """One slip in three letters is a misspelling, more is another word."""
    assert "command" == correction("comand", ["command", "cwd"])
    assert "cwd" == correction("cwb", ["command", "cwd"])
    assert correction("weather", ["headers", "secrets"]) is None
    assert correction("x", []) is None
