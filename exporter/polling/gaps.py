"""Fills in what earlier polls of one account's feeds left out, after the current data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.client.fetch import Round
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Poll
from exporter.model import Feed
from exporter.model.errors import PollTimeoutError, RateLimitedError
from exporter.polling.allowance import Allowance
from exporter.polling.log import Journal
from exporter.polling.planner import backlog_seconds, gap_piece, listed_from
from exporter.polling.progress import Progress
from exporter.polling.recorder import Keeper


class CatchUp:
    """Oldest first, piece by piece, each piece written down by itself."""

    def __init__(
        self,
        *,
        keeper: Keeper,
        journal: Journal,
        telemetry: AccountTelemetry,
        clock: Callable[[], float],
    ) -> None:
        self._keeper = keeper
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._allowance = Allowance()

    async def fill(
        self,
        feeds: Sequence[Progress],
        round_: Round,
        *,
        until: float,
        spent: Callable[[], int],
        limited: bool,
    ) -> None:
        """Go on until nothing is left or the clock shows `until`; feeds that fail are left out.

        `spent` counts the account's requests, `limited` is whether the vendor refused some of them
        for their number: then this asks for less, so that what is current has its share.
        """
        self._allowance.begin(spent, limited=limited)
        await self._fill_all(feeds, round_, until)
        self._allowance.end(done=not any(self._keeper.book.feeds[p.feed.name].gaps for p in feeds))

    async def _fill_all(self, feeds: Iterable[Progress], round_: Round, until: float) -> None:
        for progress in feeds:
            if progress.failing_since is None and self._keeper.book.feeds[progress.feed.name].gaps:
                try:
                    await self._fill(progress, round_, until)
                except Exception as error:
                    # Whatever it is, it must not keep the feeds from being polled.
                    self._journal.trouble(
                        progress.feed.name,
                        "gap",
                        "what an outage left out is still missing; the next poll tries again",
                        error,
                    )

    async def _fill(self, progress: Progress, round_: Round, until: float) -> None:
        feed = progress.feed
        states = self._keeper.book.feeds  # each piece leaves another state
        first = True
        while self._clock() < until and self._allowance.left():
            now = int(self._clock())
            piece = gap_piece(feed, states[feed.name], now=now, most_seconds=progress.most_seconds)
            if piece is None:
                progress.most_seconds = None
                return
            window = piece.window
            if not piece.asks:
                await self._keeper.give_up(feed.name, window)
                if piece.lost:
                    self.lost(feed, window.end - window.start)
                continue
            try:
                fetched = await round_.fetch(feed, piece.asks)
            except (PollTimeoutError, RateLimitedError) as error:
                if isinstance(error, RateLimitedError):
                    self._allowance.refused()
                if first:  # later ones had only what those before them left
                    progress.shorten_pieces()
                raise
            first = False
            await self._keeper.record(
                Poll(
                    feed=feed.name,
                    at=int(self._clock()),
                    usage=fetched.usage,
                    events=fetched.events,
                    advances=False,
                    unfinished=fetched.unfinished,
                    listed_from=listed_from(feed, now),
                    described=[level for level in fetched.levels if level.measure.identity],
                    newest=fetched.newest,
                    filled=window,
                )
            )
            self._journal.catching_up(feed.name, backlog_seconds=backlog_seconds(states[feed.name]))
            await self._keeper.show()

    def lost(self, feed: Feed, seconds: int) -> None:
        """So much of the feed's time is gone for good."""
        self._telemetry.lost(feed.name, seconds)
        self._journal.lost(feed.name, seconds)
