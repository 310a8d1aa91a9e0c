"""The exporter's own metrics: kept by prometheus_client, put on the page like everything else.

They stay live between polls. What changed is rendered when somebody looks, and what the process
says of itself at most once a second, so that a scrape costs next to nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
)

from exporter import __version__
from exporter.errors import REASONS
from exporter.exposition import Block, Family, Format, Section, assemble
from exporter.exposition.text import labels_text, number

PROCESS_SECONDS = 1.0
"""How old what the process says of itself may be."""

RENDERED_AT_ONCE = 16
"""How many accounts' metrics one scrape may render; the others show what they showed last."""

KEPT_SECTIONS = 64
"""How many differently narrowed sections are kept until something changes."""

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
    "Time left out by an outage that is still to be filled in.",
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
OWN_METRICS: Final = (*ACCOUNT_METRICS, *PROCESS_METRICS, *REMOTE_WRITE_METRICS)


class _Registry:
    """Some metrics of one owner, as blocks that are rendered when they have changed."""

    def __init__(self, metrics: Iterable[OwnMetric], *, created_timestamps: bool) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._created = created_timestamps
        self._gauges: dict[OwnMetric, Gauge] = {}
        self._counters: dict[OwnMetric, Counter] = {}
        self._histograms: dict[OwnMetric, Histogram] = {}
        self.families: dict[str, Family] = {}
        self.changed = True
        self.renderings = 0
        self.blocks: dict[Format, dict[str, Block]] = {kind: {} for kind in Format}
        for metric in metrics:
            match metric.type:
                case "gauge":
                    self._gauges[metric] = Gauge(
                        metric.name, metric.help, metric.labels, registry=self.registry
                    )
                case "counter":
                    self._counters[metric] = Counter(
                        metric.name, metric.help, metric.labels, registry=self.registry
                    )
                case "histogram":
                    self._histograms[metric] = Histogram(
                        metric.name,
                        metric.help,
                        metric.labels,
                        registry=self.registry,
                        buckets=metric.buckets,
                    )

    def set(self, metric: OwnMetric, value: float, *labels: str) -> None:
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)
        self.changed = True

    def add(self, metric: OwnMetric, value: float, *labels: str) -> None:
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(value)
        self.changed = True

    def observe(self, metric: OwnMetric, value: float, *labels: str) -> None:
        self._histograms[metric].labels(*labels).observe(value)
        self.changed = True

    def render(self) -> None:
        """Bring the blocks up to date."""
        self.changed = False
        for metric in self.registry.collect():
            if not metric.samples:
                continue
            lines: list[str] = []
            created: list[str] = []
            for sample in metric.samples:
                labels = labels_text(sample.labels.items())
                line = f"{sample.name}{{{labels}}}" if labels else sample.name
                line = f"{line} {number(sample.value)}\n"
                if not sample.name.endswith("_created"):
                    lines.append(line)
                created.append(line)
            self.families[metric.name] = Family(metric.name, metric.type, metric.documentation)
            block = Block.of("".join(lines).encode("utf-8", "replace"))
            self.blocks[Format.TEXT][metric.name] = block
            self.blocks[Format.OPENMETRICS][metric.name] = (
                Block.of("".join(created).encode("utf-8", "replace")) if self._created else block
            )


class AccountTelemetry:
    """What one account's polling says of itself."""

    def __init__(
        self,
        *,
        provider: str,
        account: str,
        feeds: Sequence[str],
        cadence_seconds: float,
        created_timestamps: bool = False,
    ) -> None:
        self.provider = provider
        self.account = account
        self.metrics = _Registry(ACCOUNT_METRICS, created_timestamps=created_timestamps)
        for feed in feeds:
            labels = (provider, account, feed)
            self.metrics.set(POLL_INTERVAL, cadence_seconds, *labels)
            # Alerts on their increase need them to be there before the first one.
            for counter in (POLLS, DATA_LOST, CORRECTIONS, LATE_BUCKETS, SETTLED_REVISED):
                self.metrics.add(counter, 0, *labels)
            for reason in (*REASONS, LEDGER_REASON):
                self.metrics.add(POLL_FAILURES, 0, *labels, reason)

    def request(self, feed: str, code: str, seconds: float) -> None:
        """One request is over."""
        labels = (self.provider, self.account, feed)
        self.metrics.add(REQUESTS, 1, *labels, code)
        self.metrics.observe(REQUEST_DURATION, seconds, *labels)

    def poll(self, feed: str, *, seconds: float, failure: str | None, at: float) -> None:
        """One poll is over; `failure` is why, or None."""
        labels = (self.provider, self.account, feed)
        self.metrics.set(POLL_SUCCESS, int(failure is None), *labels)
        self.metrics.add(POLLS, 1, *labels)
        self.metrics.observe(POLL_DURATION, seconds, *labels)
        if failure is None:
            self.metrics.set(POLL_LAST_SUCCESS, at, *labels)
        else:
            self.metrics.add(POLL_FAILURES, 1, *labels, failure)

    def restored(self, feed: str, *, polled_at: float | None, newest: float | None) -> None:
        """What the ledger knows of a feed before its first poll of this process."""
        labels = (self.provider, self.account, feed)
        if polled_at is not None:
            self.metrics.set(POLL_LAST_SUCCESS, polled_at, *labels)
        if newest is not None:
            self.metrics.set(DATA_NEWEST, newest, *labels)

    def recorded(
        self, feed: str, *, newest: int | None, corrections: int, late: int, backlog: int
    ) -> None:
        """What a poll that was written down brought."""
        labels = (self.provider, self.account, feed)
        if newest is not None:
            self.metrics.set(DATA_NEWEST, newest, *labels)
        self.metrics.add(CORRECTIONS, corrections, *labels)
        self.metrics.add(LATE_BUCKETS, late, *labels)
        self.metrics.set(BACKLOG, backlog, *labels)

    def revised(self, feed: str, buckets: int) -> None:
        """So many settled buckets changed."""
        self.metrics.add(SETTLED_REVISED, buckets, self.provider, self.account, feed)

    def reconciled(self, feed: str, ratio: float) -> None:
        """By so much the ledger's month differs from the vendor's."""
        self.metrics.set(RECONCILIATION, ratio, self.provider, self.account, feed)

    def lost(self, feed: str, seconds: int) -> None:
        """So much time is gone for good."""
        self.metrics.add(DATA_LOST, seconds, self.provider, self.account, feed)

    def series(self, exposed: int, folded: int) -> None:
        """How much is on the page."""
        self.metrics.set(SERIES, exposed, self.provider, self.account)
        self.metrics.set(SERIES_FOLDED, folded, self.provider, self.account)


