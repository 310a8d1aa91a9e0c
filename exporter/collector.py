"""One account: poll its feeds at every tick, write down what they say, show it.

This is the only place where a provider's error is caught. A feed that fails leaves the others
alone, and what it had said before stays: its counters for ever, its levels for two cadences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from exporter.asking import Questions, backlog_seconds, gap_piece, questions, stream_names
from exporter.config.settings import Account, Polling
from exporter.cost import Cost, estimate
from exporter.errors import LedgerWriteError, PollError, PollTimeoutError, SchemaError
from exporter.exposition import AccountPage
from exporter.fetch import Round
from exporter.journal import Journal
from exporter.ledger import Book, Ledger, Poll
from exporter.merging import Fetched
from exporter.model import DAY, Ask, Feed, Level, Measure, Request
from exporter.own_metrics import LEDGER_REASON
from exporter.schedule import next_tick
from exporter.status import AccountStatus, FeedStatus
from exporter.telemetry import AccountTelemetry, Telemetry
from exporter.worker import Worker

LONGEST_SLEEP_SECONDS = 30.0
"""The clock is looked at again after so long: it may have been set, or the machine suspended."""

Get = Callable[[Request, str, float], Awaitable[bytes]]
"""Fetches a request for a feed, not beyond an instant of the event loop's clock."""


