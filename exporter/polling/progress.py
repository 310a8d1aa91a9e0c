"""How the polls of one feed went since the process started: failures, and reduced polls."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ledger import FeedState
from exporter.model import DAY, HOUR, Feed
from exporter.polling.planner import backlog_seconds, requests_follow_window
from exporter.polling.status import FeedStatus, State

MAX_REDUCTION = 3
"""The largest reduction of a feed's polls."""

POLLS_BEFORE_RAISE = 4
"""After so many polls that were not rate limited, the reduction is lowered by one."""


@dataclass(slots=True)
class Progress:
    """The failures and the reduction of one feed's polls.

    `reduction` is how many times its polls were reduced, because one took too long, or because the
    vendor refused requests as too many (`rate_limited`). For the same reasons, the parts in which
    its gaps are filled are at most `max_part_seconds` long. `asked_nothing` is whether the newest poll
    that did not fail had no request to make.
    """

    feed: Feed
    reduction: int = 0
    rate_limited: bool = False
    polls_within_limit: int = 0
    max_part_seconds: int | None = None
    polled: bool = False
    asked_nothing: bool = False
    failing_since: float | None = None
    reason: str | None = None
    error: str | None = None

    def shorten_gap_parts(self) -> None:
        """A gap part took too long or too many requests: make the next ones shorter."""
        self.max_part_seconds = max(
            HOUR, (DAY if self.max_part_seconds is None else self.max_part_seconds) // 4
        )

    def out_of_time(self) -> None:
        """The poll used all its time and did not end: reduce the next one."""
        self.reduction = min(self.reduction + 1, MAX_REDUCTION)
        self.rate_limited = False

    def out_of_requests(self) -> None:
        """The account's poll was rate limited: reduce the next one if that saves requests."""
        if requests_follow_window(self.feed):
            self.reduction = min(self.reduction + 1, MAX_REDUCTION)
            self.rate_limited = True
            self.polls_within_limit = 0

    def failed(self, reason: str, error: str, now: float) -> None:
        """A poll failed for this reason."""
        self.failing_since = self.failing_since or now
        self.reason = reason
        self.error = error

    def succeeded(self) -> None:
        """The newest poll did not fail."""
        self.failing_since = self.reason = self.error = None
        if not self.rate_limited:
            self.reduction = 0
            return
        self.polls_within_limit += 1
        if self.polls_within_limit >= POLLS_BEFORE_RAISE:
            self.polls_within_limit = 0
            self.reduction -= 1
            self.rate_limited = self.reduction > 0

    def status(self, state: FeedState) -> FeedStatus:
        """The feed's current status; `state` is its state in the ledger."""
        current = self._state()
        return FeedStatus(
            name=self.feed.name,
            state=current,
            last_success=None if current == "nothing_to_ask" else state.polled_at,
            newest_data=state.newest,
            failing_since=self.failing_since,
            reason=self.reason,
            error=self.error,
            backlog_seconds=backlog_seconds(state),
        )

    def _state(self) -> State:
        if self.failing_since is not None:
            return "failing"
        if not self.polled:
            return "waiting"
        return "nothing_to_ask" if self.asked_nothing else "ok"
