"""What a poll changes in buckets, and how much each series grows by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from exporter.ledger.book import COUNT, INFINITY, SUM, FeedState, Series
from exporter.ledger.decision.changes import PriorState
from exporter.ledger.decision.rule import Bucket, Overlaps
from exporter.ledger.decision.series_resolver import SeriesResolver
from exporter.ledger.poll import EVENT_MEMORY_SECONDS, Poll
from exporter.model import HOUR, LIFETIME_WIDTH, Event, Step, Usage


def reported(feed: FeedState, usage: Iterable[Usage]) -> set[Bucket]:
    """The buckets that rows are recorded for: those that are not compacted yet."""
    until = feed.compacted_until
    buckets: set[Bucket] = set()
    start = width = -1
    for row in usage:
        # Rows of one bucket mostly follow each other, and there may be a hundred thousand.
        if row.start != start or row.width != width:
            start, width = row.start, row.width
            buckets.add((start, width))
    return {one for one in buckets if one[0] >= until or one[1] == LIFETIME_WIDTH}


def remembered(poll: Poll) -> list[Event]:
    """The poll's events that can be told from those counted before.

    Of those that began longer ago, the ids may have been forgotten.
    """
    return [event for event in poll.events if event.since >= poll.at - EVENT_MEMORY_SECONDS]


def uncounted(poll: Poll, counted: Collection[str]) -> dict[str, Event]:
    """The poll's events to count, by id; `counted` are the ids of those counted before."""
    events: dict[str, Event] = {}
    for event in remembered(poll):
        if event.id not in counted:
            events.setdefault(event.id, event)
    return events


def hour_of(event: Event) -> Bucket:
    """The bucket that an event is counted in."""
    return Step.HOUR.floor(event.at), HOUR


class Amounts:
    """Collects changes of buckets. `late_before`: a bucket that ended by then was asked for before.

    `stored` and `superseded` are as in Changes; `growth` is how much the truth of each series
    changes by its own buckets.
    """

    def __init__(
        self, feed: FeedState, prior: PriorState, resolver: SeriesResolver, *, late_before: int
    ) -> None:
        self._feed = feed
        self._known = prior.buckets
        self._resolver = resolver
        self._late_before = late_before
        self.stored: dict[Bucket, dict[int, int]] = {}
        self.superseded: dict[Bucket, set[int]] = {}
        self.growth: dict[Series, int] = {}
        self.corrections = 0
        self.late = 0

    def add_buckets(self, rows: Mapping[Bucket, Mapping[Series, int]]) -> None:
        """Take the amounts that the vendor reports for whole buckets."""
        overlaps = Overlaps({*self._known, *rows})
        # Wide buckets first: what they stand in for in this same poll is left out.
        for bucket in sorted(rows, key=lambda bucket: -bucket[1]):
            amounts = self._without_covered(overlaps, bucket, rows[bucket])
            superseded = self._supersede(overlaps, bucket, amounts)
            self._add_bucket(bucket, amounts, superseded)

    def _add_bucket(
        self, bucket: Bucket, amounts: Mapping[Series, int], superseded: Mapping[Series, int]
    ) -> None:
        known = self._known.get(bucket, {})
        growth = self.growth
        first_id = self._resolver.first_id
        # An hour without traffic is not stored: absent and 0 add up to the same. A wider bucket
        # of 0 is, because it stands in for narrower buckets.
        sparse = bucket[1] <= HOUR
        asked_before = sum(bucket) <= self._late_before
        stored: dict[int, int] = {}
        for series, amount in amounts.items():
            identity = series.id
            old = known.get(identity)
            if old == amount or (old is None and amount == 0 and sparse):
                continue
            stored[identity] = amount
            before = old or 0
            if superseded:
                before += superseded.get(series, 0)
            if amount != before:
                growth[series] = growth.get(series, 0) + amount - before
                if amount < before:
                    self.corrections += 1
                elif asked_before and identity < first_id:
                    self.late += 1
        if stored:
            self.stored[bucket] = stored

    def _without_covered(
        self, overlaps: Overlaps, bucket: Bucket, amounts: Mapping[Series, int]
    ) -> Mapping[Series, int]:
        """The amounts of those series for which no wider bucket stands in."""
        covered: set[int] = set()
        for wide in overlaps.covering(bucket):
            covered.update(self._known.get(wide, ()), self.stored.get(wide, ()))
        if not covered:
            return amounts
        return {series: amount for series, amount in amounts.items() if series.id not in covered}

    def _supersede(
        self, overlaps: Overlaps, bucket: Bucket, amounts: Mapping[Series, int]
    ) -> Mapping[Series, int]:
        """Delete the narrower buckets that `bucket` covers; returns their sums by series."""
        taken: dict[Series, int] = {}
        by_id: dict[int, Series] = {}
        for narrow in overlaps.covered(bucket):
            by_id = by_id or {series.id: series for series in amounts}
            known = self._known.get(narrow, {})
            both = known.keys() & by_id.keys()
            if both:
                self.superseded.setdefault(narrow, set()).update(both)
            for identity in both:
                series = by_id[identity]
                taken[series] = taken.get(series, 0) + known[identity]
        return taken

    def add_events(self, events: Iterable[Event]) -> None:
        """Count events that have not been counted before."""
        for event in events:
            hour = hour_of(event)
            series = self._resolver.series
            for measure, labels in event.counts:
                self._increase(series(measure, labels), hour, 1)
            for measure, labels, amount in event.timings:
                for bound in measure.buckets:
                    within = int(amount <= bound * measure.resolution)
                    self._increase(series(measure, (*labels, str(float(bound)))), hour, within)
                self._increase(series(measure, (*labels, INFINITY)), hour, 1)
                self._increase(series(measure, (*labels, COUNT)), hour, 1)
                self._increase(series(measure, (*labels, SUM)), hour, amount)

    def _increase(self, series: Series, hour: Bucket, amount: int) -> None:
        self.growth[series] = self.growth.get(series, 0) + amount
        if hour[0] < self._feed.compacted_until or not amount:
            return
        stored = self.stored.setdefault(hour, {})
        known = stored.get(series.id)
        if known is None:
            known = self._known.get(hour, {}).get(series.id, 0)
        stored[series.id] = known + amount
