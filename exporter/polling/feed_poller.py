"""One feed of one account: plans the requests of a poll, fetches, and has the result recorded.

A provider's errors are caught here. A feed that fails does not affect others, and its earlier
values stay: its counters for ever, its levels for two cadences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from exporter.client.computing import computed
from exporter.client.fetch import PollFetcher
from exporter.client.merge import Fetched
from exporter.config import Polling
from exporter.exposition.own_metrics import LEDGER_REASON
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import FeedState, Poll
from exporter.model import Feed
from exporter.model.errors import LedgerWriteError, PollError, PollTimeoutError, SchemaError
from exporter.polling.account_log import AccountLog
from exporter.polling.discovery import StreamNames
from exporter.polling.planner import PlannedAsks, backlog_seconds, listed_from, plan_asks
from exporter.polling.progress import Progress
from exporter.polling.recorder import Recorder
from exporter.polling.status import FeedStatus
from exporter.polling.stream_poll import FindAccountFeed, StreamPoll
from exporter.polling.streams import StreamSelection, select_streams

FEW_REQUESTS = 10
"""A feed that needs at most this many requests for all its streams never leaves out any."""


class FeedPoller:
    """Polls one feed of one account."""

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
        self._names = names
        self._recorder = recorder
        self._telemetry = telemetry
        self._log = log
        self._polling = polling
        self._clock = clock
        self._outcome: asyncio.Future[bool] | None = None

    @property
    def state(self) -> FeedState:
        """The feed's state in the ledger."""
        return self._recorder.book.feeds[self.feed.name]

    @property
    def ready(self) -> bool:
        """Whether it was polled, or has values in the ledger that are shown."""
        return self.progress.polled or self.state.polled_at is not None

    def status(self) -> FeedStatus:
        """The feed's current status."""
        return self.progress.status(self.state)

    def begin(self) -> None:
        """A poll of the account begins."""
        self._outcome = asyncio.get_running_loop().create_future()

    async def succeeded(self, patience_seconds: float) -> bool:
        """Whether this poll of the feed succeeded; False also when it takes longer than that."""
        outcome = self._outcome
        if outcome is None:
            return False
        await asyncio.wait((outcome,), timeout=patience_seconds)
        return outcome.done() and outcome.result()

    async def poll(
        self, fetcher: PollFetcher, *, deadline: float, find_account_feed: FindAccountFeed
    ) -> bool:
        """Fetch, record and show; True if it succeeded by `deadline` of the event loop's clock."""
        started = self._clock()
        loop = asyncio.get_running_loop()
        allowed = deadline - loop.time()
        failure: PollError | LedgerWriteError | None = None
        mistake: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                asked, fetched = await self._fetch(fetcher, int(started), find_account_feed)
            # Streams that need no request, because they have no new usage, are known by another's.
            self.progress.asked_nothing = not fetched.requests and not asked.streams
            await self._record(asked, fetched, int(started))
        except TimeoutError:
            failure = PollTimeoutError(
                f"the poll had not ended after {allowed:.0f} s, when the next one was due"
            )
        except (PollError, LedgerWriteError) as error:
            failure = error
        except Exception as error:
            # A defect of ours that some answer triggers must not make other feeds fail.
            mistake = error
            failure = SchemaError(f"an answer could not be handled ({type(error).__name__})")
        finally:
            # Only after recording: now the names that it discovered are in the ledger.
            self._names.poll_ended(self.feed, failure)
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
        if self._outcome is not None:
            self._outcome.set_result(failure is None)
        return failure is None

    async def _fetch(
        self, fetcher: PollFetcher, now: int, find_account_feed: FindAccountFeed
    ) -> tuple[PlannedAsks, Fetched]:
        """The asks of this poll, and the merged answers."""
        feed = self.feed
        if not feed.needs_streams:
            asked = self._asks_for((), now)
            return asked, await fetcher.fetch(feed, asked.asks)
        names = await self._names.known(
            now,
            polled_at=self.state.polled_at,
            # Short enough that the rest of the poll has time left.
            patience_seconds=self._polling.cadence_seconds / 3,
        )
        streams, asked = await computed(len(names), self._select, names, now)
        stream_poll = StreamPoll(
            feed,
            streams,
            asked,
            ask=lambda names: self._asks_for(names, now),
            hours=self._recorder.hours,
            find_account_feed=find_account_feed,
        )
        return await stream_poll.fetch(fetcher)

    def _select(self, names: Sequence[str], now: int) -> tuple[StreamSelection, PlannedAsks]:
        """Which of the streams to ask for, and the asks for the live ones."""
        streams = select_streams(
            names,
            self.state,
            self._recorder.book,
            now=now,
            settling=self.feed.settling,
            cadence_seconds=self._polling.cadence_seconds,
            reduction=self.progress.reduction if self._many_requests(names, now) else 0,
        )
        return streams, self._asks_for(streams.live, now)

    def _many_requests(self, names: Sequence[str], now: int) -> bool:
        """Whether all streams take more than FEW_REQUESTS: only then are some left out."""
        asks = self._asks_for(names, now).asks
        requests = (request for ask in asks for request in self.feed.requests(ask))
        return next(islice(requests, FEW_REQUESTS, None), None) is not None

    def _asks_for(self, streams: Sequence[str], now: int) -> PlannedAsks:
        return plan_asks(
            self.feed,
            self.state,
            streams=streams,
            now=now,
            history=self._polling.history,
            cadence_seconds=self._polling.cadence_seconds,
            reduction=self.progress.reduction,
            configured=self._names.configured,
            listed=self._names.listed,
        )

    async def _record(self, asked: PlannedAsks, fetched: Fetched, at: int) -> None:
        """Have the result recorded and shown."""
        feed, name = self.feed, self.feed.name
        first = self.state.polled_at is None
        planned, streams = asked.planned, asked.streams
        if streams is not None and not feed.needs_streams:
            # An id whose request was refused is not counted yet: its baseline is still to come.
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
            began=None if planned is None else planned.start,
            streams_began=asked.streams_began,
            listed=feed.discovers or (feed.needs_streams and self._names.listed),
            discovered=(*fetched.streams, *(self._names.found if feed.needs_streams else ())),
            named=_stream_labels(fetched),
            described=fetched.descriptions,
        )
        await self._recorder.record(poll, fetched)
        if first and poll.gap is not None:
            self._log.remark(
                name,
                "the first poll would not fit into the vendor's time or number of requests; its"
                " older part is asked for afterwards, in parts",
            )
        for remark in fetched.remarks:
            self._log.remark(name, remark)
        if asked.lost is not None:
            self.lost(asked.lost.end - asked.lost.start)

    def lost(self, seconds: int) -> None:
        """Data of so many seconds is lost: the vendor no longer has it."""
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
    """The streams in the labels of the levels."""
    names: dict[str, None] = {}
    for level in fetched.levels:
        index = level.measure.stream_index
        if index is not None:
            names[level.labels[index]] = None
    return tuple(names)
