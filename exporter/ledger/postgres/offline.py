"""The ledger as other processes see it: read only, while replicas write to it or not.

Each answer is of one state. No transaction stays open while somebody reads slowly: the server
would have to keep what is deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg

from exporter.ledger.contract import Bucket, FeedHistory, Line, Point, SeriesName, Stretch
from exporter.ledger.decision.rule import LONGEST_STEP
from exporter.ledger.place import Server
from exporter.ledger.postgres.database import LONG_SECONDS, READ, Database
from exporter.ledger.postgres.reader import series_name, series_of
from exporter.ledger.postgres.schema import STEPS, identify
from exporter.ledger.sqlite.spool import Spool
from exporter.model import DAY, HOUR, LIFETIME_START, LIFETIME_WIDTH, Measure
from exporter.model.errors import LedgerError

PAGE_ROWS = 10_000


@contextmanager
def reading(server: Server) -> Iterator[PostgresHistory]:
    """The ledger, to be read; LedgerError, in one line, when that is impossible."""
    database = Database(server)
    try:
        check_version(database)
        yield PostgresHistory(database)
    finally:
        database.close()


def check_version(database: Database) -> None:
    """Raise LedgerError for a database that has no ledger, or one of another version."""
    version = identify(database).version
    if version == 0:
        raise LedgerError(
            f"ledger {database.server}: it is empty; no exporter has written to it yet"
        )
    if version < len(STEPS):
        raise LedgerError(
            f"ledger {database.server}: it is of an older version; start the exporter once to"
            " renew it"
        )


def examine(server: Server) -> str:
    """What the database is, in a few words; LedgerError when it cannot serve. Nothing is changed."""
    database = Database(server)
    try:
        version = identify(database).version
    finally:
        database.close()
    if version == 0:
        return "empty; serve makes the tables"
    renewed = "; serve renews it" if version < len(STEPS) else ""
    return f"a ledger of version {version}{renewed}"


@dataclass(frozen=True, slots=True)
class PostgresHistory:
    """`exporter.ledger.contract.History` on a database."""

    database: Database

    def feeds(self) -> Sequence[FeedHistory]:
        with self._state() as connection:
            return [
                FeedHistory(
                    id=identity,
                    provider=provider,
                    account=account,
                    name=name,
                    began=began or 0,
                    settled_until=settled or 0,
                    compacted_until=compacted,
                    step=DAY if (finest or HOUR) >= DAY else HOUR,
                )
                for (
                    identity,
                    provider,
                    account,
                    name,
                    began,
                    settled,
                    compacted,
                    finest,
                ) in connection.execute(
                    "SELECT feed.id, provider, account.name, feed.name, began, settled_until,"
                    " folded_until, finest FROM feed JOIN account ON account.id = feed.account"
                    " ORDER BY provider, account.name, feed.name"
                )
            ]

    def buckets(self, feed: int, *, start: int, end: int) -> Iterator[Bucket]:
        """Page by page along the primary key."""
        position = (start, 0, 0)
        while True:
            with self._state() as connection:
                page = connection.execute(
                    "SELECT start, width, series, amount FROM bucket WHERE feed = %s AND start < %s"
                    " AND (start, width, series) > (%s, %s, %s) ORDER BY start, width, series"
                    " LIMIT %s",
                    (feed, end, *position, PAGE_ROWS),
                    binary=True,
                ).fetchall()
            yield from map(Bucket._make, page)
            if len(page) < PAGE_ROWS:
                return
            position = page[-1][:3]

    def series(self, feed: int) -> Mapping[int, SeriesName]:
        with self._state() as connection:
            return series_of(connection, feed)

    def series_name(self, series: int) -> SeriesName:
        with self._state() as connection:
            return series_name(connection, series)

    def lines(
        self, measure: Measure, stretches: Sequence[Stretch], *, start: int
    ) -> Iterator[tuple[Line, Iterator[Point]]]:
        feeds = [stretch.feed.id for stretch in stretches]
        values = {
            "feeds": feeds,
            "measure": measure.name,
            "first": start - LONGEST_STEP,
            "start": start,
            "since_ever": LIFETIME_START,
            "width": LIFETIME_WIDTH,
        }
        with closing(Spool()) as spool:
            # With a cursor on the server, memory stays flat.
            with self._state() as connection, connection.cursor("buckets") as cursor:
                spool.fill(
                    series=connection.execute(
                        "SELECT id, feed, measure, labels, truth, folded FROM series"
                        " WHERE feed = ANY(%(feeds)s) AND measure = %(measure)s",
                        values,
                    ),
                    buckets=cursor.execute(
                        "SELECT bucket.feed, start, width, series, amount FROM bucket"
                        " JOIN series ON series.id = bucket.series AND measure = %(measure)s"
                        " WHERE bucket.feed = ANY(%(feeds)s) AND"
                        " ((start >= %(first)s AND start + width > %(start)s)"
                        " OR (start = %(since_ever)s AND width = %(width)s))",
                        values,
                    ),
                )
            yield from spool.lines(measure, stretches, start=start)

    @contextmanager
    def _state(self) -> Iterator[psycopg.Connection]:
        """One state of the database; what takes long may."""
        with self.database.transaction(READ, statement_seconds=LONG_SECONDS) as connection:
            yield connection
