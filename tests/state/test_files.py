"""Files that are whole at every moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcpgw.state.files import read_json, write_atomically


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class TestWriteAtomically:
    """Replacing a file's content in one step."""

    @pytest.mark.parametrize("sync", [False, True])
    def test_writes_and_replaces(self, tmp_path: Path, sync: bool) -> None:
        """The new content replaces the old one, and no other file remains."""
        path = tmp_path / "a.json"
        write_atomically(path, b"old and longer", sync=sync)
        write_atomically(path, b"new", sync=sync)
        assert b"new" == path.read_bytes()
        assert [path] == list(tmp_path.iterdir())

    def test_permissions_whatever_the_umask(self, tmp_path: Path) -> None:
        """The file has the permissions asked for; new folders are open to the owner only."""
        before = os.umask(0o277)
        try:
            write_atomically(tmp_path / "private", b"")
            write_atomically(tmp_path / "public", b"", mode=0o644)
        finally:
            os.umask(before)
        assert [0o600, 0o644] == [mode(tmp_path / "private"), mode(tmp_path / "public")]

    def test_missing_folders(self, tmp_path: Path) -> None:
        """Every folder that is missing is made, open to the owner only."""
        write_atomically(tmp_path / "a" / "b" / "c", b"x")
        assert [0o700, 0o700] == [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")]

    def test_existing_folders_are_left_as_they_are(self, tmp_path: Path) -> None:
        """The permissions of a folder that is there do not change."""
        (tmp_path / "a").mkdir(mode=0o755)
        before = mode(tmp_path / "a")
        write_atomically(tmp_path / "a" / "b", b"x")
        assert before == mode(tmp_path / "a")

    def test_a_link_keeps_pointing(self, tmp_path: Path) -> None:
        """Through a symbolic link the file behind it is replaced."""
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_bytes(b"old")
        link.symlink_to(target)
        write_atomically(link, b"new")
        assert (True, b"new") == (link.is_symlink(), target.read_bytes())

    def test_the_longest_name(self, tmp_path: Path) -> None:
        """A name of the full length that file systems allow works."""
        path = tmp_path / ("x" * 255)
        write_atomically(path, b"x")
        assert b"x" == path.read_bytes()

    def test_failure_leaves_all_as_it_was(self, tmp_path: Path) -> None:
        """If the file cannot be replaced, no temporary file is left."""
        path = tmp_path / "folder"
        path.mkdir()
        with pytest.raises(IsADirectoryError):
            write_atomically(path, b"x")
        assert [path] == list(tmp_path.iterdir())

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        """A parent that is not a folder is an error."""
        (tmp_path / "a").touch()
        with pytest.raises(OSError, match="a"):
            write_atomically(tmp_path / "a" / "b", b"x")

    @pytest.mark.process
    def test_several_processes(self, tmp_path: Path) -> None:
        """While several processes write a file, each reader finds one whole content."""
        path = tmp_path / "new" / "a.json"
        script = (
            "import json, sys; from pathlib import Path\n"
            "from mcpgw.state.files import write_atomically\n"
            "data = json.dumps([sys.argv[2]] * 5000).encode()\n"
            "for _ in range(100): write_atomically(Path(sys.argv[1]), data)\n"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "abc"
        ]
        seen = set()
        while any(writer.poll() is None for writer in writers):
            if path.exists():
                content = json.loads(path.read_bytes())
                assert [content[0]] * 5000 == content
                seen.add(content[0])
        assert [0, 0, 0] == [writer.wait() for writer in writers]
        assert seen
        assert [path] == list(path.parent.iterdir())


class TestReadJson:
    """Reading what may be missing or broken."""

    def test_content(self, tmp_path: Path) -> None:
        """A sound file gives its content."""
        path = tmp_path / "a.json"
        path.write_text('{"a": [1, "é"]}', encoding="utf-8")
        assert {"a": [1, "é"]} == read_json(path)

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"1" * 10_000, b"{} {}"]
    )
    def test_broken(self, tmp_path: Path, content: bytes) -> None:
        """Invalid JSON, or more than can be read, gives None."""
        path = tmp_path / "a.json"
        path.write_bytes(content)
        assert read_json(path) is None

    def test_missing(self, tmp_path: Path) -> None:
        """A missing file gives None, and so does a folder."""
        assert read_json(tmp_path / "none") is None
        assert read_json(tmp_path) is None
