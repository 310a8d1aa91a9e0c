"""Writes what was decided, within the transaction that the caller has begun.

Each table is written by one statement, however many rows there are: what takes time is the way to
the server and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import psycopg

from exporter.ledger import rows
from exporter.ledger.book import Book, FeedState
from exporter.ledger.decision import Changes
from exporter.ledger.postgres.names import stored

# What settled buckets had been before is noted; every amount that is written is a new one. All parts
# of a statement see the table as it was before it.
_ADD_BUCKETS: Final = """
WITH incoming AS (
    SELECT * FROM unnest(
        %(starts)s::bigint[], %(widths)s::bigint[], %(series)s::bigint[], %(amounts)s::bigint[]
    ) AS row (start, width, series, amount)
), noted AS (
    INSERT INTO revision (feed, start, width, series, before)
    SELECT %(feed)s, incoming.start, incoming.width, incoming.series, known.amount
    FROM incoming LEFT JOIN bucket AS known ON known.feed = %(feed)s
    AND known.start = incoming.start AND known.width = incoming.width
    AND known.series = incoming.series
    WHERE incoming.start + incoming.width
    <= (SELECT settled_until FROM feed WHERE id = %(feed)s)
    ON CONFLICT (feed, start, width, series) DO UPDATE SET reported = false
)
INSERT INTO bucket (feed, start, width, series, amount)
SELECT %(feed)s, start, width, series, amount FROM incoming
ON CONFLICT (feed, start, width, series) DO UPDATE SET amount = excluded.amount
"""

_DELETE_BUCKETS: Final = """
WITH gone AS (
    DELETE FROM bucket USING unnest(
        %(starts)s::bigint[], %(widths)s::bigint[], %(series)s::bigint[]
    ) AS row (start, width, series)
    WHERE bucket.feed = %(feed)s AND bucket.start = row.start AND bucket.width = row.width
    AND bucket.series = row.series
    RETURNING bucket.start, bucket.width, bucket.series, bucket.amount
)
INSERT INTO revision (feed, start, width, series, before)
SELECT %(feed)s, start, width, series, amount FROM gone
WHERE start + width <= (SELECT settled_until FROM feed WHERE id = %(feed)s)
ON CONFLICT (feed, start, width, series) DO UPDATE SET reported = false
"""


def write(connection: psycopg.Connection, book: Book, changes: Changes) -> None:
    """Write all of it. `book` is still as it was before."""
    before = book.feeds[changes.feed.name]
    _write_buckets(connection, before.id, changes)
    _write_series(connection, before.id, changes)
    _write_streams(connection, book, changes)
    _write_jobs(connection, before.id, changes)
    write_feed(connection, before, changes.feed)
    _insert(
        connection,
        "INSERT INTO feed_stream (feed, name, began, left_at)"
        " SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])"
        " ON CONFLICT (feed, name) DO UPDATE SET left_at = excluded.left_at",
        before.id,
        ((stored(name), began, left_at) for name, began, left_at in changes.cursors),
    )
    _insert(
        connection,
        "INSERT INTO description (feed, measure, identity, labels)"
        " SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])"
        " ON CONFLICT (feed, measure, identity) DO UPDATE SET labels = excluded.labels",
        before.id,
        rows.descriptions(changes),
    )


def write_feed(connection: psycopg.Connection, before: FeedState, after: FeedState) -> None:
    """Write what differs of a feed's own row and of its gaps."""
    if differing := rows.differing(before, after):
        columns = ", ".join(f"{column} = %({column})s" for column in differing)
        connection.execute(
            f"UPDATE feed SET {columns} WHERE id = %(id)s",  # noqa: S608 -- names from `rows`
            {**differing, "id": before.id},
        )
    if before.gaps != after.gaps:
        connection.execute("DELETE FROM gap WHERE feed = %s", (before.id,))
        _insert(
            connection,
            "INSERT INTO gap (feed, start, until)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[])",
            before.id,
            ((gap.start, gap.end) for gap in after.gaps),
        )