class RemoteWriteTelemetry:
    """What remote write says of itself; there only when it is configured."""

    def __init__(self, *, receiver: str, created_timestamps: bool = False) -> None:
        self.metrics = _Registry(REMOTE_WRITE_METRICS, created_timestamps=created_timestamps)
        self._receiver = receiver
        # Alerts on their increase need them to be there before the first one.
        for reason in ("too_old", "out_of_order", "invalid"):
            self.metrics.add(REMOTE_WRITE_REJECTED, 0, reason)

    def accepted(self, samples: int) -> None:
        """The receiver has taken so many."""
        self.metrics.add(REMOTE_WRITE_SAMPLES, samples)

    def rejected(self, reason: str, samples: int) -> None:
        """The receiver will not take so many, ever."""
        self.metrics.add(REMOTE_WRITE_REJECTED, samples, reason)

    def failed(self) -> None:
        """The receiver took nothing for now."""
        self.metrics.add(REMOTE_WRITE_FAILURES, 1)

    def cursor(self, until: int | None) -> None:
        """Everything up to then has been pushed."""
        if until is not None:
            self.metrics.set(REMOTE_WRITE_CURSOR, until, self._receiver)


class Telemetry:
    """The exporter's own part of the page: the process's metrics and all accounts'."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        ledger_size: Callable[[], int],
        created_timestamps: bool = False,
    ) -> None:
        self._clock = clock
        self.process = _Registry(PROCESS_METRICS, created_timestamps=created_timestamps)
        ProcessCollector(registry=self.process.registry)
        GCCollector(registry=self.process.registry)
        self._ledger_size = ledger_size
        self._accounts: tuple[AccountTelemetry, ...] = ()
        self._remote_write: RemoteWriteTelemetry | None = None
        self._rendered_at = float("-inf")
        self._renderings = 0
        self._sections: dict[tuple[Format, frozenset[str] | None], Section] = {}
        self.process.set(BUILD_INFO, 1, __version__, platform.python_version())
        self.process.add(LEDGER_WRITE_FAILURES, 0)
        self.reloaded(successful=True)

    def set_accounts(self, accounts: Sequence[AccountTelemetry]) -> None:
        """Show these accounts from now on."""
        self._accounts = tuple(accounts)
        self._sections.clear()

    def set_remote_write(self, remote_write: RemoteWriteTelemetry | None) -> None:
        """Show this from now on."""
        self._remote_write = remote_write
        self._sections.clear()

    def ledger_write_failed(self) -> None:
        """A poll could not be written down."""
        self.process.add(LEDGER_WRITE_FAILURES, 1)

    def reloaded(self, *, successful: bool) -> None:
        """The configuration was read, or an attempt to do so failed."""
        self.process.set(RELOAD_SUCCESSFUL, int(successful))
        if successful:
            self.process.set(RELOAD_SUCCESS_TIMESTAMP, self._clock())

    def section(self, format: Format, accounts: frozenset[str] | None) -> Section:
        """Everything, or only what these accounts say of themselves."""
        self._refresh()
        key = (format, accounts)
        section = self._sections.get(key)
        if section is None:
            section = self._assemble(format, accounts)
            if len(self._sections) < KEPT_SECTIONS:
                self._sections[key] = section
        return section

    def _refresh(self) -> None:
        now = self._clock()
        stale = not 0 <= now - self._rendered_at < PROCESS_SECONDS
        changed = [account for account in self._accounts if account.metrics.changed]
        pushing = None if self._remote_write is None else self._remote_write.metrics
        if not (stale or changed or self.process.changed or (pushing and pushing.changed)):
            return
        if pushing is not None and pushing.changed:
            pushing.render()
        if stale or self.process.changed:
            self.process.set(LEDGER_SIZE, self._ledger_size())
            self.process.render()
            self._rendered_at = now
        # The longest untouched first, so that each has its turn; those never rendered at once,
        # because they would be missing, not just a little old.
        changed.sort(key=lambda account: account.metrics.renderings)
        for position, account in enumerate(changed):
            if position < RENDERED_AT_ONCE or not account.metrics.renderings:
                self._renderings += 1
                account.metrics.renderings = self._renderings
                account.metrics.render()
        self._sections.clear()

    def _assemble(self, format: Format, accounts: frozenset[str] | None) -> Section:
        shown = [
            account.metrics
            for account in self._accounts
            if accounts is None or account.account in accounts
        ]
        if accounts is None:
            shown.append(self.process)
            if self._remote_write is not None:
                shown.append(self._remote_write.metrics)
        families: dict[str, Family] = {}
        for metrics in shown:
            families.update(metrics.families)
        blocks: list[Mapping[str, Block]] = [metrics.blocks[format] for metrics in shown]
        return assemble(families.items(), blocks, format)
