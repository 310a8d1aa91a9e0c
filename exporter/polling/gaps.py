"""Fills the gaps that earlier polls of one account's feeds left, after the current data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.client.fetch import PollFetcher
from exporter.ledger import Poll
from exporter.model.errors import PollTimeoutError, RateLimitedError
from exporter.polling.account_log import AccountLog
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.planner import backlog_seconds, listed_from, next_gap_part
from exporter.polling.recorder import Recorder
from exporter.polling.request_budget import RequestBudget


class GapFiller:
    """Fills the feeds' gaps in parts, oldest first; each part is recorded by itself."""

    def __init__(self, *, recorder: Recorder, log: AccountLog, clock: Callable[[], float]) -> None:
        self._recorder = recorder
        self._log = log
        self._clock = clock
        self._budget = RequestBudget()

    async def fill(
        self,
        feeds: Sequence[FeedPoller],
        fetcher: PollFetcher,
        *,
        until: float,
        spent: Callable[[], int],
        rate_limited: bool,
    ) -> None:
        """Fill until no gap is left or the clock shows `until`; skip feeds that are failing.

        `spent` returns the number of the account's requests. `rate_limited` is whether the vendor
        refused some of them as too many; then fewer are made here, to leave some for current data.
        """
        self._budget.begin(spent, rate_limited=rate_limited)
        await self._fill_all(feeds, fetcher, until)
        self._budget.end(done=not any(feed.state.gaps for feed in feeds))

    async def _fill_all(
        self, feeds: Iterable[FeedPoller], fetcher: PollFetcher, until: float
    ) -> None:
        for feed in feeds:
            if feed.progress.failing_since is None and feed.state.gaps:
                try:
                    await self._fill(feed, fetcher, until)
                except Exception as error:
                    # No failure here may stop polling.
                    self._log.trouble(
                        feed.feed.name,
                        "gap",
                        "what an outage left out is still missing; the next poll tries again",
                        error,
                    )

    async def _fill(self, poller: FeedPoller, fetcher: PollFetcher, until: float) -> None:
        feed, progress = poller.feed, poller.progress
        first = True
        while self._clock() < until and self._budget.left():
            now = int(self._clock())
            part = next_gap_part(
                feed, poller.state, now=now, max_part_seconds=progress.max_part_seconds
            )
            if part is None:
                progress.max_part_seconds = None
                return
            window = part.window
            if not part.asks:
                await self._recorder.give_up(feed.name, window)
                if part.lost:
                    poller.lost(window.end - window.start)
                continue
            try:
                fetched = await fetcher.fetch(feed, part.asks)
            except (PollTimeoutError, RateLimitedError) as error:
                if isinstance(error, RateLimitedError):
                    self._budget.refused()
                if first:  # a later part had only the time and requests that were left
                    progress.shorten_gap_parts()
                raise
            first = False
            await self._recorder.record(
                Poll(
                    feed=feed.name,
                    at=int(self._clock()),
                    usage=fetched.usage,
                    events=fetched.events,
                    advances=False,
                    unfinished=fetched.unfinished,
                    listed_from=listed_from(feed, now),
                    described=fetched.descriptions,
                    newest=fetched.newest,
                    filled=window,
                )
            )
            self._log.catching_up(feed.name, backlog_seconds=backlog_seconds(poller.state))
