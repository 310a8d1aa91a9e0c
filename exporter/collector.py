"""One account: poll its feeds at every tick, write down what they say, show it.

This is the only place where a provider's error is caught. A feed that fails leaves the others
alone, and what it had said before stays: its counters for ever, its levels for two cadences.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.asking import Questions, backlog_seconds, gap_piece, questions, stream_names
from exporter.config.settings import Account, Polling
from exporter.errors import LedgerWriteError, PollError, PollTimeoutError, SchemaError
from exporter.exposition import AccountPage
from exporter.fetch import Fetched, Round
from exporter.ledger import Book, Ledger, Poll
from exporter.model import Ask, Feed, Measure, Request
from exporter.schedule import next_tick
from exporter.status import AccountStatus, FeedStatus
from exporter.telemetry import LEDGER_REASON, AccountTelemetry, Telemetry
from exporter.worker import Worker

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 30.0
"""The clock is looked at again after so long: it may have been set, or the machine suspended."""

Get = Callable[[Request, str, float], Awaitable[bytes]]
"""Fetches a request for a feed, not beyond an instant of the event loop's clock."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all collectors share."""

    ledger: Ledger
    worker: Worker
    telemetry: Telemetry
    clock: Callable[[], float]
    publish: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Progress:
    """How a feed has fared since the start."""

    feed: Feed
    polled: bool = False
    failing_since: float | None = None
    reason: str | None = None
    error: str | None = None


