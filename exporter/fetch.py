"""Walks a feed's requests to their end and puts the answers together."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from exporter.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PollError,
    SchemaError,
    ServerError,
    TooLargeError,
    TooManyPagesError,
)
from exporter.model import (
    LIFETIME_WIDTH,
    Answer,
    Ask,
    Event,
    Feed,
    Level,
    Measure,
    Request,
    Usage,
)
from exporter.reading import refuse_repeated_keys

MOST_PAGES = 10_000
"""So many a list may have; the lists of one fetch share all that come after their first ones."""

PARSED_IN_A_THREAD = 256 * 2**10
"""Bodies above this many bytes would hold up the event loop for too long."""

KEPT_BYTES = 32 * 2**20
"""How much of a round's answers is kept for another feed that may ask the same."""

LASTING = (InvalidRequestError, ForbiddenError, NotFoundError, ServerError, TooLargeError)
"""What a feed may know a way around."""

MOST_REFUSALS_TOLD = 5
"""How many subjects that a fetch did without are named."""

Identity: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
Bucket: TypeAlias = tuple[int, tuple[str, ...], int, int]
"""Measure, labels, start, width. The measure stands here by its id(): a tuple of nothing but
strings and numbers is none of the garbage collector's business, which halves the work of merging
a few hundred thousand of them. The rows keep the measures alive.
"""


@dataclass(slots=True)
class Fetched:
    """What one poll of one feed brought, each bucket, level and event once.

    `resume` is the earliest instant that the next poll has to ask for again. `newest` is the end
    of the newest bucket there is anything in. `requests` counts the answers it took.
    """

    usage: list[Usage] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    resume: int | None = None
    newest: int | None = None
    remarks: list[str] = field(default_factory=list)
    requests: int = 0


class Round:
    """One poll of one account. Feeds polled in one round share the answers to equal requests.

    `get` is given a request and the name of the feed that asks. `concurrency` bounds the
    requests that one feed has in flight; the account's own bound is the client's business.
    """

    def __init__(
        self, get: Callable[[Request, str], Awaitable[bytes]], *, concurrency: int = 8
    ) -> None:
        self._shared = _Shared(get)
        self._concurrency = concurrency

    async def fetch(self, feed: Feed, asks: Sequence[Ask]) -> Fetched:
        """Everything that `feed` says to `asks`; the first error, if there is one.

        A feed that can do without what was refused still fails when nothing else is left.
        """
        merged = _Merge()
        try:
            async with asyncio.TaskGroup() as group:
                walk = _Walk(feed, self._shared, merged, group, self._concurrency)
                for ask in asks:
                    walk.start(feed.requests(ask), ask)
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        else:
            if walk.refusal is None or merged.requests:
                return merged.fetched(walk.went_without())
            failure = walk.refusal
        raise failure  # out of the except block, so that its own cause is what is shown


@dataclass(slots=True, eq=False)
class _Step:
    """A request to be made, and the chain of answers that its own belongs to."""

    request: Request
    ask: Ask
    chain: _Chain


