"""Which buckets are final, and which of those changed all the same.

A closed bucket is settled once the feed was polled with success later than its settling time after
the bucket's end; nothing that an outage left open lies before it. The database itself notes what
happens to settled buckets (see the triggers in `exporter.ledger.schema`), in the transaction that
does it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.ledger import Book, FeedState, Ledger
from exporter.model import HOUR, Window


@dataclass(frozen=True, slots=True)
class Revised:
    """So many settled buckets of a feed changed; all of them lie in `window`."""

    feed: str
    buckets: int
    window: Window


def settled_until(feed: FeedState, settling: int) -> int | None:
    """Up to when the feed's buckets are final, None before its first poll."""
    if feed.polled_at is None:
        return None
    until = feed.polled_at - settling
    if feed.gaps:
        until = min(until, feed.gaps[0].start)
    return until - until % HOUR


def settle(ledger: Ledger, book: Book, settling: Mapping[str, int]) -> list[Revised]:
    """Write down what is settled now; returns what has been revised since the last call.

    `settling` is each feed's settling time. Raises LedgerWriteError; then it is all still to do.
    """
    with ledger.transaction() as connection:
        revised = []
        for name, seconds in settling.items():
            feed = book.feeds[name]
            until = settled_until(feed, seconds)
            if until is None:
                continue
            connection.execute(
                "UPDATE feed SET settled_until = max(coalesce(settled_until, 0), ?) WHERE id = ?",
                (until, feed.id),
            )
            revised.extend(_reported(connection, feed))
        return revised


def _reported(connection: sqlite3.Connection, feed: FeedState) -> list[Revised]:
    """What is new among the feed's revisions, noted as told.

    Those that remote write has still to do with stay: late buckets, which it has yet to push.
    """
    buckets, start, end = connection.execute(
        "SELECT count(*), min(start), max(start + width) FROM revision"
        " WHERE feed = ? AND reported = 0",
        (feed.id,),
    ).fetchone()
    if not buckets:
        return []
    connection.execute("UPDATE revision SET reported = 1 WHERE feed = ?", (feed.id,))
    connection.execute(
        "DELETE FROM revision WHERE feed = ? AND (before IS NOT NULL OR start + width >"
        " coalesce((SELECT pushed_until FROM feed WHERE id = ?), 0))",
        (feed.id, feed.id),
    )
    return [Revised(feed.name, buckets, Window(start, end))]
