"""State database: one SQLite file that all gateways of a user read and write.

Each operation opens the file for one short transaction. Nothing is held between operations, so the
file may be deleted at any time, and the last process to close it checkpoints the write-ahead log.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from mcpgw.observe.log import get_logger
from mcpgw.state.schema import APPLICATION, MIGRATIONS

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

log = get_logger("mcpgw.state")

PATIENCE: Final = 15.0
"""Seconds for which an operation is retried while other processes lock the file."""
BUSY: Final = 5.0
"""Seconds for which SQLite itself waits for the lock; then the operation is retried."""
LOG_PAGES: Final = 4000
"""Size of the write-ahead log, in pages, that triggers a checkpoint while the file is in use. Short
operations stay far below it, so that checkpoints only happen when the last process closes the
file. This avoids a rare SQLite bug with two checkpoints at once
(https://sqlite.org/wal.html#walresetbug)."""

_LOCKED: Final = {5: "SQLITE_BUSY", 6: "SQLITE_LOCKED", 15: "SQLITE_PROTOCOL"}
_BROKEN: Final = {11: "SQLITE_CORRUPT", 26: "SQLITE_NOTADB"}
_READ_ONLY: Final = {8: "SQLITE_READONLY", 14: "SQLITE_CANTOPEN"}
_HEADER: Final = 100
"""Size of the header of a database, in bytes."""
_MOVED: Final = 1032  # SQLITE_READONLY_DBMOVED: another process has just moved the file

Result = TypeVar("Result")


class StateError(Exception):
    """The state file cannot be used.

    Args:
      kind: one of `busy` (locked by other processes for too long), `newer` (written by a newer
        version), `older` (must be migrated first), `foreign` (a database of another program),
        `broken` (corrupt), `failed` (cannot be opened, read or written), `missing` (this Python
        has no SQLite).
      message: what happened, and what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@attrs.frozen
class Database:
    """A state file, which need not exist. All methods block.

    Args:
      path: the file.
      patience: seconds for which an operation is retried while other processes lock the file.
      migrations: the statements of each schema version.
    """

    path: Path
    patience: float = PATIENCE
    migrations: tuple[tuple[str, ...], ...] = MIGRATIONS

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run a function in one exclusive transaction.

        A missing file or folder is created, accessible by the owner only. A corrupt file is
        renamed to `NAME.broken-TIME` and replaced. After a failure, nothing has been written,
        unless the disk fails during the commit.

        Args:
          work: the function; it is called again after a conflict with another process.

        Raises:
          StateError: the file cannot be used.
        """

        def attempt() -> Result:
            self._make()
            with self._connected("rw") as connection:
                self._check(connection)
                _prefer_write_ahead(connection)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._migrate(connection)
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    _roll_back(connection)
                    raise
            return result

        return self._retry(attempt, replace_broken=True)

    def read(
        self, work: Callable[[Connection], Result], *, replace_broken: bool = False
    ) -> Result | None:
        """Run a function in a read transaction.

        Args:
          work: the function; it is called again after a conflict with another process.
          replace_broken: whether a corrupt file is renamed, as `write` does.

        Returns:
          The result of the function, or None if the file does not exist or is empty.

        Raises:
          StateError: the file cannot be used.
        """

        def attempt() -> Result | None:
            if not self.path.exists():
                return None
            with self._connected("rw") as connection:
                version = self._check(connection)
                if version == 0:
                    return None
                if version < len(self.migrations):
                    raise StateError(
                        "older",
                        f"{self.path} was written by an older version of the gateway; it is"
                        " migrated when a gateway counts its next call.",
                    )
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    _roll_back(connection)

        return self._retry(attempt, replace_broken=replace_broken)

    # -- details ---------------------------------------------------------------------------

    def _retry(self, attempt: Callable[[], Result], *, replace_broken: bool) -> Result:
        try:
            import sqlite3
        except ImportError as error:
            raise StateError("missing", f"this Python has no SQLite: {error}") from error
        end = time.monotonic() + self.patience
        pause = 0.002
        while True:
            identity = _identity(self.path)
            try:
                return attempt()
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0)
                if (code & 0xFF in _LOCKED or code == _MOVED) and time.monotonic() < end:
                    time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
                    pause = min(2 * pause, 0.25)
                    continue
                if code & 0xFF in _BROKEN and replace_broken:
                    replace_broken = False
                    self._rename_broken(identity, str(error))
                    continue
                raise self._explain(code & 0xFF, error) from error
            except OSError as error:
                raise StateError("failed", f"{self.path} cannot be used: {error}") from error

    def _explain(self, code: int, error: Error) -> StateError:
        if code in _LOCKED:
            return StateError("busy", f"{self.path} is locked by other processes: {error}")
        if code in _BROKEN:
            return StateError("broken", f"{self.path} is not a valid database: {error}")
        return StateError("failed", f"{self.path} cannot be used: {error}")

    @contextlib.contextmanager
    def _connected(self, mode: str) -> Iterator[Connection]:
        import sqlite3

        if 0 < self.path.stat().st_size < _HEADER and not Path(f"{self.path}-journal").exists():
            # SQLite would treat such a short file as empty, and overwrite it.
            short = sqlite3.DatabaseError("file is too short to be a database")
            short.sqlite_errorcode = sqlite3.SQLITE_NOTADB
            raise short
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, timeout=BUSY, isolation_level=None, uri=True)
        try:
            try:
                connection.execute("PRAGMA schema_version").fetchone()
            except sqlite3.OperationalError as error:
                # Even reading with a write-ahead log requires a shared-memory file in the folder.
                # In a read-only folder it cannot be created, and without a log it is not needed.
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code not in _READ_ONLY or Path(f"{self.path}-wal").exists():
                    raise
                connection.close()
                connection = sqlite3.connect(
                    f"{address}&immutable=1", isolation_level=None, uri=True
                )
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            yield connection
        finally:
            connection.close()

    def _check(self, connection: Connection) -> int:
        """Return the schema version of the file; raise StateError if it cannot be used."""
        version = _number(connection, "PRAGMA user_version")
        application = _number(connection, "PRAGMA application_id")
        if application == APPLICATION:
            if version > len(self.migrations):
                raise StateError(
                    "newer",
                    f"{self.path} was written by a newer version of the gateway (format"
                    f" {version}, this one supports {len(self.migrations)}). Update this one.",
                )
            return version
        if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
            if _number(connection, "PRAGMA application_id") == APPLICATION:
                # Another process created the database between these queries.
                return self._check(connection)
            raise StateError(
                "foreign",
                f"{self.path} is a database of another program. Move it, or set"
                " MCP_GATEWAY_HOME to another folder.",
            )
        return 0

    def _migrate(self, connection: Connection) -> None:
        version = self._check(connection)
        if version == len(self.migrations):
            return
        for step in self.migrations[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(self.migrations)}")

    def _make(self) -> None:
        target = Path(os.path.realpath(self.path))
        if target.exists():
            return
        for folder in reversed([target.parent, *target.parent.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
        # SQLite would apply the umask. Its other files take their permissions from this one.
        with contextlib.suppress(FileExistsError):
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.fchmod(handle, 0o600)
            finally:
                os.close(handle)

    def _rename_broken(self, identity: tuple[int, int] | None, reason: str) -> None:
        """Rename a corrupt file, unless another process has done so in the meantime.

        The write-ahead log is renamed first, so that it is not applied to a new file.
        """
        with _folder_locked(self.path.parent):
            if identity is None or _identity(self.path) != identity:
                return
            stem = f"{self.path}.broken-{int(time.time())}"
            name, number = stem, 1
            while Path(name).exists():
                number += 1
                name = f"{stem}-{number}"
            for suffix in ("-wal", "-shm", "-journal", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{name}{suffix}")
        log.warning("state.database_renamed", path=str(self.path), kept_as=name, reason=reason)


def _prefer_write_ahead(connection: Connection) -> None:
    """Enable the write-ahead log if the file system supports it."""
    import sqlite3

    if connection.execute("PRAGMA journal_mode").fetchone()[0] in ("wal", "off"):
        return
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
            raise
        # Network file systems have no shared memory, which the rollback journal does not need.
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def _roll_back(connection: Connection) -> None:
    import sqlite3

    # After a disk error, SQLite may have ended the transaction itself; closing ends it too.
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _number(connection: Connection, statement: str) -> int:
    (value,) = connection.execute(statement).fetchone()
    return int(value)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    import fcntl

    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Without support for locks, two processes at the same moment are unlikely enough.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
