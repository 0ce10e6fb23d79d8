"""Shared helpers of the configuration's tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from mcpgw.config.loader import Loaded, load
from mcpgw.config.problems import ConfigError


class LoadYaml(Protocol):
    """Load the text of a gateway.yaml with the environment given."""

    def __call__(self, text: str, environ: Mapping[str, str] | None = None) -> Loaded: ...


class Faults(Protocol):
    """Load a text that must be refused, and return its error."""

    def __call__(self, text: str, environ: Mapping[str, str] | None = None) -> ConfigError: ...


@pytest.fixture
def load_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadYaml:
    """Give the loader for texts; the working folder is a fresh one, the file `gateway.yaml`."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str, environ: Mapping[str, str] | None = None) -> Loaded:
        path = Path("gateway.yaml")
        path.write_text(text, "utf-8")
        return load(path, environ=environ or {})

    return load_text


@pytest.fixture
def faults(load_yaml: LoadYaml) -> Faults:
    """Give the loader for texts that are refused."""

    def load_bad(text: str, environ: Mapping[str, str] | None = None) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            load_yaml(text, environ)
        return caught.value

    return load_bad
