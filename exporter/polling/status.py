"""What there is to say of an account and its feeds, to people and to programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "ok", "failing"]


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. Instants are Unix seconds; None for what has not happened.

    `failing_since` is the first of the failures that go on, `reason` and `error` are the newest
    one's: the metric's label, and a line without secrets.
    """

    name: str
    state: State
    last_success: float | None
    newest_data: int | None
    failing_since: float | None
    reason: str | None
    error: str | None
    backlog_seconds: int


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account. `next_poll` is None before the first one is over.

    `requests_per_poll` and `requests_per_day` are what polling takes with the streams known now,
    before any paging; None before the first poll is over.
    """

    name: str
    provider: str
    polling: bool
    next_poll: float | None
    cadence_seconds: int
    requests_per_poll: int | None
    requests_per_day: int | None
    series: int
    streams_folded: int
    feeds: tuple[FeedStatus, ...]
