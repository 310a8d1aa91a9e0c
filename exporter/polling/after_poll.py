"""The work after each poll of an account, in this order.

Gaps are filled. Old buckets are compacted. Buckets whose settling time is over are marked as
settled, and revisions of settled ones are reported. The month to date is shown. Once a day the
month is compared with the vendor's total.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from exporter.billing.gauges import Billing
from exporter.client.fetch import PollFetcher
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger.settling import Revised
from exporter.model import Level
from exporter.model.contracts import Contract
from exporter.model.errors import LedgerWriteError
from exporter.polling.account_log import AccountLog
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.gaps import GapFiller
from exporter.polling.months import Months
from exporter.polling.reconciliation import Reconciler
from exporter.polling.recorder import Recorder
from exporter.polling.shared import Shared

log = logging.getLogger(__name__)


class AfterPoll:
    """The work after each poll of one account. A failure in it does not make the poll fail."""

    def __init__(
        self,
        *,
        feeds: Sequence[FeedPoller],
        gaps: GapFiller,
        recorder: Recorder,
        reconciler: Reconciler,
        retention_seconds: int,
        contracts: Sequence[Contract],
        telemetry: AccountTelemetry,
        account_log: AccountLog,
        shared: Shared,
    ) -> None:
        self._feeds = feeds
        self._gaps = gaps
        self._recorder = recorder
        self._reconciler = reconciler
        self._retention_seconds = retention_seconds
        self._contracts = contracts
        self._telemetry = telemetry
        self._log = account_log
        self._shared = shared

    async def __call__(
        self, fetcher: PollFetcher, *, until: float, spent: Callable[[], int], rate_limited: bool
    ) -> None:
        """Do all of it; filling gaps ends when the clock shows `until`.

        `spent` returns the number of the account's requests in this poll, `rate_limited` is whether
        the vendor refused some of them as too many.
        """
        await self._gaps.fill(
            self._feeds, fetcher, until=until, spent=spent, rate_limited=rate_limited
        )
        await self._compact()
        await self._update_from_ledger(fetcher)

    async def _compact(self) -> None:
        """Compact buckets older than the retention."""
        before = int(self._shared.clock()) - self._retention_seconds
        names = [feed.feed.name for feed in self._feeds]
        failed = await self._recorder.compact(names, before)
        for name in names:
            if name in failed:
                self._log.trouble(
                    name,
                    "compaction",
                    "old buckets were not compacted; the ledger stays larger",
                    failed[name],
                )
            else:
                self._log.resolved(name, "compaction")

    async def _update_from_ledger(self, fetcher: PollFetcher) -> None:
        """Mark settled buckets, show the month to date, reconcile."""
        try:
            revised, levels = await self._shared.worker.run(self._settle)
            for one in revised:
                self._report(one)
            await self._recorder.show_levels(levels)
            await self._reconciler.reconcile(fetcher.get, now=int(self._shared.clock()))
        except Exception as error:
            # No failure here may stop polling.
            if isinstance(error, LedgerWriteError):
                self._shared.telemetry.ledger_write_failed()
            self._log.trouble(
                "history", "history", "the month to date and what is settled stand still", error
            )
            return
        self._log.resolved("history", "history")

    def _settle(self) -> tuple[list[Revised], list[Level]]:
        """Revisions of settled buckets; the month to date and its cost. On the ledger's thread."""
        ledger, book = self._shared.ledger, self._recorder.book
        settling = {
            feed.feed.name: feed.feed.settling for feed in self._feeds if feed.feed.resolutions
        }
        revised = ledger.settle(book, settling)
        now = int(self._shared.clock())
        levels = Months(ledger, book).levels(now)
        return revised, [*levels, *Billing(ledger, book, self._contracts).levels(now)]

    def _report(self, revised: Revised) -> None:
        self._telemetry.revised(revised.feed, revised.buckets)
        book = self._recorder.book
        log.warning(
            "settled buckets changed; counters stay right, but what was backfilled or remote-"
            "written of that time is not: docs/history.md says how to replace it",
            extra={
                "provider": book.provider,
                "account": book.account,
                "feed": revised.feed,
                "buckets": revised.buckets,
                "from": _iso(revised.window.start),
                "to": _iso(revised.window.end),
            },
        )


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
