"""Prices: tiers, included units, fees, commitments, changes in mid-month, and the forecast."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from exporter.billing.pricing import (
    bill,
    continued,
    cost,
    in_force,
    missing_to_commitment,
    next_price,
)
from exporter.model import DAY, measures
from exporter.model.contracts import Charge, Contract, Metered, Tier

GB = 10**9


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MARCH = day("2026-03-01")
APRIL = day("2026-04-01")
DELIVERY = Metered(
    measures.DELIVERED_BYTES,
    "GB",
    included=Decimal(5000),
    tiers=(Tier(Decimal("0.05"), Decimal(10000)), Tier(Decimal("0.04"))),
)


def terms(*charges: Charge, start: int = 0, **others: object) -> Contract:
    return Contract("EUR", start, charges, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("units", "euro", "next_unit"),
    [
        (0, "0", "0"),
        (4999, "0", "0"),
        (5000, "0", "0.05"),
        (5001, "0.05", "0.05"),
        (15000, "500", "0.04"),
        (15100, "504", "0.04"),
    ],
)
def test_units_are_included_then_graduated(units: int, euro: str, next_unit: str) -> None:
    """A tier's end is counted after the included units."""
    assert cost(DELIVERY, units * GB) == Fraction(euro)
    assert next_price(DELIVERY, units * GB) == Fraction(next_unit)


def test_minutes_are_exact() -> None:
    """A third of a minute is a third of its price, not a rounded one."""
    charge = Metered(measures.TRANSCODED_SECONDS, "minute", tiers=(Tier(Decimal("0.3")),))
    assert cost(charge, 20_000) == Fraction(1, 10)


def test_a_fee_is_due_once_a_month_on_its_first_day() -> None:
    """Whole, also when the terms change or begin in mid-month."""
    plan = Charge("plan", fee=Decimal(499))
    dearer = Charge("plan", fee=Decimal(600))
    change = day("2026-03-11")
    contracts = [terms(plan, end=change), terms(dearer, start=change)]
    assert bill(contracts, lambda _: {}, MARCH, until=MARCH + 1)["plan", "EUR"].cost == 499
    assert bill(contracts, lambda _: {}, MARCH, until=APRIL)["plan", "EUR"].cost == 499
    assert bill(contracts, lambda _: {}, APRIL, until=APRIL + 1)["plan", "EUR"].cost == 600
    late = [terms(plan, start=change)]
    assert bill(late, lambda _: {}, MARCH, until=change) == {}
    assert bill(late, lambda _: {}, MARCH, until=APRIL)["plan", "EUR"].days == {change: 499}


def test_each_day_is_priced_by_the_terms_in_force_on_it() -> None:
    """Included units and tiers go on being counted over the change."""
    change = day("2026-03-11")
    dear = Metered(measures.DELIVERED_BYTES, "GB", tiers=(Tier(Decimal(2)),))
    cheap = Metered(
        measures.DELIVERED_BYTES, "GB", tiers=(Tier(Decimal(1), Decimal(15)), Tier(Decimal("0.5")))
    )
    contracts = [
        terms(Charge("delivery", metered=dear), end=change),
        terms(Charge("delivery", metered=cheap), start=change),
    ]
    days = {MARCH: 10 * GB, change: 10 * GB, APRIL: 1 * GB}
    line = bill(contracts, lambda _: days, MARCH, until=APRIL)["delivery", "EUR"]
    assert line.days == {MARCH: 20, change: 5 + Fraction("2.5")}
    assert line.used == 20 * GB


