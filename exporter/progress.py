"""How one feed has fared since the start."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.asking import backlog_seconds
from exporter.ledger import FeedState
from exporter.model import DAY, Feed
from exporter.status import FeedStatus


@dataclass(slots=True)
class Progress:
    """How one feed fares.

    Its polls are `short`, and pieces of its gaps at most `most_seconds` long, after more than that
    took longer than there was time for.
    """

    feed: Feed
    short: bool = False
    most_seconds: int | None = None
    polled: bool = False
    failing_since: float | None = None
    reason: str | None = None
    error: str | None = None

    def shorten_pieces(self) -> None:
        """A piece of a gap took too long; as it is, it would do so every time."""
        self.most_seconds = (DAY if self.most_seconds is None else self.most_seconds) // 4

    def failed(self, reason: str, error: str, now: float) -> None:
        """A poll failed, and why."""
        self.failing_since = self.failing_since or now
        self.reason = reason
        self.error = error

    def succeeded(self) -> None:
        """The newest poll did not fail."""
        self.failing_since = self.reason = self.error = None

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
