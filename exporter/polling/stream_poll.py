"""Polls a feed by stream: live streams first, then the idle ones that are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.client.computing import computed
from exporter.client.fetch import PollFetcher
from exporter.client.merge import Fetched, merge_fetched
from exporter.model import Ask, Feed, Measure, StreamBreakdown, Window
from exporter.model.errors import InvalidRequestError, NotFoundError
from exporter.polling.planner import PlannedAsks
from exporter.polling.streams import HourlyAmounts, StreamSelection, sums_match_from

MOST_LIVE_PER_IDLE = 20
"""With more live streams than this for each idle one, requests cost less than the comparison."""

Hours = Callable[[str, Sequence[Measure], Window], Awaitable[HourlyAmounts]]
"""Reads the hourly amounts of a feed's measures from the ledger."""


class FindAccountFeed(Protocol):
    """Finds the feed that has the account's own amounts in this poll."""

    async def __call__(self, measures: Sequence[Measure], /) -> str | None:
        """The name of the feed with all of these, after its poll; None if that did not succeed."""


@dataclass(frozen=True, slots=True)
class StreamPoll:
    """One poll of one feed by stream.

    `ask` plans the asks for some streams; `asked` are those for the live ones.
    """

    feed: Feed
    streams: StreamSelection
    asked: PlannedAsks
    ask: Callable[[Sequence[str]], PlannedAsks]
    hours: Hours
    find_account_feed: FindAccountFeed

    async def fetch(self, fetcher: PollFetcher) -> tuple[PlannedAsks, Fetched]:
        """The asks made, and the merged answers. Raises PollError as `PollFetcher.fetch` does."""
        asked = self.asked
        fetched = await fetcher.fetch(self.feed, asked.asks)
        idle = self.streams.idle
        if not idle:
            return asked, fetched
        planned = await computed(len(idle), self.ask, idle)
        unchanged = await self._unchanged(planned.asks, fetched)
        due = [name for name in idle[: self.streams.due] if name not in unchanged]
        more = await computed(len(due), self.ask, due)
        asked = asked.with_streams(more, tuple(unchanged))
        if not due:
            return asked, fetched
        try:
            return asked, merge_fetched(fetched, await fetcher.fetch(self.feed, more.asks))
        except (InvalidRequestError, NotFoundError):
            if not fetched.requests:
                raise
            return asked, fetched  # the vendor knows none of the due streams

    async def _unchanged(self, asks: Sequence[Ask], fetched: Fetched) -> dict[str, None]:
        """The idle streams that had no new usage, as the account's amounts show."""
        feed, streams = self.feed, self.streams
        spans = [ask for ask in asks if ask.spans]
        if (
            not isinstance(feed, StreamBreakdown)
            or not spans
            or len(streams.live) > MOST_LIVE_PER_IDLE * len(streams.idle)
        ):
            return {}
        pairs = feed.measure_pairs
        source = await self.find_account_feed([total for total, _ in pairs])
        if source is None:
            return {}
        window = Window(
            min(ask.spans[0].window.start for ask in spans),
            max(ask.spans[-1].window.end for ask in spans),
        )
        totals = await self.hours(source, [total for total, _ in pairs], window)
        known = await self.hours(feed.name, [part for _, part in pairs], window)
        start = await computed(
            len(known) + len(fetched.usage),
            sums_match_from,
            pairs,
            totals,
            known,
            fetched.usage,
            start=window.start,
            end=window.end,
        )
        return {
            name: None
            for ask in spans
            if ask.spans[0].window.start >= start
            for name in ask.streams
        }
