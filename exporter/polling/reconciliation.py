"""Compares, once a day, the month in the ledger with the vendor's own total of it.

Only whole, settled days are compared, from the month's first day or the first day that the ledger
has completely, so that data that still changes makes no difference.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Book
from exporter.ledger.contract import Ledger
from exporter.ledger.settling import settled_until
from exporter.ledger.thread import Worker
from exporter.model import DAY, Feed, Measure, Request, Step, Totals, Usage, Window
from exporter.model.errors import PollError

log = logging.getLogger(__name__)

MOST_PAGES = 1000

Get = Callable[[Request, str], Awaitable[bytes]]


def window(book: Book, feed: Feed) -> Window | None:
    """The days of the current month to compare; None when there is none yet.

    In a month's first days it is the month before.
    """
    state = book.feeds[feed.name]
    until = settled_until(state, feed.settling)
    if until is None:
        return None
    end = Step.DAY.floor(until)
    month = Step.MONTH.floor(end - 1)
    start = max(month, Step.DAY.ceil(state.began or 0), Step.DAY.ceil(state.compacted_until))
    return Window(start, end) if start < end else None


def difference(ours: int, theirs: int) -> float | None:
    """The difference as a ratio of `theirs`; None when `theirs` is 0 and `ours` is not."""
    if ours == theirs:
        return 0.0
    return (ours - theirs) / theirs if theirs else None


@dataclass(slots=True)
class Reconciler:
    """Compares one account's feeds with the vendor, each at most once a day."""

    feeds: Sequence[Feed]
    ledger: Ledger
    book: Book
    worker: Worker
    telemetry: AccountTelemetry
    _asked: dict[str, int] = field(default_factory=dict)

    async def reconcile(self, get: Get, *, now: int) -> None:
        """Compare the feeds that are due. After an error, the next attempt is a day later."""
        for feed in self.feeds:
            if not isinstance(feed, Totals) or 0 <= now - self._asked.get(feed.name, -DAY) < DAY:
                continue
            days = window(self.book, feed)
            if days is None:
                continue
            self._asked[feed.name] = now
            try:
                ratio = await self._compare(get, feed, feed, days, now)
            except (PollError, msgspec.DecodeError, ValueError) as error:
                log.warning(
                    "the vendor's total of the month could not be had; it is asked for tomorrow",
                    extra={**self._labels(feed), "error": str(error)},
                )
                continue
            if ratio is not None:
                self.telemetry.reconciled(feed.name, ratio)

    async def _compare(
        self, get: Get, feed: Feed, totals: Totals, days: Window, now: int
    ) -> float | None:
        """The largest difference among the measures in the vendor's total."""
        theirs: dict[Measure, int] = {}
        for usage in await self._fetch(get, feed, totals, days, now):
            if usage.measure.stream_index is None:
                theirs[usage.measure] = theirs.get(usage.measure, 0) + usage.amount
        ours = await self.worker.run(self._ours, feed, tuple(theirs), days)
        ratios = [difference(ours[measure], amount) for measure, amount in theirs.items()]
        known = [ratio for ratio in ratios if ratio is not None]
        return max(known, key=abs, default=None)

    async def _fetch(
        self, get: Get, feed: Feed, totals: Totals, days: Window, now: int
    ) -> list[Usage]:
        usage: list[Usage] = []
        waiting = list(totals.totals(days))
        asked: set[object] = set()
        while waiting and len(asked) < MOST_PAGES:
            request = waiting.pop(0)
            if request.identity in asked:
                continue
            asked.add(request.identity)
            answer = totals.read_totals(request, await get(request, feed.name), now=now)
            usage.extend(answer.usage)
            waiting.extend(answer.follow)
        return usage

    def _ours(self, feed: Feed, measures: Iterable[Measure], days: Window) -> dict[Measure, int]:
        own = self.book.feeds[feed.name].id
        found: dict[Measure, int] = {}
        with self.ledger.read() as reader:
            for measure in measures:
                found[measure] = sum(
                    reader.amount(feed=own, series=series.id, window=days)
                    for series in self.book.series.get(measure, {}).values()
                    if reader.feed_of(series.id) == own
                )
        return found

    def _labels(self, feed: Feed) -> dict[str, str]:
        return {
            "provider": self.book.provider,
            "account": self.book.account,
            "feed": feed.name,
        }
