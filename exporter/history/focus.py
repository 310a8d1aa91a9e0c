"""What usage costs, as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

One row for each charge and day (UTC), priced as `exporter.billing` prices it. The rows of a charge
in a month add up to what the charge comes to, rounded once: each day is the difference of two
rounded sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from exporter.billing.pricing import Line, bill, in_force, missing_to_commitment
from exporter.history.metered import Amounts, amounts, complete_from
from exporter.history.reader import Choice, HistoryError, feeds
from exporter.ledger.contract import FeedHistory, History
from exporter.model import DAY, Step
from exporter.model.contracts import COMMITMENT, Contract, Metered

COST_DIGITS: Final = 12
"""Decimals of costs and quantities."""

PRICE_DIGITS: Final = 18
"""Decimals of prices of one unit: times a quantity, they still give the cost."""

_UNITS: Final[Mapping[str, str]] = {
    "minute": "Minutes",
    "hour": "Hours",
    "one": "Units",
    "thousand": "1000 Units",
}
"""The units that FOCUS spells differently."""


class Row(NamedTuple):
    """One charge on one day. Instants are Unix seconds; the fields are FOCUS' columns by name."""

    BilledCost: Decimal
    BillingAccountId: str
    BillingAccountName: str
    BillingCurrency: str
    BillingPeriodEnd: int
    BillingPeriodStart: int
    ChargeCategory: str
    ChargeClass: str | None
    ChargeDescription: str
    ChargeFrequency: str
    ChargePeriodEnd: int
    ChargePeriodStart: int
    ConsumedQuantity: Decimal | None
    ConsumedUnit: str | None
    ContractedCost: Decimal
    ContractedUnitPrice: Decimal
    EffectiveCost: Decimal
    InvoiceIssuerName: str
    ListCost: Decimal
    ListUnitPrice: Decimal
    PricingCategory: str
    PricingQuantity: Decimal
    PricingUnit: str
    ProviderName: str
    PublisherName: str
    ServiceCategory: str
    ServiceName: str
    x_Charge: str  # noqa: N815 -- FOCUS begins columns of one's own with x_
    x_Measure: str | None  # noqa: N815
    x_Settled: bool  # noqa: N815


@dataclass(frozen=True, slots=True)
class Billed:
    """An account with terms in the configuration, and the feeds that are polled for it.

    What the ledger has of other feeds, which were polled before, counts, too.
    """

    provider: str
    account: str
    feeds: tuple[str, ...]
    contracts: tuple[Contract, ...]


@dataclass(frozen=True, slots=True)
class _Month:
    """One month of an account."""

    account: Billed
    start: int
    amounts: Mapping[Metered, Amounts]

    @property
    def end(self) -> int:
        return Step.MONTH.after(self.start)

    def rows(self, until: int) -> Iterator[Row]:
        """Its rows of days that begin before `until`, by day."""
        contracts = self.account.contracts
        lines = bill(contracts, lambda metered: self.amounts[metered].days, self.start, until=until)
        costs = {key: _rounded(line.days) for key, line in lines.items()}
        for day in range(self.start, min(until, self.end), DAY):
            contract = in_force(contracts, day)
            if contract is None:
                continue
            for charge in contract.charges:
                key = charge.name, contract.currency
                cost = costs.get(key, {}).get(day)
                if cost is None:
                    continue
                exact = lines[key].days[day]
                if charge.metered is None:
                    text = f"{charge.name}: monthly fee"
                    yield self._row(key, day, cost, exact, text, settled=True)
                elif charge.metered.tiers:
                    text = f"{charge.name}: {charge.metered.measure.name} by {charge.metered.unit}"
                    settled = self.amounts[charge.metered].settled(day)
                    yield self._row(
                        key, day, cost, exact, text, settled=settled, metered=charge.metered
                    )
        if self.end < until:
            yield from self._commitment(lines)

    def _commitment(self, lines: Mapping[tuple[str, str], Line]) -> Iterator[Row]:
        """What the month lacked to the commitment, where the ledger has all of the month."""
        found = [
            self.amounts[charge.metered]
            for contract in self.account.contracts
            if contract.start < self.end and (contract.end is None or contract.end > self.start)
            for charge in contract.charges
            if charge.metered is not None
        ]
        missing = missing_to_commitment(self.account.contracts, lines, self.start)
        if missing is None or not all(one.has(self.start) for one in found):
            return
        currency, exact = missing
        cost = _decimal(exact, COST_DIGITS)
        if cost:
            text = f"{COMMITMENT}: what the month lacked to it"
            settled = all(one.settled_until >= self.end for one in found)
            key = COMMITMENT, currency
            yield self._row(key, self.end - DAY, cost, exact, text, settled=settled)

    def _row(
        self,
        key: tuple[str, str],
        day: int,
        cost: Decimal,
        exact: Fraction,
        text: str,
        *,
        settled: bool,
        metered: Metered | None = None,
    ) -> Row:
        """A row of `key`, a charge and its currency: of usage where it is metered, or a purchase.

        The price of a unit is the mean of the day, which may lie in several tiers. The contract's
        prices stand for list prices, too, which nobody has told.
        """
        account, provider = self.account.account, self.account.provider
        if metered is None:
            amount, unit = Fraction(1), "Months"
        else:
            amount = Fraction(self.amounts[metered].days[day]) / metered.unit_parts
            unit = _UNITS.get(metered.unit, metered.unit)
        quantity, price = _decimal(amount, COST_DIGITS), _decimal(exact / amount, PRICE_DIGITS)
        return Row(
            BilledCost=cost,
            BillingAccountId=account,
            BillingAccountName=account,
            BillingCurrency=key[1],
            BillingPeriodEnd=self.end,
            BillingPeriodStart=self.start,
            ChargeCategory="Purchase" if metered is None else "Usage",
            ChargeClass=None,
            ChargeDescription=text,
            ChargeFrequency="Recurring" if metered is None else "Usage-Based",
            ChargePeriodEnd=day + DAY,
            ChargePeriodStart=day,
            ConsumedQuantity=None if metered is None else quantity,
            ConsumedUnit=None if metered is None else unit,
            ContractedCost=cost,
            ContractedUnitPrice=price,
            EffectiveCost=cost,
            InvoiceIssuerName=provider,
            ListCost=cost,
            ListUnitPrice=price,
            PricingCategory="Standard",
            PricingQuantity=quantity,
            PricingUnit=unit,
            ProviderName=provider,
            PublisherName=provider,
            ServiceCategory="Media",
            ServiceName=provider,
            x_Charge=key[0],
            x_Measure=None if metered is None else metered.measure.name,
            x_Settled=settled,
        )


