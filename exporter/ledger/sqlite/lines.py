"""One measure's history, sorted by SQLite in temporary tables on disk and streamed from there.

Memory stays flat however long the history is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from exporter.ledger.book import other_labels
from exporter.ledger.contract import Line, Point, Stretch
from exporter.ledger.decision.rule import LONGEST_STEP
from exporter.model import LIFETIME_START, LIFETIME_WIDTH, Measure

_TABLES: Final = (
    """CREATE TEMP TABLE member (
        series INTEGER PRIMARY KEY,
        feed INTEGER NOT NULL,
        provider TEXT NOT NULL,
        account TEXT NOT NULL,
        labels TEXT NOT NULL,
        bound TEXT NOT NULL,
        truth INTEGER NOT NULL,
        step INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        line INTEGER
    )""",
    """CREATE TEMP TABLE line (
        id INTEGER PRIMARY KEY,
        provider TEXT NOT NULL,
        account TEXT NOT NULL,
        labels TEXT NOT NULL,
        step INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        UNIQUE (provider, account, labels)
    )""",
    """CREATE TEMP TABLE base (
        line INTEGER NOT NULL,
        bound TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (line, bound)
    ) WITHOUT ROWID""",
    """CREATE TEMP TABLE point (
        line INTEGER NOT NULL,
        until INTEGER NOT NULL,
        width INTEGER NOT NULL,
        bound TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (line, until, width, bound)
    ) WITHOUT ROWID""",
)
"""`member`: the ledger's series of one measure. `line`: what they are shown as, in order. `base`:
each line's total at its beginning. `point`: what it grew by, in order. A histogram's series are
one line, told apart by their bound."""

_decode = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.encode


def lines(
    connection: sqlite3.Connection,
    measure: Measure,
    stretches: Sequence[Stretch],
    *,
    start: int,
) -> Iterator[tuple[Line, Iterator[Point]]]:
    """The lines of one measure, each with its points; see `exporter.ledger.contract.History`."""
    _sort(connection, measure, stretches, start)
    points = map(
        Point._make,
        connection.execute(
            "SELECT line, until, width, bound, amount FROM point ORDER BY 1, 2, 3, 4"
        ),
    )
    by_line = groupby(points, attrgetter("line"))
    ahead = next(by_line, None)
    for identity, provider, account, labels, step, first, last in connection.execute(
        "SELECT id, provider, account, labels, step, first, last FROM line ORDER BY id"
    ):
        totals = dict(
            connection.execute("SELECT bound, amount FROM base WHERE line = ?", (identity,))
        )
        line = Line(identity, provider, account, _decode(labels), step, first, last, totals)
        if ahead is not None and ahead[0] == identity:
            yield line, ahead[1]
            ahead = next(by_line, None)
        else:
            yield line, iter(())


def _sort(
    connection: sqlite3.Connection, measure: Measure, stretches: Sequence[Stretch], start: int
) -> None:
    """Put all that one measure takes into the temporary tables, from one state of the ledger."""

    def shown(labels: str, folded: int) -> str:
        own = _decode(labels)[: len(measure.labels)]
        return _encode(other_labels(measure, own) if folded else own).decode()

    connection.create_function("shown", 2, shown, deterministic=True)
    connection.create_function("bound", 1, lambda labels: _bound(measure, labels))
    for statement in _TABLES:
        name = statement.split()[3]
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
        connection.execute(statement)
    connection.execute("BEGIN")
    try:
        for stretch in stretches:
            feed = stretch.feed
            connection.execute(
                "INSERT INTO member SELECT id, feed, ?, ?, shown(labels, folded), bound(labels),"
                " iif(folded, 0, truth), ?, ?, ?, NULL FROM series WHERE feed = ? AND measure = ?",
                (
                    feed.provider,
                    feed.account,
                    feed.step,
                    stretch.first,
                    stretch.last,
                    feed.id,
                    measure.name,
                ),
            )
        connection.execute(
            "INSERT INTO line (provider, account, labels, step, first, last)"
            " SELECT provider, account, labels, min(step), min(first), min(last) FROM member"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        connection.execute(
            "UPDATE member SET line = (SELECT id FROM line WHERE line.provider = member.provider"
            " AND line.account = member.account AND line.labels = member.labels)"
        )
        # The growth of a stream beyond the limit is part of the truth of the series that shows it.
        connection.execute(
            "INSERT INTO base SELECT line, bound, sum(truth) FROM member GROUP BY 1, 2"
        )
        for (feed_id,) in connection.execute("SELECT DISTINCT feed FROM member").fetchall():
            _take_buckets(connection, feed_id, start)
    finally:
        connection.execute("COMMIT")


def _take_buckets(connection: sqlite3.Connection, feed: int, start: int) -> None:
    """Note what the feed's buckets after `start` came to, and what the totals were before them."""
    connection.execute(
        "INSERT INTO base SELECT line, bound, -sum(amount)"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " WHERE bucket.feed = ? AND start >= ? AND start + width > ? GROUP BY 1, 2"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, start - LONGEST_STEP, start),
    )
    # A lifetime total has no history.
    connection.execute(
        "INSERT INTO base SELECT line, bound, -amount"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " WHERE bucket.feed = ? AND start = ? AND width = ? AND start < ?"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, LIFETIME_START, LIFETIME_WIDTH, start - LONGEST_STEP),
    )
    connection.execute(
        "INSERT INTO point SELECT line, start + width, width, bound, sum(amount)"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " CROSS JOIN line ON line.id = member.line"
        " WHERE bucket.feed = ? AND start >= ? AND start + width > ?"
        " AND start + width <= line.last GROUP BY 1, 2, 3, 4"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, start - LONGEST_STEP, start),
    )


def _bound(measure: Measure, labels: str) -> str:
    own = _decode(labels)
    return own[-1] if len(own) > len(measure.labels) else ""
