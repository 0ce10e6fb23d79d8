"""Commands that cannot be started: the error has the cause that a person can remove."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcpgw.backends.process import SpawnFailed, _spawn

pytestmark = pytest.mark.process

ENV = {"PATH": os.environ["PATH"]}


def refused(*command: str) -> str:
    """Return why a command cannot be started."""
    with pytest.raises(SpawnFailed) as caught:
        _spawn(command, ENV, None)
    return caught.value.reason


def script(path: Path, first: bytes) -> str:
    """Write an executable script with this first line."""
    path.write_bytes(first + b"\necho hi\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("first", [b"#!/bin/sh\r", b"#! /bin/sh\r"])
def test_line_ends_of_windows(tmp_path: Path, first: bytes) -> None:
    """The kernel says that the file does not exist, which is not what is wrong."""
    told = refused(script(tmp_path / "server", first))
    assert "carriage return" in told
    assert "No such file" not in told


def test_an_interpreter_that_is_missing(tmp_path: Path) -> None:
    """The interpreter of the first line is named, not the script."""
    told = refused(script(tmp_path / "server", b"#!/no/such/python -u"))
    assert "its interpreter '/no/such/python'" in told


def test_a_script_without_an_interpreter(tmp_path: Path) -> None:
    """A text file with the mode of a program needs a first line."""
    told = refused(script(tmp_path / "server", b"import sys"))
    assert "begins with `#!`" in told


def test_a_path_with_blanks(tmp_path: Path) -> None:
    """A command is split at blanks; if the whole is a file, the error says so."""
    folder = tmp_path / "my servers"
    folder.mkdir()
    script(folder / "the server", b"#!/bin/sh")
    told = refused(*f"{folder}/the server".split(" "), "--flag")
    assert f"{str(folder / 'the server')!r} does" in told
    assert "quotes" in told
    assert "quotes" not in refused(str(tmp_path / "nothing"), "here")
