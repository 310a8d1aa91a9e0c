"""A part of another ledger in a temporary file, to be read as this one is.

It is written in one go and read as slowly as need be; memory stays flat.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from exporter.ledger.contract import Line, Point, Stretch
from exporter.ledger.sqlite.lines import lines
from exporter.model import Measure

SeriesRow = tuple[int, int, str, str, int, bool]
"""(id, feed, measure, labels, truth, beyond a limit)."""
BucketRow = tuple[int, int, int, int, int]
"""(feed, start, width, series, amount)."""


class Spool:
    """A temporary file with series and buckets."""

    def __init__(self) -> None:
        # Without a name, SQLite keeps the database in a file that vanishes with the connection.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA temp_store = FILE")
        self._connection.execute(
            "CREATE TABLE series (id INTEGER PRIMARY KEY, feed INTEGER, measure TEXT, labels TEXT,"
            " truth INTEGER, folded INTEGER)"
        )
        self._connection.execute(
            "CREATE TABLE bucket (feed INTEGER, start INTEGER, width INTEGER, series INTEGER,"
            " amount INTEGER, PRIMARY KEY (feed, start, width, series)) WITHOUT ROWID"
        )

    def fill(self, *, series: Iterable[SeriesRow], buckets: Iterable[BucketRow]) -> None:
        """Take these rows in."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", series)
        self._connection.executemany("INSERT INTO bucket VALUES (?, ?, ?, ?, ?)", buckets)
        self._connection.execute("COMMIT")

    def lines(
        self, measure: Measure, stretches: Sequence[Stretch], *, start: int
    ) -> Iterator[tuple[Line, Iterator[Point]]]:
        """One measure's lines; see `exporter.ledger.contract.History`."""
        return lines(self._connection, measure, stretches, start=start)

    def close(self) -> None:
        """The file vanishes."""
        self._connection.close()
