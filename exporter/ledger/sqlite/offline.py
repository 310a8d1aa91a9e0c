"""The ledger's file as other processes see it: read only, while the exporter writes to it or not.

SQLite's write-ahead log gives each reading transaction one state of the file, and neither side
waits for the other. What is long is copied into temporary tables first, on disk, so that no
transaction stays open while somebody reads slowly.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.ledger.contract import Bucket, FeedHistory, Line, Point, SeriesName, Stretch
from exporter.ledger.sqlite.lines import lines
from exporter.ledger.sqlite.reader import series_name, series_of
from exporter.ledger.sqlite.schema import MIGRATIONS, check_identity
from exporter.model import DAY, HOUR, Measure
from exporter.model.errors import LedgerError

PAGE_ROWS = 10_000


@contextmanager
def reading(path: Path) -> Iterator[SqliteHistory]:
    """The ledger at `path`, to be read; LedgerError, in one line, when that is impossible."""
    if not path.is_file():
        raise LedgerError(f"ledger {path}: there is no such file")
    try:
        connection = connect_to_read(path)
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: it cannot be read ({error})") from error
    try:
        yield SqliteHistory(connection)
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: it cannot be read ({error})") from error
    finally:
        connection.close()


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads; LedgerError for what is no ledger of this version."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    if not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK):
        # Nobody writes to it, and SQLite could not make the files it shares with a writer.
        address += "&immutable=1"
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("PRAGMA temp_store = FILE")
        version = check_identity(connection)
    except LedgerError as error:
        connection.close()
        raise LedgerError(f"ledger {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    if version < len(MIGRATIONS):
        connection.close()
        raise LedgerError(
            f"ledger {path}: it is of an older version; start the exporter once to renew it"
        )
    return connection


@dataclass(frozen=True, slots=True)
class SqliteHistory:
    """`exporter.ledger.contract.History` on a connection that only reads."""

    connection: sqlite3.Connection

    def feeds(self) -> Sequence[FeedHistory]:
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
            ) in self.connection.execute(
                "SELECT feed.id, provider, account.name, feed.name, began, settled_until,"
                " folded_until, finest FROM feed JOIN account ON account.id = feed.account"
                " ORDER BY provider, account.name, feed.name"
            )
        ]

    def buckets(self, feed: int, *, start: int, end: int) -> Iterator[Bucket]:
        """Page by page along the primary key, so that no page keeps the log from being emptied."""
        position = (start, 0, 0)
        while True:
            page = self.connection.execute(
                "SELECT start, width, series, amount FROM bucket WHERE feed = ? AND start < ?"
                " AND (start, width, series) > (?, ?, ?) ORDER BY 1, 2, 3 LIMIT ?",
                (feed, end, *position, PAGE_ROWS),
            ).fetchall()
            yield from map(Bucket._make, page)
            if len(page) < PAGE_ROWS:
                return
            position = page[-1][:3]

    def series(self, feed: int) -> Mapping[int, SeriesName]:
        return series_of(self.connection, feed)

    def series_name(self, series: int) -> SeriesName:
        return series_name(self.connection, series)

    def lines(
        self, measure: Measure, stretches: Sequence[Stretch], *, start: int
    ) -> Iterator[tuple[Line, Iterator[Point]]]:
        return lines(self.connection, measure, stretches, start=start)
