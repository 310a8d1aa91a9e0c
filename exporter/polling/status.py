"""The status of an account and its feeds, for the landing page and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "ok", "failing"]


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. Instants are Unix seconds; None for what has not happened.

    `failing_since` is the first failure since the last success. `reason` and `error` are those of
    the newest failure: the metric's label, and a message without secrets.
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
    """One account. `next_poll` is None before the end of the first poll.

    `requests_per_poll` and `requests_per_day` are the cost of polling with the streams known now,
    before any paging; None before the end of the first poll.
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