class _Walk:
    """The requests of one fetch: those to come, and those that were made.

    `refusal` is the first error that the feed knew a way around.
    """

    def __init__(
        self,
        feed: Feed,
        shared: _Shared,
        merged: _Merge,
        group: asyncio.TaskGroup,
        concurrency: int,
    ) -> None:
        self._feed = feed
        self._shared = shared
        self._merged = merged
        self._group = group
        self._concurrency = concurrency
        self._waiting: deque[_Step] = deque()
        self._seen: set[Identity] = set()
        self._workers = 0
        self._pages = 0
        self._without: dict[str, str] = {}
        self._answered: set[str] = set()
        self.refusal: PollError | None = None

    def start(self, requests: Iterable[Request], ask: Ask) -> None:
        """Put first requests into the queue, each of a chain of its own."""
        self._waiting.extend(
            _Step(request, ask, self._merged.chain()) for request in self._fresh(requests)
        )
        self._hire()

    def went_without(self) -> list[str]:
        """What to say of subjects that were refused and of which no other answer told."""
        without = {
            subject: said
            for subject, said in self._without.items()
            if subject not in self._answered
        }
        return list(without.values())[:MOST_REFUSALS_TOLD]

    def _follow(self, step: _Step, requests: Iterable[Request]) -> None:
        """Go on in the same chain: its next page, or details of what it lists."""
        following = [_Step(request, step.ask, step.chain) for request in self._fresh(requests)]
        path = step.request.path
        self._pages += sum(one.request.path == path for one in following)
        if self._pages >= MOST_PAGES:
            raise TooManyPagesError(f"{path}: no end after {MOST_PAGES:,} pages")
        self._waiting.extend(following)
        self._hire()

    def _ask_instead(self, step: _Step, requests: Sequence[Request]) -> None:
        """Ask these at once, depth first: else a tree of halves would wait in full width."""
        steps = [
            _Step(request, step.ask, self._merged.chain()) for request in self._fresh(requests)
        ]
        self._waiting.extendleft(reversed(steps))
        self._hire()

    def _fresh(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Those that were not in the queue before."""
        for request in requests:
            identity = request.identity
            if identity in self._seen:
                continue
            self._seen.add(identity)
            yield request

    def _hire(self) -> None:
        # As many workers as there is work for; each goes home when the queue is empty.
        for _ in range(min(self._concurrency - self._workers, len(self._waiting))):
            self._workers += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            step = self._waiting.popleft()
            request = step.request
            try:
                body = await self._shared.get(request, self._feed.name)
            except LASTING as error:
                instead = self._feed.refused(request, error)
                if instead is None:
                    raise
                self._note_refusal(request, error, final=not instead)
                self._ask_instead(step, instead)
            else:
                if len(body) > PARSED_IN_A_THREAD:
                    read = await asyncio.to_thread(_read, self._feed, request, body, step.ask)
                else:
                    read = _read(self._feed, request, body, step.ask)
                answer, usage = read
                self._answered.update(request.subjects)
                self._merged.add(step.chain, answer, usage, new=step.chain.is_new(request, body))
                self._follow(step, answer.follow)
        self._workers -= 1

    def _note_refusal(self, request: Request, error: PollError, *, final: bool) -> None:
        if self.refusal is None:
            self.refusal = error
        if final:
            subject = ", ".join(request.subjects) or request.path
            self._without[subject] = f"does without {subject[:100]!r}: {error}"


# --- Sharing --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Flight:
    """A request under way or answered, and how many wait for it."""

    task: asyncio.Task[bytes]
    waiting: int = 0


class _Shared:
    """Makes each request once, for whoever asks for it.

    A request runs in a task of its own: it goes on while anybody waits for it, whatever becomes
    of the one who asked first, and is cancelled when nobody does.
    """

    def __init__(self, get: Callable[[Request, str], Awaitable[bytes]]) -> None:
        self._get = get
        self._flights: dict[Identity, _Flight] = {}
        self._kept: deque[tuple[Identity, int]] = deque()
        self._kept_bytes = 0

    async def get(self, request: Request, feed: str) -> bytes:
        identity = request.identity
        flight = self._flights.get(identity)
        if flight is None:
            flight = _Flight(asyncio.ensure_future(self._fly(request, feed)))
            self._flights[identity] = flight
        elif flight.task.done():
            return flight.task.result()
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,))
        except asyncio.CancelledError:
            if flight.waiting == 1 and not flight.task.done():
                # Whoever asks from now on gets a new flight, not this one's cancellation.
                del self._flights[identity]
                flight.task.cancel()
                await asyncio.wait((flight.task,))
            if flight.task.done() and not flight.task.cancelled():
                flight.task.exception()  # nobody may be left to hear of it
            raise
        finally:
            flight.waiting -= 1
        return flight.task.result()

    async def _fly(self, request: Request, feed: str) -> bytes:
        body = await self._get(request, feed)
        self._keep(request.identity, len(body))
        return body

    def _keep(self, identity: Identity, size: int) -> None:
        """Make room for an answer: the oldest are forgotten, and asked again if need be."""
        self._kept.append((identity, size))
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES:
            oldest, freed = self._kept.popleft()
            self._kept_bytes -= freed
            self._flights.pop(oldest, None)


# --- Reading --------------------------------------------------------------------------------------


def _read(
    feed: Feed, request: Request, body: bytes, ask: Ask
) -> tuple[Answer, dict[Bucket, Usage]]:
    """One answer, and its usage with rows of the same bucket summed."""
    try:
        refuse_repeated_keys(body)
        answer = feed.parse(request, body, ask)
    except SchemaError as error:
        failure = f"{request.path}: {_printable(str(error))}"
    except msgspec.ValidationError as error:
        failure = f"{request.path}: {_expectation(str(error))}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        failure = f"{request.path}: not JSON" if body else f"{request.path}: an empty answer"
    except RecursionError:
        failure = f"{request.path}: nested too deeply"
    else:
        return answer, _summed(answer.usage)
    # Out of the except blocks: what the decoder said may quote the answer.
    raise SchemaError(failure)


def _printable(message: str) -> str:
    """In one line, whatever names the answer has that the message tells of."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in message)


def _expectation(message: str) -> str:
    """What of a decoder's message is about our expectation and not out of the answer."""
    what, _, where = message.rpartition(" - at ")
    if not what:
        what, where = message, ""
    if not what.startswith(("Expected `", "Object missing required field `")):
        what = "a value that is not allowed"
    path = re.fullmatch(r"`(?:key in )?(\$[^`]*)`", where)
    return f"{what} at {path[1]}" if path else what


def _summed(usage: Sequence[Usage]) -> dict[Bucket, Usage]:
    rows: dict[Bucket, Usage] = {
        (id(row.measure), row.labels, row.start, row.width): row for row in usage
    }
    if len(rows) == len(usage):
        return rows
    amounts = dict.fromkeys(rows, 0)
    for row in usage:
        amounts[id(row.measure), row.labels, row.start, row.width] += row.amount
    return {bucket: _with(row, amounts[bucket]) for bucket, row in rows.items()}


def _with(row: Usage, amount: int) -> Usage:
    return Usage(row.measure, row.labels, row.start, row.width, amount)


@dataclass(slots=True, eq=False)
class _Chain:
    """The usage of one request and of all that follows from it."""

    usage: dict[Bucket, Usage] = field(default_factory=dict)
    _bodies: set[tuple[str, tuple[str, ...], int]] = field(default_factory=set)

    def is_new(self, request: Request, body: bytes) -> bool:
        """Whether this is no page that came before under another token."""
        page = request.path, request.subjects, hash(body)
        known = page in self._bodies
        self._bodies.add(page)
        return not known

    def add(self, usage: dict[Bucket, Usage]) -> None:
        mine = self.usage
        if not mine:
            self.usage = usage
        elif mine.keys().isdisjoint(usage):
            mine.update(usage)
        else:
            for bucket, row in usage.items():
                known = mine.get(bucket)
                mine[bucket] = row if known is None else _with(row, known.amount + row.amount)


class _Merge:
    """Answers put together.

    Usage: rows of one bucket add up along a chain, because a vendor may spread them over pages;
    what two chains say of one bucket is the same thing told twice, and the later chain counts.
    Levels: as each one's `merge` says.
    """

    def __init__(self) -> None:
        self._chains: list[_Chain] = []
        self._levels: dict[tuple[Measure, tuple[str, ...]], Level] = {}
        self._events: dict[str, Event] = {}
        self._streams: dict[str, None] = {}
        self._remarks: dict[str, None] = {}
        self._resume: int | None = None
        self._newest: int | None = None
        self.requests = 0

    def chain(self) -> _Chain:
        """One more, later than those before."""
        chain = _Chain()
        self._chains.append(chain)
        return chain

    def add(self, chain: _Chain, answer: Answer, usage: dict[Bucket, Usage], *, new: bool) -> None:
        """Take an answer in; one that is not `new` adds nothing to what it said before."""
        self.requests += 1
        if not new:
            return
        if usage:
            chain.add(usage)
            end = max(
                (start + width for _, _, start, width in usage if width != LIFETIME_WIDTH),
                default=None,
            )
            self._newest = _chosen(max, self._newest, end)
        self._newest = _chosen(max, self._newest, answer.newest)
        self._resume = _chosen(min, self._resume, answer.resume)
        for level in answer.levels:
            series = level.measure, level.labels
            first = self._levels.get(series)
            self._levels[series] = level if first is None else _joined(first, level)
        for event in answer.events:
            self._events[event.id] = event
        self._streams.update(dict.fromkeys(answer.streams))
        self._remarks.update(dict.fromkeys(answer.remarks))

    def fetched(self, went_without: Iterable[str]) -> Fetched:
        usage: dict[Bucket, Usage] = {}
        for chain in self._chains:
            if usage:
                usage.update(chain.usage)
                chain.usage = {}  # or there would be two of everything at the end
            else:
                usage = chain.usage
        return Fetched(
            usage=list(usage.values()),
            levels=list(self._levels.values()),
            events=list(self._events.values()),
            streams=list(self._streams),
            resume=self._resume,
            newest=self._newest,
            remarks=[*self._remarks, *went_without],
            requests=self.requests,
        )


def _joined(first: Level, second: Level) -> Level:
    if second.merge == "sum":
        return Level(second.measure, second.labels, first.value + second.value, second.merge)
    if second.merge == "greatest":
        return second if second.value > first.value else first
    return second if second.value < first.value else first


def _chosen(which: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return which(one, other)
