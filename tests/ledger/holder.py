"""A ledger made of dictionaries: it feeds the decision and takes in what comes of it."""

from dataclasses import replace

from exporter.ledger import Book, FeedState
from exporter.ledger.decision import PriorState, apply, decide
from exporter.ledger.decision.cursors import compacted, reappeared
from exporter.model import LIFETIME_WIDTH
from tests.ledger.disk import HOLD_SECONDS, contents


class Holder:
    """One account's buckets, counted events and unfinished jobs, by feed."""

    def __init__(self, clock, feeds):
        self.clock = clock
        self.buckets: dict[str, dict] = {name: {} for name in feeds}
        self.events: dict[str, set] = {name: set() for name in feeds}
        self.unfinished: dict[str, dict] = {name: {} for name in feeds}
        self.next_series = 1

    def book(self, limit):
        states = {name: FeedState(at, name) for at, name in enumerate(self.buckets, 1)}
        return Book(1, "livepeer", "studio", limit, feeds=states)

    def reopened(self, book, limit, *, reappears_after):
        """The book as it would be opened now; its holds that are over are forgotten."""
        now = self.clock()
        return replace(
            book,
            stream_limit=limit,
            holds={one: held for one, held in book.holds.items() if held[1] > now},
            feeds={
                name: reappeared(
                    replace(feed, reappeared_until=0.0),
                    now=now,
                    after=reappears_after,
                    until=now + HOLD_SECONDS,
                )
                for name, feed in book.feeds.items()
            },
        )

    def prior_state(self, feed):
        """All there is of a feed, whether the poll needs it or not."""
        buckets = self.buckets[feed]
        ends = [sum(bucket) for bucket in buckets if bucket[1] != LIFETIME_WIDTH]
        return PriorState(
            buckets=buckets,
            wider_until=max(ends, default=0),
            events=self.events[feed],
            unfinished=self.unfinished[feed],
            next_series=self.next_series,
        )

    def record(self, book, poll):
        now = self.clock()
        before = contents(book, now)
        changes = decide(
            book, poll, self.prior_state(poll.feed), now=now, hold_seconds=HOLD_SECONDS
        )
        assert contents(book, now) == before, "a decision changes nothing"
        self._take(poll.feed, changes)
        apply(changes, book)
        return changes.recorded

    def _take(self, feed, changes):
        buckets = self.buckets[feed]
        for bucket, superseded in changes.superseded.items():
            for series in superseded:
                del buckets[bucket][series]
        for bucket, amounts in changes.stored.items():
            buckets.setdefault(bucket, {}).update(amounts)
        self.buckets[feed] = {bucket: amounts for bucket, amounts in buckets.items() if amounts}
        assert not self.events[feed] & changes.counted.keys()
        self.events[feed] |= changes.counted.keys()
        left = {**self.unfinished[feed], **changes.unfinished}
        self.unfinished[feed] = {key: at for key, at in left.items() if key not in changes.ended}
        self.next_series = changes.next_series

    def compact(self, book, feed, before):
        after = compacted(book.feeds[feed], before)
        if after is None:
            return
        until = after.compacted_until
        self.buckets[feed] = {
            bucket: amounts for bucket, amounts in self.buckets[feed].items() if sum(bucket) > until
        }
        book.feeds[feed] = after
