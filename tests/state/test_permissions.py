"""Owner and mode of the state folder and of configuration files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgw.state.permissions import UnsafeFolder, exposure, restrict, secure_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
as_root = pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can chown")
STRANGER = 54321


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a state folder with a database, tokens and a link."""
    folder = tmp_path / "home"
    for path in (folder, folder / "oauth", folder / "manifests"):
        path.mkdir(mode=0o700)
    for path in (folder / "state.db", folder / "oauth" / "a.json"):
        path.touch(mode=0o600)
    (folder / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").touch()
    (tmp_path / "outside").chmod(0o666)
    return folder


class TestExposure:
    """Files that others can change."""

    @pytest.mark.parametrize("good", [0o600, 0o644, 0o400, 0o755, 0o700])
    def test_private(self, tmp_path: Path, good: int) -> None:
        """Readable by others is not exposed: a gateway.yaml need not be secret."""
        file = tmp_path / "gateway.yaml"
        file.touch()
        file.chmod(good)
        assert "" == exposure(file)

    @pytest.mark.parametrize("bad", [0o666, 0o777, 0o602])
    def test_all_users(self, tmp_path: Path, bad: int) -> None:
        """Writable by everybody is, and the words name the mode."""
        file = tmp_path / "gateway.yaml"
        file.touch()
        file.chmod(bad)
        assert f"can be changed by all users (mode {bad:04o})" == exposure(file)
        assert f"{bad:04o} -> {bad & 0o755:04o}" in restrict(file)
        assert "" == exposure(file)

    @as_root
    def test_a_group(self, tmp_path: Path) -> None:
        """Writable by a group is, unless it is the owner's own."""
        file = tmp_path / "gateway.yaml"
        file.touch()
        file.chmod(0o664)
        assert "" == exposure(file)
        os.chown(file, 0, STRANGER)
        assert "can be changed by its group (mode 0664)" == exposure(file)

    @as_root
    def test_another_owner(self, tmp_path: Path) -> None:
        """A file of another user is, whatever its mode."""
        file = tmp_path / "gateway.yaml"
        file.touch(mode=0o600)
        os.chown(file, STRANGER, STRANGER)
        assert f"belongs to another user (uid {STRANGER}), who can change it" == exposure(file)

    def test_root_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of root, such as one in /etc, is not exposed."""
        monkeypatch.setattr(os, "getuid", lambda: STRANGER)
        assert "" == exposure(Path("/etc/passwd"))

    def test_missing(self, tmp_path: Path) -> None:
        """A missing file cannot be changed."""
        assert "" == exposure(tmp_path / "nothing")


class TestSecureFolder:
    """The state folder is corrected, or refused."""

    def test_nothing_to_do(self, folder: Path, tmp_path: Path) -> None:
        """A private folder, and one that does not exist yet."""
        assert [] == secure_folder(folder)
        assert [] == secure_folder(tmp_path / "new")

    @pytest.mark.parametrize("name", ["", "oauth", "state.db", "oauth/a.json"])
    @pytest.mark.parametrize("bad", [0o777, 0o666, 0o720, 0o702])
    def test_corrected(self, folder: Path, name: str, bad: int) -> None:
        """Group and others lose the right to write, at every level, and nothing else changes."""
        path = folder / name
        bad |= 0o700 if path.is_dir() else 0
        path.chmod(bad)
        done = secure_folder(folder)
        assert [f"permissions of {path}: {bad:04o} -> {bad & 0o755:04o}"] == done
        assert bad & 0o755 == mode(path)
        assert [] == secure_folder(folder)

    def test_links_are_not_followed(self, folder: Path, tmp_path: Path) -> None:
        """The target of a link is left unchanged."""
        secure_folder(folder)
        assert 0o666 == mode(tmp_path / "outside")

    @as_root
    def test_another_owner(self, folder: Path) -> None:
        """The folder of another user is refused, with what to do."""
        os.chown(folder, STRANGER, STRANGER)
        with pytest.raises(UnsafeFolder, match=r"belongs to another user.*MCP_GATEWAY_HOME.*chown"):
            secure_folder(folder)

    def test_no_permission(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the permissions cannot be corrected, it is refused too."""

        def refuse(_path: Path, _mode: int) -> None:
            raise PermissionError(1, "Operation not permitted")

        folder.chmod(0o777)
        monkeypatch.setattr(Path, "chmod", refuse)
        with pytest.raises(UnsafeFolder, match="cannot be corrected"):
            secure_folder(folder)
