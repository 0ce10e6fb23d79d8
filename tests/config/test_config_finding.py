"""Search paths of gateway.yaml, and its environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgw.config import environment
from mcpgw.config.environment import ENVIRONMENT, Variable
from mcpgw.config.loader import find


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home folder that holds nothing."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_the_first_of_the_usual_places(tmp_path: Path, home: Path) -> None:
    """The working folder comes before the home folder."""
    environ = {"HOME": str(home)}
    usual = home / ".config" / "mcp-gateway" / "gateway.yaml"
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert usual == find(environ, tmp_path)
    (tmp_path / "config.yaml").write_text("backends: {}")
    assert tmp_path / "config.yaml" == find(environ, tmp_path)
    (tmp_path / "gateway.yaml").touch()
    assert tmp_path / "gateway.yaml" == find(environ, tmp_path)


@pytest.mark.parametrize("content", [b"", b"a: 1", b"[backends]", b"a: [", b"\xff", b"backends"])
def test_a_config_yaml_of_another_program_is_passed_over(
    tmp_path: Path, home: Path, content: bytes
) -> None:
    """`config.yaml` counts only when it is a map with a key of ours."""
    (tmp_path / "config.yaml").write_bytes(content)
    assert tmp_path / "config.yaml" != find({"HOME": str(home)}, tmp_path)


def test_a_folder_is_no_file(tmp_path: Path, home: Path) -> None:
    """A folder named gateway.yaml is passed over."""
    (tmp_path / "gateway.yaml").mkdir()
    assert tmp_path / "gateway.yaml" != find({"HOME": str(home)}, tmp_path)


def test_every_variable_is_listed_with_its_meaning() -> None:
    """Each variable defined is in the table once, and has a sentence."""
    defined = [value for value in vars(environment).values() if isinstance(value, Variable)]
    assert sorted(defined) == sorted(ENVIRONMENT)
    assert all(variable.doc.endswith(".") for variable in ENVIRONMENT)
    assert "MCP_GATEWAY_HOME" == environment.HOME
