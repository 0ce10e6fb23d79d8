"""Approved capability files and server definitions, stored in the state database.

Every method blocks for a short transaction; call them from a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from mcpgw.state.database import Database, StateError
from mcpgw.trust.approval_changes import Approved, Change, Key
from mcpgw.trust.examination import canonical
from mcpgw.usage.store import FILE

if TYPE_CHECKING:
    from sqlite3 import Connection

Result = TypeVar("Result")


@attrs.frozen
class ApprovedFile:
    """A capability file as it was approved.

    `reviewed` is true if a person has accepted it in spite of findings of tool poisoning.
    """

    path: str
    name: str
    hash: str
    pinned: bool
    reviewed: bool = False


@attrs.frozen
class QuarantinedFile:
    """A capability file that must be pinned again before it is used. `at` is in Unix seconds."""

    path: str
    name: str
    expected: str
    actual: str
    reason: str
    at: float


@attrs.frozen
class ApprovedDefinition:
    """An approved definition of a server and the one that awaits approval, both as JSON.

    `hash` is empty if none is approved, `pending_hash` if none is pending. `reviewed` tells
    whether a person has accepted the approved one; `cause` and `reason` are of the pending one.
    Times are in Unix seconds.
    """

    server: str
    kind: str
    name: str
    hash: str
    definition: str
    at: float
    pending_hash: str = ""
    pending: str = ""
    pending_at: float = 0.0
    reviewed: bool = False
    cause: str = ""
    reason: str = ""


_COLUMNS: Final = (
    "server, kind, name, hash, definition, at, pending_hash, pending, pending_at, reviewed, cause,"
    " reason"
)


@attrs.frozen
class ApprovalStore:
    """The approvals of one state folder."""

    database: Database

    @classmethod
    def of(cls, folder: Path) -> ApprovalStore:
        """Return the store of a state folder."""
        return cls(Database(folder / FILE))

    # -- files -------------------------------------------------------------------------------

    def files(self) -> tuple[dict[str, ApprovedFile], dict[str, QuarantinedFile]]:
        """Return the approved and the quarantined files, by path."""

        def work(
            connection: Connection,
        ) -> tuple[dict[str, ApprovedFile], dict[str, QuarantinedFile]]:
            approved = connection.execute(
                "SELECT path, name, hash, pinned, reviewed FROM approved_files"
            )
            quarantined = connection.execute(
                "SELECT path, name, expected, actual, reason, at FROM quarantined_files"
            )
            return (
                {
                    row[0]: ApprovedFile(row[0], row[1], row[2], bool(row[3]), bool(row[4]))
                    for row in approved
                },
                {row[0]: QuarantinedFile(*row) for row in quarantined},
            )

        return self._read(work) or ({}, {})

    def save_files(
        self, approved: Iterable[ApprovedFile], quarantined: Iterable[QuarantinedFile]
    ) -> None:
        """Write approved and quarantined files."""
        approved_rows = [_file_row(each) for each in approved]
        quarantined_rows = [
            (f.path, f.name, f.expected, f.actual, f.reason, f.at) for f in quarantined
        ]

        def work(connection: Connection) -> None:
            connection.executemany(_SAVE_FILE, approved_rows)
            connection.executemany(
                "INSERT OR REPLACE INTO quarantined_files VALUES (?, ?, ?, ?, ?, ?)",
                quarantined_rows,
            )

        self.database.write(work)

    def pin_file(self, file: ApprovedFile) -> None:
        """Approve a file as pinned by the operator, and lift its quarantine.

        Records of files of the same name that no longer exist are removed: the file replaces them.
        A review of the same contents stays.
        """
        self.pin_files([file])

    def pin_files(self, files: Sequence[ApprovedFile]) -> None:
        """Approve several files as pinned, in one transaction; the rest is as for `pin_file`."""

        def work(connection: Connection) -> None:
            for file in files:
                connection.execute("DELETE FROM quarantined_files WHERE path = ?", (file.path,))
                for table in ("quarantined_files", "approved_files"):
                    rows = connection.execute(
                        f"SELECT path FROM {table} WHERE name = ?",  # noqa: S608 - a name from above
                        (file.name,),
                    ).fetchall()
                    gone = [row for row in rows if not Path(row[0]).exists()]
                    connection.executemany(f"DELETE FROM {table} WHERE path = ?", gone)  # noqa: S608
                reviewed = connection.execute(
                    "SELECT 1 FROM approved_files WHERE path = ? AND hash = ? AND reviewed",
                    (file.path, file.hash),
                ).fetchone()
                kept = attrs.evolve(file, reviewed=file.reviewed or reviewed is not None)
                connection.execute(_SAVE_FILE, _file_row(kept))

        self.database.write(work)

    # -- definitions ---------------------------------------------------------------------------

    def definitions(self, server: str = "") -> dict[Key, ApprovedDefinition]:
        """Return the definitions of one server, or of all, by server, kind and name."""

        def work(connection: Connection) -> dict[Key, ApprovedDefinition]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM approved_definitions WHERE ?1 = '' OR server = ?1",  # noqa: S608  # a constant
                (server,),
            )
            return {(row[0], row[1], row[2]): _definition(row) for row in rows}

        return self._read(work) or {}

    def hashes(self) -> dict[Key, Approved]:
        """Return approved and pending hashes of all definitions, by server, kind and name."""

        def work(connection: Connection) -> dict[Key, Approved]:
            rows = connection.execute(
                "SELECT server, kind, name, hash, reviewed, pending_hash, cause"
                " FROM approved_definitions"
            )
            return {
                (row[0], row[1], row[2]): Approved(row[3], bool(row[4]), row[5], row[6])
                for row in rows
            }

        return self._read(work) or {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Write changes in order.

        What another process has approved meanwhile stays: the first sight of a definition is the
        first one to be written.
        """
        rows = [(each, _text(each.definition)) for each in changes]

        def work(connection: Connection) -> None:
            for change, text in rows:
                _apply(connection, change, text)

        self.database.write(work)

    def accept(self, wanted: Mapping[Key, str]) -> list[ApprovedDefinition]:
        """Approve pending definitions; return those now in force.

        Args:
          wanted: the pending hash that a person has seen, by server, kind and name. A definition
            that has changed since then is not approved.
        """
        pending = dict(wanted)

        def work(connection: Connection) -> list[ApprovedDefinition]:
            accepted = []
            for key, digest in pending.items():
                row = connection.execute(
                    "UPDATE approved_definitions SET hash = pending_hash, definition = pending,"  # noqa: S608  # constants
                    " at = ?, reviewed = 1, pending_hash = '', pending = '', pending_at = 0,"
                    " cause = '', reason = '' WHERE server = ? AND kind = ? AND name = ?"
                    f" AND pending_hash = ? RETURNING {_COLUMNS}",
                    (time.time(), *key, digest),
                ).fetchone()
                if row is not None:
                    accepted.append(_definition(row))
            return accepted

        return self.database.write(work)

    def forget(self, keys: Iterable[Key], files: Iterable[str] = ()) -> None:
        """Remove definitions, and capability files by path: they are new when seen again."""
        rows, paths = list(keys), [(path,) for path in files]

        def work(connection: Connection) -> None:
            connection.executemany(
                "DELETE FROM approved_definitions WHERE server = ? AND kind = ? AND name = ?", rows
            )
            connection.executemany("DELETE FROM approved_files WHERE path = ?", paths)
            connection.executemany("DELETE FROM quarantined_files WHERE path = ?", paths)

        self.database.write(work)

    def version(self) -> int:
        """Return a number that changes when any process writes the database."""
        stamps: Mapping[str, int] = {}
        for name in (self.database.path, Path(f"{self.database.path}-wal")):
            try:
                status = name.stat()
            except OSError:
                continue
            stamps = {**stamps, str(name): hash((status.st_mtime_ns, status.st_size))}
        return hash(tuple(sorted(stamps.items())))

    def _read(self, work: Callable[[Connection], Result]) -> Result | None:
        try:
            return self.database.read(work)
        except StateError as error:
            if error.kind != "older":
                raise
            self.database.write(lambda _connection: None)  # a write migrates the schema
            return self.database.read(work)


