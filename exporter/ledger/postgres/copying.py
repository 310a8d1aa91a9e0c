"""Reads a whole ledger out of a database, and writes one into a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg

from exporter.ledger.place import Server
from exporter.ledger.postgres.database import LONG_SECONDS, READ, Database
from exporter.ledger.postgres.names import named, stored
from exporter.ledger.postgres.offline import check_version
from exporter.ledger.postgres.schema import migrate
from exporter.ledger.tables import TABLES, Row, Source, Table
from exporter.model.errors import LedgerError

_HELD = "SELECT holder FROM lease WHERE until > clock_timestamp() LIMIT 1"


@dataclass(frozen=True, slots=True)
class _State:
    connection: psycopg.Connection

    def rows(self, table: Table) -> Iterable[Row]:
        columns = ", ".join(table.columns)
        names = _names(table)
        with self.connection.cursor("copied") as cursor:
            cursor.itersize = 10_000
            for row in cursor.execute(f"SELECT {columns} FROM {table.name}"):  # noqa: S608 -- from `tables`
                yield tuple(
                    named(value) if number in names else value for number, value in enumerate(row)
                )


@contextmanager
def source(server: Server) -> Iterator[Source]:
    """The ledger in a database in which no replica holds an account; it is not changed."""
    with closing(Database(server)) as database:
        check_version(database)
        with database.transaction(
            READ, statement_seconds=LONG_SECONDS, idle_seconds=LONG_SECONDS
        ) as connection:
            _refuse_in_use(connection, server)
            yield _State(connection)


def fill(server: Server, source: Source) -> dict[str, int]:
    """Write a ledger into an empty database; returns how many rows each table has."""
    counted: dict[str, int] = {}
    with closing(Database(server)) as database:
        migrate(database)
        with database.transaction(
            statement_seconds=LONG_SECONDS, idle_seconds=LONG_SECONDS
        ) as connection:
            # No exporter gets in between: it would begin with its account.
            connection.execute("LOCK TABLE account IN EXCLUSIVE MODE")
            _refuse_in_use(connection, server)
            if connection.execute("SELECT 1 FROM account LIMIT 1").fetchone():
                raise LedgerError(f"ledger {server}: it is not empty; name an empty database")
            for table in TABLES:
                counted[table.name] = _copy(connection, table, source.rows(table))
            for table_name in ("account", "feed"):
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table_name}', 'id'), max(id))"  # noqa: S608 -- two names
                    f" FROM {table_name} HAVING max(id) IS NOT NULL"
                )
            connection.execute(
                "SELECT setval('series_block', max(id)) FROM series HAVING max(id) IS NOT NULL"
            )
    return counted


def _copy(connection: psycopg.Connection, table: Table, rows: Iterable[Row]) -> int:
    names = _names(table)
    count = 0
    columns = ", ".join(table.columns)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(
                [stored(value) if number in names else value for number, value in enumerate(row)]
                if names
                else row
            )
            count += 1
    return count


def _refuse_in_use(connection: psycopg.Connection, server: Server) -> None:
    held = connection.execute(_HELD).fetchone()
    if held is not None:
        raise LedgerError(
            f"ledger {server}: the replica {held[0]} is polling with it; stop all of them first"
        )


def _names(table: Table) -> set[int]:
    return {number for number, kind in enumerate(table.columns.values()) if kind == "name"}
