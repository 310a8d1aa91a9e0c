"""The month to date and the month before: sums of the ledger's buckets by their own start.

What an account used is the sum over its kinds. Only the few series by kind are read. For each, the
month's hours, its days and the month itself are looked up by key, so the number of streams does not
matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.ledger import Book
from exporter.ledger.contract import Ledger, Reader
from exporter.model import Level, Measure, Step, Window
from exporter.model.measures import (
    DELIVERED_BYTES,
    JOBS,
    MONTH_TO_DATE_BYTES,
    MONTH_TO_DATE_COMPLETE,
    MONTH_TO_DATE_JOBS,
    MONTH_TO_DATE_SINCE,
    MONTH_TO_DATE_VIEWING_SECONDS,
    PREVIOUS_MONTH_BYTES,
    PREVIOUS_MONTH_JOBS,
    PREVIOUS_MONTH_VIEWING_SECONDS,
    RECEIVED_BYTES,
    VIEWING_SECONDS,
)

Shown = tuple[Measure, tuple[str, ...]]

SUMS: Final[Mapping[Measure, Shown]] = {
    RECEIVED_BYTES: (MONTH_TO_DATE_BYTES, ("received",)),
    DELIVERED_BYTES: (MONTH_TO_DATE_BYTES, ("delivered",)),
    VIEWING_SECONDS: (MONTH_TO_DATE_VIEWING_SECONDS, ()),
    JOBS: (MONTH_TO_DATE_JOBS, ()),
}
"""The gauge and labels for each counter. Kinds and job paths are disjoint and can be summed."""

BEFORE: Final[Mapping[Measure, Measure]] = {
    MONTH_TO_DATE_BYTES: PREVIOUS_MONTH_BYTES,
    MONTH_TO_DATE_VIEWING_SECONDS: PREVIOUS_MONTH_VIEWING_SECONDS,
    MONTH_TO_DATE_JOBS: PREVIOUS_MONTH_JOBS,
}
"""The gauge of the month before for each gauge of the month to date."""


@dataclass(slots=True)
class _Sum:
    """`total` in a counter's smallest parts, of which `resolution` make one unit."""

    resolution: int
    total: int = 0
    feeds: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Months:
    """One account's current month and the one before. Its methods run on the ledger's thread."""

    ledger: Ledger
    book: Book

    def levels(self, now: int) -> list[Level]:
        """The gauges at `now`; a counter that the account does not have yields none."""
        start = Step.MONTH.floor(now)
        with self.ledger.read() as reader:
            # A bucket may start exactly at `now`.
            current = self._sums(reader, Window(start, now + 1))
            before = self._sums(reader, Window(Step.MONTH.floor(start - 1), start))
        if not current:
            return []
        feeds = {feed for one in current.values() for feed in one.feeds}
        since = max(start, self.book.whole_from(feeds, now + 1))
        return [
            *(Level(*shown, _units(one)) for shown, one in current.items()),
            Level(MONTH_TO_DATE_SINCE, (), since),
            Level(MONTH_TO_DATE_COMPLETE, (), int(since == start)),
            *(
                Level(BEFORE[measure], labels, _units(one))
                for (measure, labels), one in before.items()
                if self.book.whole_from(one.feeds, start) <= Step.MONTH.floor(start - 1)
            ),
        ]

    def _sums(self, reader: Reader, window: Window) -> dict[Shown, _Sum]:
        sums: dict[Shown, _Sum] = {}
        for measure, shown in SUMS.items():
            for series in self.book.shown(measure):
                found = sums.setdefault(shown, _Sum(measure.resolution))
                feed = reader.feed_of(series.id)
                found.feeds.add(feed)
                found.total += reader.amount(feed=feed, series=series.id, window=window)
        return sums


def _units(found: _Sum) -> int | float:
    whole, rest = divmod(found.total, found.resolution)
    return whole if rest == 0 else found.total / found.resolution
