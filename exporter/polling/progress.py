"""How one feed has fared since the start."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ledger import FeedState
from exporter.model import DAY, HOUR, Feed
from exporter.polling.planner import backlog_seconds, requests_follow_window
from exporter.polling.status import FeedStatus

SHORTEST = 3
"""How often a poll is made shorter at most."""

POLLS_BEFORE_MORE = 4
"""So many polls within the vendor's allowance of requests, before one asks for more again."""


@dataclass(slots=True)
class Progress:
    """How one feed fares.

    `short` is how often its polls were made shorter, because there was not the time for all of
    one, or because the vendor did not allow the requests (`limited`). Pieces of its gaps are at
    most `most_seconds` long for the same reasons.
    """

    feed: Feed
    short: int = 0
    limited: bool = False
    within_allowance: int = 0
    most_seconds: int | None = None
    polled: bool = False
    failing_since: float | None = None
    reason: str | None = None
    error: str | None = None

    def shorten_pieces(self) -> None:
        """A piece of a gap took too long or too many requests; it would do so every time."""
        self.most_seconds = max(
            HOUR, (DAY if self.most_seconds is None else self.most_seconds) // 4
        )

    def out_of_time(self) -> None:
        """All the time was not enough; the next poll would only ask for more."""
        self.short = min(self.short + 1, SHORTEST)
        self.limited = False

    def out_of_requests(self) -> None:
        """The account's poll met the vendor's limit on requests."""
        if requests_follow_window(self.feed):
            self.short = min(self.short + 1, SHORTEST)
            self.limited = True
            self.within_allowance = 0

    def failed(self, reason: str, error: str, now: float) -> None:
        """A poll failed, and why."""
        self.failing_since = self.failing_since or now
        self.reason = reason
        self.error = error

    def succeeded(self) -> None:
        """The newest poll did not fail."""
        self.failing_since = self.reason = self.error = None
        if not self.limited:
            self.short = 0
            return
        self.within_allowance += 1
        if self.within_allowance >= POLLS_BEFORE_MORE:
            self.within_allowance = 0
            self.short -= 1
            self.limited = self.short > 0

    def status(self, state: FeedState) -> FeedStatus:
        """What there is to say of it; `state` is what the ledger knows."""
        failing = self.failing_since is not None
        return FeedStatus(
            name=self.feed.name,
            state="failing" if failing else "ok" if self.polled else "waiting",
            last_success=state.polled_at,
            newest_data=state.newest,
            failing_since=self.failing_since,
            reason=self.reason,
            error=self.error,
            backlog_seconds=backlog_seconds(state),
        )
