"""Time in vendors' units: steps of the UTC calendar (hour, day, month), windows and spans.

Instants are whole Unix seconds, UTC. Windows are half-open.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open: `start` belongs to it, `end` does not."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"an empty window: {self.start} to {self.end}")


class Step(enum.Enum):
    """The widths of bucket that vendors offer, as steps of the UTC calendar."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def floor(self, instant: int) -> int:
        """The start of the step that holds `instant`."""
        if self is Step.HOUR:
            return instant - instant % HOUR
        if self is Step.DAY:
            return instant - instant % DAY
        date = datetime.fromtimestamp(instant, UTC)
        return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp())

    def after(self, start: int) -> int:
        """The start of the step that follows the one starting at `start`."""
        if self is Step.HOUR:
            return start + HOUR
        if self is Step.DAY:
            return start + DAY
        return self.floor(start + 31 * DAY)

    def ceil(self, instant: int) -> int:
        """`instant` itself when a step starts there, else the start of the next one."""
        start = self.floor(instant)
        return start if start == instant else self.after(start)

    def width(self, start: int) -> int:
        """Seconds in the step that starts at `start` (28 to 31 days for a month)."""
        return self.after(start) - start


@dataclass(frozen=True, slots=True)
class Span:
    """A window to ask for in buckets of `step`; both ends lie on step boundaries."""

    window: Window
    step: Step