class Collector:
    """Polls one account for as long as `run` runs.

    `discovery` is a feed that is asked for stream names only, when none of `feeds` shows them.
    """

    def __init__(
        self,
        *,
        account: Account,
        feeds: Sequence[Feed],
        discovery: Feed | None,
        get: Get,
        book: Book,
        page: AccountPage,
        telemetry: AccountTelemetry,
        tools: Tools,
        polling: Polling,
        delay_seconds: float,
        retention_seconds: int,
    ) -> None:
        self.account = account
        self.page = page
        self.telemetry = telemetry
        self._book = book
        self._discovery = discovery
        self._get = get
        self._tools = tools
        self._polling = polling
        self._delay_seconds = delay_seconds
        self._retention_seconds = retention_seconds
        self._progress = [_Progress(feed) for feed in feeds]
        self._configured = configured_streams(account)
        self._found: tuple[str, ...] = ()
        self._remarked: set[str] = set()
        self._names_known = asyncio.Event()
        self._due_changed = asyncio.Event()
        self._next_due: float | None = None
        self._next_poll: float | None = None
        self._polling_now = False
        self.beat = tools.clock()
        for name, feed in book.feeds.items():
            telemetry.restored(name, polled_at=feed.polled_at, newest=feed.newest)
        telemetry.series(page.series, len(book.folded))

    @property
    def ready(self) -> bool:
        """Whether every feed was polled, or is shown as the ledger remembers it."""
        return all(
            one.polled or self._book.feeds[one.feed.name].polled_at is not None
            for one in self._progress
        )

    def status(self) -> AccountStatus:
        """What there is to say of the account now."""
        return AccountStatus(
            name=self.account.name,
            provider=self.account.provider.name,
            polling=self._polling_now,
            next_poll=self._next_poll,
            series=self.page.series,
            streams_folded=len(self._book.folded),
            feeds=tuple(self._feed_status(progress) for progress in self._progress),
        )

    def _feed_status(self, progress: _Progress) -> FeedStatus:
        state = self._book.feeds[progress.feed.name]
        failing = progress.failing_since is not None
        return FeedStatus(
            name=progress.feed.name,
            state="failing" if failing else "ok" if progress.polled else "waiting",
            last_success=state.polled_at,
            newest_data=state.newest,
            failing_since=progress.failing_since,
            reason=progress.reason,
            error=progress.error,
            backlog_seconds=backlog_seconds(state),
        )

    # When.

    async def run(self) -> None:
        """Poll now, then at every tick, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._freshen())
            while True:
                await self.poll()
                await self._sleep_until_tick()

    async def _sleep_until_tick(self) -> None:
        clock = self._tools.clock
        cadence = self._polling.cadence_seconds
        tick = next_tick(clock(), cadence_seconds=cadence, delay_seconds=self._delay_seconds)
        while True:
            self._next_poll = tick
            self.beat = clock()
            left = tick - clock()
            if left <= 0:
                return
            if left > cadence + 1:  # the clock was set back
                tick = next_tick(
                    clock(), cadence_seconds=cadence, delay_seconds=self._delay_seconds
                )
                continue
            await asyncio.sleep(min(left, LONGEST_SLEEP_SECONDS))

    async def _freshen(self) -> None:
        """Render what changes by itself: levels grow too old, counters are held no longer."""
        while True:
            self._due_changed.clear()
            due = self._next_due
            now = self._tools.clock()
            if due is not None and due <= now:
                await self.refresh()
                continue
            try:
                async with asyncio.timeout(
                    LONGEST_SLEEP_SECONDS if due is None else min(due - now, LONGEST_SLEEP_SECONDS)
                ):
                    await self._due_changed.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Show what has become due."""
        await self._show(())

    # One poll.

    async def poll(self) -> bool:
        """Poll every feed, then fill in what earlier outages left out.

        True if every feed succeeded.
        """
        self._polling_now = True
        self._names_known.clear()
        clock = self._tools.clock
        started = clock()
        deadline = asyncio.get_running_loop().time() + self._polling.cadence_seconds
        requests = 0

        async def get(request: Request, feed: str) -> bytes:
            nonlocal requests
            requests += 1
            return await self._get(request, feed, deadline)

        round_ = Round(get, concurrency=self._polling.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._discover(round_))
                tasks = [
                    group.create_task(self._poll_feed(progress, round_, deadline))
                    for progress in self._progress
                ]
            succeeded = [task.result() for task in tasks]
            log.info(
                "polled",
                extra={
                    "provider": self.account.provider.name,
                    "account": self.account.name,
                    "feeds": len(succeeded),
                    "failed": len(succeeded) - sum(succeeded),
                    "requests": requests,
                    "seconds": round(max(0.0, clock() - started), 3),
                },
            )
            await self._fill_gaps(round_)
            await self._fold()
            return all(succeeded)
        finally:
            self._polling_now = False
            self.beat = clock()

    async def _discover(self, round_: Round) -> None:
        """Look up stream names for feeds that need them, unless a polled feed does so anyway."""
        if any(progress.feed.discovers for progress in self._progress):
            return
        try:
            if self._discovery is not None:
                ask = Ask(int(self._tools.clock()))
                self._found = tuple((await round_.fetch(self._discovery, [ask])).streams)
        except PollError as error:
            self._remark(
                "discovery", f"stream names were not looked up, new ones are missed: {error}"
            )
        finally:
            self._names_known.set()

    async def _poll_feed(self, progress: _Progress, round_: Round, deadline: float) -> bool:
        feed = progress.feed
        clock = self._tools.clock
        started = clock()
        failure: PollError | LedgerWriteError | None = None
        try:
            async with asyncio.timeout_at(deadline):
                if feed.needs_streams:
                    await self._names_known.wait()
                asked = self._questions(feed, int(started))
                fetched = await round_.fetch(feed, asked.asks)
            await self._keep(feed, fetched, asked, int(started))
        except TimeoutError:
            failure = PollTimeoutError("the poll took longer than the cadence")
        except (PollError, LedgerWriteError) as error:
            failure = error
        except Exception as error:
            # A mistake of ours, brought out by some answer, must not take other feeds along.
            log.exception("unexpected error in a poll", extra=self._labels(feed.name))
            failure = SchemaError(f"an answer could not be handled ({type(error).__name__})")
        finally:
            if feed.discovers:
                self._names_known.set()
        now = clock()
        reason = None
        if failure is None:
            self._note_success(progress)
        else:
            reason = failure.reason if isinstance(failure, PollError) else LEDGER_REASON
            self._note_failure(progress, reason, str(failure), now)
        progress.polled = True
        self.telemetry.poll(feed.name, seconds=max(0.0, now - started), failure=reason, at=started)
        await self.refresh()
        return failure is None

    def _questions(self, feed: Feed, now: int) -> Questions:
        names = dict.fromkeys((*stream_names(self._book, self._configured, now), *self._found))
        return questions(
            feed,
            self._book.feeds[feed.name],
            streams=tuple(names),
            now=now,
            history_seconds=self._polling.history_seconds,
            cadence_seconds=self._polling.cadence_seconds,
        )

    async def _keep(self, feed: Feed, fetched: Fetched, asked: Questions, at: int) -> None:
        """Write down and show what a poll brought; levels are shown even if that fails."""
        state = self._book.feeds[feed.name]
        planned = asked.planned
        new = () if asked.streams is None else set(self._configured) - state.streams.keys()
        poll = Poll(
            feed=feed.name,
            at=at,
            usage=fetched.usage,
            events=fetched.events,
            revisited=planned is not None and planned.revisit,
            resume=fetched.resume,
            newest=fetched.newest,
            gap=None if planned is None else planned.gap,
            streams=asked.streams,
            baseline_streams=frozenset(new),
            began=None if planned is None else planned.window.start,
            streams_began=asked.streams_began,
            discovered=(*fetched.streams, *(self._found if feed.needs_streams else ())),
            named=_stream_labels(fetched),
        )
        try:
            await self._record(poll)
        finally:
            await self._show((), feed=feed.name, fetched=fetched, at=float(at))
        for remark in fetched.remarks:
            self._remark(feed.name, remark)
        if asked.lost is not None:
            self._note_lost(feed, asked.lost.end - asked.lost.start)

    async def _record(self, poll: Poll) -> None:
        tools = self._tools

        def work() -> None:
            recorded = tools.ledger.record(self._book, poll)
            self.page.render(recorded.changed, tools.clock())
            state = self._book.feeds[poll.feed]
            self.telemetry.recorded(
                poll.feed,
                newest=state.newest,
                corrections=recorded.corrections,
                late=recorded.late,
                backlog=backlog_seconds(state),
            )

        try:
            await tools.worker.run(work)
        except LedgerWriteError:
            tools.telemetry.ledger_write_failed()
            raise

    async def _show(
        self,
        measures: Sequence[Measure],
        *,
        feed: str | None = None,
        fetched: Fetched | None = None,
        at: float = 0.0,
    ) -> None:
        """Render levels and whatever is due, and publish the page."""
        tools = self._tools

        def work() -> None:
            now = tools.clock()
            changed = {*measures, *self.page.due(now)}
            if feed is not None and fetched is not None:
                changed |= self.page.set_levels(feed, fetched.levels, at=at)
            self.page.render(changed, now)
            self._next_due = self.page.next_due()
            self.telemetry.series(self.page.series, len(self._book.folded))

        await tools.worker.run(work)
        self._due_changed.set()
        await tools.publish()

    # What was left out, and what is too old.

    async def _fill_gaps(self, round_: Round) -> None:
        """Fill in what outages left out, oldest first, until it is done or the next tick comes."""
        for progress in self._progress:
            if progress.failing_since is None and self._book.feeds[progress.feed.name].gaps:
                try:
                    await self._fill_gap(progress.feed, round_)
                except (PollError, LedgerWriteError) as error:
                    self._remark(progress.feed.name, f"an old gap stays open for now: {error}")

    async def _fill_gap(self, feed: Feed, round_: Round) -> None:
        clock = self._tools.clock
        state = self._book.feeds[feed.name]
        until = next_tick(
            clock(),
            cadence_seconds=self._polling.cadence_seconds,
            delay_seconds=self._delay_seconds,
        )
        while clock() < until and (piece := gap_piece(feed, state, now=int(clock()))) is not None:
            window = piece.window
            if not piece.asks and not feed.needs_streams:
                await self._tools.worker.run(
                    self._tools.ledger.give_up, self._book, feed.name, window
                )
                self._note_lost(feed, window.end - window.start)
                continue
            fetched = await round_.fetch(feed, piece.asks)
            await self._record(
                Poll(
                    feed=feed.name,
                    at=int(clock()),
                    usage=fetched.usage,
                    events=fetched.events,
                    advances=False,
                    newest=fetched.newest,
                    filled=window,
                )
            )
            log.info(
                "catching up after an outage",
                extra={
                    "provider": self.account.provider.name,
                    "account": self.account.name,
                    "feed": feed.name,
                    "hours_left": round(backlog_seconds(state) / 3600, 1),
                },
            )
            await self._show(())

    async def _fold(self) -> None:
        """Fold buckets beyond the retention into the totals."""
        before = int(self._tools.clock()) - self._retention_seconds
        for progress in self._progress:
            try:
                await self._tools.worker.run(
                    self._tools.ledger.fold, self._book, progress.feed.name, before
                )
            except LedgerWriteError as error:
                self._tools.telemetry.ledger_write_failed()
                self._remark(progress.feed.name, f"old buckets were not folded: {error}")

    # What people are told.

    def _note_success(self, progress: _Progress) -> None:
        if progress.failing_since is not None:
            log.info(
                "feed works again; its counters have caught up",
                extra=self._labels(progress.feed.name),
            )
        progress.failing_since = progress.reason = progress.error = None

    def _note_failure(self, progress: _Progress, reason: str, error: str, now: float) -> None:
        if progress.reason != reason:
            log.warning(
                "feed failed; its counters stand still, its gauges vanish after two cadences",
                extra={**self._labels(progress.feed.name), "reason": reason, "error": error},
            )
        progress.failing_since = progress.failing_since or now
        progress.reason = reason
        progress.error = error

    def _note_lost(self, feed: Feed, seconds: int) -> None:
        self.telemetry.lost(feed.name, seconds)
        log.warning(
            "data lost: the vendor no longer has it in any resolution",
            extra={**self._labels(feed.name), "hours": round(seconds / 3600, 1)},
        )

    def _remark(self, feed: str, remark: str) -> None:
        """Say something once."""
        if remark not in self._remarked:
            self._remarked.add(remark)
            log.warning(remark, extra=self._labels(feed))

    def _labels(self, feed: str) -> dict[str, str]:
        return {
            "provider": self.account.provider.name,
            "account": self.account.name,
            "feed": feed,
        }


def configured_streams(account: Account) -> tuple[str, ...]:
    """The names that the account's configuration asks to break down."""
    streams = account.options.get("streams", ())
    return streams if isinstance(streams, tuple) else ()


def _stream_labels(fetched: Fetched) -> tuple[str, ...]:
    """The streams that the levels are about."""
    names: dict[str, None] = {}
    for level in fetched.levels:
        index = level.measure.stream_index
        if index is not None:
            names[level.labels[index]] = None
    return tuple(names)
