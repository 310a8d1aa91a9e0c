"""Makes equal requests of one poll once, and none after the credential was rejected."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model import Request
from exporter.model.errors import AuthError, NetworkError, PollError, PollTimeoutError

KEPT_BYTES = 32 * 2**20
"""How much of a round's answers is kept for another feed that may ask the same."""

FIRST_SECONDS = 2.0
"""How long the first request of a poll may keep the others waiting."""

Identity: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Flight:
    """A request under way or answered, how many wait for it, and the feeds that asked for it."""

    task: asyncio.Task[bytes]
    feeds: set[str]
    waiting: int = 0


class _First:
    """The request that is made before the others of some feeds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.made = False
        self.rejection: str | None = None
        self.over = asyncio.Event()

    async def turn(self) -> None:
        """Return at once for the first request, for others when it is over or takes too long."""
        if self.made:
            await self.over.wait()
        else:
            self.made = True
            asyncio.get_running_loop().call_later(self._seconds, self.over.set)


class _Acceptance:
    """Whether the vendor accepts the credential, as far as one poll has heard.

    One request goes first. Once it is rejected, no other is made; once any is answered, the
    credential is known to be good, and what is rejected later concerns that request alone.

    Feeds in `last` wait for a request of another feed, if there is one. What they hear says
    nothing about other feeds: it may be their own requests that are always rejected.
    """

    def __init__(self, last: Collection[str], first_seconds: float) -> None:
        self._last = frozenset(last)
        self._first_seconds = first_seconds
        self._first = _First(first_seconds)
        self._first_of_last = _First(first_seconds)
        self._accepted = False
        self._heard: dict[str, bool] = {}

    @property
    def rejected(self) -> frozenset[str]:
        """Feeds with a request that was rejected when they were last answered."""
        unheard = self._last - self._heard.keys()
        return unheard.union(feed for feed, rejected in self._heard.items() if rejected)

    async def turn(self, feed: str) -> None:
        """Wait until the feed may make a request; AuthError where it may make none."""
        if not self._accepted:
            await self._wait(feed)
        rejection = self._first.rejection
        if rejection is None and feed in self._last:
            rejection = self._first_of_last.rejection
        if rejection is not None and not self._accepted:
            raise AuthError(f"{rejection}; not asked again in this poll")

    async def _wait(self, feed: str) -> None:
        if feed not in self._last:
            await self._first.turn()
            return
        if not self._first_of_last.made:  # else somebody has waited long enough already
            with suppress(TimeoutError):
                async with asyncio.timeout(self._first_seconds):
                    await self._first.over.wait()
        await self._first_of_last.turn()

    def over(self, feed: str, feeds: Collection[str], error: BaseException | None) -> None:
        """A request that `feed` made is over; all of `feeds` had asked for it."""
        self.hear(feeds, error)
        first = self._first_of_last if feed in self._last else self._first
        first.over.set()
        if isinstance(error, AuthError):
            first.rejection = str(error)
        elif _is_answer(error):
            self._accepted = True
        if self._accepted or self._first.rejection is not None:
            self._first.over.set()
            self._first_of_last.over.set()

    def hear(self, feeds: Collection[str], error: BaseException | None) -> None:
        """What these feeds asked for has ended with this error, or been answered."""
        for feed in feeds:
            if isinstance(error, AuthError):
                self._heard[feed] = True
            elif _is_answer(error):
                self._heard.setdefault(feed, False)


def _is_answer(error: BaseException | None) -> bool:
    """Whether the vendor has answered, be it with an error."""
    if error is None:
        return True
    return isinstance(error, PollError) and not isinstance(error, PollTimeoutError | NetworkError)


class Shared:
    """Makes each request once, for whoever asks for it.

    A request runs in a task of its own: it goes on while anybody waits for it, whatever becomes
    of the one who asked first, and is cancelled when nobody does.

    The first request goes alone, for at most `first_seconds`. If it is rejected (AuthError),
    those that were not made yet raise an AuthError as well. A feed in `last`, whose own request
    was rejected in the poll before, does not go first while another feed asks: one address that
    is always rejected must not keep all others from being asked.
    """

    def __init__(
        self,
        get: Callable[[Request, str], Awaitable[bytes]],
        *,
        last: Collection[str] = (),
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._get = get
        self._acceptance = _Acceptance(last, first_seconds)
        self._flights: dict[Identity, _Flight] = {}
        self._kept: deque[tuple[Identity, int]] = deque()
        self._kept_bytes = 0

    @property
    def rejected(self) -> frozenset[str]:
        """What the next poll's `last` should be: feeds with a request that was itself rejected.

        Those of `last` that had no answer this time are among them.
        """
        return self._acceptance.rejected

    async def get(self, request: Request, feed: str) -> bytes:
        """The answer's body; raises what the request that is made raises."""
        identity = request.identity
        if identity not in self._flights:
            await self._acceptance.turn(feed)
        flight = self._flights.get(identity)
        if flight is None:
            feeds = {feed}
            flight = _Flight(asyncio.ensure_future(self._fly(request, feed, feeds)), feeds)
            self._flights[identity] = flight
        elif flight.task.done():
            self._acceptance.hear({feed}, flight.task.exception())
            return flight.task.result()
        flight.feeds.add(feed)
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

    async def _fly(self, request: Request, feed: str, feeds: Collection[str]) -> bytes:
        try:
            body = await self._get(request, feed)
        except BaseException as error:
            self._acceptance.over(feed, feeds, error)
            raise
        self._acceptance.over(feed, feeds, None)
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