_SAVE_FILE: Final = (
    "INSERT OR REPLACE INTO approved_files (path, name, hash, pinned, at, reviewed)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


def _file_row(file: ApprovedFile) -> tuple[Any, ...]:
    return file.path, file.name, file.hash, int(file.pinned), time.time(), int(file.reviewed)


def _definition(row: tuple[Any, ...]) -> ApprovedDefinition:
    values = list(row)
    values[9] = bool(values[9])
    return ApprovedDefinition(*values)


def _text(definition: Mapping[str, Any]) -> str:
    """Return a definition as JSON; lone surrogates, which SQLite cannot store, are replaced."""
    return canonical(definition).encode("utf-8", "replace").decode()


def _apply(connection: Connection, change: Change, text: str) -> None:
    key = change.key
    where = "WHERE server = ? AND kind = ? AND name = ?"
    table = "approved_definitions"
    connection.execute(
        f"INSERT OR IGNORE INTO {table} (server, kind, name, hash, definition, at)"  # noqa: S608  # constants
        " VALUES (?, ?, ?, '', '', 0)",
        key,
    )
    cleared = "pending_hash = '', pending = '', pending_at = 0, cause = '', reason = ''"
    if change.action == "approve":
        connection.execute(
            f"UPDATE {table} SET hash = ?, definition = ?, at = ?, {cleared} {where}"  # noqa: S608  # constants
            " AND hash = ''",
            (change.digest, text, change.at, *key),
        )
    elif change.action == "hold":
        connection.execute(
            f"UPDATE {table} SET pending_hash = ?, pending = ?, pending_at = ?, cause = ?,"  # noqa: S608  # constants
            f" reason = ? {where}",
            (change.digest, text, change.at, change.cause, change.reason, *key),
        )
    else:
        connection.execute(
            f"UPDATE {table} SET {cleared} {where} AND hash = ?",  # noqa: S608  # constants
            (*key, change.digest),
        )
