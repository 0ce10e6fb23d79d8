"""The state database: one SQLite file that all gateways of a user read and write.

Each use opens it anew for one short transaction: so nothing is held between uses, the file may
be removed at any time, and the last one to close folds the write-ahead log into the file.
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
"""Seconds for which a use insists while others hold the file."""
BUSY: Final = 5.0
"""Seconds for which SQLite itself waits for the lock; past that the use begins anew."""
LOG_PAGES: Final = 4000
"""Pages of the write-ahead log at which it is folded into the file while in use. It is far more
than short uses leave behind; so the folding happens at the last closing, where nobody else is
there, and SQLite's rare fault of two foldings at once (https://sqlite.org/wal.html#walresetbug)
has no occasion."""

_LOCKED: Final = {5: "SQLITE_BUSY", 6: "SQLITE_LOCKED", 15: "SQLITE_PROTOCOL"}
_BROKEN: Final = {11: "SQLITE_CORRUPT", 26: "SQLITE_NOTADB"}
_NOT_TO_BE_WRITTEN: Final = {8: "SQLITE_READONLY", 14: "SQLITE_CANTOPEN"}
_HEADER: Final = 100
"""Bytes that every database begins with."""
_MOVED: Final = 1032  # SQLITE_READONLY_DBMOVED: somebody set the file aside just now

Result = TypeVar("Result")


class StateError(Exception):
    """The state file cannot be used.

    Args:
      kind: one of `busy` (others hold it for too long), `newer` (written by a newer version),
        `older` (must be brought up to date first), `foreign` (a database of another program),
        `broken` (no sound database), `failed` (cannot be opened, read or written), `missing`
        (this Python has no SQLite).
      message: what happened, and what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@attrs.frozen
class Database:
    """A state file; it need not exist. All methods block.

    Args:
      path: the file.
      patience: seconds for which a use insists while others hold the file.
      migrations: the steps that make its tables.
    """

    path: Path
    patience: float = PATIENCE
    migrations: tuple[tuple[str, ...], ...] = MIGRATIONS

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Do some work in one transaction that nobody else's comes between.

        The file and its folder are made where they are missing, open to the owner only. A file
        that SQLite cannot make sense of is set aside as `NAME.broken-TIME`. After a failure
        nothing of the work has been written; only where the disk itself fails in the moment of
        the commit this is not certain.

        Args:
          work: may be called again where others were in the way.

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

        return self._insist(attempt, mend=True)

    def read(self, work: Callable[[Connection], Result], *, mend: bool = False) -> Result | None:
        """Do some work that only looks. Return its result, or None where nothing is kept yet.

        Args:
          work: may be called again where others were in the way.
          mend: whether a file that SQLite cannot make sense of is set aside.

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
                        f"{self.path} was written by an older version; the next call that a"
                        " gateway counts brings it up to date.",
                    )
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    _roll_back(connection)

        return self._insist(attempt, mend=mend)

    # -- details ---------------------------------------------------------------------------

    def _insist(self, attempt: Callable[[], Result], *, mend: bool) -> Result:
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
                    time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # to step aside
                    pause = min(2 * pause, 0.25)
                    continue
                if code & 0xFF in _BROKEN and mend:
                    mend = False
                    self._set_aside(identity, str(error))
                    continue
                raise self._explain(code & 0xFF, error) from error
            except OSError as error:
                raise StateError("failed", f"{self.path} cannot be used: {error}") from error

    def _explain(self, code: int, error: Error) -> StateError:
        if code in _LOCKED:
            return StateError("busy", f"{self.path} is held by other processes: {error}")
        if code in _BROKEN:
            return StateError("broken", f"{self.path} is not a sound database: {error}")
        return StateError("failed", f"{self.path} cannot be used: {error}")

    @contextlib.contextmanager
    def _connected(self, mode: str) -> Iterator[Connection]:
        import sqlite3

        if 0 < self.path.stat().st_size < _HEADER and not Path(f"{self.path}-journal").exists():
            # SQLite takes so short a file for an empty one, and would overwrite it.
            short = sqlite3.DatabaseError("file is too short to be a database")
            short.sqlite_errorcode = sqlite3.SQLITE_NOTADB
            raise short
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, timeout=BUSY, isolation_level=None, uri=True)
        try:
            try:
                connection.execute("PRAGMA schema_version").fetchone()
            except sqlite3.OperationalError as error:
                # A write-ahead log wants a file beside it, even to be read. In a folder that
                # cannot be written it can have none, and without a log none is needed.
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code not in _NOT_TO_BE_WRITTEN or Path(f"{self.path}-wal").exists():
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
        """Return the file's version; raise where the file is not for us."""
        version = _number(connection, "PRAGMA user_version")
        application = _number(connection, "PRAGMA application_id")
        if application == APPLICATION:
            if version > len(self.migrations):
                raise StateError(
                    "newer",
                    f"{self.path} was written by a newer version of the gateway (format"
                    f" {version}, this one knows {len(self.migrations)}). Update this one.",
                )
            return version
        if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
            if _number(connection, "PRAGMA application_id") == APPLICATION:
                # Another process has made the file between one of these looks and the next.
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
        # SQLite would leave the permissions to the umask; its own side files follow the file's.
        with contextlib.suppress(FileExistsError):
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.fchmod(handle, 0o600)
            finally:
                os.close(handle)

    def _set_aside(self, identity: tuple[int, int] | None, reason: str) -> None:
        """Rename a broken file, unless another process did so meanwhile.

        The write-ahead log goes first: beside a new file it would be taken for the new file's.
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
        log.warning("state.set_aside", path=str(self.path), kept_as=name, reason=reason)


def _prefer_write_ahead(connection: Connection) -> None:
    """Turn the write-ahead log on where the file system can have one."""
    import sqlite3

    if connection.execute("PRAGMA journal_mode").fetchone()[0] in ("wal", "off"):
        return
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
            raise
        # Network file systems have no shared memory; the rollback journal needs none.
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def _roll_back(connection: Connection) -> None:
    import sqlite3

    # Where the disk fails, SQLite may have ended the transaction itself; closing ends it too.
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
        # Where a file system has no such locks, two at the same moment are unlikely enough.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
