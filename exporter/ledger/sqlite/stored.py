"""Answers what the decision about a poll asks of the file, within the transaction that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from exporter.ledger.decision import Bucket
from exporter.ledger.filling import SeriesRow
from exporter.model import LIFETIME_WIDTH


@dataclass(frozen=True, slots=True)
class SqliteStored:
    """`exporter.ledger.prior_state.Stored` on an open transaction; `next_id` is the next series'."""

    connection: sqlite3.Connection
    next_id: int

    def wider_until(self, feed: int, width: int) -> int:
        (until,) = self.connection.execute(
            "SELECT max(start + width) FROM bucket WHERE feed = ? AND width > ? AND width < ?",
            (feed, width, LIFETIME_WIDTH),
        ).fetchone()
        return until or 0

    def buckets_between(self, feed: int, first: int, last: int) -> Iterator[Bucket]:
        return buckets_between(self.connection, feed, first, last)

    def amounts(self, feed: int, buckets: Collection[Bucket]) -> Mapping[Bucket, Mapping[int, int]]:
        return {bucket: amounts_in(self.connection, feed, bucket) for bucket in buckets}

    def counted(self, feed: int, events: Collection[str]) -> set[str]:
        return {
            identity
            for identity in events
            if self.connection.execute(
                "SELECT 1 FROM event WHERE feed = ? AND id = ?", (feed, identity)
            ).fetchone()
        }

    def unfinished(self, feed: int) -> Mapping[str, int]:
        return dict(
            self.connection.execute("SELECT id, since FROM unfinished WHERE feed = ?", (feed,))
        )

    def left_feeds(self, account: int, polled: Collection[int]) -> Collection[int]:
        feeds = self.connection.execute("SELECT id FROM feed WHERE account = ?", (account,))
        return [feed for (feed,) in feeds.fetchall() if feed not in polled]

    def labelled(self, feeds: Collection[int], text: str) -> Iterable[SeriesRow]:
        for feed in feeds:
            yield from self.connection.execute(
                "SELECT id, measure, labels, truth, exposed, created, folded FROM series"
                " WHERE feed = ? AND labels LIKE ?",
                (feed, f"%{text}%"),
            )

    def next_series(self) -> int:
        return self.next_id


def amounts_in(connection: sqlite3.Connection, feed: int, bucket: Bucket) -> dict[int, int]:
    """The amounts of one bucket, by series."""
    return dict(
        connection.execute(
            "SELECT series, amount FROM bucket WHERE feed = ? AND start = ? AND width = ?",
            (feed, *bucket),
        )
    )


def buckets_between(
    connection: sqlite3.Connection, feed: int, first: int, last: int
) -> Iterator[Bucket]:
    """The distinct buckets that begin in this time, without reading the rows of each."""
    bucket: Bucket | None = (first - 1, LIFETIME_WIDTH)
    while bucket is not None:
        bucket = connection.execute(
            "SELECT start, width FROM bucket WHERE feed = ? AND (start, width) > (?, ?)"
            " AND start < ? ORDER BY start, width LIMIT 1",
            (feed, *bucket, last),
        ).fetchone()
        if bucket is not None:
            yield bucket
