"""Notes which buckets are final, and what the tables' triggers noted of those that changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from exporter.ledger.book import Book, FeedState
from exporter.ledger.settling import Revised, settled_until
from exporter.model import Window


def settle(
    connection: sqlite3.Connection, book: Book, settling: Mapping[str, int]
) -> list[Revised]:
    """Write down what is settled now; returns what has been revised since the last call."""
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
    """What is new among the feed's revisions, noted as reported.

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


def pushed(
    connection: sqlite3.Connection, feed: int, until: int, late: Sequence[tuple[int, int, int]]
) -> None:
    """Write down that buckets that end by `until`, and these late ones, were pushed."""
    connection.execute(
        "UPDATE feed SET pushed_until = max(coalesce(pushed_until, 0), ?) WHERE id = ?",
        (until, feed),
    )
    connection.executemany(
        "DELETE FROM revision WHERE feed = ? AND start = ? AND width = ? AND series = ?",
        [(feed, *row) for row in late],
    )
