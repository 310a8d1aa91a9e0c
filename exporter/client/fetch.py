"""Makes all requests of a feed in one poll, with their further pages and details."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.client.computing import computed
from exporter.client.merge import Chain, Fetched, Merge
from exporter.client.parse import read_answer
from exporter.client.shared_requests import FIRST_SECONDS, Identity, SharedRequests
from exporter.model import Ask, Feed, Request
from exporter.model.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PollError,
    ServerError,
    TooLargeError,
    TooManyPagesError,
)

MOST_PAGES = 10_000
"""The most further pages that one fetch may request, all its lists together."""

PARSED_IN_A_THREAD = 256 * 2**10
"""Bodies of more bytes than this are parsed in a thread, so that the event loop is not blocked."""

FEED_MAY_HANDLE = (InvalidRequestError, ForbiddenError, NotFoundError, ServerError, TooLargeError)
"""The errors for which a feed may name other requests instead (`Feed.refused`)."""


class PollFetcher:
    """Fetches the feeds of one account in one poll; equal requests of several feeds are made once.

    `get` takes a request and the name of the feed that makes it. `concurrency` limits the requests
    that one feed has in flight; the client limits those of the account.

    The first request is made alone, for at most `first_seconds`: if the credential is rejected, no
    other is made. `last_feeds` is the `rejected` of the poll before.
    """

    def __init__(
        self,
        get: Callable[[Request, str], Awaitable[bytes]],
        *,
        concurrency: int = 8,
        last_feeds: Collection[str] = (),
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._requests = SharedRequests(get, last_feeds=last_feeds, first_seconds=first_seconds)
        self._concurrency = concurrency

    @property
    def rejected(self) -> frozenset[str]:
        """The feeds that must not make the next poll's first request: theirs was rejected."""
        return self._requests.rejected

    async def get(self, request: Request, feed: str) -> bytes:
        """One answer's body for `feed`, shared by all feeds that make this request in this poll."""
        return await self._requests.get(request, feed)

    async def fetch(self, feed: Feed, asks: Sequence[Ask]) -> Fetched:
        """All answers of `feed` to `asks`, merged; raises the first error, if there is one.

        A feed may skip requests that were refused, but fails when every request was refused.
        """
        merged = Merge()
        try:
            async with asyncio.TaskGroup() as group:
                fetch = _FeedFetch(feed, self._requests, merged, group, self._concurrency)
                for ask in asks:
                    fetch.start(feed.requests(ask), ask)
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        else:
            if fetch.refusal is None or merged.requests:
                return await computed(merged.rows, merged.fetched, fetch.skipped())
            failure = fetch.refusal
        raise failure  # outside the except block, so that a traceback shows the error's own cause


@dataclass(slots=True, eq=False)
class _QueuedRequest:
    """A request to be made, and the chain that its answer belongs to."""

    request: Request
    ask: Ask
    chain: Chain


class _FeedFetch:
    """The requests of one fetch: the queue, and what was made.

    There may be thousands of first requests. They are put together one by one, as they are needed:
    all at once would hold up the event loop.

    `refusal` is the first error that the feed handled by other requests or by none.
    """

    def __init__(
        self,
        feed: Feed,
        requests: SharedRequests,
        merged: Merge,
        group: asyncio.TaskGroup,
        concurrency: int,
    ) -> None:
        self._feed = feed
        self._requests = requests
        self._merged = merged
        self._group = group
        self._concurrency = concurrency
        self._first: deque[Iterator[_QueuedRequest]] = deque()
        self._waiting: deque[_QueuedRequest] = deque()
        self._seen: set[Identity] = set()
        self._workers = 0
        self._pages = 0
        self._skipped: dict[str, str] = {}
        self._answered: set[str] = set()
        self.refusal: PollError | None = None

    def start(self, requests: Iterable[Request], ask: Ask) -> None:
        """Queue an ask's first requests, each as the beginning of a new chain."""
        self._first.append(
            _QueuedRequest(request, ask, self._merged.chain()) for request in self._unseen(requests)
        )
        self._start_workers()

    def skipped(self) -> dict[str, str]:
        """A remark for each subject that was refused and is in no other answer."""
        return {
            subject: said
            for subject, said in self._skipped.items()
            if subject not in self._answered
        }

    def _queue_following(self, queued: _QueuedRequest, requests: Iterable[Request]) -> None:
        """Queue what an answer makes necessary, in its chain: the next page, details of a list."""
        following = [
            _QueuedRequest(request, queued.ask, queued.chain) for request in self._unseen(requests)
        ]
        path, span = queued.request.path, queued.request.span
        # Details and requests for a part of the span are not pages.
        self._pages += sum(
            one.request.path == path and one.request.span == span for one in following
        )
        if self._pages >= MOST_PAGES:
            raise TooManyPagesError(f"{path}: no end after {MOST_PAGES:,} pages")
        self._waiting.extend(following)
        self._start_workers()

    def _queue_replacements(self, queued: _QueuedRequest, requests: Sequence[Request]) -> None:
        """Queue what replaces a refused request, before all else.

        A feed may halve a refused window again and again. Making the replacements first keeps the
        queue short: otherwise all halves of one size would be in it at the same time.
        """
        replacements = [
            _QueuedRequest(request, queued.ask, self._merged.chain())
            for request in self._unseen(requests)
        ]
        self._waiting.extendleft(reversed(replacements))
        self._start_workers()

    def _unseen(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Those of `requests` that were not queued before."""
        for request in requests:
            identity = request.identity
            if identity in self._seen:
                continue
            self._seen.add(identity)
            yield request

    def _fill(self) -> None:
        """Put first requests into the queue, as many as can be made next."""
        while self._first and len(self._waiting) < self._concurrency:
            queued = next(self._first[0], None)
            if queued is None:
                self._first.popleft()
            else:
                self._waiting.append(queued)

    def _start_workers(self) -> None:
        self._fill()
        # One worker for each queued request, up to `concurrency`; each ends with an empty queue.
        for _ in range(min(self._concurrency - self._workers, len(self._waiting))):
            self._workers += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            queued = self._waiting.popleft()
            self._fill()
            request = queued.request
            try:
                body = await self._requests.get(request, self._feed.name)
            except FEED_MAY_HANDLE as error:
                instead = self._feed.refused(request, error)
                if instead is None:
                    raise
                self._note_refusal(request, error, final=not instead)
                self._queue_replacements(queued, instead)
            else:
                if len(body) > PARSED_IN_A_THREAD:
                    read = await asyncio.to_thread(
                        read_answer, self._feed, request, body, queued.ask
                    )
                else:
                    read = read_answer(self._feed, request, body, queued.ask)
                answer, usage = read
                self._answered.update(request.subjects)
                new = queued.chain.is_new(request, body)
                self._merged.add(queued.chain, request, answer, usage, new=new)
                self._queue_following(queued, answer.follow)
        self._workers -= 1

    def _note_refusal(self, request: Request, error: PollError, *, final: bool) -> None:
        if self.refusal is None:
            self.refusal = error
        if final:
            subject = ", ".join(request.subjects) or request.path
            self._skipped[subject] = f"does without {subject[:100]!r}: {error}"
