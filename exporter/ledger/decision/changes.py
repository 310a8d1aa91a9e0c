"""What a decision is made from, what it comes to, and how that is put into the Book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from exporter.ledger.book import Book, Combinations, Described, FeedState, Labels, Series
from exporter.ledger.decision.rule import Bucket
from exporter.ledger.poll import Recorded
from exporter.model import Measure


@dataclass(frozen=True, slots=True)
class PriorState:
    """The stored buckets, events, jobs and series that the decision about a poll reads.

    `buckets` are amounts by bucket and series id: those that the poll reports or counts events
    in, those that cover one of them and those that one of them covers; more do no harm.
    `wider_until` is the end of the feed's last bucket that is wider than the poll's finest, or 0.
    `events` are the ids, among the poll's, that have been counted before. `unfinished` are the
    feed's jobs that had not ended, with their submission; it is needed while there are some.
    `others` are series labelled `__other__` that are not in the Book, because a feed that is not
    polled any more brought them in. `next_series` is the first id that no series has.
    """

    buckets: Mapping[Bucket, Mapping[int, int]] = field(default_factory=dict)
    wider_until: int = 0
    events: Set[str] = frozenset()
    unfinished: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[tuple[Measure, Labels], Series] = field(default_factory=dict)
    next_series: int = 1


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one poll changes. Nothing of it is in the Book or in the ledger yet.

    `at` is when it was decided (Unix seconds). `feed` is the feed's new state.

    Buckets: `stored` are the new amounts by bucket and series id, `superseded` the series ids by
    bucket that are to be deleted; the two have nothing in common.

    Series: `created` are new ones, `brought_back` those of `PriorState.others` that are needed again;
    `totals` are (truth, exposed) of all whose truth changed, new ones included; `holds` are (the
    total that is shown, until when), new ones only. `streams` says of streams that are new
    whether they are within the limit, `combinations` says so of labels, by their names.

    `counted` are the new events' ids and submissions, `unfinished` the jobs to remember and
    `ended` the ids of those to forget. `cursors` are the rows (name, began, left_at) of the feed's
    streams that change. `seen` is when the vendor's listing showed a stream; `listed_at` is None
    unless the listing was read. `described` is what is described anew.

    `changed` are the measures to render anew; `corrections` counts buckets that the vendor
    lowered, `late` those that grew though they had been closed and asked for.
    """

    at: float
    feed: FeedState
    stored: Mapping[Bucket, Mapping[int, int]]
    superseded: Mapping[Bucket, Set[int]]
    created: Sequence[Series]
    brought_back: Sequence[Series]
    totals: Mapping[Series, tuple[int, int]]
    holds: Mapping[Series, tuple[int, float]]
    streams: Mapping[str, bool]
    combinations: Mapping[Labels, Mapping[Labels, bool]]
    counted: Mapping[str, int]
    unfinished: Mapping[str, int]
    ended: Set[str]
    cursors: Sequence[tuple[str, int | None, int | None]]
    seen: Mapping[str, int]
    listed_at: int | None
    described: Described
    changed: Set[Measure]
    corrections: int
    late: int
    next_series: int

    @property
    def recorded(self) -> Recorded:
        """What is told to whoever recorded the poll."""
        return Recorded(frozenset(self.changed), self.corrections, self.late)


def apply(changes: Changes, book: Book) -> None:
    """Put the changes into the Book. Called once they are committed; it does not fail."""
    for series in (*changes.created, *changes.brought_back):
        book.series.setdefault(series.measure, {})[series.labels] = series
    for series, (truth, exposed) in changes.totals.items():
        series.truth = truth
        series.exposed = exposed
    for series in [one for one, (_, until) in book.holds.items() if until <= changes.at]:
        del book.holds[series]
    book.holds.update(changes.holds)
    for stream, within in changes.streams.items():
        (book.admitted if within else book.folded).add(stream)
    for names, decided in changes.combinations.items():
        known = book.combinations.setdefault(names, Combinations())
        for labels, within in decided.items():
            (known.within if within else known.beyond).add(labels)
    book.streams.update(changes.seen)
    if changes.listed_at is not None:
        book.listed_at = changes.listed_at
    for measure, things in changes.described.items():
        book.described.setdefault((changes.feed.name, measure), {}).update(things)
    book.feeds[changes.feed.name] = changes.feed
