"""Keeps the interpreter's own pauses short, so that a scrape is not held up by a poll."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.0005
"""How long a thread may compute before another one gets its turn; Python's own choice is ten
times as long, and an answer needs several turns."""

FROZEN_AT_LEAST = 10_000
"""So many more series are worth telling the garbage collector about."""


def set_up() -> None:
    """For the whole process, once, when it begins to serve."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(20_000, 20, 50)


class SeriesFreezer:
    """Tells the garbage collector not to look at series again: they stay until the end.

    Looking through a hundred thousand of them holds everything up for a tenth of a second.
    """

    def __init__(self) -> None:
        self._frozen = 0

    def note(self, series: int) -> None:
        """There are so many series now."""
        if series - self._frozen >= FROZEN_AT_LEAST:
            self._frozen = series
            gc.freeze()
