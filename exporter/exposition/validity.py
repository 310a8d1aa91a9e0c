"""Until when each account may be shown, by a clock that goes on while the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux' monotonic clock stands still while the machine is suspended, this one does not."""


def now_seconds() -> float:
    """Seconds that have passed since some instant, sleep of the machine included."""
    return time.clock_gettime(CLOCK)


class Validity:
    """Accounts that may be shown only until a deadline, because a lease of theirs runs out.

    Read at every scrape, so that a process that was stopped does not answer with old values. It is
    set on the event loop, which also reads it.
    """

    def __init__(self, now: Callable[[], float] = now_seconds) -> None:
        self._now = now
        self._deadlines: Mapping[str, float] = {}
        self._first = float("inf")

    def set(self, deadlines: Mapping[str, float]) -> None:
        """Replace the deadlines (seconds of this clock) by account; others have none."""
        self._deadlines = dict(deadlines)
        self._first = min(self._deadlines.values(), default=float("inf"))

    def expired(self) -> frozenset[str]:
        """The accounts that must not be shown any more."""
        now = self._now()
        if now < self._first:
            return _NONE
        return frozenset(name for name, until in self._deadlines.items() if until <= now)


_NONE: Final[frozenset[str]] = frozenset()
