"""Approved capability files and server definitions, stored in the state database.

Every method blocks for a short transaction; call them from a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from mcpgw.state.database import Database, StateError
from mcpgw.usage.store import FILE

if TYPE_CHECKING:
    from sqlite3 import Connection

Result = TypeVar("Result")


@attrs.frozen
class ApprovedFile:
    """A capability file as it was approved."""

    path: str
    name: str
    hash: str
    pinned: bool


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
    """An approved definition of a server and the change that awaits approval, both as JSON.

    `pending_hash` is empty if no change is pending. Times are in Unix seconds.
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
            approved = connection.execute("SELECT path, name, hash, pinned FROM approved_files")
            quarantined = connection.execute(
                "SELECT path, name, expected, actual, reason, at FROM quarantined_files"
            )
            return (
                {row[0]: ApprovedFile(row[0], row[1], row[2], bool(row[3])) for row in approved},
                {row[0]: QuarantinedFile(*row) for row in quarantined},
            )

        return self._read(work) or ({}, {})

    def save_files(
        self, approved: Iterable[ApprovedFile], quarantined: Iterable[QuarantinedFile]
    ) -> None:
        """Write approved and quarantined files."""
        approved_rows = [(f.path, f.name, f.hash, int(f.pinned), time.time()) for f in approved]
        quarantined_rows = [
            (f.path, f.name, f.expected, f.actual, f.reason, f.at) for f in quarantined
        ]

        def work(connection: Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO approved_files VALUES (?, ?, ?, ?, ?)", approved_rows
            )
            connection.executemany(
                "INSERT OR REPLACE INTO quarantined_files VALUES (?, ?, ?, ?, ?, ?)",
                quarantined_rows,
            )

        self.database.write(work)

    def pin_file(self, file: ApprovedFile) -> None:
        """Approve a file as pinned by the operator, and lift its quarantine.

        Records of files of the same name that no longer exist are removed: the file replaces them.
        """

        def work(connection: Connection) -> None:
            connection.execute("DELETE FROM quarantined_files WHERE path = ?", (file.path,))
            for table in ("quarantined_files", "approved_files"):
                rows = connection.execute(
                    f"SELECT path FROM {table} WHERE name = ?",  # noqa: S608 - a name from above
                    (file.name,),
                ).fetchall()
                gone = [row for row in rows if not Path(row[0]).exists()]
                connection.executemany(f"DELETE FROM {table} WHERE path = ?", gone)  # noqa: S608
            connection.execute(
                "INSERT OR REPLACE INTO approved_files VALUES (?, ?, ?, ?, ?)",
                (file.path, file.name, file.hash, int(file.pinned), time.time()),
            )

        self.database.write(work)

    # -- definitions ---------------------------------------------------------------------------

    def definitions(self, server: str = "") -> dict[tuple[str, str, str], ApprovedDefinition]:
        """Return the definitions of one server, or of all, by server, kind and name."""

        def work(connection: Connection) -> dict[tuple[str, str, str], ApprovedDefinition]:
            rows = connection.execute(
                "SELECT server, kind, name, hash, definition, at, pending_hash, pending,"
                " pending_at FROM approved_definitions WHERE ?1 = '' OR server = ?1",
                (server,),
            )
            return {(row[0], row[1], row[2]): ApprovedDefinition(*row) for row in rows}

        return self._read(work) or {}

    def hashes(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        """Return approved and pending hashes of all definitions, by server, kind and name."""

        def work(connection: Connection) -> dict[tuple[str, str, str], tuple[str, str]]:
            rows = connection.execute(
                "SELECT server, kind, name, hash, pending_hash FROM approved_definitions"
            )
            return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}

        return self._read(work) or {}

    def save_definitions(self, changed: Iterable[ApprovedDefinition]) -> None:
        """Write approved definitions, or add a pending change to a definition already approved."""
        rows = [attrs.astuple(each) for each in changed]

        def work(connection: Connection) -> None:
            for row in rows:
                if row[6]:
                    connection.execute(
                        "UPDATE approved_definitions SET pending_hash = ?, pending = ?,"
                        " pending_at = ? WHERE server = ? AND kind = ? AND name = ?",
                        (*row[6:9], *row[:3]),
                    )
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO approved_definitions"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        row,
                    )

        self.database.write(work)

    def accept(self, keys: Iterable[tuple[str, str, str]]) -> list[ApprovedDefinition]:
        """Approve the pending changes under these keys; return the definitions now in force."""
        wanted = list(keys)

        def work(connection: Connection) -> list[ApprovedDefinition]:
            accepted = []
            for key in wanted:
                row = connection.execute(
                    "UPDATE approved_definitions SET hash = pending_hash, definition = pending,"
                    " at = ?, pending_hash = '', pending = '', pending_at = 0 WHERE server = ?"
                    " AND kind = ? AND name = ? AND pending_hash != '' RETURNING server, kind,"
                    " name, hash, definition, at",
                    (time.time(), *key),
                ).fetchone()
                if row is not None:
                    accepted.append(ApprovedDefinition(*row))
            return accepted

        return self.database.write(work)

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
