"""Spaces the starts of one account's requests evenly, so that there are not too many a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from exporter.model.errors import PollTimeoutError


class NoTurnError(PollTimeoutError):
    """The deadline comes before the request's turn; to try again would not help."""


class Pacing:
    """Gives out turns, in the order in which they are asked for.

    One turn begins at least `1 / per_second` after the start of the one before: in any `t` seconds
    there are at most `ceil(per_second * t) + 1` starts. A turn that is given up is not lost.
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

        The block may wait for what else the request needs: nobody else's turn comes meanwhile.
        If it raises, nothing has started. NoTurnError at once where the turn would not come
        before `deadline`, an instant of the clock.
        """
        if deadline is not None and self._expected() >= deadline:
            raise NoTurnError(
                f"{self._per_second:.4g} requests a second leave no turn before the deadline"
            )
        self._waiting += 1
        try:
            # A lock serves in order. Only who holds it has a start to wait for, so that whoever
            # is cancelled leaves no hole behind.
            async with self._head:
                left = self._not_before - self._now()
                if left > 0:
                    await self._sleep(left)
                yield
                # Timers may be a little early; that must not add up.
                started = max(self._now(), self._not_before)
                self._not_before = started + 1 / self._per_second
        finally:
            self._waiting -= 1

    def _expected(self) -> float:
        """When the turn of a request would come that is asked for now, at the earliest."""
        return max(self._now(), self._not_before) + self._waiting / self._per_second

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()
