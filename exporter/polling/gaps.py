"""Fills in what earlier polls of one account's feeds left out, after the current data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.client.fetch import Round
from exporter.ledger import Poll
from exporter.model.errors import PollTimeoutError, RateLimitedError
from exporter.polling.account_log import AccountLog
from exporter.polling.allowance import Allowance
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.planner import backlog_seconds, gap_piece, listed_from
from exporter.polling.recorder import Recorder


class Gaps:
    """What outages left out of the feeds: asked for oldest first, each piece recorded by itself."""

    def __init__(self, *, recorder: Recorder, log: AccountLog, clock: Callable[[], float]) -> None:
        self._recorder = recorder
        self._log = log
        self._clock = clock
        self._allowance = Allowance()

    async def fill(
        self,
        feeds: Sequence[FeedPoller],
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
        self._allowance.end(done=not any(feed.state.gaps for feed in feeds))

    async def _fill_all(self, feeds: Iterable[FeedPoller], round_: Round, until: float) -> None:
        for feed in feeds:
            if feed.progress.failing_since is None and feed.state.gaps:
                try:
                    await self._fill(feed, round_, until)
                except Exception as error:
                    # Whatever it is, it must not keep the feeds from being polled.
                    self._log.trouble(
                        feed.feed.name,
                        "gap",
                        "what an outage left out is still missing; the next poll tries again",
                        error,
                    )

    async def _fill(self, poller: FeedPoller, round_: Round, until: float) -> None:
        feed, progress = poller.feed, poller.progress
        first = True
        while self._clock() < until and self._allowance.left():
            now = int(self._clock())
            piece = gap_piece(feed, poller.state, now=now, most_seconds=progress.most_seconds)
            if piece is None:
                progress.most_seconds = None
                return
            window = piece.window
            if not piece.asks:
                await self._recorder.give_up(feed.name, window)
                if piece.lost:
                    poller.lost(window.end - window.start)
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
