"""Walks a feed's requests to their end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.client.merge import Chain, Fetched, Merge
from exporter.client.parse import read_answer
from exporter.client.singleflight import FIRST_SECONDS, Identity, Shared
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
"""So many a list may have; the lists of one fetch share all that come after their first ones."""

PARSED_IN_A_THREAD = 256 * 2**10
"""Bodies above this many bytes would hold up the event loop for too long."""

LASTING = (InvalidRequestError, ForbiddenError, NotFoundError, ServerError, TooLargeError)
"""What a feed may know a way around."""


class Round:
    """One poll of one account. Feeds polled in one round share the answers to equal requests.

    `get` is given a request and the name of the feed that asks. `concurrency` bounds the
    requests that one feed has in flight; the account's own bound is the client's business.

    The first request goes alone, for at most `first_seconds`: if the credential is rejected, no
    other is made. `last` is what `rejected` was after the round before.
    """

    def __init__(
        self,
        get: Callable[[Request, str], Awaitable[bytes]],
        *,
        concurrency: int = 8,
        last: Collection[str] = (),
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._shared = Shared(get, last=last, first_seconds=first_seconds)
        self._concurrency = concurrency

    @property
    def rejected(self) -> frozenset[str]:
        """The feeds that should not go first in the next round: their own request was rejected."""
        return self._shared.rejected

    async def get(self, request: Request, feed: str) -> bytes:
        """One answer's body for `feed`, shared with whoever asks the same in this round."""
        return await self._shared.get(request, feed)

    async def fetch(self, feed: Feed, asks: Sequence[Ask]) -> Fetched:
        """Everything that `feed` says to `asks`; the first error, if there is one.

        A feed that can do without what was refused still fails when nothing else is left.
        """
        merged = Merge()
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
    chain: Chain


class _Walk:
    """The requests of one fetch: those to come, and those that were made.

    `refusal` is the first error that the feed knew a way around.
    """

    def __init__(
        self,
        feed: Feed,
        shared: Shared,
        merged: Merge,
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

    def went_without(self) -> dict[str, str]:
        """What to say of each subject that was refused and of which no other answer told."""
        return {
            subject: said
            for subject, said in self._without.items()
            if subject not in self._answered
        }

    def _follow(self, step: _Step, requests: Iterable[Request]) -> None:
        """Go on in the same chain: its next page, or details of what it lists."""
        following = [_Step(request, step.ask, step.chain) for request in self._fresh(requests)]
        path, span = step.request.path, step.request.span
        # Not details of what is listed, nor parts of what was asked for.
        self._pages += sum(
            one.request.path == path and one.request.span == span for one in following
        )
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
                    read = await asyncio.to_thread(read_answer, self._feed, request, body, step.ask)
                else:
                    read = read_answer(self._feed, request, body, step.ask)
                answer, usage = read
                self._answered.update(request.subjects)
                new = step.chain.is_new(request, body)
                self._merged.add(step.chain, request, answer, usage, new=new)
                self._follow(step, answer.follow)
        self._workers -= 1

    def _note_refusal(self, request: Request, error: PollError, *, final: bool) -> None:
        if self.refusal is None:
            self.refusal = error
        if final:
            subject = ", ".join(request.subjects) or request.path
            self._without[subject] = f"does without {subject[:100]!r}: {error}"
