"""Answers what the decision about a poll asks, within the transaction that writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import psycopg

from exporter.ledger.decision import Bucket
from exporter.ledger.filling import SeriesRow
from exporter.ledger.postgres.names import named, stored
from exporter.model import LIFETIME_WIDTH

# OFFSET 0 keeps the planner from reading a whole feed for a few of its buckets.
_AMOUNTS: Final = """
SELECT wanted.start, wanted.width, found.series, found.amount
FROM unnest(%s::bigint[], %s::bigint[]) AS wanted (start, width),
LATERAL (
    SELECT series, amount FROM bucket
    WHERE feed = %s AND bucket.start = wanted.start AND bucket.width = wanted.width
    OFFSET 0
) AS found
"""

_BETWEEN: Final = """
WITH RECURSIVE step AS (
    (
        SELECT start, width FROM bucket WHERE feed = %(feed)s AND start >= %(first)s
        AND start < %(last)s ORDER BY start, width LIMIT 1
    )
    UNION ALL
    SELECT later.start, later.width FROM step, LATERAL (
        SELECT start, width FROM bucket WHERE feed = %(feed)s
        AND (start, width) > (step.start, step.width) AND start < %(last)s
        ORDER BY start, width LIMIT 1
    ) AS later
)
SELECT start, width FROM step
"""
"""The distinct buckets of a time, one look-up each: without reading the rows of each."""


@dataclass(frozen=True, slots=True)
class PostgresStored:
    """`exporter.ledger.prior_state.Stored` on an open transaction."""

    connection: psycopg.Connection

    def wider_until(self, feed: int, width: int) -> int:
        row = self.connection.execute(
            "SELECT max(start + width) FROM bucket WHERE feed = %s AND width > %s AND width < %s",
            (feed, width, LIFETIME_WIDTH),
        ).fetchone()
        return (row[0] if row else 0) or 0

    def buckets_between(self, feed: int, first: int, last: int) -> Iterable[Bucket]:
        values = {"feed": feed, "first": first, "last": last}
        return self.connection.execute(_BETWEEN, values).fetchall()

    def amounts(self, feed: int, buckets: Collection[Bucket]) -> Mapping[Bucket, Mapping[int, int]]:
        amounts: dict[Bucket, dict[int, int]] = {bucket: {} for bucket in buckets}
        starts, widths = [start for start, _ in buckets], [width for _, width in buckets]
        for start, width, series, amount in self.connection.execute(
            _AMOUNTS, (starts, widths, feed), binary=True
        ):
            amounts[start, width][series] = amount
        return amounts

    def counted(self, feed: int, events: Collection[str]) -> set[str]:
        rows = self.connection.execute(
            "SELECT id FROM event WHERE feed = %s AND id = ANY(%s)",
            (feed, [stored(identity) for identity in events]),
        )
        return {named(identity) for (identity,) in rows}

    def unfinished(self, feed: int) -> Mapping[str, int]:
        rows = self.connection.execute("SELECT id, since FROM unfinished WHERE feed = %s", (feed,))
        return {named(identity): since for identity, since in rows}

    def left_feeds(self, account: int, polled: Collection[int]) -> Collection[int]:
        rows = self.connection.execute(
            "SELECT id FROM feed WHERE account = %s AND NOT id = ANY(%s)", (account, list(polled))
        )
        return [feed for (feed,) in rows]

    def labelled(self, feeds: Collection[int], text: str) -> Iterable[SeriesRow]:
        return self.connection.execute(
            "SELECT id, measure, labels, truth, exposed, created, folded FROM series"
            " WHERE feed = ANY(%s) AND strpos(labels, %s) > 0",
            (list(feeds), text),
        )

    def next_series(self) -> int:
        row = self.connection.execute("SELECT nextval('series_block')").fetchone()
        return int(row[0]) if row else 0
