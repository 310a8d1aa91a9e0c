"""How many requests the last polls of an account made."""

from __future__ import annotations

from collections import deque
from statistics import median_low

from exporter.model import DAY
from exporter.polling.cost import Cost

LAST_POLLS = 12
"""A poll's requests are the median of so many polls: the first one, with its history, is not
typical, and neither is the one with the daily revisit.
"""

_MOST_POLLS = 1440


class RequestsMade:
    """The requests of an account's polls in this process, those of gaps among them.

    An attempt that is repeated counts once, and signing in does not count.
    """

    def __init__(self, cadence_seconds: int) -> None:
        self._polls_a_day = DAY / cadence_seconds
        self._requests: deque[int] = deque(maxlen=min(max(DAY // cadence_seconds, 1), _MOST_POLLS))

    def add(self, requests: int) -> None:
        """A poll has ended that made so many."""
        self._requests.append(requests)

    @property
    def polls(self) -> int:
        """Of how many polls `Cost.per_poll` is the median."""
        return min(len(self._requests), LAST_POLLS)

    @property
    def cost(self) -> Cost | None:
        """Of a poll and of a day; None before the end of the first poll.

        A day's are those of the polls of the last day (of the last 1440 polls where a day has
        more); until there have been so many, what the median comes to in a day.
        """
        if not self._requests:
            return None
        per_poll = median_low(list(self._requests)[-LAST_POLLS:])
        whole = len(self._requests) == self._requests.maxlen
        mean = sum(self._requests) / len(self._requests) if whole else per_poll
        return Cost(per_poll, round(mean * max(1.0, self._polls_a_day)))
