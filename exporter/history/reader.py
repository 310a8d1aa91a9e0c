"""Which part of the ledger's history a command selects, and the feeds it comes from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.ledger.contract import FeedHistory, History

# Not by way of `open_ledger`, which belongs to the process that writes: the commands read a ledger
# that another process may have open.
from exporter.ledger.opening import reading
from exporter.model import Measure
from exporter.model.errors import LedgerError
from exporter.model.measures import BY_NAME

__all__ = ["Choice", "HistoryError", "feeds", "instant", "reading"]

_UNIX = re.compile(r"[0-9]{1,11}(\.[0-9]+)?")


class HistoryError(LedgerError):
    """A flag that selects nothing the ledger's history has, or that is not valid."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of the history a command selects, by its flags.

    `start` and `end` are Unix seconds, None without a bound. Empty `accounts` or `metrics` select
    all. `unsettled` adds closed buckets that the vendor may still change. `labels` are added to
    each series, before its own, as a scrape adds `job` and `instance`.
    """

    start: int | None = None
    end: int | None = None
    accounts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    unsettled: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The selected measures; HistoryError for an unknown name, or a gauge, which has no history."""
        for name in self.metrics:
            if name not in BY_NAME or BY_NAME[name].type == "gauge":
                near = difflib.get_close_matches(name, _NAMES, n=1)
                hint = f"did you mean {near[0]}?" if near else "see the metrics' documentation"
                raise HistoryError(f"--metric {name}: no counter or histogram of that name; {hint}")
        return tuple(
            measure
            for measure in BY_NAME.values()
            if measure.type != "gauge" and (not self.metrics or measure.name in self.metrics)
        )


_NAMES = tuple(measure.name for measure in BY_NAME.values() if measure.type != "gauge")


def instant(text: str) -> int:
    """Unix seconds of an ISO 8601 date or time (UTC unless it says otherwise) or a Unix time.

    Raises ValueError, saying what was expected.
    """
    if _UNIX.fullmatch(text):
        return int(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a date or time, such as 2026-03-01 or 2026-03-01T15:00Z,"
            " nor Unix seconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def feeds(history: History, accounts: Sequence[str]) -> list[FeedHistory]:
    """The feeds of these accounts, or of all; HistoryError for an account not in the ledger."""
    found = history.feeds()
    known = {feed.account for feed in found}
    for name in accounts:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none at all"
            raise HistoryError(f"--account {name}: not in the ledger, which has {listed}")
    return [feed for feed in found if not accounts or feed.account in accounts]
