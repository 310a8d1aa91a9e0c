"""Limits the requests that filling gaps may take in one poll of an account."""

from __future__ import annotations

from collections.abc import Callable


class RequestBudget:
    """The limit is halved when the vendor refuses a request as too many, then raised step by step.

    There is no limit before the first such refusal, and none after all gaps are filled.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._spent: Callable[[], int] = int
        self._before = 0
        self._used = 0
        self._refused = False

    def begin(self, spent: Callable[[], int], *, rate_limited: bool) -> None:
        """The requests for current data are made; `rate_limited` is whether they were too many."""
        self._spent = spent
        self._before = spent()
        self._refused = rate_limited
        if rate_limited:
            self._halve(self._used)

    def left(self) -> bool:
        """Whether another gap part may be requested; the first one always may."""
        used = self._spent() - self._before
        return self._most is None or used == 0 or used < self._most

    def refused(self) -> None:
        """The vendor refused a request as too many."""
        self._refused = True
        self._halve(self._spent() - self._before)

    def end(self, *, done: bool) -> None:
        """The poll has ended; `done` is whether no gap is left."""
        self._used = self._spent() - self._before
        if done:
            self._most = None
        elif self._most is not None and self._used >= self._most and not self._refused:
            self._most += 1 + self._most // 8

    def _halve(self, used: int) -> None:
        self._most = max(1, (used if self._most is None else min(used, self._most) or 1) // 2)