class LookBack(Protocol):
    """What follows from the ledger as it is after a poll, as levels; it may ask the vendor."""

    async def __call__(
        self, get: Callable[[Request, str], Awaitable[bytes]], /
    ) -> Sequence[Level]: ...


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
    """How a feed has fared since the start.

    `most_seconds` is how much time is asked for at once, where more took too long.
    """

    feed: Feed
    most_seconds: int | None = None
    polled: bool = False
    failing_since: float | None = None
    reason: str | None = None
    error: str | None = None

    def ask_for_less(self) -> None:
        """From now on; or what is too much for one poll would be too much for every one."""
        self.most_seconds = (DAY if self.most_seconds is None else self.most_seconds) // 4


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
        look_back: LookBack | None = None,
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
        self._look_back_at = look_back
        self._progress = [_Progress(feed) for feed in feeds]
        self._configured = configured_streams(account)
        self._found: tuple[str, ...] = ()
        self._journal = Journal(provider=account.provider.name, account=account.name)
        self._cost: tuple[int, Cost] | None = None
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
        cost = None if self._cost is None else self._cost[1]
        return AccountStatus(
            name=self.account.name,
            provider=self.account.provider.name,
            polling=self._polling_now,
            next_poll=self._next_poll,
            cadence_seconds=self._polling.cadence_seconds,
            requests_per_poll=None if cost is None else cost.per_poll,
            requests_per_day=None if cost is None else cost.per_day,
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

    def _until_tick(self) -> float:
        """Seconds until shortly before the next tick."""
        now = self._tools.clock()
        cadence = self._polling.cadence_seconds
        tick = next_tick(now, cadence_seconds=cadence, delay_seconds=self._delay_seconds)
        return tick - now - cadence / 20

    def _time_left(self) -> float:
        """Seconds that a poll may take which begins now.

        One that begins between two ticks may use up the rest and one more cadence.
        """
        left = self._until_tick()
        cadence = self._polling.cadence_seconds
        return left if left >= cadence / 2 else left + cadence

    # One poll.

    async def poll(self, *, patience_seconds: float | None = None) -> bool:
        """Poll every feed, then fill in what earlier outages left out.

        It ends before the next tick, or within `patience_seconds` where no tick follows. True if
        every feed succeeded.
        """
        self._polling_now = True
        self._names_known.clear()
        clock = self._tools.clock
        started = clock()
        allowed = self._time_left() if patience_seconds is None else patience_seconds
        deadline = asyncio.get_running_loop().time() + allowed
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
            self._journal.polled(
                feeds=len(succeeded),
                failed=len(succeeded) - sum(succeeded),
                requests=requests,
                seconds=max(0.0, clock() - started),
            )
            spare = self._until_tick() if patience_seconds is None else patience_seconds
            await self._fill_gaps(round_, until=clock() + spare)
            await self._fold()
            await self._look_back(get)
            await self._estimate()
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
                self._journal.over("discovery", "discovery")
        except PollError as error:
            self._journal.trouble(
                "discovery",
                "discovery",
                "stream names were not looked up; new streams are missed until they are",
                error,
            )
        finally:
            self._names_known.set()

    async def _poll_feed(self, progress: _Progress, round_: Round, deadline: float) -> bool:
        feed = progress.feed
        clock = self._tools.clock
        started = clock()
        failure: PollError | LedgerWriteError | None = None
        mistake: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                if feed.needs_streams:
                    await self._names()
                asked = self._questions(progress, int(started))
                fetched = await round_.fetch(feed, asked.asks)
            await self._keep(feed, fetched, asked, int(started))
        except TimeoutError:
            failure = PollTimeoutError("the poll took longer than the cadence")
        except (PollError, LedgerWriteError) as error:
            failure = error
        except Exception as error:
            # A mistake of ours, brought out by some answer, must not take other feeds along.
            mistake = error
            failure = SchemaError(f"an answer could not be handled ({type(error).__name__})")
        finally:
            if feed.discovers:
                self._names_known.set()
        now = clock()
        reason = None
        if isinstance(failure, PollTimeoutError):
            progress.ask_for_less()
        if failure is None:
            self._note_success(progress, now)
        else:
            reason = failure.reason if isinstance(failure, PollError) else LEDGER_REASON
            self._journal.failed(feed.name, reason, str(failure), mistake)
            progress.failing_since = progress.failing_since or now
            progress.reason = reason
            progress.error = str(failure)
        progress.polled = True
        self.telemetry.poll(feed.name, seconds=max(0.0, now - started), failure=reason, at=started)
        await self.refresh()
        return failure is None

    async def _names(self) -> None:
        """Wait until stream names were looked up, but not so long that the poll is lost with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._polling.cadence_seconds / 3):
                await self._names_known.wait()

    def _questions(self, progress: _Progress, now: int) -> Questions:
        feed = progress.feed
        state = self._book.feeds[feed.name]
        known = stream_names(self._book, self._configured, now, polled_at=state.polled_at)
        return questions(
            feed,
            state,
            streams=tuple(dict.fromkeys((*known, *self._found))),
            now=now,
            history_seconds=self._polling.history_seconds,
            cadence_seconds=self._polling.cadence_seconds,
            most_seconds=progress.most_seconds,
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
            began=None if planned is None else planned.start,
            streams_began=asked.streams_began,
            discovered=(*fetched.streams, *(self._found if feed.needs_streams else ())),
            named=_stream_labels(fetched),
        )
        try:
            await self._record(poll)
        finally:
            await self._show((), feed=feed.name, fetched=fetched, at=float(at))
        for remark in fetched.remarks:
            self._journal.remark(feed.name, remark)
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

    async def _fill_gaps(self, round_: Round, *, until: float) -> None:
        """Fill in what outages left out, oldest first, for as long as there is time."""
        for progress in self._progress:
            if progress.failing_since is None and self._book.feeds[progress.feed.name].gaps:
                try:
                    await self._fill_gap(progress, round_, until)
                except Exception as error:
                    if isinstance(error, PollTimeoutError):
                        progress.ask_for_less()
                    # Whatever it is, it must not keep the feeds from being polled.
                    self._journal.trouble(
                        progress.feed.name,
                        "gap",
                        "what an outage left out is still missing; the next poll tries again",
                        error,
                    )

    async def _fill_gap(self, progress: _Progress, round_: Round, until: float) -> None:
        feed = progress.feed
        clock = self._tools.clock
        state = self._book.feeds[feed.name]
        while clock() < until:
            piece = gap_piece(feed, state, now=int(clock()), most_seconds=progress.most_seconds)
            if piece is None:
                return
            window = piece.window
            if not piece.asks:
                await self._tools.worker.run(
                    self._tools.ledger.give_up, self._book, feed.name, window
                )
                if piece.lost:
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
            self._journal.catching_up(feed.name, backlog_seconds=backlog_seconds(state))
            await self._show(())

    async def _look_back(self, get: Callable[[Request, str], Awaitable[bytes]]) -> None:
        """Show what follows from the ledger as it is now."""
        if self._look_back_at is None:
            return
        try:
            levels = await self._look_back_at(get)
        except Exception as error:
            # Polling goes on whatever becomes of what is made of it.
            if isinstance(error, LedgerWriteError):
                self._tools.telemetry.ledger_write_failed()
            self._journal.trouble(
                "history", "history", "the month to date and what is settled stand still", error
            )
            return
        self._journal.over("history", "history")
        tools = self._tools

        def work() -> None:
            now = tools.clock()
            self.page.render(self.page.set_levels("", levels, at=now), now)

        await tools.worker.run(work)
        await self._show(())

    async def _fold(self) -> None:
        """Fold buckets beyond the retention into the totals."""
        before = int(self._tools.clock()) - self._retention_seconds
        for progress in self._progress:
            try:
                await self._tools.worker.run(
                    self._tools.ledger.fold, self._book, progress.feed.name, before
                )
                self._journal.over(progress.feed.name, "fold")
            except LedgerWriteError as error:
                self._tools.telemetry.ledger_write_failed()
                self._journal.trouble(
                    progress.feed.name,
                    "fold",
                    "old buckets were not folded into the totals; the ledger stays larger",
                    error,
                )

    async def _estimate(self) -> None:
        """Count what polling takes, when other streams are known than last time."""
        feeds = [progress.feed for progress in self._progress]
        if self._discovery is not None:
            feeds.append(self._discovery)
        streams = 0
        if any(feed.needs_streams for feed in feeds):
            now = int(self._tools.clock())
            streams = len({*stream_names(self._book, self._configured, now), *self._found})
        if self._cost is None or self._cost[0] != streams:
            cost = await self._tools.worker.run(
                lambda: estimate(
                    feeds,
                    streams=streams,
                    cadence_seconds=self._polling.cadence_seconds,
                    delay_seconds=self._polling.delay_seconds,
                )
            )
            self._cost = streams, cost

    # What people are told.

    def _note_success(self, progress: _Progress, now: float) -> None:
        if progress.failing_since is not None:
            name = progress.feed.name
            self._journal.works_again(
                name,
                failed_seconds=max(0.0, now - progress.failing_since),
                backlog_seconds=backlog_seconds(self._book.feeds[name]),
            )
        progress.failing_since = progress.reason = progress.error = None

    def _note_lost(self, feed: Feed, seconds: int) -> None:
        self.telemetry.lost(feed.name, seconds)
        self._journal.lost(feed.name, seconds)


def configured_streams(account: Account) -> tuple[str, ...]:
    """The names that the account's configuration asks to break down."""
    streams = account.options.get("streams", ())
    return streams if isinstance(streams, tuple) else ()


def discovery_feed(account: Account) -> Feed | None:
    """A feed that shows stream names, where the account wants them and some feed needs them."""
    if account.options.get("discover") is not True:
        return None
    provider = account.provider
    if not any(feed.needs_streams for feed in provider.feeds(account.feeds, account.options)):
        return None
    every = provider.feeds(provider.feed_names, account.options)
    return next((feed for feed in every if feed.discovers), None)


def _stream_labels(fetched: Fetched) -> tuple[str, ...]:
    """The streams that the levels are about."""
    names: dict[str, None] = {}
    for level in fetched.levels:
        index = level.measure.stream_index
        if index is not None:
            names[level.labels[index]] = None
    return tuple(names)
