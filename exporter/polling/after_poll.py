"""What an account's history has to do after each poll."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Book
from exporter.ledger.contract import Ledger
from exporter.ledger.settling import Revised
from exporter.ledger.thread import Worker
from exporter.model import Level, Request
from exporter.polling.month_to_date import MonthToDate
from exporter.polling.reconciliation import Reconciler

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AfterPoll:
    """Settles buckets, reports those revised, gives the month to date, reconciles once a day.

    `settling` is the settling time of each of the account's feeds. `settled` is called when there
    may be more for others to fetch.
    """

    ledger: Ledger
    book: Book
    worker: Worker
    telemetry: AccountTelemetry
    clock: Callable[[], float]
    settling: Mapping[str, int]
    reconciler: Reconciler

    async def __call__(self, get: Callable[[Request, str], Awaitable[bytes]], /) -> Sequence[Level]:
        now = int(self.clock())
        revised = await self.worker.run(self.ledger.settle, self.book, self.settling)
        for one in revised:
            self._report(one)
        levels = await self.worker.run(MonthToDate(self.ledger, self.book).levels, now)
        await self.reconciler.reconcile(get, now=now)
        return levels

    def _report(self, revised: Revised) -> None:
        self.telemetry.revised(revised.feed, revised.buckets)
        log.warning(
            "settled buckets changed; counters stay right, but what was backfilled or remote-"
            "written of that time is not: docs/history.md says how to replace it",
            extra={
                "provider": self.book.provider,
                "account": self.book.account,
                "feed": revised.feed,
                "buckets": revised.buckets,
                "from": _iso(revised.window.start),
                "to": _iso(revised.window.end),
            },
        )


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