def test_the_commitment_is_what_a_month_lacks() -> None:
    """Nothing once it is reached; the terms at the month's end count."""
    charge = Charge("plan", fee=Decimal(400))
    contracts = [terms(charge, commitment=Decimal(1000))]
    lines = bill(contracts, lambda _: {}, MARCH, until=APRIL)
    assert missing_to_commitment(contracts, lines, MARCH) == ("EUR", Fraction(600))
    contracts = [terms(charge, commitment=Decimal(300))]
    assert missing_to_commitment(contracts, lines, MARCH) == ("EUR", Fraction(0))
    assert missing_to_commitment([terms(charge)], lines, MARCH) is None
    assert missing_to_commitment([terms(charge, end=MARCH)], {}, MARCH) is None


def test_terms_hold_from_their_first_day_to_the_one_before_the_next() -> None:
    """None hold before the first or after the end."""
    one, two = terms(start=MARCH, end=APRIL), terms(start=APRIL, end=APRIL + DAY)
    for at, expected in ((MARCH - DAY, None), (MARCH, one), (APRIL - DAY, one), (APRIL, two)):
        assert in_force([one, two], at) is expected
    assert in_force([one, two], APRIL + DAY) is None


def test_the_forecast_goes_on_at_the_pace_of_the_last_seven_whole_days() -> None:
    """Today's rest is a part of a day, and today itself is no part of the pace."""
    today = day("2026-03-21")
    days = {today - n * DAY: 10 * GB for n in range(1, 8)} | {today - 8 * DAY: 999, today: 3 * GB}
    whole = continued(days, began=0, now=today + DAY // 4)
    assert whole[today] == 3 * GB + Fraction(3, 4) * 10 * GB
    assert all(whole[today + n * DAY] == 10 * GB for n in range(1, 11))
    assert max(whole) == APRIL - DAY


@pytest.mark.parametrize(("began", "pace"), [(-1.5, 10), (-0.25, 4)])
def test_a_young_ledger_is_forecast_from_what_it_has(began: float, pace: int) -> None:
    """From its whole days, or on the first day from the time there was."""
    today = day("2026-03-21")
    now = today + DAY // 2
    days = {today - DAY: 10 * GB, today: 2 * GB}
    whole = continued(days, began=int(today + began * DAY), now=now)
    assert whole[today + DAY] == pace * GB


amounts = some.dictionaries(
    some.integers(0, 30).map(lambda number: MARCH + number * DAY),
    some.integers(0, 40_000 * GB),
    max_size=8,
)
prices = some.decimals("0", "9", places=4)


@some.composite
def meters(draw: some.DrawFn) -> Metered:
    ends = sorted(draw(some.sets(some.integers(1, 30_000), max_size=3)))
    tiers = [Tier(draw(prices), Decimal(end)) for end in ends]
    return Metered(
        measures.DELIVERED_BYTES,
        draw(some.sampled_from(("GB", "TiB"))),
        included=draw(some.none() | some.integers(0, 20_000).map(Decimal)),
        tiers=(*tiers, Tier(draw(prices))),
    )


@given(meters(), amounts, some.integers(1, 31))
def test_a_month_costs_what_pricing_it_unit_by_unit_comes_to(
    metered: Metered, days: dict[int, int], seen: int
) -> None:
    """However often it is looked at meanwhile, and in however many days it was used."""
    contracts = [terms(Charge("delivery", metered=metered))]
    bill(contracts, lambda _: days, MARCH, until=MARCH + seen * DAY)
    line = bill(contracts, lambda _: days, MARCH, until=APRIL)["delivery", "EUR"]
    total = sum(days.values())
    assert line.used == total
    assert line.cost == cost(metered, total) == by_hand(metered, total)


def by_hand(metered: Metered, parts: int) -> Fraction:
    """Each tier's units times its price, from the top down."""
    units = max(Fraction(0), Fraction(parts, metered.unit_parts) - Fraction(metered.included or 0))
    total = Fraction(0)
    for tier, before in reversed(
        list(zip(metered.tiers, [Decimal(0), *(one.to for one in metered.tiers[:-1])], strict=True))
    ):
        above = max(Fraction(0), units - Fraction(before or 0))
        total += above * Fraction(tier.price)
        units -= above
    return total
