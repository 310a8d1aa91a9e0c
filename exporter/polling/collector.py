"""One account: polls its feeds at every tick, then does the work after a poll."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from exporter.client.fetch import PollFetcher
from exporter.client.shared_requests import FIRST_SECONDS
from exporter.config import Account
from exporter.model import Measure, Request
from exporter.model.errors import RateLimitedError
from exporter.polling.account_log import AccountLog
from exporter.polling.after_poll import AfterPoll
from exporter.polling.cost import CostEstimate
from exporter.polling.discovery import StreamNames
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.figures import figures
from exporter.polling.recorder import Recorder
from exporter.polling.requests_made import RequestsMade
from exporter.polling.schedule import Ticks
from exporter.polling.status import AccountStatus


class Client(Protocol):
    """Makes requests of one account."""

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight."""

    async def get(self, request: Request, *, feed: str, deadline: float | None) -> bytes:
        """The answer's body; raises PollError. `deadline` is of the event loop's clock."""


class Collector:
    """Polls one account for as long as `run` runs."""

    def __init__(
        self,
        account: Account,
        *,
        client: Client,
        ticks: Ticks,
        feeds: Sequence[FeedPoller],
        names: StreamNames,
        recorder: Recorder,
        after_poll: AfterPoll,
        estimate: CostEstimate,
        log: AccountLog,
    ) -> None:
        self.account = account
        self.client = client
        self.ticks = ticks
        self.feeds = tuple(feeds)
        self.names = names
        self.recorder = recorder
        self._after_poll = after_poll
        self._estimate = estimate
        self._made = RequestsMade(ticks.cadence_seconds)
        self._log = log
        self._rejected: frozenset[str] = frozenset()
        self._listed = False
        self._polling = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether every feed was polled, or has values in the ledger that are shown."""
        return all(feed.ready for feed in self.feeds)

    def status(self) -> AccountStatus:
        """The account's current status."""
        cost = self._made.cost or self._estimate.cost
        return AccountStatus(
            name=self.account.name,
            provider=self.account.provider.name,
            polling=self._polling.locked(),
            next_poll=self.ticks.next,
            cadence_seconds=self.ticks.cadence_seconds,
            requests_per_poll=None if cost is None else cost.per_poll,
            requests_per_day=None if cost is None else cost.per_day,
            requests_measured_polls=self._made.polls,
            series=self.recorder.page.series,
            streams_folded=len(self.recorder.book.folded),
            streams_listed=self._listed,
            figures=figures(self.recorder.page),
            feeds=tuple(feed.status() for feed in self.feeds),
        )

    async def run(self) -> None:
        """Poll now, then at every tick, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.recorder.refresh_when_due())
            group.create_task(self._estimate_cost())
            while True:
                await self.poll()
                await self.ticks.wait()

    async def refresh(self) -> None:
        """Render what is due now, and publish."""
        await self.recorder.refresh()

    async def poll(self, *, patience_seconds: float | None = None) -> bool:
        """Poll every feed, then do the work after a poll. True if every feed succeeded.

        The poll ends before the next tick, or within `patience_seconds` where no tick follows. If
        another poll is running, this one waits until that has ended.
        """
        async with self._polling:
            try:
                return await self._poll(patience_seconds)
            finally:
                self.ticks.checked_at = self.ticks.clock()

    async def _poll(self, patience_seconds: float | None) -> bool:
        clock = self.ticks.clock
        started = clock()
        left = self.ticks.seconds_for_a_poll() if patience_seconds is None else patience_seconds
        deadline = asyncio.get_running_loop().time() + left
        requests = 0

        async def get(request: Request, feed: str) -> bytes:
            nonlocal requests
            requests += 1
            return await self.client.get(request, feed=feed, deadline=deadline)

        every = frozenset(feed.feed.name for feed in self.feeds)
        fetcher = PollFetcher(
            get,
            concurrency=self.client.concurrency,
            last_feeds=self._rejected if every - self._rejected else (),
            first_seconds=min(FIRST_SECONDS, self.ticks.cadence_seconds / 10),
        )
        try:
            succeeded = await self._poll_feeds(fetcher, deadline)
            self._listed = self.names.listed
            rate_limited = self._note_rate_limit()
            self._log.polled(
                feeds=len(succeeded),
                failed=succeeded.count(False),
                requests=requests,
                seconds=max(0.0, clock() - started),
            )
            spare = self.ticks.seconds_left() if patience_seconds is None else patience_seconds
            await self._after_poll(
                fetcher, until=clock() + spare, spent=lambda: requests, rate_limited=rate_limited
            )
            self._made.add(requests)
            return all(succeeded)
        finally:
            self._rejected = fetcher.rejected

    async def _estimate_cost(self) -> None:
        """Estimate what polling takes, for as long as no poll has shown it."""
        if self._made.cost is None:
            await self._estimate.make(self.names.number(int(self.ticks.clock())))

    async def _poll_feeds(self, fetcher: PollFetcher, deadline: float) -> list[bool]:
        self.names.begin()
        for feed in self.feeds:
            feed.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.names.look_up(fetcher, int(self.ticks.clock())))
            tasks = [
                group.create_task(
                    feed.poll(fetcher, deadline=deadline, find_account_feed=self._find_account_feed)
                )
                for feed in self.feeds
            ]
        return [task.result() for task in tasks]

    async def _find_account_feed(self, measures: Sequence[Measure]) -> str | None:
        """The feed with these measures, after its poll; None if that failed or is too slow."""
        for feed in self.feeds:
            if set(measures) <= set(feed.feed.measures):
                succeeded = await feed.succeeded(self.ticks.cadence_seconds / 3)
                return feed.feed.name if succeeded else None
        return None

    def _note_rate_limit(self) -> bool:
        """Whether the vendor refused requests as too many; if so, reduce the next polls."""
        rate_limited = any(feed.progress.reason == RateLimitedError.reason for feed in self.feeds)
        if rate_limited:
            for feed in self.feeds:
                feed.progress.out_of_requests()
        return rate_limited