def rows(
    history: History, accounts: Sequence[Billed], choice: Choice, *, now: int
) -> Iterator[Row]:
    """The rows of the days that lie wholly in `choice`, up to `now`, by account and day.

    Months are priced from their first day, also those of which only some days are chosen.
    HistoryError for an account that is not in the ledger, or has no terms.
    """
    stored = feeds(history, choice.accounts)
    known = {account.account for account in accounts}
    for name in choice.accounts:
        if name not in known:
            raise HistoryError(f"--account {name}: it has no terms under `billing`")
    for account in accounts:
        own = [
            feed
            for feed in stored
            if (feed.provider, feed.account) == (account.provider, account.account)
            and complete_from(feed)
        ]
        if not own:
            continue
        for row in _of_account(history, account, own, choice, now):
            day, end = row.ChargePeriodStart, row.ChargePeriodEnd
            inside = (choice.start or 0) <= day and (choice.end is None or end <= choice.end)
            if inside and (row.x_Settled or choice.unsettled):
                yield row


def _of_account(
    history: History, account: Billed, own: Sequence[FeedHistory], choice: Choice, now: int
) -> Iterator[Row]:
    """All rows of the months that `choice` touches."""
    until = now + 1
    start = Step.MONTH.floor(max(min(map(complete_from, own)), choice.start or 0))
    end = until if choice.end is None else min(until, choice.end)
    wanted = dict.fromkeys(
        charge.metered
        for contract in account.contracts
        for charge in contract.charges
        if charge.metered is not None
    )
    while start < end:
        after = Step.MONTH.after(start)
        found = amounts(history, own, wanted, polled=account.feeds, start=start, end=after)
        yield from _Month(account, start, found).rows(until)
        start = after


def _rounded(days: Mapping[int, Fraction]) -> dict[int, Decimal]:
    """Each day's cost as the difference of rounded sums, so that no rounding adds up."""
    scale = 10**COST_DIGITS
    rounded: dict[int, Decimal] = {}
    total, before = Fraction(0), 0
    for day, cost in sorted(days.items()):
        total += cost
        until = round(total * scale)
        rounded[day] = _decimal(Fraction(until - before, scale), COST_DIGITS)
        before = until
    return rounded


def _decimal(value: Fraction, digits: int) -> Decimal:
    """`value` with at most so many decimals. It is put together by digits: a context would round."""
    parts = round(value * 10**digits)
    sign = int(parts < 0)
    exponent = -digits
    while exponent < 0 and parts % 10 == 0:
        parts //= 10
        exponent += 1
    return Decimal((sign, tuple(map(int, str(abs(parts)))), exponent))
