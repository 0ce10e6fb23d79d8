"""Storage of logins: private files, or the keychain of the system."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from mcpgw.oauth.errors import OAuthProblem
from mcpgw.oauth.model import Login, login_from_json
from mcpgw.observe.log import get_logger
from mcpgw.state.files import read_json, write_atomically

log = get_logger("mcpgw.oauth")

FOLDER: Final = "oauth"
"""The folder of logins, below the state folder."""
SERVICE: Final = "mcp-gateway"
"""The name under which a keychain lists our entries."""
_KEYCHAIN: Final = "keychain"
_POLL: Final = 0.1


class StoreError(OAuthProblem):
    """A login cannot be stored, read or deleted."""


@attrs.define
class TokenStore:
    """Stores one record for each backend and issuer.

    Records are written atomically to files of mode 0600 in a folder of mode 0700. With the
    keychain the files contain no secrets. The methods block for file access or the keychain; call
    them in a thread from async code.

    Args:
      folder: the folder of the files; it is created if necessary.
      storage: `file`, `keychain`, or `auto` for the keychain if there is one.
    """

    folder: Path
    storage: str = "file"
    _keychain: Any = attrs.field(default=None, init=False, repr=False)
    _searched: bool = attrs.field(default=False, init=False, repr=False)
    _unusable: str = attrs.field(default="", init=False, repr=False)

    def all(self, server: str) -> tuple[Login, ...]:
        """Return all logins of a backend, the newest first; unreadable ones are skipped."""
        found = [self._read(path) for path in self._paths(server)]
        logins = [login for login in found if login is not None and login.server == server]
        return tuple(sorted(logins, key=lambda login: -login.updated_at))

    def load(self, server: str, issuer: str) -> Login | None:
        """Return the login of a backend with one authorization server."""
        login = self._read(self.path(server, issuer))
        return login if login and (login.server, login.issuer) == (server, issuer) else None

    def save(self, login: Login) -> None:
        """Store a login, replacing the older one. Raises StoreError."""
        data = login.as_json()
        path = self.path(login.server, login.issuer)
        keychain = self._open_keychain()
        if keychain is not None and self._save_secrets(keychain, path.stem, data["secrets"]):
            data["secrets"] = _KEYCHAIN
        try:
            self._make_folder()
            write_atomically(path, json.dumps(data).encode(), mode=0o600, sync=True)
        except OSError as error:
            raise StoreError(f"the login cannot be stored in {path}: {error.strerror}") from None

    def delete(self, server: str, issuer: str) -> None:
        """Delete a login, if it exists. Raises StoreError."""
        path = self.path(server, issuer)
        content = read_json(path)
        if isinstance(content, dict) and content.get("secrets") == _KEYCHAIN:
            keychain = self._open_keychain(needed=True)
            try:
                keychain.delete_password(SERVICE, path.stem)
            except _keyring_errors() as error:
                log.warning("oauth.keychain_entry_kept", entry=path.stem, reason=_reason(error))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be deleted: {error.strerror}") from None

    @contextlib.asynccontextmanager
    async def lock(self, server: str) -> AsyncIterator[None]:
        """Prevent other gateways from renewing the login of a backend at the same time.

        Refresh tokens may be valid for one use only: two gateways that use the same one lose the
        login. The system releases the lock when the process ends, in whatever way. If the folder
        is not writable, other gateways cannot renew its logins either, and no lock is used.
        """
        path = self.folder / f"{_safe(server)}.lock"
        try:
            self._make_folder()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.debug("oauth.lock_skipped", file=str(path), reason=_reason(error))
            yield
            return
        try:
            while not _try_lock(handle):  # noqa: ASYNC110 - another process cannot wake us
                await trio.sleep(_POLL)
            yield
        finally:
            os.close(handle)

    def path(self, server: str, issuer: str) -> Path:
        """Return the file of a record; its name contains the backend, but not the issuer."""
        key = hashlib.sha256(issuer.encode()).hexdigest()[:16]
        return self.folder / f"{_safe(server)}.{key}.json"

    def _paths(self, server: str) -> Iterator[Path]:
        ours = re.compile(rf"{re.escape(_safe(server))}\.[0-9a-f]{{16}}\.json")
        with contextlib.suppress(OSError):
            yield from [path for path in self.folder.iterdir() if ours.fullmatch(path.name)]

    def _read(self, path: Path) -> Login | None:
        content = read_json(path)
        if not isinstance(content, dict):
            return None
        self._tighten(path)
        if content.get("secrets") == _KEYCHAIN:
            keychain = self._open_keychain(needed=True)
            try:
                secrets = keychain.get_password(SERVICE, path.stem)
                content["secrets"] = json.loads(secrets or "{}")
            except _keyring_errors(ValueError) as error:
                log.warning("oauth.keychain_read_failed", entry=path.stem, reason=_reason(error))
                return None
        login = login_from_json(content)
        if login is None:
            log.warning("oauth.record_read_failed", file=str(path))
        return login

    def _tighten(self, path: Path) -> None:
        """Remove access of other users, which a copy or a backup may have granted."""
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                path.chmod(0o600)
                log.warning("oauth.insecure_permissions", file=str(path), mode=oct(mode))

    def _make_folder(self) -> None:
        for folder in reversed([self.folder, *self.folder.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(self.folder.stat().st_mode) & 0o077:
            self.folder.chmod(0o700)

    def _open_keychain(self, *, needed: bool = False) -> Any:
        """Return the keychain if it is to be used; `needed` if an entry is already in it."""
        if self.storage == "file" and not needed:
            return None
        if not self._searched:
            self._keychain, reason = _find_keychain()
            self._searched = True
            if self._keychain is None:
                self._unusable = reason
                if self.storage == "auto":
                    log.info("oauth.keychain_skipped", reason=reason, used="files")
        if self._keychain is None and (needed or self.storage == "keychain"):
            raise StoreError(
                f"the keychain cannot be used: {self._unusable}. Set `storage: file` under"
                " `oauth` and log in again."
            )
        return self._keychain

    def _save_secrets(self, keychain: Any, entry: str, secrets: dict[str, str]) -> bool:
        try:
            keychain.set_password(SERVICE, entry, json.dumps(secrets))
        except _keyring_errors() as error:
            if self.storage != "auto":
                raise StoreError(f"the keychain refused the login: {_reason(error)}") from None
            log.info("oauth.keychain_skipped", reason=_reason(error), used="files")
            return False
        return True


def _find_keychain() -> tuple[Any, str]:
    try:
        import keyring
        from keyring.backends import fail
    except ImportError:
        return None, "the package `keyring` is not installed"
    keychain = keyring.get_keyring()
    if isinstance(keychain, fail.Keyring):
        return None, "`keyring` supports no keychain of this system"
    return keychain, ""


def _keyring_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    try:
        from keyring.errors import KeyringError
    except ImportError:
        return more
    return (KeyringError, OSError, *more)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _safe(server: str) -> str:
    """Return a file name for a backend: its own name if that is valid, else a hash."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", server):
        return server
    return hashlib.sha256(server.encode()).hexdigest()[:32]
