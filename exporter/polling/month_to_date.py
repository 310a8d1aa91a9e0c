"""The month to date: sums of the ledger's buckets that start in the current month.

What an account used is the sum over its kinds. Only the few series by kind are read. For each, the
month's hours, its days and the month itself are looked up by key, so the number of streams does not
matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.ledger import Book
from exporter.ledger.contract import Ledger
from exporter.model import Level, Measure, Step, Window
from exporter.model.measures import (
    DELIVERED_BYTES,
    JOBS,
    MONTH_TO_DATE_BYTES,
    MONTH_TO_DATE_JOBS,
    MONTH_TO_DATE_SINCE,
    MONTH_TO_DATE_VIEWING_SECONDS,
    RECEIVED_BYTES,
    VIEWING_SECONDS,
)

SUMS: Final[Mapping[Measure, tuple[Measure, tuple[str, ...]]]] = {
    RECEIVED_BYTES: (MONTH_TO_DATE_BYTES, ("received",)),
    DELIVERED_BYTES: (MONTH_TO_DATE_BYTES, ("delivered",)),
    VIEWING_SECONDS: (MONTH_TO_DATE_VIEWING_SECONDS, ()),
    JOBS: (MONTH_TO_DATE_JOBS, ()),
}
"""The gauge and labels for each counter. Kinds and job paths are disjoint and can be summed."""


@dataclass(frozen=True, slots=True)
class MonthToDate:
    """One account's month to date. Its methods run on the ledger's thread."""

    ledger: Ledger
    book: Book

    def levels(self, now: int) -> list[Level]:
        """The gauges at `now`; a counter that the account does not have yields none."""
        start = Step.MONTH.floor(now)
        window = Window(start, now + 1)  # a bucket may start exactly at `now`
        sums: dict[tuple[Measure, tuple[str, ...]], int] = {}
        feeds: set[int] = set()
        with self.ledger.read() as reader:
            for measure, shown in SUMS.items():
                for series in self.book.shown(measure):
                    feed = reader.feed_of(series.id)
                    feeds.add(feed)
                    found = reader.amount(feed=feed, series=series.id, window=window)
                    sums[shown] = sums.get(shown, 0) + found
        if not sums:
            return []
        resolutions = {shown: measure.resolution for measure, shown in SUMS.items()}
        levels = [
            Level(measure, labels, _units(total, resolutions[measure, labels]))
            for (measure, labels), total in sums.items()
        ]
        return [*levels, Level(MONTH_TO_DATE_SINCE, (), self._since(start, feeds))]

    def _since(self, start: int, feeds: Iterable[int]) -> int:
        """The instant from which on the sums are complete."""
        states = [state for state in self.book.feeds.values() if state.id in feeds]
        return max((start, *(max(one.began or 0, one.compacted_until) for one in states)))


def _units(total: int, resolution: int) -> int | float:
    whole, rest = divmod(total, resolution)
    return whole if rest == 0 else total / resolution
