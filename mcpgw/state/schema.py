"""Schema of the state database, as migrations from each version to the next.

A released migration is never changed; changes become a new migration.
"""

from __future__ import annotations

from typing import Final

APPLICATION: Final = 0x6D637067
"""Application ID in the file, which distinguishes it from databases of other programs."""

_USAGE = (
    # epoch (text), revision, and the hour of the last removal of old rows
    "CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    (
        "CREATE TABLE writers (writer TEXT PRIMARY KEY, number INTEGER NOT NULL,"
        " hour INTEGER NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE tools (id INTEGER PRIMARY KEY, server TEXT NOT NULL, tool TEXT NOT NULL,"
        " calls INTEGER NOT NULL, failures INTEGER NOT NULL, cached INTEGER NOT NULL,"
        " microseconds INTEGER NOT NULL, tokens INTEGER NOT NULL, cost_micro_usd INTEGER NOT NULL,"
        " last_used REAL NOT NULL, revision INTEGER NOT NULL, UNIQUE (server, tool))"
    ),
    "CREATE INDEX tools_by_revision ON tools (revision)",
    (
        "CREATE TABLE errors (tool INTEGER, code TEXT, count INTEGER NOT NULL,"
        " PRIMARY KEY (tool, code)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE latency (tool INTEGER, bucket INTEGER, count INTEGER NOT NULL,"
        " PRIMARY KEY (tool, bucket)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE hours (tool INTEGER, hour INTEGER, calls INTEGER NOT NULL,"
        " failures INTEGER NOT NULL, PRIMARY KEY (tool, hour)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE days (tool INTEGER, day INTEGER, calls INTEGER NOT NULL,"
        " failures INTEGER NOT NULL, PRIMARY KEY (tool, day)) WITHOUT ROWID"
    ),
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE moves (from_server TEXT, from_tool TEXT, to_server TEXT, to_tool TEXT,"
        " count INTEGER NOT NULL, revision INTEGER NOT NULL,"
        " PRIMARY KEY (from_server, from_tool, to_server, to_tool)) WITHOUT ROWID"
    ),
    "CREATE INDEX moves_by_revision ON moves (revision)",
    (
        "CREATE TABLE spend (day INTEGER, server TEXT, tool TEXT, caller TEXT,"
        " calls INTEGER NOT NULL, cost_micro_usd INTEGER NOT NULL, tokens INTEGER NOT NULL,"
        " revision INTEGER NOT NULL, PRIMARY KEY (day, server, tool, caller)) WITHOUT ROWID"
    ),
    "CREATE INDEX spend_by_revision ON spend (revision)",
    (
        "INSERT INTO state VALUES ('epoch', lower(hex(randomblob(12)))), ('revision', 0),"
        " ('pruned', 0)"
    ),
)

_APPROVALS = (
    # Hash of a capability file, by path, when it was first seen or pinned.
    (
        "CREATE TABLE approved_files (path TEXT PRIMARY KEY, name TEXT NOT NULL,"
        " hash TEXT NOT NULL, pinned INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE quarantined_files (path TEXT PRIMARY KEY, name TEXT NOT NULL,"
        " expected TEXT NOT NULL, actual TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL)"
        " WITHOUT ROWID"
    ),
    # Accepted definition of a server; a changed one is in `pending`.
    (
        "CREATE TABLE approved_definitions (server TEXT, kind TEXT, name TEXT,"
        " hash TEXT NOT NULL, definition TEXT NOT NULL, at REAL NOT NULL,"
        " pending_hash TEXT NOT NULL DEFAULT '', pending TEXT NOT NULL DEFAULT '',"
        " pending_at REAL NOT NULL DEFAULT 0, PRIMARY KEY (server, kind, name)) WITHOUT ROWID"
    ),
)

_WEBHOOKS = (
    # Events not yet delivered to a session, oldest first; `holder` is delivering the event now.
    # IDs are never reused, since holders remember the last one.
    (
        "CREATE TABLE webhook_queue (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL,"
        " at REAL NOT NULL, bytes INTEGER NOT NULL, holder TEXT NOT NULL DEFAULT '',"
        " held_until REAL NOT NULL DEFAULT 0, event TEXT NOT NULL)"
    ),
    "CREATE INDEX webhook_queue_by_age ON webhook_queue (at, bytes)",
    # Known deliveries, to detect duplicates; `done` once the event is delivered or queued.
    (
        "CREATE TABLE webhook_deliveries (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL,"
        " delivery TEXT NOT NULL, at REAL NOT NULL, done INTEGER NOT NULL,"
        " UNIQUE (endpoint, delivery))"
    ),
)

_REVIEWS = (
    # Whether a person has accepted the approved definition; why the pending one is pending.
    "ALTER TABLE approved_definitions ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE approved_definitions ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE approved_definitions ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE approved_files ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_USAGE, _APPROVALS, _WEBHOOKS, _REVIEWS)
"""Statements of each migration; `PRAGMA user_version` is the number of applied migrations."""
