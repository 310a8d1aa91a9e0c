"""Limits one account's requests per second by spacing their starts evenly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from exporter.model.errors import PollTimeoutError


class NoTurnError(PollTimeoutError):
    """The request's turn would come after the deadline; a retry would not help."""


class Pacing:
    """Gives out turns to start a request, in the order in which they are asked for.

    A turn begins at least `1 / per_second` after the request before it has started: in any `t`
    seconds there are at most `ceil(per_second * t) + 1` starts. If a turn is cancelled, the next
    request takes it.
    """

    def __init__(
        self,
        per_second: float,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._per_second = per_second
        self._sleep = sleep
        self._clock = clock
        self._not_before = float("-inf")
        self._head = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, deadline: float | None) -> AsyncIterator[None]:
        """Wait for a turn; the request starts when the block ends, and the next one after that.

        The block may wait for what else the request needs; no other request starts meanwhile. If
        the block raises, the turn does not count as a start. Raises NoTurnError at once when the
        turn would not come before `deadline`, an instant of the clock.
        """
        if deadline is not None and self._expected() >= deadline:
            raise NoTurnError(
                f"{self._per_second:.4g} requests a second leave no turn before the deadline"
            )
        self._waiting += 1
        try:
            # The lock is granted in order. Only its holder waits for the start time, so that a
            # request that is cancelled while it waits for the lock takes no start time.
            async with self._head:
                left = self._not_before - self._now()
                if left > 0:
                    await self._sleep(left)
                yield
                # Timers may fire a little early; these errors must not accumulate.
                started = max(self._now(), self._not_before)
                self._not_before = started + 1 / self._per_second
        finally:
            self._waiting -= 1

    def _expected(self) -> float:
        """The earliest instant of the turn of a request that would begin to wait now."""
        return max(self._now(), self._not_before) + self._waiting / self._per_second

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()
