"""The query log's tables, and how an older database becomes a newer one."""

from __future__ import annotations

import sqlite3
from typing import Final

from streetvision_core.errors import QueryLogError

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE queries (
            id INTEGER PRIMARY KEY,
            received_at TEXT NOT NULL,
            day TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            era TEXT NOT NULL,
            group_name TEXT NOT NULL,
            origin TEXT NOT NULL,
            truth INTEGER CHECK (truth IN (0, 1)),
            modes TEXT NOT NULL,
            p_roadwork REAL NOT NULL,
            model_version TEXT NOT NULL,
            verdict TEXT NOT NULL
        )""",
        "CREATE INDEX queries_by_day ON queries (day, id)",
        "CREATE INDEX queries_by_image ON queries (sha256)",
    ),
    (
        # SQLite gives a number again once the newest rows are pruned; a night's cursor would then pass over queries.
        "CREATE TABLE log (identity TEXT NOT NULL, last_pruned_id INTEGER NOT NULL)",
        "INSERT INTO log (identity, last_pruned_id) VALUES (lower(hex(randomblob(8))), 0)",
    ),
)
"""Statements per version; entry k turns version k into k + 1. Append, never change."""

SCHEMA_VERSION: Final = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to `SCHEMA_VERSION`, in one transaction.

    Raises:
        QueryLogError: the database was written by a newer version of this package.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)
        if found > SCHEMA_VERSION:
            raise QueryLogError(
                got=f"a query log of schema version {found}",
                allowed=f"version {SCHEMA_VERSION} or older",
                action="update this installation, or point paths.data at another workspace",
                version=found,
            )
        for number in range(found, SCHEMA_VERSION):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (SCHEMA_VERSION,))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)
