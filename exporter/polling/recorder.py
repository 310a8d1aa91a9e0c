"""Records the results of one account's polls in the ledger, and renders its page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from exporter.client.merge import Fetched
from exporter.exposition import AccountPage
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Book, Poll
from exporter.ledger.leases import AccountKey
from exporter.model import Level, Measure, Window
from exporter.model.errors import LeaseLostError, LedgerWriteError
from exporter.polling.planner import backlog_seconds
from exporter.polling.schedule import LONGEST_SLEEP_SECONDS
from exporter.polling.shared import Shared
from exporter.polling.streams import HourlyAmounts


class Recorder:
    """One account's part of the ledger, and the page rendered from it.

    All work on them is done on the ledger's thread. Methods that write count a failed write and
    raise LedgerWriteError; the Book is then unchanged.
    """

    def __init__(
        self, *, book: Book, page: AccountPage, telemetry: AccountTelemetry, shared: Shared
    ) -> None:
        self.book = book
        self.page = page
        self._telemetry = telemetry
        self._shared = shared
        self._due_changed = asyncio.Event()
        self._next_due: float | None = None
        telemetry.series(page.series, len(book.folded))
        for name, feed in book.feeds.items():
            telemetry.restored(name, polled_at=feed.polled_at, newest=feed.newest)

    async def record(self, poll: Poll, fetched: Fetched | None = None) -> None:
        """Record a poll, render what it changes and the levels of `fetched`, and publish.

        The levels are shown even when the poll could not be recorded.
        """
        shared, page = self._shared, self.page

        def work() -> None:
            changed: set[Measure] = set()
            try:
                recorded = shared.ledger.record(self.book, poll)
                changed |= recorded.changed
                state = self.book.feeds[poll.feed]
                self._telemetry.recorded(
                    poll.feed,
                    newest=state.newest,
                    corrections=recorded.corrections,
                    late=recorded.late,
                    backlog=backlog_seconds(state),
                )
            finally:
                if fetched is not None:
                    changed |= page.set_levels(poll.feed, fetched.levels, at=float(poll.at))
                self._render(changed)

        try:
            await self._write(work)
        finally:
            await self._publish()

    async def show_levels(self, levels: Sequence[Level]) -> None:
        """Show levels that are computed from the ledger and belong to no feed, and publish."""

        def work() -> None:
            now = self._shared.clock()
            self._render(self.page.set_levels("", levels, at=now))

        await self._shared.worker.run(work)
        await self._publish()

    async def refresh(self) -> None:
        """Render what is due now, and publish."""
        await self._shared.worker.run(self._render, set())
        await self._publish()

    async def refresh_when_due(self) -> None:
        """Render what changes with time, for ever: levels that expire, counters whose hold ends."""
        while True:
            self._due_changed.clear()
            due = self._next_due
            now = self._shared.clock()
            if due is not None and due <= now:
                await self.refresh()
                continue
            wait = LONGEST_SLEEP_SECONDS if due is None else min(due - now, LONGEST_SLEEP_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._due_changed.wait()

    async def hours(self, feed: str, measures: Sequence[Measure], window: Window) -> HourlyAmounts:
        """The ledger's hourly amounts of a feed's measures in a window."""
        shared = self._shared
        return await shared.worker.run(shared.ledger.hours, self.book, feed, measures, window)

    async def compact(self, feeds: Iterable[str], before: int) -> dict[str, LedgerWriteError]:
        """Compact buckets that end by `before`: they are deleted, and stay in the totals.

        Returns the error of each feed for which that failed.
        """
        failed: dict[str, LedgerWriteError] = {}

        def work() -> None:
            for feed in feeds:
                try:
                    self._shared.ledger.compact(self.book, feed, before)
                except LedgerWriteError as error:
                    self._shared.telemetry.ledger_write_failed()
                    failed[feed] = error

        await self._shared.worker.run(work)
        return failed

    async def give_up(self, feed: str, window: Window) -> None:
        """Remove `window` from the feed's gaps without filling it."""
        await self._write(lambda: self._shared.ledger.give_up(self.book, feed, window))

    def _render(self, changed: set[Measure]) -> None:
        """Render these measures and all that is due now."""
        now = self._shared.clock()
        self.page.render(changed | self.page.due(now), now)
        self._next_due = self.page.next_due()
        self._telemetry.series(self.page.series, len(self.book.folded))

    async def _write(self, work: Callable[[], object]) -> None:
        try:
            await self._shared.worker.run(work)
        except LedgerWriteError as error:
            self._shared.telemetry.ledger_write_failed()
            if isinstance(error, LeaseLostError):
                self._shared.lease_lost(AccountKey(self.book.provider, self.book.account))
            raise

    async def _publish(self) -> None:
        self._due_changed.set()
        await self._shared.publisher.publish()
