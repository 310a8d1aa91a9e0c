"""Gathers what the decision about a poll reads: stored buckets, events, jobs and series."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Labels, Series
from exporter.ledger.decision import Bucket, PriorState
from exporter.ledger.decision.amounts import hour_of, remembered, reported, uncounted
from exporter.ledger.decision.rule import LONGEST_STEP, Overlaps, finest_of, widths
from exporter.ledger.filling import SeriesRow
from exporter.ledger.poll import Poll
from exporter.ledger.rows import decode_labels
from exporter.model import LIFETIME_WIDTH, Measure
from exporter.model.measures import BY_NAME

_GREATEST_ID = 2**63 - 1
"""In place of the next id where no series can be new: all are known ones then."""


class Stored(Protocol):
    """Questions to a database, within the transaction that writes what is decided."""

    def wider_until(self, feed: int, width: int) -> int:
        """The end of the last bucket that is wider than `width`, but for totals since ever; or 0."""

    def buckets_between(self, feed: int, first: int, last: int) -> Iterable[Bucket]:
        """The distinct buckets that begin from `first` up to, not including, `last`."""

    def amounts(self, feed: int, buckets: Collection[Bucket]) -> Mapping[Bucket, Mapping[int, int]]:
        """The amounts of these buckets, by series."""

    def counted(self, feed: int, events: Collection[str]) -> set[str]:
        """Those of these ids of events that have been counted."""

    def unfinished(self, feed: int) -> Mapping[str, int]:
        """The feed's jobs that had not ended, with their submission."""

    def left_feeds(self, account: int, polled: Collection[int]) -> Collection[int]:
        """The account's feeds that are not among those polled."""

    def labelled(self, feeds: Collection[int], text: str) -> Iterable[SeriesRow]:
        """The series of these feeds whose labels, as they are written, hold `text`."""

    def next_series(self) -> int:
        """An id greater than that of any series; asked for only when there may be new ones."""


def prior_state(stored: Stored, book: Book, poll: Poll) -> PriorState:
    """What the decision about this poll is made from."""
    feed = book.feeds[poll.feed]
    rows = reported(feed, poll.usage)
    wider_until = _wider_until(stored, feed, rows)
    told = [event.id for event in remembered(poll)]
    counted = stored.counted(feed.id, told) if told else set()
    _, coarse_until = widths(feed, rows, wider_until)
    over = {one for one in rows if one[0] < coarse_until and one[1] != LIFETIME_WIDTH}
    buckets = rows | {hour_of(event) for event in uncounted(poll, counted).values()}
    buckets |= _overlapping(stored, feed, over)
    state = PriorState(
        buckets=stored.amounts(feed.id, buckets) if buckets else {},
        wider_until=wider_until,
        events=counted,
        unfinished=stored.unfinished(feed.id) if poll.unfinished or feed.resume is not None else {},
        next_series=_GREATEST_ID,
    )
    if not _brings_series(book, poll):
        return state
    return replace(state, others=_others(stored, book), next_series=stored.next_series())


def _wider_until(stored: Stored, feed: FeedState, rows: Iterable[Bucket]) -> int:
    """The end of the last bucket that is wider than all of these are at least.

    Looked up only when they are finer than all before: that takes reading the whole feed.
    """
    finest = finest_of(rows)
    if finest is None or feed.finest is None or finest >= feed.finest:
        return 0
    return stored.wider_until(feed.id, finest)


def _overlapping(stored: Stored, feed: FeedState, buckets: set[Bucket]) -> set[Bucket]:
    """The stored buckets that cover one of these, or are covered by one."""
    if not buckets:
        return set()
    first = min(start for start, _ in buckets) - LONGEST_STEP
    last = max(start + width for start, width in buckets)
    known = Overlaps(stored.buckets_between(feed.id, first, last))
    found: set[Bucket] = set()
    for bucket in buckets:
        found.update(known.covering(bucket), known.covered(bucket))
    return found


def _brings_series(book: Book, poll: Poll) -> bool:
    """Whether the poll may bring series that are not in the Book."""
    index = book.series
    return bool(poll.events) or any(
        (named := index.get(row.measure)) is None or row.labels not in named for row in poll.usage
    )


def _others(stored: Stored, book: Book) -> dict[tuple[Measure, Labels], Series]:
    """The series labelled `__other__` of the account's feeds that are not polled any more."""
    # Of the others the Book has them all.
    left = stored.left_feeds(book.id, [feed.id for feed in book.feeds.values()])
    others: dict[tuple[Measure, Labels], Series] = {}
    if not left:
        return others
    for identity, name, text, truth, exposed, created, _ in stored.labelled(left, OTHER_STREAM):
        measure, labels = BY_NAME.get(name), decode_labels(text)
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
