"""Walks a feed's requests to their end and puts the answers together."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from exporter.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    SchemaError,
    ServerError,
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

MOST_PAGES = 10_000
PARSED_IN_A_THREAD = 256 * 2**10
"""Bodies above this many bytes would hold up the event loop for too long."""

KEPT_BYTES = 32 * 2**20
"""How much of a round's answers is kept for another feed that may ask the same."""

LASTING = (InvalidRequestError, ForbiddenError, NotFoundError, ServerError)
"""What a feed may know a way around."""

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
        """Everything that `feed` says to `asks`; the first error, if there is one."""
        merged = _Merge()
        try:
            async with asyncio.TaskGroup() as group:
                walk = _Walk(feed, self._shared, merged, group, self._concurrency)
                for ask in asks:
                    walk.add(feed.requests(ask), ask, page=1)
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        else:
            return merged.fetched()
        raise failure  # out of the except block, so that its own cause is what is shown


class _Walk:
    """The requests of one fetch: those to come, and those that were made."""

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
        self._waiting: deque[tuple[Request, Ask, int]] = deque()
        self._seen: set[Identity] = set()
        self._workers = 0

    def add(self, requests: Iterable[Request], ask: Ask, *, page: int) -> None:
        """Put requests into the queue. One that was there before is not asked again."""
        for request in requests:
            identity = request.identity
            if identity in self._seen:
                continue
            if page > MOST_PAGES:
                raise TooManyPagesError(f"{request.path}: no end after {MOST_PAGES:,} pages")
            self._seen.add(identity)
            self._waiting.append((request, ask, page))
        # As many workers as there is work for; each goes home when the queue is empty.
        for _ in range(min(self._concurrency - self._workers, len(self._waiting))):
            self._workers += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            request, ask, page = self._waiting.popleft()
            try:
                body = await self._shared.get(request, self._feed.name)
            except LASTING as error:
                instead = self._feed.refused(request, error)
                if instead is None:
                    raise
                self.add(instead, ask, page=page + 1)
            else:
                if len(body) > PARSED_IN_A_THREAD:
                    answer, usage = await asyncio.to_thread(_read, self._feed, request, body, ask)
                else:
                    answer, usage = _read(self._feed, request, body, ask)
                self._merged.add(answer, usage)
                self.add(answer.follow, ask, page=page + 1)
        self._workers -= 1


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
        answer = feed.parse(request, body, ask)
    except SchemaError as error:
        failure = f"{request.path}: {error}"
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
    return {
        bucket: Usage(row.measure, row.labels, row.start, row.width, amounts[bucket])
        for bucket, row in rows.items()
    }


class _Merge:
    """Answers put together. Usage: the later answer wins; levels: as each one's `merge` says."""

    def __init__(self) -> None:
        self._usage: dict[Bucket, Usage] = {}
        self._levels: dict[tuple[Measure, tuple[str, ...]], Level] = {}
        self._events: dict[str, Event] = {}
        self._streams: dict[str, None] = {}
        self._remarks: dict[str, None] = {}
        self._resume: int | None = None
        self._newest: int | None = None
        self._requests = 0

    def add(self, answer: Answer, usage: dict[Bucket, Usage]) -> None:
        self._requests += 1
        if usage:
            self._usage.update(usage)
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

    def fetched(self) -> Fetched:
        return Fetched(
            usage=list(self._usage.values()),
            levels=list(self._levels.values()),
            events=list(self._events.values()),
            streams=list(self._streams),
            resume=self._resume,
            newest=self._newest,
            remarks=list(self._remarks),
            requests=self._requests,
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
