"""What usage costs: pure functions, without a ledger or a clock.

Amounts are whole numbers of a measure's smallest parts, by the day on which they were used.
Money is an exact fraction until it is shown: a third of an hour has no exact decimal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from exporter.model import DAY, Measure, Step, Window
from exporter.model.contracts import Charge, Contract, Metered

Days = Mapping[int, int | Fraction]
"""Amounts by the beginning of the day (Unix seconds) on which they were used."""

Usage = Callable[[Metered], Days]
"""The days of what a charge meters."""


def cost(metered: Metered, parts: int | Fraction) -> Fraction:
    """What the first `parts` of a month cost: nothing for those included, then tier by tier."""
    units = Fraction(parts) / metered.unit_parts
    left = units - Fraction(metered.included or 0)
    total = Fraction(0)
    before = Fraction(0)
    for tier in metered.tiers:
        if left <= before:
            break
        until = left if tier.to is None else min(left, Fraction(tier.to))
        total += (until - before) * Fraction(tier.price)
        before = until
    return total


def next_price(metered: Metered, parts: int | Fraction) -> Fraction:
    """What one more unit costs after `parts` of a month; 0 while units are included."""
    units = Fraction(parts) / metered.unit_parts - Fraction(metered.included or 0)
    if units < 0 or not metered.tiers:
        return Fraction(0)
    for tier in metered.tiers:
        if tier.to is None or units < tier.to:
            return Fraction(tier.price)
    return Fraction(metered.tiers[-1].price)


def in_force(contracts: Iterable[Contract], day: int) -> Contract | None:
    """The contract whose terms hold on that day, if any."""
    for contract in contracts:
        if contract.start <= day and (contract.end is None or day < contract.end):
            return contract
    return None


@dataclass(slots=True)
class Line:
    """One name of a charge in one currency and month, whatever the terms called it by then say.

    `charges` are what they say, oldest first, and `last` is the last day on which they held.
    `days` is what each day costs, a fee on the day it is due. `used` are the parts of the last
    one's counter that were metered in the month under this name, in other currencies, too; None
    for a fee.
    """

    currency: str
    charges: list[Charge] = field(default_factory=list)
    last: int = 0
    days: dict[int, Fraction] = field(default_factory=dict)
    used: int | Fraction | None = None

    @property
    def charge(self) -> Charge:
        """What the last of the terms say."""
        return self.charges[-1]

    @property
    def metered(self) -> list[Metered]:
        """All that is counted for it."""
        return [charge.metered for charge in self.charges if charge.metered is not None]

    @property
    def fee(self) -> bool:
        """Whether it was a fee by any of the terms."""
        return any(charge.metered is None for charge in self.charges)

    @property
    def priced(self) -> bool:
        """Whether it is more than a quota by any of the terms, and has a cost, if of 0."""
        return self.fee or any(metered.tiers for metered in self.metered)

    @property
    def cost(self) -> Fraction:
        """What the charge comes to."""
        return sum(self.days.values(), Fraction(0))


def bill(
    contracts: Sequence[Contract], usage: Usage, month: int, *, until: int
) -> dict[tuple[str, str], Line]:
    """The lines of the month that begins at `month`, by name and currency, up to `until`.

    Each day is priced by the terms in force on it. How much of the included units and of a tier is
    left is counted over the whole month, by the charge's name. A fee is due once a month, on the
    first day on which it is in force.
    """
    lines: dict[tuple[str, str], Line] = {}
    used: dict[tuple[str, Measure], int | Fraction] = {}
    fees: set[str] = set()
    for day in range(month, min(until, Step.MONTH.after(month)), DAY):
        contract = in_force(contracts, day)
        if contract is None:
            continue
        for charge in contract.charges:
            if charge.metered is None and charge.name in fees:
                continue
            line = lines.setdefault((charge.name, contract.currency), Line(contract.currency))
            line.last = day
            if not line.charges or line.charge is not charge:
                line.charges.append(charge)
            if charge.metered is None:
                fees.add(charge.name)
                line.days[day] = Fraction(charge.fee or 0)
                continue
            amount = usage(charge.metered).get(day, 0)
            if amount:
                meter = (charge.name, charge.metered.measure)
                before = used.get(meter, 0)
                used[meter] = before + amount
                line.days[day] = cost(charge.metered, before + amount) - cost(
                    charge.metered, before
                )
    for (name, _), line in lines.items():
        if line.charge.metered is not None:
            line.used = used.get((name, line.charge.metered.measure), 0)
    return lines


def missing_to_commitment(
    contracts: Sequence[Contract], lines: Mapping[tuple[str, str], Line], month: int
) -> tuple[str, Fraction] | None:
    """Currency and amount of what a whole month lacks to the commitment; None without one.

    The terms that were in force last in the month count.
    """
    days = range(month, Step.MONTH.after(month), DAY)
    last = next((one for day in reversed(days) if (one := in_force(contracts, day))), None)
    if last is None or last.commitment is None:
        return None
    billed = sum(
        (line.cost for (_, currency), line in lines.items() if currency == last.currency),
        Fraction(0),
    )
    return last.currency, max(Fraction(0), Fraction(last.commitment) - billed)


def continued(days: Days, *, began: int, now: int) -> Days:
    """`days`, and those up to the end of the month of `now` as they come at the present pace.

    That is the mean of the last 7 whole days, or of those since `began` where they are fewer; of
    the time since `began` while there is no whole day.
    """
    today = now // DAY * DAY
    first = max(today - 7 * DAY, -(-began // DAY) * DAY)
    if first < today:
        recent = sum(days.get(day, 0) for day in range(first, today, DAY))
        pace = Fraction(recent) / (today - first)
    else:
        pace = Fraction(days.get(today, 0)) / max(1, now - max(began, today))
    result: dict[int, int | Fraction] = dict(days)
    end = Step.MONTH.after(Step.MONTH.floor(now))
    for day in range(today, end, DAY):
        rest = Window(max(day, now), day + DAY)
        result[day] = result.get(day, 0) + pace * (rest.end - rest.start)
    return result
