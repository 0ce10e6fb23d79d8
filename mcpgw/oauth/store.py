"""Where logins are kept: files that only their owner may read, or the keychain of the system."""

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
    """Logins cannot be kept."""


@attrs.define
class TokenStore:
    """Keeps one record for each backend and issuer.

    Records are written atomically to files of mode 0600 in a folder of mode 0700. With the
    keychain only what is no secret stands in the file. The methods block for the time of a small
    file or of the keychain's answer; call them from a thread where that matters.

    Args:
      folder: where the files are; it need not exist.
      storage: `file`, `keychain`, or `auto` for the keychain where there is one.
    """

    folder: Path
    storage: str = "file"
    _keychain: Any = attrs.field(default=None, init=False, repr=False)
    _looked: bool = attrs.field(default=False, init=False, repr=False)
    _unusable: str = attrs.field(default="", init=False, repr=False)

    def all(self, server: str) -> tuple[Login, ...]:
        """Return all logins of a backend, the newest first; unreadable ones are passed over."""
        found = [self._read(path) for path in self._paths(server)]
        logins = [login for login in found if login is not None and login.server == server]
        return tuple(sorted(logins, key=lambda login: -login.updated_at))

    def load(self, server: str, issuer: str) -> Login | None:
        """Return the login of a backend with one authorization server."""
        login = self._read(self.path(server, issuer))
        return login if login and (login.server, login.issuer) == (server, issuer) else None

    def save(self, login: Login) -> None:
        """Keep a login in place of an older one. Raises StoreError."""
        data = login.as_json()
        path = self.path(login.server, login.issuer)
        keychain = self._open_keychain()
        if keychain is not None and self._keep(keychain, path.stem, data["secrets"]):
            data["secrets"] = _KEYCHAIN
        try:
            self._make_folder()
            write_atomically(path, json.dumps(data).encode(), mode=0o600, sync=True)
        except OSError as error:
            raise StoreError(f"the login cannot be kept in {path}: {error.strerror}") from None

    def delete(self, server: str, issuer: str) -> None:
        """Forget a login; one that is not there is forgotten already. Raises StoreError."""
        path = self.path(server, issuer)
        content = read_json(path)
        if isinstance(content, dict) and content.get("secrets") == _KEYCHAIN:
            keychain = self._open_keychain(needed=True)
            try:
                keychain.delete_password(SERVICE, path.stem)
            except _keyring_errors() as error:
                log.warning("oauth.keychain_entry_left", entry=path.stem, reason=_reason(error))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be deleted: {error.strerror}") from None

    @contextlib.asynccontextmanager
    async def lock(self, server: str) -> AsyncIterator[None]:
        """Keep other gateways from renewing the login of a backend at the same time.

        Refresh tokens are good for one use: two gateways that use the same one lose the login.
        The lock ends with the process, however that ends. Where the folder cannot be written,
        others cannot renew what is in it either, and there is no lock.
        """
        path = self.folder / f"{_safe(server)}.lock"
        try:
            self._make_folder()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.debug("oauth.no_lock", file=str(path), reason=_reason(error))
            yield
            return
        try:
            while not _try_lock(handle):  # noqa: ASYNC110 - another process cannot wake us
                await trio.sleep(_POLL)
            yield
        finally:
            os.close(handle)

    def path(self, server: str, issuer: str) -> Path:
        """Return the file of a record; its name tells the backend, not the issuer."""
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
                log.warning("oauth.keychain_unreadable", entry=path.stem, reason=_reason(error))
                return None
        login = login_from_json(content)
        if login is None:
            log.warning("oauth.record_unreadable", file=str(path))
        return login

    def _tighten(self, path: Path) -> None:
        """Take back rights of others that a copy or a backup may have given."""
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                path.chmod(0o600)
                log.warning("oauth.file_was_open_to_others", file=str(path), mode=oct(mode))

    def _make_folder(self) -> None:
        for folder in reversed([self.folder, *self.folder.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(self.folder.stat().st_mode) & 0o077:
            self.folder.chmod(0o700)

    def _open_keychain(self, *, needed: bool = False) -> Any:
        """Return the keychain where it is to be used; `needed` where an entry is there already."""
        if self.storage == "file" and not needed:
            return None
        if not self._looked:
            self._keychain, reason = _find_keychain()
            self._looked = True
            if self._keychain is None:
                self._unusable = reason
                if self.storage == "auto":
                    log.info("oauth.no_keychain", reason=reason, used="files")
        if self._keychain is None and (needed or self.storage == "keychain"):
            raise StoreError(
                f"the keychain cannot be used: {self._unusable}. Set `storage: file` under"
                " `oauth` and log in again."
            )
        return self._keychain

    def _keep(self, keychain: Any, entry: str, secrets: dict[str, str]) -> bool:
        try:
            keychain.set_password(SERVICE, entry, json.dumps(secrets))
        except _keyring_errors() as error:
            if self.storage != "auto":
                raise StoreError(f"the keychain refused the login: {_reason(error)}") from None
            log.info("oauth.no_keychain", reason=_reason(error), used="files")
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
        return None, "this system has no keychain that `keyring` knows"
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
    """Return a name for files: that of the backend where it can be one."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", server):
        return server
    return hashlib.sha256(server.encode()).hexdigest()[:32]
