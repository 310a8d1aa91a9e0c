"""Reads a whole ledger out of its file, and writes one into a file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.ledger.sqlite.file import connect, locked, why
from exporter.ledger.sqlite.offline import connect_to_read
from exporter.ledger.tables import TABLES, Row, Source, Table
from exporter.model.errors import LedgerError

_NAMES = {("gap", "start"): '"from"', ("gap", "until"): '"until"'}
"""Columns that are called otherwise here."""


@dataclass(frozen=True, slots=True)
class _File:
    connection: sqlite3.Connection

    def rows(self, table: Table) -> Iterable[Row]:
        return self.connection.execute(f"SELECT {_columns(table)} FROM {table.name}")  # noqa: S608 -- from `tables`


@contextmanager
def source(path: Path) -> Iterator[Source]:
    """The ledger in a file that no exporter has open; it is not changed."""
    if not path.is_file():
        raise LedgerError(f"ledger {path}: there is no such file")
    with _lock(path), closing(connect_to_read(path)) as connection:
        try:
            connection.execute("BEGIN")
            yield _File(connection)
        except sqlite3.Error as error:
            raise LedgerError(f"ledger {path}: {why(error)}") from error


def fill(path: Path, source: Source) -> dict[str, int]:
    """Write a ledger into a file, which is made when missing; returns the rows of each table."""
    counted: dict[str, int] = {}
    with _lock(path), closing(connect(path)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT 1 FROM account LIMIT 1").fetchone():
                raise LedgerError(f"ledger {path}: it is not empty; name a file that is not there")
            for table in TABLES:
                marks = ", ".join("?" * len(table.columns))
                counted[table.name] = connection.executemany(
                    f"INSERT INTO {table.name} ({_columns(table)}) VALUES ({marks})",  # noqa: S608 -- from `tables`
                    source.rows(table),
                ).rowcount
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"ledger {path}: {why(error)}") from error
    return {table: max(count, 0) for table, count in counted.items()}


def _columns(table: Table) -> str:
    return ", ".join(_NAMES.get((table.name, column), column) for column in table.columns)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """The lock of whoever writes to the ledger."""
    lock = locked(path)
    try:
        yield
    finally:
        with suppress(OSError):
            os.close(lock)
