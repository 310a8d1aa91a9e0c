"""What an account's charges meter, day by day, from the ledger as other processes see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.ledger.contract import FeedHistory, History, SeriesName
from exporter.model import DAY, Step
from exporter.model.contracts import Metered

FOR_EVER: Final = 1 << 62
"""Later than any instant."""


@dataclass(slots=True)
class Amounts:
    """The days of what a charge meters, in the measure's smallest parts.

    `ends` is when the last bucket that begins on a day ends; buckets can be wider than a day.
    `complete_from` is from when on the ledger has all buckets of the feeds that are counted by,
    `settled_until` up to when all of them are final; those of feeds that are no longer polled are.
    """

    days: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    complete_from: int = 0
    settled_until: int = FOR_EVER
    known: bool = False

    def has(self, instant: int) -> bool:
        """Whether the ledger has all buckets from then on."""
        return self.known and self.complete_from <= instant

    def settled(self, day: int) -> bool:
        """Whether nothing of that day can change any more."""
        return self.ends.get(day, day + DAY) <= self.settled_until

    def include(self, feed: FeedHistory) -> None:
        """Count by this feed, too, which is polled."""
        self.settled_until = min(self.settled_until, feed.settled_until)
        self.include_past(complete_from(feed))

    def include_past(self, complete_from: int) -> None:
        """Count by a feed, too, that is polled no longer; it has all buckets from then on."""
        self.complete_from = max(self.complete_from, complete_from)
        self.known = True

    def add(self, start: int, width: int, amount: int) -> None:
        """Count a bucket to the day on which it begins."""
        day = Step.DAY.floor(start)
        self.days[day] = self.days.get(day, 0) + amount
        self.ends[day] = max(self.ends.get(day, day + DAY), start + width)


def complete_from(feed: FeedHistory) -> int:
    """From when on the ledger has all buckets of a feed."""
    return max(feed.began, feed.compacted_until)


def amounts(
    history: History,
    feeds: Sequence[FeedHistory],
    wanted: Iterable[Metered],
    *,
    polled: Collection[str],
    start: int,
    end: int,
) -> Mapping[Metered, Amounts]:
    """What is metered by these feeds of one account, of buckets that begin in this time.

    Series beyond a limit are among them, by their own labels. Feeds that are not among the names
    `polled` count with what they have. One whose polls ended within this time lacks the rest of it.
    """
    found = {metered: Amounts() for metered in wanted}
    for feed in feeds:
        by_series: dict[int, list[Amounts]] = {}
        for series, name in history.series(feed.id).items():
            targets = [one for metered, one in found.items() if _counts(metered, name)]
            if targets:
                by_series[series] = targets
        if not by_series:
            continue
        past = feed.name not in polled
        broken_off = past and feed.settled_until < end
        for one in {id(one): one for targets in by_series.values() for one in targets}.values():
            if not past:
                one.include(feed)
            elif not broken_off:
                one.include_past(complete_from(feed))
        for bucket in history.buckets(feed.id, start=start, end=end):
            for one in by_series.get(bucket.series, ()):
                one.add(bucket.start, bucket.width, bucket.amount)
                if broken_off:
                    one.include_past(end)
    return found


def _counts(metered: Metered, name: SeriesName) -> bool:
    measure = metered.measure
    return name.measure == measure.name and all(
        name.labels[measure.labels.index(label)] in values for label, values in metered.where
    )
