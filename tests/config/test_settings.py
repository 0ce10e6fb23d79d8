"""The holder of the configuration in use."""

from __future__ import annotations

from pathlib import Path

from mcpgw.config.schema import GatewayConfig
from mcpgw.config.settings import Settings, Snapshot


def test_subscribers_are_called_in_order_with_the_new_configuration() -> None:
    """A subscriber finds in the holder the configuration that it is called with."""
    settings = Settings()
    calls: list[tuple[str, Snapshot, bool]] = []
    for name in ("first", "second"):
        settings.subscribe(
            lambda snapshot, name=name: calls.append(  # type: ignore[misc]
                (name, snapshot, settings.current is snapshot)
            )
        )
    snapshot = Snapshot(GatewayConfig(), {"A": "1"}, Path("/x"))
    settings.update(snapshot)

    assert [("first", snapshot, True), ("second", snapshot, True)] == calls
    assert {"A": "1"} == settings.environ


def test_the_environment_is_not_shown() -> None:
    """It may hold secrets."""
    assert "hush" not in repr(Snapshot(environ={"TOKEN": "hush"}))
