"""Answers questions to one state of the ledger, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from exporter.ledger.contract import FeedToPush, Late, SeriesName
from exporter.ledger.postgres.stored import PostgresStored
from exporter.ledger.rows import decode_labels
from exporter.model import Step, Window

# Each bucket is looked up by its key: a handful of series beside any number of others. A subquery
# in the list of columns cannot be planned in another way.
_AMOUNT: Final = """
SELECT coalesce(sum((
    SELECT amount FROM bucket WHERE feed = %(feed)s AND start = step.start
    AND width = step.width AND series = %(series)s
)), 0)
FROM (
    SELECT generate_series(%(start)s::bigint, %(end)s::bigint - 1, 3600) AS start, 3600 AS width
    UNION ALL SELECT generate_series(%(start)s::bigint, %(end)s::bigint - 1, 86400), 86400
    UNION ALL SELECT %(month)s::bigint, %(length)s::bigint WHERE %(month)s >= %(start)s
) AS step
"""

_DAYS: Final = """
SELECT step.start, sum((
    SELECT amount FROM bucket WHERE feed = %(feed)s AND start = step.start
    AND width = step.width AND series = one.series
))
FROM unnest(%(starts)s::bigint[], %(widths)s::bigint[]) AS step (start, width)
CROSS JOIN unnest(%(series)s::bigint[]) AS one (series) GROUP BY step.start
"""

_ALL_DAYS: Final = """
SELECT start, sum(amount) FROM bucket WHERE feed = %(feed)s AND start >= %(start)s
AND start < %(end)s AND series = ANY(%(series)s::bigint[]) GROUP BY start
"""

_MOST_LOOKED_UP = 20
"""Of more series than this, reading all rows of a window is faster than finding theirs by key."""


@dataclass(frozen=True, slots=True)
class PostgresReader:
    """`exporter.ledger.contract.Reader` on an open transaction.

    `feeds` are the feeds of series that are known already: they never change, and are asked for
    one by one.
    """

    connection: psycopg.Connection
    feeds: dict[int, int]

    def feed_of(self, series: int) -> int:
        if series not in self.feeds:
            self.feeds[series] = int(self._one("SELECT feed FROM series WHERE id = %s", (series,)))
        return self.feeds[series]

    def amount(self, *, feed: int, series: int, window: Window) -> int:
        month = Step.MONTH.floor(window.start)
        return int(
            self._one(
                _AMOUNT,
                {
                    "feed": feed,
                    "series": series,
                    "start": window.start,
                    "end": window.end,
                    "month": month,
                    "length": Step.MONTH.width(month),
                },
            )
        )

    def days(self, *, feed: int, series: Collection[int], window: Window) -> dict[int, int]:
        if not series:
            return {}
        values: dict[str, Any] = {"feed": feed, "series": list(series)}
        if len(series) > _MOST_LOOKED_UP:
            found = self.connection.execute(
                _ALL_DAYS, {**values, "start": window.start, "end": window.end}
            )
        else:
            buckets = PostgresStored(self.connection).buckets_between(
                feed, window.start, window.end
            )
            starts, widths = [one for one, _ in buckets], [width for _, width in buckets]
            found = self.connection.execute(_DAYS, {**values, "starts": starts, "widths": widths})
        days: dict[int, int] = {}
        for start, amount in found:
            if amount is not None:
                day = Step.DAY.floor(start)
                days[day] = days.get(day, 0) + int(amount)
        return days

    def bucket(self, feed: int, start: int, width: int) -> dict[int, int]:
        return dict(PostgresStored(self.connection).amounts(feed, [(start, width)])[start, width])

    def first_bucket(self, feed: int, since: int) -> int | None:
        start = self._one(
            "SELECT min(start) FROM bucket WHERE feed = %s AND start >= %s", (feed, since)
        )
        return None if start is None else int(start)

    def series_name(self, series: int) -> SeriesName:
        return series_name(self.connection, series)

    def to_push(self) -> Sequence[FeedToPush]:
        return [
            FeedToPush(*row)
            for row in self.connection.execute(
                "SELECT feed.id, coalesce(pushed_until, 0), settled_until, folded_until,"
                " provider, account.name FROM feed JOIN account ON account.id = feed.account"
                " WHERE settled_until IS NOT NULL ORDER BY 2, 1"
            )
        ]

    def late(self, feed: int, *, until: int, limit: int) -> Sequence[Late]:
        return [
            Late(*row)
            for row in self.connection.execute(
                "SELECT start, width, revision.series, amount, folded FROM revision"
                " JOIN bucket USING (feed, start, width, series)"
                " JOIN series ON series.id = revision.series"
                " WHERE revision.feed = %s AND reported AND start + width <= %s"
                " ORDER BY 1, 2, 3 LIMIT %s",
                (feed, until, limit),
            )
        ]

    def pushed_until(self) -> int | None:
        until = self._one(
            "SELECT min(coalesce(pushed_until, 0)) FROM feed WHERE settled_until IS NOT NULL"
        )
        return None if until is None else int(until)

    def _one(self, statement: str, values: Any = None) -> Any:
        """The one value that a query gives."""
        (row,) = self.connection.execute(statement, values).fetchall()
        return row[0]


def series_name(connection: psycopg.Connection, series: int) -> SeriesName:
    """What a series is called."""
    (row,) = connection.execute(
        "SELECT measure, labels, folded FROM series WHERE id = %s", (series,)
    ).fetchall()
    measure, labels, beyond = row
    return SeriesName(measure, decode_labels(labels), beyond)


def series_of(connection: psycopg.Connection, feed: int) -> dict[int, SeriesName]:
    """The series of a feed, by their ids."""
    return {
        series: SeriesName(measure, decode_labels(labels), beyond)
        for series, measure, labels, beyond in connection.execute(
            "SELECT id, measure, labels, folded FROM series WHERE feed = %s", (feed,), binary=True
        )
    }
