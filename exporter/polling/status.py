"""The status of an account and its feeds, for the landing page and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal["waiting", "ok", "nothing_to_ask", "failing"]
"""`nothing_to_ask`: the newest poll had no request to make, so it proves nothing."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. Instants are Unix seconds; None for what has not happened.

    `failing_since` is the first failure since the last success. `reason` and `error` are those of
    the newest failure: the metric's label, and a message without secrets. A feed that has nothing to
    ask has no `last_success`, as nobody has answered it.
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
class Figures:
    """What an account's gauges show: bytes, seconds, Unix seconds; None for gauges that are not there.

    What has kinds or charges is the sum over them. `month_to_date_complete` is whether the ledger has
    the month from its beginning on, else it has it from `month_to_date_since` on.
    `included_used_ratio` is the highest of the charges, `included_used_charge` is that charge. Amounts
    of money are by currency.
    """

    viewers: float | None = None
    month_to_date_delivered_bytes: float | None = None
    month_to_date_viewing_seconds: float | None = None
    month_to_date_jobs: float | None = None
    month_to_date_complete: bool | None = None
    month_to_date_since: float | None = None
    included_used_ratio: float | None = None
    included_used_charge: str | None = None
    month_to_date_cost: dict[str, float] = field(default_factory=dict)
    month_forecast_cost: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account. `next_poll` is None before the end of the first poll.

    `requests_per_poll` and `requests_per_day` are what polling takes: measured, as the median of the
    last `requests_measured_polls` polls and what the last day came to. While that is 0 they are
    estimated with the streams known then, before any paging; None where there is no estimate.
    `streams_listed` is whether the vendor answered the newest poll with its list of stream names.
    """

    name: str
    provider: str
    polling: bool
    next_poll: float | None
    cadence_seconds: int
    requests_per_poll: int | None
    requests_per_day: int | None
    requests_measured_polls: int
    series: int
    streams_folded: int
    streams_listed: bool
    figures: Figures
    feeds: tuple[FeedStatus, ...]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One live replica that shares the ledger, and the accounts that it holds."""

    name: str
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeasesStatus:
    """Who holds which account, as this replica (`me`) last saw it.

    `free` are its accounts that nobody holds; `reachable` is whether the database with the ledger
    answered the last time.
    """

    me: str
    replicas: tuple[ReplicaStatus, ...]
    free: tuple[str, ...]
    reachable: bool
