"""One account: poll its feeds at every tick, write down what they say, show it.

This is the only place where a provider's error is caught. A feed that fails leaves the others
alone, and what it had said before stays: its counters for ever, its levels for two cadences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from exporter.client.fetch import Round
from exporter.client.merge import Fetched
from exporter.client.singleflight import FIRST_SECONDS
from exporter.config.settings import Account, Polling
from exporter.exposition import AccountPage
from exporter.exposition.own_metrics import LEDGER_REASON
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Book, Poll
from exporter.model import Ask, Feed, Level, Measure, Request
from exporter.model.errors import (
    AuthError,
    LedgerWriteError,
    PollError,
    PollTimeoutError,
    RateLimitedError,
    SchemaError,
)
from exporter.polling.cost import Cost, estimate
from exporter.polling.gaps import CatchUp
from exporter.polling.idle import divided, stream_names
from exporter.polling.log import Journal
from exporter.polling.planner import Questions, backlog_seconds, listed_from, questions
from exporter.polling.progress import Progress
from exporter.polling.recorder import LONGEST_SLEEP_SECONDS, Keeper, Tools
from exporter.polling.schedule import next_tick
from exporter.polling.status import AccountStatus
from exporter.polling.turns import Turns

FEW_REQUESTS = 10
"""A feed that takes no more for all its streams asks for all of them in any case."""

Get = Callable[[Request, str, float], Awaitable[bytes]]
"""Fetches a request for a feed, not beyond an instant of the event loop's clock."""


