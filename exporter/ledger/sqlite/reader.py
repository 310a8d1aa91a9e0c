"""Answers questions to one state of the ledger, within the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from exporter.ledger.contract import FeedToPush, Late, SeriesName
from exporter.ledger.rows import decode_labels
from exporter.ledger.sqlite.stored import amounts_in, buckets_between
from exporter.model import Step, Window

# A handful of series beside any number of others: each of the window's buckets is found by key.
_AMOUNT = """
WITH RECURSIVE step (start) AS (
    VALUES (:start) UNION ALL SELECT start + :width FROM step WHERE start + :width < :end
)
SELECT coalesce(sum(amount), 0) FROM step CROSS JOIN bucket
ON bucket.feed = :feed AND bucket.start = step.start AND width = :width AND series = :series
"""


_ONE = "SELECT amount FROM bucket WHERE feed = ? AND start = ? AND width = ? AND series = ?"

_MOST_LOOKED_UP = 20
"""Of more series than this, reading all rows of a window is faster than finding theirs by key."""


@dataclass(frozen=True, slots=True)
class SqliteReader:
    """`exporter.ledger.contract.Reader` on an open transaction."""

    connection: sqlite3.Connection

    def feed_of(self, series: int) -> int:
        (feed,) = self.connection.execute(
            "SELECT feed FROM series WHERE id = ?", (series,)
        ).fetchone()
        return int(feed)

    def amount(self, *, feed: int, series: int, window: Window) -> int:
        month = Step.MONTH.floor(window.start)
        widths = {Step.HOUR.width(0), Step.DAY.width(0), Step.MONTH.width(month)}
        total = 0
        for width in widths:
            start = month if width > Step.DAY.width(0) else window.start
            if start < window.start:
                continue
            (found,) = self.connection.execute(
                _AMOUNT,
                {
                    "start": start,
                    "end": window.end,
                    "width": width,
                    "feed": feed,
                    "series": series,
                },
            ).fetchone()
            total += found
        return total

    def days(self, *, feed: int, series: Collection[int], window: Window) -> dict[int, int]:
        days: dict[int, int] = {}
        if len(series) > _MOST_LOOKED_UP:
            rows = self.connection.execute(
                "SELECT start, series, amount FROM bucket WHERE feed = ? AND start >= ?"
                " AND start < ?",
                (feed, window.start, window.end),
            )
            amounts = ((start, amount) for start, one, amount in rows if one in series)
        else:
            amounts = (
                (start, amount)
                for start, width in buckets_between(self.connection, feed, window.start, window.end)
                for one in series
                for (amount,) in self.connection.execute(_ONE, (feed, start, width, one))
            )
        for start, amount in amounts:
            day = Step.DAY.floor(start)
            days[day] = days.get(day, 0) + amount
        return days

    def bucket(self, feed: int, start: int, width: int) -> dict[int, int]:
        return amounts_in(self.connection, feed, (start, width))

    def first_bucket(self, feed: int, since: int) -> int | None:
        (start,) = self.connection.execute(
            "SELECT min(start) FROM bucket WHERE feed = ? AND start >= ?", (feed, since)
        ).fetchone()
        return None if start is None else int(start)

    def series_name(self, series: int) -> SeriesName:
        return series_name(self.connection, series)

    def to_push(self) -> Sequence[FeedToPush]:
        return [
            FeedToPush(*row)
            for row in self.connection.execute(
                "SELECT feed.id, coalesce(pushed_until, 0), settled_until, folded_until,"
                " provider, account.name FROM feed JOIN account ON account.id = feed.account"
                " WHERE settled_until IS NOT NULL ORDER BY 2"
            )
        ]

    def late(self, feed: int, *, until: int, limit: int) -> Sequence[Late]:
        return [
            Late(start, width, series, amount, bool(beyond))
            for start, width, series, amount, beyond in self.connection.execute(
                "SELECT start, width, revision.series, amount, folded FROM revision"
                " JOIN bucket USING (feed, start, width, series)"
                " JOIN series ON series.id = series"
                " WHERE revision.feed = ? AND reported = 1 AND start + width <= ? LIMIT ?",
                (feed, until, limit),
            )
        ]

    def pushed_until(self) -> int | None:
        (until,) = self.connection.execute(
            "SELECT min(coalesce(pushed_until, 0)) FROM feed WHERE settled_until IS NOT NULL"
        ).fetchone()
        return None if until is None else int(until)


def series_name(connection: sqlite3.Connection, series: int) -> SeriesName:
    """What a series is called."""
    measure, labels, beyond = connection.execute(
        "SELECT measure, labels, folded FROM series WHERE id = ?", (series,)
    ).fetchone()
    return SeriesName(measure, decode_labels(labels), bool(beyond))


def series_of(connection: sqlite3.Connection, feed: int) -> dict[int, SeriesName]:
    """The series of a feed, by their ids."""
    return {
        series: SeriesName(measure, decode_labels(labels), bool(beyond))
        for series, measure, labels, beyond in connection.execute(
            "SELECT id, measure, labels, folded FROM series WHERE feed = ?", (feed,)
        )
    }
