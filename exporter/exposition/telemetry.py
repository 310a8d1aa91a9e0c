"""The exporter's own metrics: kept by prometheus_client, put on the page like everything else.

They stay live between polls. What changed is rendered when somebody looks, and what the process
says of itself at most once a second, so that a scrape costs next to nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import GCCollector, ProcessCollector

from exporter import __version__
from exporter.exposition import Block, Family, Format, Section, assemble
from exporter.exposition.own_metrics import (
    ACCOUNT_METRICS,
    BACKLOG,
    BUILD_INFO,
    CORRECTIONS,
    DATA_LOST,
    DATA_NEWEST,
    LATE_BUCKETS,
    LEASE_METRICS,
    LEASE_TAKEOVERS,
    LEASES,
    LEASES_FREE,
    LEASES_LOST,
    LEDGER_REACHABLE,
    LEDGER_REASON,
    LEDGER_SIZE,
    LEDGER_WRITE_FAILURES,
    POLL_DURATION,
    POLL_FAILURES,
    POLL_INTERVAL,
    POLL_LAST_SUCCESS,
    POLL_SUCCESS,
    POLLS,
    PROCESS_METRICS,
    RECONCILIATION,
    RELOAD_SUCCESS_TIMESTAMP,
    RELOAD_SUCCESSFUL,
    REMOTE_WRITE_CURSOR,
    REMOTE_WRITE_FAILURES,
    REMOTE_WRITE_METRICS,
    REMOTE_WRITE_REJECTED,
    REMOTE_WRITE_SAMPLES,
    REPLICAS,
    REQUEST_DURATION,
    REQUESTS,
    SERIES,
    SERIES_FOLDED,
    SETTLED_REVISED,
)
from exporter.exposition.registry import Registry
from exporter.model.errors import REASONS

PROCESS_SECONDS = 1.0
"""How old what the process says of itself may be."""

RENDERED_AT_ONCE = 16
"""How many accounts' metrics one scrape may render; the others show what they showed last."""

KEPT_SECTIONS = 64
"""How many differently narrowed sections are kept until something changes."""


Choice = tuple[Format, frozenset[str] | None, frozenset[str]]
"""The format, the accounts that are asked for (None: all), and those that are left out."""


class AccountTelemetry:
    """The exporter's own metrics of one account."""

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
        self.metrics = Registry(ACCOUNT_METRICS, created_timestamps=created_timestamps)
        self.set_feeds(feeds, cadence_seconds=cadence_seconds)

    def set_feeds(self, feeds: Sequence[str], *, cadence_seconds: float) -> None:
        """These feeds are polled from now on, and no others."""
        self.metrics.keep_only("feed", feeds)
        for feed in feeds:
            labels = (self.provider, self.account, feed)
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
        """What a poll that was recorded changed; `backlog` is in seconds."""
        labels = (self.provider, self.account, feed)
        if newest is not None:
            self.metrics.set(DATA_NEWEST, newest, *labels)
        self.metrics.add(CORRECTIONS, corrections, *labels)
        self.metrics.add(LATE_BUCKETS, late, *labels)
        self.metrics.set(BACKLOG, backlog, *labels)

    def revised(self, feed: str, buckets: int) -> None:
        """Count settled buckets that changed."""
        self.metrics.add(SETTLED_REVISED, buckets, self.provider, self.account, feed)

    def reconciled(self, feed: str, ratio: float) -> None:
        """The relative difference of the ledger's month from the vendor's: 0.01 is 1 % more."""
        self.metrics.set(RECONCILIATION, ratio, self.provider, self.account, feed)

    def lost(self, feed: str, seconds: int) -> None:
        """Count seconds whose data the vendor does not have any more."""
        self.metrics.add(DATA_LOST, seconds, self.provider, self.account, feed)

    def series(self, exposed: int, folded: int) -> None:
        """The number of series shown, and of streams summed as `__other__`."""
        self.metrics.set(SERIES, exposed, self.provider, self.account)
        self.metrics.set(SERIES_FOLDED, folded, self.provider, self.account)


class RemoteWriteTelemetry:
    """The exporter's own metrics of remote write; they exist only when it is configured."""

    def __init__(self, *, receiver: str, created_timestamps: bool = False) -> None:
        self.metrics = Registry(REMOTE_WRITE_METRICS, created_timestamps=created_timestamps)
        self._receiver = receiver
        # Alerts on their increase need them to be there before the first one.
        for reason in ("too_old", "out_of_order", "invalid"):
            self.metrics.add(REMOTE_WRITE_REJECTED, 0, reason)

    def accepted(self, samples: int) -> None:
        """Count samples that the receiver accepted."""
        self.metrics.add(REMOTE_WRITE_SAMPLES, samples)

    def rejected(self, reason: str, samples: int) -> None:
        """Count samples that the receiver refused for good."""
        self.metrics.add(REMOTE_WRITE_REJECTED, samples, reason)

    def failed(self) -> None:
        """Count a push that failed and will be repeated."""
        self.metrics.add(REMOTE_WRITE_FAILURES, 1)

    def cursor(self, until: int | None) -> None:
        """Everything up to `until` (Unix seconds) has been pushed."""
        if until is not None:
            self.metrics.set(REMOTE_WRITE_CURSOR, until, self._receiver)


