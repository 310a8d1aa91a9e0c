"""When to poll: ticks at multiples of the cadence in UTC."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SLEEP_SECONDS = 30.0
"""The longest sleep before the clock is read again: it may be set, or the machine suspended."""


def offset_seconds(account: str, cadence_seconds: int) -> float:
    """A different delay for each account, so that their requests are not all in the same second.

    It depends only on the name, and is at least 0 and less than a twentieth of the cadence, or
    than a minute.
    """
    share = zlib.crc32(account.encode()) / 2**32
    return share * min(cadence_seconds / 20, 60)


def next_tick(now: float, *, cadence_seconds: int, delay_seconds: float) -> float:
    """The first instant after `now` that is a multiple of the cadence plus the delay.

    Ticks are absolute: a missed tick is skipped.
    """
    passed = (now - delay_seconds) // cadence_seconds
    return (passed + 1) * cadence_seconds + delay_seconds


def hold_seconds(cadence_seconds: int) -> float:
    """How long a new counter is or one that grows after a long pause, is held at its old total."""
    return min(120.0, cadence_seconds / 8)


@dataclass(slots=True)
class Ticks:
    """One account's ticks: when its next poll is due, and how long a poll may take until then.

    `delay_seconds` is how long after a multiple of the cadence the account is polled. `next` is the
    tick that is waited for, None before the first; `checked_at` is when the clock was last read.
    """

    clock: Callable[[], float]
    cadence_seconds: int
    delay_seconds: float
    next: float | None = None
    checked_at: float = 0.0

    def __post_init__(self) -> None:
        self.checked_at = self.clock()

    async def wait(self) -> None:
        """Sleep until the next tick."""
        self.next = self._following()
        while True:
            self.checked_at = self.clock()
            left = self.next - self.checked_at
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
        """Seconds that a poll may take if it begins now.

        A poll that begins less than half a cadence before a tick may run until the tick after that.
        """
        left = self.seconds_left()
        return left if left >= self.cadence_seconds / 2 else left + self.cadence_seconds

    def _following(self) -> float:
        return next_tick(
            self.clock(), cadence_seconds=self.cadence_seconds, delay_seconds=self.delay_seconds
        )