def _write_buckets(connection: psycopg.Connection, feed: int, changes: Changes) -> None:
    deleted = [
        (*bucket, series)
        for bucket, superseded in changes.superseded.items()
        for series in superseded
    ]
    if deleted:
        starts, widths, series = _columns(deleted)
        values = {"feed": feed, "starts": starts, "widths": widths, "series": series}
        connection.execute(_DELETE_BUCKETS, values)
    added = [
        (*bucket, series, amount)
        for bucket, amounts in changes.stored.items()
        for series, amount in amounts.items()
    ]
    if added:
        starts, widths, series, amounts = _columns(added)
        connection.execute(
            _ADD_BUCKETS,
            {
                "feed": feed,
                "starts": starts,
                "widths": widths,
                "series": series,
                "amounts": amounts,
            },
        )


def _write_series(connection: psycopg.Connection, feed: int, changes: Changes) -> None:
    _insert(
        connection,
        "INSERT INTO series (feed, id, measure, labels, truth, exposed, created, held, held_until,"
        " folded) SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::bigint[], %s::double precision[], %s::boolean[])",
        feed,
        rows.new_series(changes),
    )
    if totals := rows.new_totals(changes):
        connection.execute(
            "UPDATE series SET truth = new.truth, exposed = new.exposed"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS new (id, truth, exposed)"
            " WHERE series.id = new.id",
            _columns(totals),
        )
    if holds := rows.new_holds(changes):
        connection.execute(
            "UPDATE series SET held = new.held, held_until = new.until"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::double precision[])"
            " AS new (id, held, until) WHERE series.id = new.id",
            _columns(holds),
        )


def _write_streams(connection: psycopg.Connection, book: Book, changes: Changes) -> None:
    admit(connection, book.id, changes.streams)
    if changes.listed_at is not None:
        connection.execute(
            "UPDATE account SET listed_at = %s WHERE id = %s", (changes.listed_at, book.id)
        )
    _insert(
        connection,
        "INSERT INTO stream (account, name, seen_at) SELECT %s, * FROM unnest(%s::text[],"
        " %s::bigint[]) ON CONFLICT (account, name) DO UPDATE SET seen_at = excluded.seen_at",
        book.id,
        ((stored(name), at) for name, at in changes.seen.items()),
    )


def admit(connection: psycopg.Connection, account: int, streams: Mapping[str, bool]) -> None:
    """Write whether streams are within the account's limit."""
    _insert(
        connection,
        "INSERT INTO stream (account, name, folded) SELECT %s, * FROM unnest(%s::text[],"
        " %s::boolean[]) ON CONFLICT (account, name) DO UPDATE SET folded = excluded.folded",
        account,
        ((stored(name), not within) for name, within in streams.items()),
    )


def _write_jobs(connection: psycopg.Connection, feed: int, changes: Changes) -> None:
    for table, jobs in (("event", changes.counted), ("unfinished", changes.unfinished)):
        _insert(
            connection,
            f"INSERT INTO {table} (feed, id, since)"  # noqa: S608 -- one of two names
            " SELECT %s, * FROM unnest(%s::text[], %s::bigint[])",
            feed,
            ((stored(identity), since) for identity, since in jobs.items()),
        )
    if changes.ended:
        connection.execute(
            "DELETE FROM unfinished WHERE feed = %s AND id = ANY(%s)",
            (feed, [stored(identity) for identity in changes.ended]),
        )


def _insert(
    connection: psycopg.Connection, statement: str, owner: int, found: Iterable[tuple[Any, ...]]
) -> None:
    """Run a statement with the owner's id and the rows, column by column; nothing without rows."""
    if columns := _columns(list(found)):
        connection.execute(statement, (owner, *columns))


def _columns(found: list[Any]) -> list[str | list[Any]]:
    return [_array(column) for column in zip(*found, strict=True)]


def _array(column: tuple[Any, ...]) -> str | list[Any]:
    """Whole numbers as PostgreSQL writes an array of them: psycopg takes several times as long."""
    try:
        return "{" + ",".join(map(int.__repr__, column)) + "}"
    except TypeError:
        return list(column)