class LeaseTelemetry:
    """The exporter's own metrics of leases; they exist only where replicas share the ledger."""

    def __init__(self, *, created_timestamps: bool = False) -> None:
        self.metrics = Registry(LEASE_METRICS, created_timestamps=created_timestamps)
        self.metrics.set(LEASES, 0)
        # Alerts on their increase need them to be there before the first one.
        self.metrics.add(LEASE_TAKEOVERS, 0)
        self.metrics.add(LEASES_LOST, 0)

    def leases(self, *, replicas: int, held: int, free: int) -> None:
        """Live replicas, accounts held by this one, and accounts held by none."""
        self.metrics.set(REPLICAS, replicas)
        self.metrics.set(LEASES, held)
        self.metrics.set(LEASES_FREE, free)

    def lease_taken_over(self) -> None:
        """Count an account that another process had held before."""
        self.metrics.add(LEASE_TAKEOVERS, 1)

    def lease_lost(self) -> None:
        """Count a lease that was not given up."""
        self.metrics.add(LEASES_LOST, 1)

    def ledger_reachable(self, *, reachable: bool) -> None:
        """Whether the database answered."""
        self.metrics.set(LEDGER_REACHABLE, int(reachable))


class Telemetry:
    """The exporter's own part of the page: the process's metrics and all accounts'.

    Without `process_metrics`, `process_*` and `python_*` are left out.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        ledger_size: Callable[[], int],
        created_timestamps: bool = False,
        process_metrics: bool = True,
    ) -> None:
        self._clock = clock
        self.process = Registry(PROCESS_METRICS, created_timestamps=created_timestamps)
        if process_metrics:
            ProcessCollector(registry=self.process.registry)
            GCCollector(registry=self.process.registry)
        self._ledger_size = ledger_size
        self._accounts: tuple[AccountTelemetry, ...] = ()
        self._remote_write: RemoteWriteTelemetry | None = None
        self._leases: LeaseTelemetry | None = None
        self._rendered_at = float("-inf")
        self._renderings = 0
        self._sections: dict[Choice, Section] = {}
        self.process.set(BUILD_INFO, 1, __version__, platform.python_version())
        self.process.add(LEDGER_WRITE_FAILURES, 0)
        self.reloaded(successful=True)

    def account(self, provider: str, account: str) -> AccountTelemetry | None:
        """That account's metrics, if it is shown."""
        return next(
            (one for one in self._accounts if (one.provider, one.account) == (provider, account)),
            None,
        )

    def set_accounts(self, accounts: Sequence[AccountTelemetry]) -> None:
        """Replace the accounts whose metrics are shown."""
        self._accounts = tuple(accounts)
        self._sections.clear()

    def set_remote_write(self, remote_write: RemoteWriteTelemetry | None) -> None:
        """Replace the metrics of remote write, or remove them."""
        self._remote_write = remote_write
        self._sections.clear()

    def set_leases(self, leases: LeaseTelemetry) -> None:
        """Show the metrics of leases, too."""
        self._leases = leases
        self._sections.clear()

    def ledger_write_failed(self) -> None:
        """Count a poll that could not be recorded."""
        self.process.add(LEDGER_WRITE_FAILURES, 1)

    def reloaded(self, *, successful: bool) -> None:
        """The configuration was read, or an attempt to do so failed."""
        self.process.set(RELOAD_SUCCESSFUL, int(successful))
        if successful:
            self.process.set(RELOAD_SUCCESS_TIMESTAMP, self._clock())

    def section(
        self,
        format: Format,
        accounts: frozenset[str] | None,
        without: frozenset[str] = frozenset(),
    ) -> Section:
        """All of the exporter's own metrics, or only those of these accounts.

        Those of the accounts in `without` are left out either way.
        """
        if format is Format.PROTOBUF:
            self._render_protobuf()
        self._refresh()
        key = (format, accounts, without)
        section = self._sections.get(key)
        if section is None:
            section = self._assemble(format, accounts, without)
            if len(self._sections) < KEPT_SECTIONS:
                self._sections[key] = section
        return section

    def _render_protobuf(self) -> None:
        """Have protobuf rendered of all, from now on; of what is new here, at once."""
        accounts = (account.metrics for account in self._accounts)
        for metrics in (self.process, *self._others(), *accounts):
            if not metrics.protobuf:
                metrics.protobuf = True
                metrics.render()
                self._sections.clear()

    def _refresh(self) -> None:
        now = self._clock()
        stale = not 0 <= now - self._rendered_at < PROCESS_SECONDS
        changed = [account for account in self._accounts if account.metrics.changed]
        others = [metrics for metrics in self._others() if metrics.changed]
        if not (stale or changed or self.process.changed or others):
            return
        for metrics in others:
            metrics.render()
        if stale or self.process.changed:
            self.process.set(LEDGER_SIZE, self._ledger_size())
            self.process.render()
            self._rendered_at = now
        # The one rendered longest ago comes first, so that all have their turn. Those that were
        # never rendered are rendered at once: they would be missing, not just a little old.
        changed.sort(key=lambda account: account.metrics.renderings)
        for position, account in enumerate(changed):
            if position < RENDERED_AT_ONCE or not account.metrics.renderings:
                self._renderings += 1
                account.metrics.renderings = self._renderings
                account.metrics.render()
        self._sections.clear()

    def _others(self) -> Sequence[Registry]:
        """The metrics of what not every exporter has."""
        parts = (self._remote_write, self._leases)
        return [part.metrics for part in parts if part is not None]

    def _assemble(
        self, format: Format, accounts: frozenset[str] | None, without: frozenset[str]
    ) -> Section:
        shown = [
            account.metrics
            for account in self._accounts
            if account.account not in without and (accounts is None or account.account in accounts)
        ]
        if accounts is None:
            shown.append(self.process)
            shown.extend(self._others())
        families: dict[str, Family] = {}
        for metrics in shown:
            families.update(metrics.families)
        blocks: list[Mapping[str, Block]] = [metrics.blocks[format] for metrics in shown]
        return assemble(families.items(), blocks, format)
