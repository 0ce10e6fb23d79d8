"""Storage of logins."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from mcpgw.oauth.metadata import ServerMetadata
from mcpgw.oauth.model import Client, Login, Tokens
from mcpgw.oauth.store import StoreError, TokenStore

SECRETS = ("at-one", "rt-one", "s3cret")


def login(server: str = "notes", issuer: str = "https://auth.example", at: float = 1.0) -> Login:
    return Login(
        server=server,
        url="https://mcp.example/mcp",
        issuer=issuer,
        resource="https://mcp.example/mcp",
        client=Client("me", "registered", "s3cret", "client_secret_post", ("http://x/cb",), 9.0),
        metadata=ServerMetadata(issuer, f"{issuer}/token", scopes_supported=("a", "b")),
        grant="authorization_code",
        tokens=Tokens("at-one", "rt-one", 1.0, 3601.0, ("a",)),
        asked=("a", "b"),
        updated_at=at,
    )


def test_what_is_kept_comes_back(store: TokenStore) -> None:
    """A login is read as it was written, the secrets included."""
    store.save(login())
    assert login() == store.load("notes", "https://auth.example")
    bare = attrs.evolve(login(), tokens=None)
    store.save(bare)
    assert bare == store.load("notes", "https://auth.example")


def test_files_are_open_to_their_owner_only(store: TokenStore) -> None:
    """Files have mode 0600 and the folder 0700, also if they had other modes before."""
    store.folder.mkdir(parents=True, mode=0o755)
    store.folder.chmod(0o755)
    store.save(login())
    path = store.path("notes", "https://auth.example")
    assert [0o600, 0o700] == [stat.S_IMODE(p.stat().st_mode) for p in (path, store.folder)]
    path.chmod(0o644)
    assert store.load("notes", "https://auth.example") is not None
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_each_backend_and_issuer_has_its_own_file(store: TokenStore) -> None:
    """Logins do not mix; those of a backend come newest first."""
    store.save(login(at=1.0))
    store.save(login(issuer="https://other.example", at=2.0))
    store.save(login(server="notes.old"))
    store.save(login(server="notes.old2"))
    assert 4 == len(list(store.folder.glob("*.json")))
    issuers = [each.issuer for each in store.all("notes")]
    assert ["https://other.example", "https://auth.example"] == issuers
    store.delete("notes", "https://other.example")
    store.delete("notes", "https://other.example")
    assert ["https://auth.example"] == [each.issuer for each in store.all("notes")]


@pytest.mark.parametrize("server", ["../../etc/passwd", "a/b", "", ".", "x" * 200, "ü"])
def test_a_name_cannot_leave_the_folder(store: TokenStore, server: str) -> None:
    """Names that cannot be those of files are kept under a hash."""
    store.save(login(server=server))
    assert store.folder == store.path(server, "https://auth.example").parent
    assert 1 == len(store.all(server))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"server": 1}', b"\xff"])
def test_a_broken_file_is_as_none(store: TokenStore, content: bytes) -> None:
    """An unreadable record leads to a new login, not to an error."""
    store.save(login())
    store.path("notes", "https://auth.example").write_bytes(content)
    assert store.load("notes", "https://auth.example") is None
    assert () == store.all("notes")


def test_a_record_under_the_name_of_another_issuer_is_not_used(store: TokenStore) -> None:
    """A file that was copied does not carry credentials to another issuer."""
    store.save(login())
    copied = store.path("notes", "https://evil.example")
    copied.write_bytes(store.path("notes", "https://auth.example").read_bytes())
    assert store.load("notes", "https://evil.example") is None


def test_no_repr_shows_a_secret() -> None:
    """Records can be logged."""
    text = repr(login())
    assert [] == [secret for secret in SECRETS if secret in text]


async def test_the_lock_keeps_others_out(store: TokenStore) -> None:
    """Two stores on the same folder, as two gateways have, take turns."""
    order: list[str] = []

    async def other() -> None:
        async with TokenStore(store.folder).lock("notes"):
            order.append("other")

    async with trio.open_nursery() as nursery, store.lock("notes"):
        nursery.start_soon(other)
        async with store.lock("tasks"):
            order.append("another backend")
        await trio.testing.wait_all_tasks_blocked()
        order.append("mine")
    assert ["another backend", "mine", "other"] == order


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    """The error names the file and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be stored"):
        TokenStore(tmp_path / "file" / "oauth").save(login())


class Keychain:
    """A keychain in memory; `broken` refuses everything."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.broken = False

    def _check(self) -> None:
        from keyring.errors import KeyringLocked

        if self.broken:
            raise KeyringLocked("locked")

    def set_password(self, service: str, name: str, text: str) -> None:
        self._check()
        self.entries[name] = text

    def get_password(self, service: str, name: str) -> str | None:
        self._check()
        return self.entries.get(name)

    def delete_password(self, service: str, name: str) -> None:
        self._check()
        del self.entries[name]


@pytest.fixture
def keychain(monkeypatch: pytest.MonkeyPatch) -> Keychain:
    """Put a keychain in place of the system's."""
    keyring: Any = pytest.importorskip("keyring")
    made = Keychain()
    monkeypatch.setattr(keyring, "get_keyring", lambda: made)
    return made


@pytest.mark.parametrize("storage", ["keychain", "auto"])
def test_a_keychain_holds_the_secrets(tmp_path: Path, keychain: Keychain, storage: str) -> None:
    """The file then contains everything but the secrets."""
    store = TokenStore(tmp_path, storage)
    store.save(login())
    text = store.path("notes", "https://auth.example").read_text()
    assert [] == [secret for secret in SECRETS if secret in text]
    assert login() == TokenStore(tmp_path, storage).load("notes", "https://auth.example")
    store.delete("notes", "https://auth.example")
    assert {} == keychain.entries


def test_auto_falls_back_to_files(tmp_path: Path, keychain: Keychain, logs: io.StringIO) -> None:
    """A keychain that is locked leads to files, and the reason is logged."""
    keychain.broken = True
    store = TokenStore(tmp_path, "auto")
    store.save(login())
    assert login() == store.load("notes", "https://auth.example")
    assert "KeyringLocked" in logs.getvalue()


def test_a_keychain_that_is_wanted_and_refuses_is_an_error(
    tmp_path: Path, keychain: Keychain
) -> None:
    """Secrets are not written to files if the keychain is configured."""
    keychain.broken = True
    with pytest.raises(StoreError, match="refused the login"):
        TokenStore(tmp_path, "keychain").save(login())
    assert [] == list(tmp_path.glob("*.json"))


def test_without_a_keychain_the_error_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: io.StringIO
) -> None:
    """`keychain` on a system without one is an error, `auto` uses files."""
    keyring: Any = pytest.importorskip("keyring")
    from keyring.backends import fail

    monkeypatch.setattr(keyring, "get_keyring", fail.Keyring)
    with pytest.raises(StoreError, match="Set `storage: file`"):
        TokenStore(tmp_path, "keychain").save(login())
    store = TokenStore(tmp_path, "auto")
    store.save(login())
    assert login() == store.load("notes", "https://auth.example")
    assert "oauth.keychain_skipped" in logs.getvalue()
