"""The exporter's own metrics, as its page and the documentation name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LEDGER_REASON: Final = "ledger"
"""The reason of a poll that succeeded but could not be written down."""

FEED: Final = ("provider", "account", "feed")
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """One metric about the exporter itself; `name` is as on the page."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


POLL_SUCCESS = OwnMetric(
    "media_exporter_poll_success", "gauge", FEED, "Whether the newest poll of this feed succeeded."
)
POLLS = OwnMetric(
    "media_exporter_polls_total", "counter", FEED, "Polls finished, failed ones included."
)
POLL_FAILURES = OwnMetric(
    "media_exporter_poll_failures_total", "counter", (*FEED, "reason"), "Polls that failed, by why."
)
POLL_LAST_SUCCESS = OwnMetric(
    "media_exporter_poll_last_success_timestamp_seconds",
    "gauge",
    FEED,
    "When this feed was last polled with success; known over restarts.",
)
POLL_INTERVAL = OwnMetric(
    "media_exporter_poll_interval_seconds", "gauge", FEED, "The configured cadence."
)
POLL_DURATION = OwnMetric(
    "media_exporter_poll_duration_seconds",
    "histogram",
    FEED,
    "How long a poll of this feed took, all its requests together.",
    (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0),
)
DATA_NEWEST = OwnMetric(
    "media_exporter_data_newest_timestamp_seconds",
    "gauge",
    FEED,
    "End of the newest bucket that the vendor has filled.",
)
DATA_LOST = OwnMetric(
    "media_exporter_data_lost_seconds_total",
    "counter",
    FEED,
    "Time for which the vendor had purged its data before it could be asked for.",
)
BACKLOG = OwnMetric(
    "media_exporter_backlog_seconds",
    "gauge",
    FEED,
    "Time left out by an outage or by the first poll that is still to be filled in.",
)
REQUESTS = OwnMetric(
    "media_exporter_requests_total",
    "counter",
    (*FEED, "code"),
    "Requests to the vendor, repeated ones included, by status or by why there was none.",
)
REQUEST_DURATION = OwnMetric(
    "media_exporter_request_duration_seconds",
    "histogram",
    FEED,
    "How long one request to the vendor took.",
    _BUCKETS,
)
CORRECTIONS = OwnMetric(
    "media_exporter_corrections_total", "counter", FEED, "Buckets that the vendor lowered."
)
LATE_BUCKETS = OwnMetric(
    "media_exporter_late_buckets_total",
    "counter",
    FEED,
    "Buckets that the vendor filled after they had closed and been asked for.",
)
SERIES = OwnMetric(
    "media_exporter_series", "gauge", FEED[:2], "Series of vendor data exposed for this account."
)
SERIES_FOLDED = OwnMetric(
    "media_exporter_series_folded",
    "gauge",
    FEED[:2],
    'Streams beyond the limit, summed under stream="__other__".',
)
SETTLED_REVISED = OwnMetric(
    "media_exporter_settled_buckets_revised_total",
    "counter",
    FEED,
    "Settled buckets that changed all the same; what was backfilled or remote-written of them is"
    " outdated.",
)
RECONCILIATION = OwnMetric(
    "media_exporter_reconciliation_difference_ratio",
    "gauge",
    FEED,
    "Largest difference between the ledger's and the vendor's own totals of the month's whole"
    " settled days, by the vendor's; above 0 when the ledger has more. Asked for once a day.",
)
ACCOUNT_METRICS: Final = (
    POLL_SUCCESS,
    POLLS,
    POLL_FAILURES,
    POLL_LAST_SUCCESS,
    POLL_INTERVAL,
    POLL_DURATION,
    DATA_NEWEST,
    DATA_LOST,
    BACKLOG,
    REQUESTS,
    REQUEST_DURATION,
    CORRECTIONS,
    LATE_BUCKETS,
    SETTLED_REVISED,
    RECONCILIATION,
    SERIES,
    SERIES_FOLDED,
)

BUILD_INFO = OwnMetric(
    "media_exporter_build_info", "gauge", ("version", "python"), "Always 1; tells the version."
)
LEDGER_SIZE = OwnMetric(
    "media_exporter_ledger_size_bytes", "gauge", (), "Size of the ledger on disk."
)
LEDGER_WRITE_FAILURES = OwnMetric(
    "media_exporter_ledger_write_failures_total",
    "counter",
    (),
    "Polls that could not be written to the ledger; they are asked for again.",
)
RELOAD_SUCCESSFUL = OwnMetric(
    "media_exporter_config_last_reload_successful",
    "gauge",
    (),
    "Whether the newest attempt to read the configuration succeeded.",
)
RELOAD_SUCCESS_TIMESTAMP = OwnMetric(
    "media_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    (),
    "When the configuration was last read with success.",
)
PROCESS_METRICS: Final = (
    BUILD_INFO,
    LEDGER_SIZE,
    LEDGER_WRITE_FAILURES,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_TIMESTAMP,
)
REMOTE_WRITE_SAMPLES = OwnMetric(
    "media_exporter_remote_write_samples_total",
    "counter",
    (),
    "Samples that the remote write receiver has taken.",
)
REMOTE_WRITE_REJECTED = OwnMetric(
    "media_exporter_remote_write_samples_rejected_total",
    "counter",
    ("reason",),
    "Samples that the remote write receiver will never take, by why.",
)
REMOTE_WRITE_FAILURES = OwnMetric(
    "media_exporter_remote_write_failures_total",
    "counter",
    (),
    "Attempts that failed because the receiver could not be reached or took nothing; the ledger"
    " keeps what is to be pushed.",
)
REMOTE_WRITE_CURSOR = OwnMetric(
    "media_exporter_remote_write_cursor_timestamp_seconds",
    "gauge",
    ("receiver",),
    "Up to when the final buckets of every feed have been pushed, and to which host.",
)
REMOTE_WRITE_METRICS: Final = (
    REMOTE_WRITE_SAMPLES,
    REMOTE_WRITE_REJECTED,
    REMOTE_WRITE_FAILURES,
    REMOTE_WRITE_CURSOR,
)
REPLICAS = OwnMetric(
    "media_exporter_replicas",
    "gauge",
    (),
    "Live replicas that share the ledger, this one included.",
)
LEASES = OwnMetric("media_exporter_leases", "gauge", (), "Accounts whose lease this replica holds.")
LEASES_FREE = OwnMetric(
    "media_exporter_leases_free",
    "gauge",
    (),
    "Configured accounts whose lease no replica held when this one last looked; nobody polls or"
    " shows them.",
)
LEASE_TAKEOVERS = OwnMetric(
    "media_exporter_lease_takeovers_total",
    "counter",
    (),
    "Accounts that this replica has taken and another process had held before.",
)
LEASES_LOST = OwnMetric(
    "media_exporter_leases_lost_total",
    "counter",
    (),
    "Leases that this replica could not renew in time, or that were taken from it.",
)
LEDGER_REACHABLE = OwnMetric(
    "media_exporter_ledger_reachable",
    "gauge",
    (),
    "Whether the database with the ledger answered when this replica last renewed its leases.",
)
LEASE_METRICS: Final = (
    REPLICAS,
    LEASES,
    LEASES_FREE,
    LEASE_TAKEOVERS,
    LEASES_LOST,
    LEDGER_REACHABLE,
)
OWN_METRICS: Final = (
    *ACCOUNT_METRICS,
    *PROCESS_METRICS,
    *REMOTE_WRITE_METRICS,
    *LEASE_METRICS,
)
