"""Writes what was decided, within the transaction that the caller has begun."""

from __future__ import annotations

import sqlite3

from exporter.ledger import rows
from exporter.ledger.book import Book, FeedState
from exporter.ledger.decision import Changes

_ADD_BUCKETS = (
    "INSERT INTO bucket (feed, start, width, series, amount) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET amount = excluded.amount"
)


def write(connection: sqlite3.Connection, book: Book, changes: Changes) -> None:
    """Write all of it. `book` is still as it was before."""
    before = book.feeds[changes.feed.name]
    # Before the gaps: the tables' triggers look at those that lay open until now.
    _write_buckets(connection, before.id, changes)
    _write_series(connection, before.id, changes)
    _write_streams(connection, book, changes)
    _write_jobs(connection, before.id, changes)
    write_feed(connection, before, changes.feed)
    connection.executemany(
        "INSERT INTO feed_stream (feed, name, began, left_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET left_at = excluded.left_at",
        [(before.id, *row) for row in changes.cursors],
    )
    connection.executemany(
        "INSERT INTO description (feed, measure, identity, labels) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET labels = excluded.labels",
        [(before.id, *row) for row in rows.descriptions(changes)],
    )


def write_feed(connection: sqlite3.Connection, before: FeedState, after: FeedState) -> None:
    """Write what differs of a feed's own row and of its gaps."""
    if differing := rows.differing(before, after):
        columns = ", ".join(f"{column} = :{column}" for column in differing)
        connection.execute(
            f"UPDATE feed SET {columns} WHERE id = :id",  # noqa: S608 -- names from `rows`
            {**differing, "id": before.id},
        )
    if before.gaps != after.gaps:
        connection.execute("DELETE FROM gap WHERE feed = ?", (before.id,))
        connection.executemany(
            'INSERT INTO gap (feed, "from", "until") VALUES (?, ?, ?)',
            [(before.id, gap.start, gap.end) for gap in after.gaps],
        )


def _write_buckets(connection: sqlite3.Connection, feed: int, changes: Changes) -> None:
    for (start, width), superseded in changes.superseded.items():
        connection.executemany(
            "DELETE FROM bucket WHERE feed = ? AND start = ? AND width = ? AND series = ?",
            [(feed, start, width, series) for series in superseded],
        )
    for (start, width), amounts in changes.stored.items():
        connection.executemany(
            _ADD_BUCKETS,
            [(feed, start, width, series, amount) for series, amount in amounts.items()],
        )


def _write_series(connection: sqlite3.Connection, feed: int, changes: Changes) -> None:
    connection.executemany(
        "INSERT INTO series (id, feed, measure, labels, truth, exposed, created, held,"
        " held_until, folded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(identity, feed, *row) for identity, *row in rows.new_series(changes)],
    )
    connection.executemany(
        "UPDATE series SET truth = ?, exposed = ? WHERE id = ?",
        [(truth, exposed, identity) for identity, truth, exposed in rows.new_totals(changes)],
    )
    connection.executemany(
        "UPDATE series SET held = ?, held_until = ? WHERE id = ?",
        [(held, until, identity) for identity, held, until in rows.new_holds(changes)],
    )


def _write_streams(connection: sqlite3.Connection, book: Book, changes: Changes) -> None:
    connection.executemany(
        "INSERT INTO stream (account, name, folded) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET folded = excluded.folded",
        [(book.id, name, not within) for name, within in changes.streams.items()],
    )
    if changes.listed_at is not None:
        connection.execute(
            "UPDATE account SET listed_at = ? WHERE id = ?", (changes.listed_at, book.id)
        )
    connection.executemany(
        "INSERT INTO stream (account, name, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
        [(book.id, name, at) for name, at in changes.seen.items()],
    )


def _write_jobs(connection: sqlite3.Connection, feed: int, changes: Changes) -> None:
    connection.executemany(
        "INSERT INTO event (feed, id, since) VALUES (?, ?, ?)",
        [(feed, identity, since) for identity, since in changes.counted.items()],
    )
    connection.executemany(
        "INSERT INTO unfinished (feed, id, since) VALUES (?, ?, ?)",
        [(feed, identity, since) for identity, since in changes.unfinished.items()],
    )
    connection.executemany(
        "DELETE FROM unfinished WHERE feed = ? AND id = ?",
        [(feed, identity) for identity in changes.ended],
    )
