"""How many requests an account may spend on what is not current."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """Halved whenever the vendor refuses a request for their number, then raised step by step.

    There is no limit before the first refusal, nor after everything is filled in.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._spent: Callable[[], int] = int
        self._before = 0
        self._used = 0
        self._refused = False

    def begin(self, spent: Callable[[], int], *, limited: bool) -> None:
        """A poll has asked for what is current; `limited` is whether that was too much already."""
        self._spent = spent
        self._before = spent()
        self._refused = limited
        if limited:
            self._halve(self._used)

    def left(self) -> bool:
        """Whether there is anything left to spend: one piece of work is always allowed."""
        used = self._spent() - self._before
        return self._most is None or used == 0 or used < self._most

    def refused(self) -> None:
        """The vendor refused a request for their number."""
        self._refused = True
        self._halve(self._spent() - self._before)

    def end(self, *, done: bool) -> None:
        """The poll is over; `done` is whether nothing is left to be filled in."""
        self._used = self._spent() - self._before
        if done:
            self._most = None
        elif self._most is not None and self._used >= self._most and not self._refused:
            self._most += 1 + self._most // 8

    def _halve(self, used: int) -> None:
        self._most = max(1, (used if self._most is None else min(used, self._most) or 1) // 2)
