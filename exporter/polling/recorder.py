"""Writes down what the polls of one account bring, and shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.client.merge import Fetched
from exporter.exposition import AccountPage
from exporter.exposition.telemetry import AccountTelemetry, Telemetry
from exporter.ledger import Book, Ledger, Poll
from exporter.ledger.thread import Worker
from exporter.model import Level, Measure, Window
from exporter.model.errors import LedgerWriteError
from exporter.polling.idle import Amounts
from exporter.polling.planner import backlog_seconds

LONGEST_SLEEP_SECONDS = 30.0
"""The clock is looked at again after so long: it may have been set, or the machine suspended."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all accounts share."""

    ledger: Ledger
    worker: Worker
    telemetry: Telemetry
    clock: Callable[[], float]
    publish: Callable[[], Awaitable[None]]


class Keeper:
    """The ledger's part of one account and its page, kept in step.

    Whatever writes raises LedgerWriteError when that fails, after it was counted; what is in
    memory stays as it was.
    """

    def __init__(
        self, *, book: Book, page: AccountPage, telemetry: AccountTelemetry, tools: Tools
    ) -> None:
        self.book = book
        self.page = page
        self._telemetry = telemetry
        self._tools = tools
        self._due_changed = asyncio.Event()
        self._next_due: float | None = None
        telemetry.series(page.series, len(book.folded))

    async def record(self, poll: Poll) -> None:
        """Write a poll down, and render what it changed; `show` publishes it."""
        tools = self._tools

        def work() -> None:
            recorded = tools.ledger.record(self.book, poll)
            self.page.render(recorded.changed, tools.clock())
            state = self.book.feeds[poll.feed]
            self._telemetry.recorded(
                poll.feed,
                newest=state.newest,
                corrections=recorded.corrections,
                late=recorded.late,
                backlog=backlog_seconds(state),
            )

        await self._written(work)

    async def hours(self, feed: str, measures: Sequence[Measure], window: Window) -> Amounts:
        """The ledger's hours of a feed's measures."""
        tools = self._tools
        return await tools.worker.run(tools.ledger.hours, self.book, feed, measures, window)

    async def fold(self, feed: str, before: int) -> None:
        """Fold the feed's buckets that end before that instant into the totals."""
        await self._written(lambda: self._tools.ledger.compact(self.book, feed, before))

    async def give_up(self, feed: str, window: Window) -> None:
        """Ask for that part of the feed's gaps no more."""
        await self._written(lambda: self._tools.ledger.give_up(self.book, feed, window))

    async def _written(self, work: Callable[[], object]) -> None:
        try:
            await self._tools.worker.run(work)
        except LedgerWriteError:
            self._tools.telemetry.ledger_write_failed()
            raise

    async def show(
        self, *, feed: str | None = None, fetched: Fetched | None = None, at: float = 0.0
    ) -> None:
        """Render the levels that a poll of `feed` brought and whatever is due; publish the page."""
        tools = self._tools

        def work() -> None:
            now = tools.clock()
            changed = set(self.page.due(now))
            if feed is not None and fetched is not None:
                changed |= self.page.set_levels(feed, fetched.levels, at=at)
            self.page.render(changed, now)
            self._next_due = self.page.next_due()
            self._telemetry.series(self.page.series, len(self.book.folded))

        await tools.worker.run(work)
        self._due_changed.set()
        await tools.publish()

    async def show_levels(self, levels: Sequence[Level]) -> None:
        """Show these, which follow from the ledger and belong to no feed."""
        tools = self._tools

        def work() -> None:
            now = tools.clock()
            self.page.render(self.page.set_levels("", levels, at=now), now)

        await tools.worker.run(work)
        await self.show()

    async def freshen(self) -> None:
        """For ever, show what changes by itself: levels too old, counters that are held no longer."""
        while True:
            self._due_changed.clear()
            due = self._next_due
            now = self._tools.clock()
            if due is not None and due <= now:
                await self.show()
                continue
            try:
                async with asyncio.timeout(
                    LONGEST_SLEEP_SECONDS if due is None else min(due - now, LONGEST_SLEEP_SECONDS)
                ):
                    await self._due_changed.wait()
            except TimeoutError:
                continue
