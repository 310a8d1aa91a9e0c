"""Keeps the interpreter's own pauses short, so that a scrape is not held up by a poll."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.0005
"""How long a thread may compute before another one gets its turn; Python's own choice is ten
times as long, and an answer needs several turns."""

SERIES_PER_FREEZE = 10_000
"""The number of new series after which the collector is told to skip them: each time costs."""


def set_up() -> None:
    """For the whole process, once, when it begins to serve."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # A poll makes hundreds of thousands of objects that live until its end: the second generation,
    # all of which is visited at once, is kept small.
    gc.set_threshold(20_000, 2, 500)


class SeriesFreezer:
    """Excludes series from garbage collection (`gc.freeze`): they live as long as the process.

    A collection that visits 100,000 series stops all threads for a tenth of a second.
    """

    def __init__(self) -> None:
        self._frozen = 0

    def update(self, series: int) -> None:
        """Freeze what exists now when the number of series, `series`, has grown by enough."""
        if series - self._frozen >= SERIES_PER_FREEZE:
            self._frozen = series
            gc.freeze()
