"""When to poll: ticks at multiples of the cadence in UTC."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SLEEP_SECONDS = 30.0
"""The clock is looked at again after so long: it may have been set, or the machine suspended."""


def offset_seconds(account: str, cadence_seconds: int) -> float:
    """A delay of its own for each account, so that many do not ask in the same second.

    Fixed for a name, at least 0 and less than a twentieth of the cadence or a minute.
    """
    share = zlib.crc32(account.encode()) / 2**32
    return share * min(cadence_seconds / 20, 60)


def next_tick(now: float, *, cadence_seconds: int, delay_seconds: float) -> float:
    """The first instant after `now` that is a multiple of the cadence plus the delay.

    Ticks are absolute: one that was missed is skipped, not caught up with.
    """
    passed = (now - delay_seconds) // cadence_seconds
    return (passed + 1) * cadence_seconds + delay_seconds


def hold_seconds(cadence_seconds: int) -> float:
    """How long a counter that appears is shown at its previous total."""
    return min(120.0, cadence_seconds / 8)


@dataclass(slots=True)
class Ticks:
    """One account's ticks: when its next poll is due, and how long a poll may take until then.

    `delay_seconds` is how long after a multiple of the cadence the account is polled. `next` is the
    tick that is waited for, None before the first; `beat` is when this last looked at the clock.
    """

    clock: Callable[[], float]
    cadence_seconds: int
    delay_seconds: float
    next: float | None = None
    beat: float = 0.0

    def __post_init__(self) -> None:
        self.beat = self.clock()

    async def wait(self) -> None:
        """Sleep until the next tick."""
        self.next = self._following()
        while True:
            self.beat = self.clock()
            left = self.next - self.beat
            if left <= 0:
                return
            if left > self.cadence_seconds + 1:  # the clock was set back
                self.next = self._following()
                continue
            await asyncio.sleep(min(left, LONGEST_SLEEP_SECONDS))

    def seconds_left(self) -> float:
        """Seconds until shortly before the next tick."""
        return self._following() - self.clock() - self.cadence_seconds / 20

    def seconds_for_a_poll(self) -> float:
        """Seconds that a poll may take which begins now.

        One that begins between two ticks may use up the rest and one more cadence.
        """
        left = self.seconds_left()
        return left if left >= self.cadence_seconds / 2 else left + self.cadence_seconds

    def _following(self) -> float:
        return next_tick(
            self.clock(), cadence_seconds=self.cadence_seconds, delay_seconds=self.delay_seconds
        )
