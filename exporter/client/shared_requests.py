"""Makes equal requests of one poll once, and no further one after the credential was rejected."""

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
"""How many bytes of a poll's answers are kept for feeds that make the same requests later."""

FIRST_SECONDS = 2.0
"""How long the other requests of a poll wait for the first one at most."""

Identity: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _SharedRequest:
    """A request in flight or answered, the feeds that asked for it, and how many callers wait."""

    task: asyncio.Task[bytes]
    feeds: set[str]
    waiting: int = 0


class _FirstRequest:
    """The request that is made before all others of a group of feeds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.made = False
        self.rejection: str | None = None
        self.ended = asyncio.Event()

    async def wait(self) -> None:
        """Return at once for the first caller, for others when its request ended or is too slow."""
        if self.made:
            await self.ended.wait()
        else:
            self.made = True
            asyncio.get_running_loop().call_later(self._seconds, self.ended.set)


class _CredentialCheck:
    """Whether the vendor accepts the credential, as far as one poll knows.

    One request is made first. If it is rejected, no other is made. Once any request is answered,
    the credential is known to be good, and a later rejection concerns only that request.

    Feeds in `last_feeds` wait for a request of another feed, if there is one. A rejection of theirs
    does not stop other feeds: the vendor may always reject these requests.
    """

    def __init__(self, last_feeds: Collection[str], first_seconds: float) -> None:
        self._last_feeds = frozenset(last_feeds)
        self._first_seconds = first_seconds
        self._first_request = _FirstRequest(first_seconds)
        self._first_of_last_feeds = _FirstRequest(first_seconds)
        self._accepted = False
        self._rejected_by_feed: dict[str, bool] = {}

    @property
    def rejected(self) -> frozenset[str]:
        """Feeds with a rejected request in the newest poll in which they had an answer."""
        unanswered = self._last_feeds - self._rejected_by_feed.keys()
        return unanswered.union(
            feed for feed, rejected in self._rejected_by_feed.items() if rejected
        )

    async def wait_until_allowed(self, feed: str) -> None:
        """Wait until the feed may make a request; raises AuthError when it may not."""
        if not self._accepted:
            await self._wait(feed)
        rejection = self._first_request.rejection
        if rejection is None and feed in self._last_feeds:
            rejection = self._first_of_last_feeds.rejection
        if rejection is not None and not self._accepted:
            raise AuthError(f"{rejection}; not asked again in this poll")

    async def _wait(self, feed: str) -> None:
        if feed not in self._last_feeds:
            await self._first_request.wait()
            return
        if not self._first_of_last_feeds.made:  # otherwise another caller has waited already
            with suppress(TimeoutError):
                async with asyncio.timeout(self._first_seconds):
                    await self._first_request.ended.wait()
        await self._first_of_last_feeds.wait()

    def ended(self, feed: str, feeds: Collection[str], error: BaseException | None) -> None:
        """A request that `feed` made has ended; all of `feeds` had asked for it."""
        self.note_outcome(feeds, error)
        first = self._first_of_last_feeds if feed in self._last_feeds else self._first_request
        first.ended.set()
        if isinstance(error, AuthError):
            first.rejection = str(error)
        elif _is_answer(error):
            self._accepted = True
        if self._accepted or self._first_request.rejection is not None:
            self._first_request.ended.set()
            self._first_of_last_feeds.ended.set()

    def note_outcome(self, feeds: Collection[str], error: BaseException | None) -> None:
        """A request that these feeds asked for ended with this error; None for an answer."""
        for feed in feeds:
            if isinstance(error, AuthError):
                self._rejected_by_feed[feed] = True
            elif _is_answer(error):
                self._rejected_by_feed.setdefault(feed, False)


def _is_answer(error: BaseException | None) -> bool:
    """Whether there was an answer from the vendor; an error status is one, too."""
    if error is None:
        return True
    return isinstance(error, PollError) and not isinstance(error, PollTimeoutError | NetworkError)


class SharedRequests:
    """Makes each request once, for all callers that ask for it.

    A request runs in a task of its own: it continues while any caller waits for it, even if the
    first caller is cancelled, and is cancelled when no caller waits any more.

    The first request is made alone, for at most `first_seconds`. If it is rejected (AuthError),
    those that were not made yet raise an AuthError as well. A feed in `last_feeds`, whose own
    request was rejected in the poll before, does not make the first request while another feed
    can: an address that is always rejected must not stop the requests to all others.
    """

    def __init__(
        self,
        get: Callable[[Request, str], Awaitable[bytes]],
        *,
        last_feeds: Collection[str] = (),
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._get = get
        self._credential = _CredentialCheck(last_feeds, first_seconds)
        self._requests: dict[Identity, _SharedRequest] = {}
        self._kept: deque[tuple[Identity, int]] = deque()
        self._kept_bytes = 0

    @property
    def rejected(self) -> frozenset[str]:
        """The `last_feeds` of the next poll: feeds with a request that was itself rejected.

        Feeds of `last_feeds` without an answer in this poll are among them.
        """
        return self._credential.rejected

    async def get(self, request: Request, feed: str) -> bytes:
        """The answer's body; raises the error of the shared request."""
        identity = request.identity
        if identity not in self._requests:
            await self._credential.wait_until_allowed(feed)
        shared = self._requests.get(identity)
        if shared is None:
            feeds = {feed}
            shared = _SharedRequest(asyncio.ensure_future(self._make(request, feed, feeds)), feeds)
            self._requests[identity] = shared
        elif shared.task.done():
            self._credential.note_outcome({feed}, shared.task.exception())
            return shared.task.result()
        shared.feeds.add(feed)
        shared.waiting += 1
        try:
            await asyncio.wait((shared.task,))
        except asyncio.CancelledError:
            if shared.waiting == 1 and not shared.task.done():
                # Later callers get a new request, not the cancellation of this one.
                del self._requests[identity]
                shared.task.cancel()
                await asyncio.wait((shared.task,))
            if shared.task.done() and not shared.task.cancelled():
                shared.task.exception()  # marks it as retrieved: no caller may be left
            raise
        finally:
            shared.waiting -= 1
        return shared.task.result()

    async def _make(self, request: Request, feed: str, feeds: Collection[str]) -> bytes:
        try:
            body = await self._get(request, feed)
        except BaseException as error:
            self._credential.ended(feed, feeds, error)
            raise
        self._credential.ended(feed, feeds, None)
        self._keep(request.identity, len(body))
        return body

    def _keep(self, identity: Identity, size: int) -> None:
        """Note that an answer is kept, and drop the oldest answers above the limit."""
        self._kept.append((identity, size))
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES:
            oldest, freed = self._kept.popleft()
            self._kept_bytes -= freed
            self._requests.pop(oldest, None)
