"""What follows a poll of an account, in this order.

Gaps are filled in, old buckets compacted, settled ones noted and those reported that were revised
all the same, the month to date is shown, and once a day the month is compared with the vendor's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from exporter.client.fetch import Round
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger.settling import Revised
from exporter.model import Level
from exporter.model.errors import LedgerWriteError
from exporter.polling.account_log import AccountLog
from exporter.polling.cost import Cost, CostEstimate
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.gaps import Gaps
from exporter.polling.month_to_date import MonthToDate
from exporter.polling.reconciliation import Reconciler
from exporter.polling.recorder import Recorder
from exporter.polling.shared import Shared

log = logging.getLogger(__name__)


class AfterPoll:
    """What follows each poll of one account. Nothing of it makes the poll fail."""

    def __init__(
        self,
        *,
        feeds: Sequence[FeedPoller],
        gaps: Gaps,
        recorder: Recorder,
        reconciler: Reconciler,
        estimate: CostEstimate,
        retention_seconds: int,
        telemetry: AccountTelemetry,
        account_log: AccountLog,
        shared: Shared,
    ) -> None:
        self._feeds = feeds
        self._gaps = gaps
        self._recorder = recorder
        self._reconciler = reconciler
        self._estimate = estimate
        self._retention_seconds = retention_seconds
        self._telemetry = telemetry
        self._log = account_log
        self._shared = shared

    @property
    def cost(self) -> Cost | None:
        """What polling takes, as of the newest poll."""
        return self._estimate.cost

    async def __call__(
        self, round_: Round, *, until: float, spent: Callable[[], int], limited: bool
    ) -> None:
        """Do all of it; filling gaps ends when the clock shows `until`.

        `spent` counts the account's requests in this poll, `limited` is whether the vendor refused
        some of them for their number.
        """
        await self._gaps.fill(self._feeds, round_, until=until, spent=spent, limited=limited)
        await self._compact()
        await self._follow_ledger(round_)
        streams = max((feed.asked_streams for feed in self._feeds), default=0)
        await self._estimate.update(streams, self._shared.worker)

    async def _compact(self) -> None:
        """Compact what is older than the retention."""
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
                self._log.over(name, "compaction")

    async def _follow_ledger(self, round_: Round) -> None:
        """Settle, show the month to date, reconcile."""
        try:
            revised, levels = await self._shared.worker.run(self._settle)
            for one in revised:
                self._report(one)
            await self._recorder.show_levels(levels)
            await self._reconciler.reconcile(round_.get, now=int(self._shared.clock()))
        except Exception as error:
            # Polling goes on whatever becomes of what is made of it.
            if isinstance(error, LedgerWriteError):
                self._shared.telemetry.ledger_write_failed()
            self._log.trouble(
                "history", "history", "the month to date and what is settled stand still", error
            )
            return
        self._log.over("history", "history")

    def _settle(self) -> tuple[list[Revised], list[Level]]:
        """What was revised of what had been settled, and the month; on the ledger's thread."""
        ledger, book = self._shared.ledger, self._recorder.book
        settling = {
            feed.feed.name: feed.feed.settling for feed in self._feeds if feed.feed.resolutions
        }
        revised = ledger.settle(book, settling)
        return revised, MonthToDate(ledger, book).levels(int(self._shared.clock()))

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
