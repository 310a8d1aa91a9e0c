"""Reads the stored buckets, events, jobs and series that the decision about a poll needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Labels, Series
from exporter.ledger.decision import Bucket, PriorState
from exporter.ledger.decision.amounts import hour_of, remembered, reported, uncounted
from exporter.ledger.decision.rule import LONGEST_STEP, Overlaps, finest_of, widths
from exporter.ledger.poll import Poll
from exporter.model import LIFETIME_WIDTH, Measure
from exporter.model.measures import BY_NAME


def prior_state(
    connection: sqlite3.Connection, book: Book, poll: Poll, *, next_series: int
) -> PriorState:
    """What the decision about this poll is made from; within the transaction that writes it."""
    feed = book.feeds[poll.feed]
    rows = reported(feed, poll.usage)
    wider_until = _wider_until(connection, feed, rows)
    counted = _counted(connection, feed, poll)
    _, coarse_until = widths(feed, rows, wider_until)
    over = {one for one in rows if one[0] < coarse_until and one[1] != LIFETIME_WIDTH}
    buckets = rows | {hour_of(event) for event in uncounted(poll, counted).values()}
    buckets |= _overlapping(connection, feed, over)
    return PriorState(
        buckets={bucket: amounts_in(connection, feed.id, bucket) for bucket in buckets},
        wider_until=wider_until,
        events=counted,
        unfinished=_unfinished(connection, feed, poll),
        others=_others(connection, book, poll),
        next_series=next_series,
    )


def amounts_in(connection: sqlite3.Connection, feed: int, bucket: Bucket) -> dict[int, int]:
    """The amounts of one bucket, by series."""
    return dict(
        connection.execute(
            "SELECT series, amount FROM bucket WHERE feed = ? AND start = ? AND width = ?",
            (feed, *bucket),
        )
    )


def _wider_until(connection: sqlite3.Connection, feed: FeedState, rows: Iterable[Bucket]) -> int:
    """The end of the last bucket that is wider than all of these are at least.

    Looked up only when they are finer than all before: that takes reading the whole feed.
    """
    finest = finest_of(rows)
    if finest is None or feed.finest is None or finest >= feed.finest:
        return 0
    (until,) = connection.execute(
        "SELECT max(start + width) FROM bucket WHERE feed = ? AND width > ? AND width < ?",
        (feed.id, finest, LIFETIME_WIDTH),
    ).fetchone()
    return until or 0


def _overlapping(
    connection: sqlite3.Connection, feed: FeedState, buckets: set[Bucket]
) -> set[Bucket]:
    """The stored buckets that cover one of these, or are covered by one."""
    if not buckets:
        return set()
    first = min(start for start, _ in buckets) - LONGEST_STEP
    last = max(start + width for start, width in buckets)
    stored = Overlaps(buckets_between(connection, feed.id, first, last))
    found: set[Bucket] = set()
    for bucket in buckets:
        found.update(stored.covering(bucket), stored.covered(bucket))
    return found


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


def _counted(connection: sqlite3.Connection, feed: FeedState, poll: Poll) -> set[str]:
    """The ids of the poll's events that have been counted before."""
    return {
        event.id
        for event in remembered(poll)
        if connection.execute(
            "SELECT 1 FROM event WHERE feed = ? AND id = ?", (feed.id, event.id)
        ).fetchone()
    }


def _unfinished(connection: sqlite3.Connection, feed: FeedState, poll: Poll) -> dict[str, int]:
    if not poll.unfinished and feed.resume is None:
        return {}
    return dict(connection.execute("SELECT id, since FROM unfinished WHERE feed = ?", (feed.id,)))


def _brings_series(book: Book, poll: Poll) -> bool:
    """Whether the poll may bring series that are not in the Book."""
    index = book.series
    return bool(poll.events) or any(
        (named := index.get(row.measure)) is None or row.labels not in named for row in poll.usage
    )


def _others(
    connection: sqlite3.Connection, book: Book, poll: Poll
) -> dict[tuple[Measure, Labels], Series]:
    """The series labelled `__other__` of the account's feeds that are not polled any more.

    They are needed only when the poll brings series that the Book has not.
    """
    decode = msgspec.json.Decoder(tuple[str, ...]).decode
    own = {feed.id for feed in book.feeds.values()}
    feeds = connection.execute("SELECT id FROM feed WHERE account = ?", (book.id,)).fetchall()
    left = [feed for (feed,) in feeds if feed not in own]  # of the others the Book has them all
    others: dict[tuple[Measure, Labels], Series] = {}
    if not left or not _brings_series(book, poll):
        return others
    for feed in left:
        for identity, name, text, truth, exposed, created in connection.execute(
            "SELECT id, measure, labels, truth, exposed, created FROM series"
            " WHERE feed = ? AND labels LIKE ?",
            (feed, f"%{OTHER_STREAM}%"),
        ):
            measure, labels = BY_NAME.get(name), decode(text)
            if measure is None or OTHER_STREAM not in labels:
                continue
            others[measure, labels] = Series(
                id=identity,
                measure=measure,
                labels=labels,
                truth=truth,
                exposed=exposed,
                created=created,
            )
    return others
