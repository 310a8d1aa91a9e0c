"""The gauges of cost and quota of one account, from the ledger's buckets at their own time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from exporter.billing.pricing import (
    Days,
    Line,
    Usage,
    bill,
    continued,
    in_force,
    missing_to_commitment,
    next_price,
)
from exporter.ledger import Book
from exporter.ledger.contract import Ledger, Reader
from exporter.model import DAY, Level, Step, Window
from exporter.model.contracts import COMMITMENT, Contract, Metered
from exporter.model.measures import (
    BUDGET,
    CHARGE_INFO,
    COMMITTED,
    CONTRACT_END,
    INCLUDED_UNITS,
    INCLUDED_USED_RATIO,
    MONTH_FORECAST_COST,
    MONTH_FORECAST_INCLUDED_USED_RATIO,
    MONTH_TO_DATE_CHARGED_UNITS,
    MONTH_TO_DATE_COST,
    PREVIOUS_MONTH_COST,
    PRICE,
)

Lines = Mapping[tuple[str, str], Line]


@dataclass(frozen=True, slots=True)
class Billing:
    """What one account's usage costs. Its methods run on the ledger's thread."""

    ledger: Ledger
    book: Book
    contracts: Sequence[Contract]

    def levels(self, now: int) -> list[Level]:
        """The gauges at `now` (Unix seconds); a counter that the account lacks yields none."""
        if not self.contracts:
            return []
        month = Step.MONTH.floor(now)
        before = Step.MONTH.floor(month - 1)
        with self.ledger.read() as reader:
            days = {
                metered: usage(reader, self.book, metered, Window(before, now + 1))
                for metered in self._metered()
            }
        known = {metered: found for metered, found in days.items() if found is not None}
        return [
            *self._month_to_date(known, month, now),
            *self._previous_month(known, before),
            *self._terms(now),
        ]

    def _metered(self) -> Iterable[Metered]:
        charges = (charge for contract in self.contracts for charge in contract.charges)
        return dict.fromkeys(one.metered for one in charges if one.metered is not None)

    def _month_to_date(self, known: Mapping[Metered, Days], month: int, now: int) -> list[Level]:
        lines = _known(bill(self.contracts, _of(known), month, until=now + 1), known)
        whole = self._forecast(known, month, now)
        levels = [
            Level(MONTH_TO_DATE_COST, (name, currency), float(line.cost))
            for (name, currency), line in lines.items()
            if line.priced
        ]
        for name, line in _last_of_each_name(lines).items():
            metered = line.charge.metered
            if metered is None or metered not in known:
                continue
            labels = (name, metered.unit)
            used = Fraction(line.used or 0)
            units = used / metered.unit_parts
            levels.append(Level(MONTH_TO_DATE_CHARGED_UNITS, labels, float(units)))
            if line.last < now // DAY * DAY:  # nothing more is counted for it
                continue
            levels.append(Level(CHARGE_INFO, (name, metered.measure.name), 1))
            if metered.tiers:
                price = float(next_price(metered, used))
                levels.append(Level(PRICE, (*labels, line.currency), price))
            if not metered.included:
                continue
            included = Fraction(metered.included)
            levels.append(Level(INCLUDED_UNITS, labels, float(included)))
            levels.append(Level(INCLUDED_USED_RATIO, labels, float(units / included)))
            later = whole[name, line.currency]
            if later.charge.metered is not None and later.charge.metered.measure is metered.measure:
                ratio = Fraction(later.used or 0) / metered.unit_parts / included
                levels.append(Level(MONTH_FORECAST_INCLUDED_USED_RATIO, labels, float(ratio)))
        missing = missing_to_commitment(self.contracts, whole, month)
        for currency in dict.fromkeys(currency for _, currency in whole):
            total = sum(
                (one.cost for (_, own), one in whole.items() if own == currency), Fraction()
            )
            if missing is not None and missing[0] == currency:
                total += missing[1]
            levels.append(Level(MONTH_FORECAST_COST, (currency,), float(total)))
        return levels

    def _forecast(self, known: Mapping[Metered, Days], month: int, now: int) -> Lines:
        """The lines of the whole month at the present pace."""
        ahead = {
            metered: continued(days, began=self._whole_from([metered], now + 1), now=now)
            for metered, days in known.items()
        }
        end = Step.MONTH.after(month)
        return _known(bill(self.contracts, _of(ahead), month, until=end), known)

    def _previous_month(self, known: Mapping[Metered, Days], month: int) -> list[Level]:
        """What the month before came to; nothing where the ledger does not have all of it."""
        end = Step.MONTH.after(month)
        lines = bill(self.contracts, _of(known), month, until=end)
        metered = [one for line in lines.values() for one in line.metered]
        if (
            not lines
            or any(one not in known for one in metered)
            or self._whole_from(metered, end) > month
        ):
            return []
        levels = [
            Level(PREVIOUS_MONTH_COST, (name, currency), float(line.cost))
            for (name, currency), line in lines.items()
            if line.priced
        ]
        missing = missing_to_commitment(self.contracts, lines, month)
        if missing is not None:
            currency, amount = missing
            levels.append(Level(PREVIOUS_MONTH_COST, (COMMITMENT, currency), float(amount)))
        return levels

    def _terms(self, now: int) -> list[Level]:
        """What the terms in force say by themselves."""
        contract = in_force(self.contracts, now // DAY * DAY)
        if contract is None:
            return []
        levels: list[Level] = []
        if contract.budget is not None:
            levels.append(Level(BUDGET, (contract.currency,), float(contract.budget)))
        if contract.commitment is not None:
            levels.append(Level(COMMITTED, (contract.currency,), float(contract.commitment)))
        ends = [one.end for one in self.contracts if one.last and one.end is not None]
        later = [end for end in ends if end > now]
        if later:
            levels.append(Level(CONTRACT_END, (), min(later)))
        return levels

    def _whole_from(self, metered: Iterable[Metered], until: int) -> int:
        """From when on the ledger has all buckets, of those before `until`, that these count."""
        feeds: set[int] = set()
        with self.ledger.read() as reader:
            for one in metered:
                feeds |= _series(reader, self.book, one).keys()
        return self.book.whole_from(feeds, until)


def usage(reader: Reader, book: Book, metered: Metered, window: Window) -> Days | None:
    """The days within `window` of what is metered; None when the account has no such series."""
    by_feed = _series(reader, book, metered)
    if not by_feed:
        return None
    days: dict[int, int] = {}
    for feed, series in by_feed.items():
        for day, amount in reader.days(feed=feed, series=series, window=window).items():
            days[day] = days.get(day, 0) + amount
    return days


def _series(reader: Reader, book: Book, metered: Metered) -> dict[int, set[int]]:
    """The ids of the series that are metered, by feed.

    Those beyond a limit are among them, by their own labels; what sums them has no buckets.
    """
    measure = metered.measure
    where = [(measure.labels.index(name), values) for name, values in metered.where]
    by_feed: dict[int, set[int]] = {}
    for labels, series in book.series.get(measure, {}).items():
        if all(labels[index] in values for index, values in where):
            by_feed.setdefault(reader.feed_of(series.id), set()).add(series.id)
    return by_feed


def _of(known: Mapping[Metered, Days]) -> Usage:
    return lambda metered: known.get(metered, {})


def _known(lines: Lines, known: Mapping[Metered, Days]) -> Lines:
    """Without the charges of which the account has no counter."""
    return {
        key: line
        for key, line in lines.items()
        if line.fee or any(metered in known for metered in line.metered)
    }


def _last_of_each_name(lines: Lines) -> Mapping[str, Line]:
    """By the charge's name, the line of the terms that had it last.

    Units have no currency, so that there is one series for a name whose currency has changed.
    """
    last: dict[str, Line] = {}
    for (name, _), line in lines.items():
        if name not in last or last[name].last < line.last:
            last[name] = line
    return last
