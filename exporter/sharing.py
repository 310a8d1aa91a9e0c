"""Makes equal requests of one poll once, for all feeds that ask them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model import Request

KEPT_BYTES = 32 * 2**20
"""How much of a round's answers is kept for another feed that may ask the same."""

Identity: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Flight:
    """A request under way or answered, and how many wait for it."""

    task: asyncio.Task[bytes]
    waiting: int = 0


class Shared:
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
        """The answer's body; raises what the request that is made raises."""
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
