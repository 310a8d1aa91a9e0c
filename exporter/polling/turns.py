"""Polls a feed by stream: those that live first, then as many of the others as are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.client.fetch import Round
from exporter.client.merge import Fetched, joined
from exporter.model import Ask, Feed, Measure, Parts, Window
from exporter.model.errors import InvalidRequestError, NotFoundError
from exporter.polling.planner import Questions
from exporter.polling.streams import Amounts, Streams, proven_from

MOST_LIVE_PER_IDLE = 20
"""With more streams that live than this for each idle one, asking costs less than the proof."""

Hours = Callable[[str, Sequence[Measure], Window], Awaitable[Amounts]]
"""Reads the hours of a feed's measures out of the ledger."""


class Totals(Protocol):
    """The account's own totals in this poll."""

    async def __call__(self, measures: Sequence[Measure], /) -> str | None:
        """The feed that has all of these, once its poll has succeeded; None if there is none."""


@dataclass(frozen=True, slots=True)
class Turns:
    """One poll of one feed by stream. `ask` makes the questions about streams."""

    feed: Feed
    streams: Streams
    ask: Callable[[Sequence[str]], Questions]
    hours: Hours
    totals: Totals

    async def fetch(self, round_: Round) -> tuple[Questions, Fetched]:
        """What was asked, and all that it brought. Raises PollError as `Round.fetch` does."""
        asked = self.ask(self.streams.live)
        fetched = await round_.fetch(self.feed, asked.asks)
        idle = self.streams.idle
        if not idle:
            return asked, fetched
        proven = await self._proven(self.ask(idle).asks, fetched)
        due = [name for name in idle[: self.streams.due] if name not in proven]
        more = self.ask(due)
        asked = asked.with_streams(more, tuple(proven))
        if not due:
            return asked, fetched
        try:
            return asked, joined(fetched, await round_.fetch(self.feed, more.asks))
        except (InvalidRequestError, NotFoundError):
            if not fetched.requests:
                raise
            return asked, fetched  # the vendor knows none of those that were due

    async def _proven(self, asks: Sequence[Ask], fetched: Fetched) -> dict[str, None]:
        """The idle streams of which the account's totals show that they had nothing since."""
        feed, streams = self.feed, self.streams
        spans = [ask for ask in asks if ask.spans]
        if (
            not isinstance(feed, Parts)
            or not spans
            or len(streams.live) > MOST_LIVE_PER_IDLE * len(streams.idle)
        ):
            return {}
        pairs = feed.parts
        source = await self.totals([total for total, _ in pairs])
        if source is None:
            return {}
        window = Window(
            min(ask.spans[0].window.start for ask in spans),
            max(ask.spans[-1].window.end for ask in spans),
        )
        start = proven_from(
            pairs,
            await self.hours(source, [total for total, _ in pairs], window),
            await self.hours(feed.name, [part for _, part in pairs], window),
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
