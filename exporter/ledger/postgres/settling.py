"""Notes which buckets are final, and tells what `writing` noted of those that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from exporter.ledger.book import Book
from exporter.ledger.settling import Revised, settled_until
from exporter.model import Window


def settle(
    connection: psycopg.Connection, book: Book, settling: Mapping[str, int]
) -> list[Revised]:
    """Write down what is settled now; returns what has been revised since the last call."""
    until = {
        book.feeds[name].id: at
        for name, seconds in settling.items()
        if (at := settled_until(book.feeds[name], seconds)) is not None
    }
    if not until:
        return []
    connection.execute(
        "UPDATE feed SET settled_until = greatest(settled_until, new.until)"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, until) WHERE feed.id = new.id"
        " AND settled_until IS DISTINCT FROM greatest(settled_until, new.until)",
        (list(until), list(until.values())),
    )
    found = {
        feed: (buckets, start, end)
        for feed, buckets, start, end in connection.execute(
            "SELECT feed, count(*), min(start), max(start + width) FROM revision"
            " WHERE feed = ANY(%s) AND NOT reported GROUP BY feed",
            (list(until),),
        )
    }
    if not found:
        return []
    connection.execute("UPDATE revision SET reported = true WHERE feed = ANY(%s)", (list(found),))
    # Those that remote write has still to do with stay: late buckets, which it has yet to push.
    connection.execute(
        "DELETE FROM revision USING feed WHERE feed.id = revision.feed AND feed.id = ANY(%s) AND"
        " (before IS NOT NULL OR start + width > coalesce(feed.pushed_until, 0))",
        (list(found),),
    )
    names = {book.feeds[name].id: name for name in settling}
    return [
        Revised(names[feed], buckets, Window(start, end))
        for feed in until
        if feed in found
        for buckets, start, end in [found[feed]]
    ]


def pushed(
    connection: psycopg.Connection, feed: int, until: int, late: Sequence[tuple[int, int, int]]
) -> None:
    """Write down that buckets that end by `until`, and these late ones, were pushed."""
    connection.execute(
        "UPDATE feed SET pushed_until = greatest(pushed_until, %s) WHERE id = %s", (until, feed)
    )
    if late:
        connection.execute(
            "DELETE FROM revision USING unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
            " AS row (start, width, series) WHERE feed = %s AND revision.start = row.start"
            " AND revision.width = row.width AND revision.series = row.series",
            (*map(list, zip(*late, strict=True)), feed),
        )