class LookBack(Protocol):
    """What follows from the ledger as it is after a poll, as levels; it may ask the vendor."""

    async def __call__(
        self, get: Callable[[Request, str], Awaitable[bytes]], /
    ) -> Sequence[Level]: ...


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
        self._progress = [Progress(feed) for feed in feeds]
        self._configured = configured_streams(account)
        self._found: tuple[str, ...] = ()
        self._journal = Journal(provider=account.provider.name, account=account.name)
        self._keeper = Keeper(book=book, page=page, telemetry=telemetry, tools=tools)
        self._catch_up = CatchUp(
            keeper=self._keeper, journal=self._journal, telemetry=telemetry, clock=tools.clock
        )
        self._cost: tuple[int, Cost] | None = None
        self._names_known = asyncio.Event()
        self._listed = False
        self._listing_error: PollError | None = None
        self._asked_streams: dict[str, int] = {}
        self._rejected: frozenset[str] = frozenset()
        self._done: dict[str, asyncio.Future[bool]] = {}
        self._next_poll: float | None = None
        self._polling_now = False
        self._one_poll = asyncio.Lock()
        self.beat = tools.clock()
        for name, feed in book.feeds.items():
            telemetry.restored(name, polled_at=feed.polled_at, newest=feed.newest)

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
            feeds=tuple(
                progress.status(self._book.feeds[progress.feed.name]) for progress in self._progress
            ),
        )

    # When.

    async def run(self) -> None:
        """Poll now, then at every tick, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.freshen())
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

    async def refresh(self) -> None:
        """Show what has become due."""
        await self._keeper.show()

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

        It ends before the next tick, or within `patience_seconds` where no tick follows. One that
        is under way is waited for. True if every feed succeeded.
        """
        async with self._one_poll:
            return await self._poll(patience_seconds)

    async def _poll(self, patience_seconds: float | None) -> bool:
        self._polling_now = True
        self._names_known.clear()
        self._listed, self._listing_error = False, None
        clock = self._tools.clock
        started = clock()
        allowed = self._time_left() if patience_seconds is None else patience_seconds
        deadline = asyncio.get_running_loop().time() + allowed
        requests = 0

        async def get(request: Request, feed: str) -> bytes:
            nonlocal requests
            requests += 1
            return await self._get(request, feed, deadline)

        def spent() -> int:
            return requests

        async def get_totals(request: Request, feed: str) -> bytes:
            if any(one.reason == AuthError.reason for one in self._progress):
                raise AuthError("the credential was rejected in this poll; not asked again")
            return await get(request, feed)

        names = {progress.feed.name for progress in self._progress}
        round_ = Round(
            get,
            concurrency=self._polling.concurrency,
            last=self._rejected if names - self._rejected else (),
            first_seconds=min(FIRST_SECONDS, self._polling.cadence_seconds / 10),
        )
        loop = asyncio.get_running_loop()
        self._done = {progress.feed.name: loop.create_future() for progress in self._progress}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._discover(round_))
                tasks = [
                    group.create_task(self._poll_feed(progress, round_, deadline))
                    for progress in self._progress
                ]
            succeeded = [task.result() for task in tasks]
            limited = self._note_limit()
            self._journal.polled(
                feeds=len(succeeded),
                failed=len(succeeded) - sum(succeeded),
                requests=requests,
                seconds=max(0.0, clock() - started),
            )
            spare = self._until_tick() if patience_seconds is None else patience_seconds
            await self._catch_up.fill(
                self._progress, round_, until=clock() + spare, spent=spent, limited=limited
            )
            await self._fold()
            await self._look_back(get_totals)
            await self._estimate()
            return all(succeeded)
        finally:
            self._rejected = round_.rejected
            self._polling_now = False
            self.beat = clock()

    def _note_limit(self) -> bool:
        """Whether the vendor refused requests of this poll for their number: less is asked then."""
        limited = any(one.reason == RateLimitedError.reason for one in self._progress)
        if limited:
            for progress in self._progress:
                progress.out_of_requests()
        return limited

    async def _discover(self, round_: Round) -> None:
        """Look up stream names for feeds that need them, unless a polled feed does so anyway."""
        if any(progress.feed.discovers for progress in self._progress):
            return
        try:
            if self._discovery is not None:
                ask = Ask(int(self._tools.clock()))
                self._found = tuple((await round_.fetch(self._discovery, [ask])).streams)
                self._listed = True
                self._journal.over("discovery", "discovery")
        except PollError as error:
            self._listing_error = error
            self._journal.trouble(
                "discovery",
                "discovery",
                "stream names were not looked up; new streams are missed until they are",
                error,
            )
        finally:
            self._names_known.set()

    async def _poll_feed(self, progress: Progress, round_: Round, deadline: float) -> bool:
        feed = progress.feed
        clock = self._tools.clock
        started = clock()
        loop = asyncio.get_running_loop()
        allowed = deadline - loop.time()
        failure: PollError | LedgerWriteError | None = None
        mistake: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                asked, fetched = await self._fetch(progress, round_, int(started))
            await self._keep(progress, fetched, asked, int(started))
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
                self._listed = failure is None
                self._listing_error = failure if isinstance(failure, PollError) else None
                self._names_known.set()
        now = clock()
        reason = None
        if failure is None:
            self._note_success(progress, now)
        else:
            if deadline - loop.time() < allowed / 20:
                progress.out_of_time()
            reason = failure.reason if isinstance(failure, PollError) else LEDGER_REASON
            self._journal.failed(feed.name, reason, str(failure), mistake)
            progress.failed(reason, str(failure), now)
        progress.polled = True
        self.telemetry.poll(feed.name, seconds=max(0.0, now - started), failure=reason, at=started)
        self._done[feed.name].set_result(failure is None)
        await self._keeper.show()
        return failure is None

    async def _fetch(
        self, progress: Progress, round_: Round, now: int
    ) -> tuple[Questions, Fetched]:
        """What the feed was asked in this poll, and all that it said."""
        feed = progress.feed
        if not feed.needs_streams:
            asked = self._questions(progress, (), now)
            return asked, await round_.fetch(feed, asked.asks)
        await self._names()
        state = self._book.feeds[feed.name]
        known = stream_names(self._book, self._configured, now, polled_at=state.polled_at)
        names = tuple(dict.fromkeys((*known, *self._found)))
        if not names and self._discovers and not self._listed:
            raise self._without_names()
        streams = divided(
            names,
            state,
            self._book,
            now=now,
            settling=feed.settling,
            cadence_seconds=self._polling.cadence_seconds,
            short=progress.short if self._many_requests(progress, names, now) else 0,
        )
        turns = Turns(
            feed,
            streams,
            ask=lambda names: self._questions(progress, names, now),
            hours=self._keeper.hours,
            totals=self._totals,
        )
        self._asked_streams[feed.name] = len(streams.live) + streams.due
        return await turns.fetch(round_)

    def _many_requests(self, progress: Progress, names: Sequence[str], now: int) -> bool:
        """Whether leaving out streams of a poll spares requests worth speaking of."""
        asks = self._questions(progress, names, now).asks
        requests = (request for ask in asks for request in progress.feed.requests(ask))
        return next(islice(requests, FEW_REQUESTS, None), None) is not None

    def _without_names(self) -> PollError:
        error = self._listing_error
        if error is None:
            return PollTimeoutError("no stream names yet: they were not looked up in time")
        return type(error)(f"no stream names: they could not be looked up: {error}")

    @property
    def _discovers(self) -> bool:
        """Whether stream names are looked up at the vendor."""
        return self._discovery is not None or any(one.feed.discovers for one in self._progress)

    async def _totals(self, measures: Sequence[Measure]) -> str | None:
        """The feed that has these, once it was polled; None if it failed or takes too long."""
        for progress in self._progress:
            if set(measures) <= set(progress.feed.measures):
                done = self._done[progress.feed.name]
                await asyncio.wait((done,), timeout=self._polling.cadence_seconds / 3)
                return progress.feed.name if done.done() and done.result() else None
        return None

    async def _names(self) -> None:
        """Wait until stream names were looked up, but not so long that the poll is lost with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._polling.cadence_seconds / 3):
                await self._names_known.wait()

    def _questions(self, progress: Progress, streams: Sequence[str], now: int) -> Questions:
        feed = progress.feed
        return questions(
            feed,
            self._book.feeds[feed.name],
            streams=streams,
            now=now,
            history_seconds=self._polling.history_seconds,
            cadence_seconds=self._polling.cadence_seconds,
            short=progress.short,
            configured=self._configured,
            listed=self._listed,
        )

    async def _keep(self, progress: Progress, fetched: Fetched, asked: Questions, at: int) -> None:
        """Write down and show what a poll brought; levels are shown even if that fails."""
        feed = progress.feed
        first = self._book.feeds[feed.name].polled_at is None
        planned = asked.planned
        streams = asked.streams
        if streams is not None and not feed.needs_streams:
            # An id that the vendor would not answer about has not begun yet.
            streams = tuple(name for name in streams if name not in fetched.refused)
        poll = Poll(
            feed=feed.name,
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
            listed=feed.discovers or (feed.needs_streams and self._listed),
            discovered=(*fetched.streams, *(self._found if feed.needs_streams else ())),
            named=_stream_labels(fetched),
            described=[level for level in fetched.levels if level.measure.identity],
        )
        try:
            await self._keeper.record(poll)
        finally:
            await self._keeper.show(feed=feed.name, fetched=fetched, at=float(at))
        if first and progress.short and planned is not None:
            self._journal.remark(
                feed.name,
                "the first poll would not fit into the vendor's time or number of requests; counting"
                " begins with less history than the configuration asks for",
            )
        for remark in fetched.remarks:
            self._journal.remark(feed.name, remark)
        if asked.lost is not None:
            self._catch_up.lost(feed, asked.lost.end - asked.lost.start)

    # What follows from the ledger, and what is too old in it.

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
        await self._keeper.show_levels(levels)

    async def _fold(self) -> None:
        """Fold buckets beyond the retention into the totals."""
        before = int(self._tools.clock()) - self._retention_seconds
        for progress in self._progress:
            try:
                await self._keeper.fold(progress.feed.name, before)
                self._journal.over(progress.feed.name, "fold")
            except LedgerWriteError as error:
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
        streams = max(self._asked_streams.values(), default=0)
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

    def _note_success(self, progress: Progress, now: float) -> None:
        if progress.failing_since is not None:
            name = progress.feed.name
            self._journal.works_again(
                name,
                failed_seconds=max(0.0, now - progress.failing_since),
                backlog_seconds=backlog_seconds(self._book.feeds[name]),
            )
        progress.succeeded()


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
