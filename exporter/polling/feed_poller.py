"""One feed of one account: plan what to ask, fetch it, have it recorded.

This is the only place where a provider's error is caught. A feed that fails leaves the others
alone, and what it had said before stays: its counters for ever, its levels for two cadences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from exporter.client.fetch import Round
from exporter.client.merge import Fetched
from exporter.config import Polling
from exporter.exposition.own_metrics import LEDGER_REASON
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import FeedState, Poll
from exporter.model import Feed
from exporter.model.errors import LedgerWriteError, PollError, PollTimeoutError, SchemaError
from exporter.polling.account_log import AccountLog
from exporter.polling.discovery import StreamNames
from exporter.polling.planner import Questions, backlog_seconds, listed_from, questions
from exporter.polling.progress import Progress
from exporter.polling.recorder import Recorder
from exporter.polling.status import FeedStatus
from exporter.polling.streams import divided
from exporter.polling.turns import Totals, Turns

FEW_REQUESTS = 10
"""A feed that takes no more for all its streams asks for all of them in any case."""


class FeedPoller:
    """Polls one feed, once each time it is told to."""

    def __init__(
        self,
        feed: Feed,
        *,
        names: StreamNames,
        recorder: Recorder,
        telemetry: AccountTelemetry,
        log: AccountLog,
        polling: Polling,
        clock: Callable[[], float],
    ) -> None:
        self.feed = feed
        self.progress = Progress(feed)
        self.asked_streams = 0
        """How many streams the newest poll was to ask for."""
        self._names = names
        self._recorder = recorder
        self._telemetry = telemetry
        self._log = log
        self._polling = polling
        self._clock = clock
        self._over: asyncio.Future[bool] | None = None

    @property
    def state(self) -> FeedState:
        """What the ledger knows of the feed."""
        return self._recorder.book.feeds[self.feed.name]

    @property
    def ready(self) -> bool:
        """Whether it was polled, or is shown as the ledger remembers it."""
        return self.progress.polled or self.state.polled_at is not None

    def status(self) -> FeedStatus:
        """What there is to say of it."""
        return self.progress.status(self.state)

    def begin(self) -> None:
        """A poll of the account begins."""
        self._over = asyncio.get_running_loop().create_future()

    async def succeeded(self, patience_seconds: float) -> bool:
        """Whether this poll of the feed has succeeded; False, too, where that takes too long."""
        over = self._over
        if over is None:
            return False
        await asyncio.wait((over,), timeout=patience_seconds)
        return over.done() and over.result()

    async def poll(self, round_: Round, *, deadline: float, totals: Totals) -> bool:
        """Ask, record and show; True if that succeeded by `deadline` of the event loop's clock."""
        started = self._clock()
        loop = asyncio.get_running_loop()
        allowed = deadline - loop.time()
        failure: PollError | LedgerWriteError | None = None
        mistake: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                asked, fetched = await self._fetch(round_, int(started), totals)
            await self._record(asked, fetched, int(started))
        except TimeoutError:
            failure = PollTimeoutError("the poll took longer than the cadence")
        except (PollError, LedgerWriteError) as error:
            failure = error
        except Exception as error:
            # A mistake of ours, brought out by some answer, must not take other feeds along.
            mistake = error
            failure = SchemaError(f"an answer could not be handled ({type(error).__name__})")
        finally:
            # Not before it is recorded: the names that it found are in the ledger then.
            self._names.told(self.feed, failure)
        now = self._clock()
        if failure is None:
            self._note_success(now)
        else:
            if deadline - loop.time() < allowed / 20:
                self.progress.out_of_time()
            self._note_failure(failure, mistake, now)
        self._telemetry.poll(
            self.feed.name,
            seconds=max(0.0, now - started),
            failure=self.progress.reason,
            at=started,
        )
        if self._over is not None:
            self._over.set_result(failure is None)
        return failure is None

    async def _fetch(self, round_: Round, now: int, totals: Totals) -> tuple[Questions, Fetched]:
        """What the feed was asked in this poll, and all that it said."""
        feed = self.feed
        if not feed.needs_streams:
            asked = self._questions((), now)
            return asked, await round_.fetch(feed, asked.asks)
        state = self.state
        names = await self._names.known(
            now,
            polled_at=state.polled_at,
            # Not so long that the poll is lost with it.
            patience_seconds=self._polling.cadence_seconds / 3,
        )
        streams = divided(
            names,
            state,
            self._recorder.book,
            now=now,
            settling=feed.settling,
            cadence_seconds=self._polling.cadence_seconds,
            short=self.progress.short if self._many_requests(names, now) else 0,
        )
        turns = Turns(
            feed,
            streams,
            ask=lambda names: self._questions(names, now),
            hours=self._recorder.hours,
            totals=totals,
        )
        self.asked_streams = len(streams.live) + streams.due
        return await turns.fetch(round_)

    def _many_requests(self, names: Sequence[str], now: int) -> bool:
        """Whether leaving out streams of a poll spares requests worth speaking of."""
        asks = self._questions(names, now).asks
        requests = (request for ask in asks for request in self.feed.requests(ask))
        return next(islice(requests, FEW_REQUESTS, None), None) is not None

    def _questions(self, streams: Sequence[str], now: int) -> Questions:
        return questions(
            self.feed,
            self.state,
            streams=streams,
            now=now,
            history_seconds=self._polling.history_seconds,
            cadence_seconds=self._polling.cadence_seconds,
            short=self.progress.short,
            configured=self._names.configured,
            listed=self._names.listed,
        )

    async def _record(self, asked: Questions, fetched: Fetched, at: int) -> None:
        """Have it written down and shown."""
        feed, name = self.feed, self.feed.name
        first = self.state.polled_at is None
        planned, streams = asked.planned, asked.streams
        if streams is not None and not feed.needs_streams:
            # An id that the vendor would not answer about has not begun yet.
            streams = tuple(one for one in streams if one not in fetched.refused)
        poll = Poll(
            feed=name,
            at=at,
            usage=fetched.usage,
            events=fetched.events,
            revisited=planned is not None and planned.revisit,
            unfinished=fetched.unfinished,
            listed_from=listed_from(feed, at),
            newest=fetched.newest,
            gap=None if planned is None else planned.gap,
            streams=streams,
            baseline_streams=asked.baseline,
            began=None if planned is None else planned.window.start,
            streams_began=asked.streams_began,
            listed=feed.discovers or (feed.needs_streams and self._names.listed),
            discovered=(*fetched.streams, *(self._names.found if feed.needs_streams else ())),
            named=_stream_labels(fetched),
            described=fetched.descriptions,
        )
        await self._recorder.record(poll, fetched)
        if first and self.progress.short and planned is not None:
            self._log.remark(
                name,
                "the first poll would not fit into the vendor's time or number of requests; counting"
                " begins with less history than the configuration asks for",
            )
        for remark in fetched.remarks:
            self._log.remark(name, remark)
        if asked.lost is not None:
            self.lost(asked.lost.end - asked.lost.start)

    def lost(self, seconds: int) -> None:
        """So much of the feed's time is gone for good."""
        self._telemetry.lost(self.feed.name, seconds)
        self._log.lost(self.feed.name, seconds)

    def _note_success(self, now: float) -> None:
        if self.progress.failing_since is not None:
            self._log.works_again(
                self.feed.name,
                failed_seconds=max(0.0, now - self.progress.failing_since),
                backlog_seconds=backlog_seconds(self.state),
            )
        self.progress.succeeded()
        self.progress.polled = True

    def _note_failure(
        self, failure: PollError | LedgerWriteError, mistake: Exception | None, now: float
    ) -> None:
        reason = failure.reason if isinstance(failure, PollError) else LEDGER_REASON
        self._log.failed(self.feed.name, reason, str(failure), mistake)
        self.progress.failed(reason, str(failure), now)
        self.progress.polled = True


def _stream_labels(fetched: Fetched) -> tuple[str, ...]:
    """The streams that the levels are about."""
    names: dict[str, None] = {}
    for level in fetched.levels:
        index = level.measure.stream_index
        if index is not None:
            names[level.labels[index]] = None
    return tuple(names)
