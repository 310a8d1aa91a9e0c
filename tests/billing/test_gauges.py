"""The gauges of cost and quota are what the ledger's buckets cost."""

from __future__ import annotations

import calendar
import tempfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.billing.gauges import Billing
from exporter.history import focus
from exporter.history.reader import Choice, reading
from exporter.model import DAY, Measure, Step
from exporter.model.contracts import Charge, Contract, Metered, Tier
from exporter.model.measures import (
    BUDGET,
    CHARGE_INFO,
    COMMITTED,
    CONTRACT_END,
    DELIVERED_BYTES,
    INCLUDED_UNITS,
    INCLUDED_USED_RATIO,
    MONTH_FORECAST_COST,
    MONTH_FORECAST_INCLUDED_USED_RATIO,
    MONTH_TO_DATE_CHARGED_UNITS,
    MONTH_TO_DATE_COST,
    PREVIOUS_MONTH_COST,
    PRICE,
    RECEIVED_BYTES,
    STREAM_DELIVERED_BYTES,
    TRANSCODED_SECONDS,
)
from tests.history.ledgers import Notebook

APRIL = calendar.timegm((2026, 4, 1, 0, 0, 0))
GB = 10**9
TIERS = (Tier(Decimal(2), Decimal(10)), Tier(Decimal(1)))
DELIVERY = Charge("delivery", metered=Metered(DELIVERED_BYTES, "GB", (), Decimal(4), TIERS))
PLAN = Charge("plan", fee=Decimal(50))


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def levels(
    notebook: Notebook, *contracts: Contract
) -> dict[tuple[Measure, tuple[str, ...]], float]:
    found = Billing(notebook.ledger, notebook.book, contracts).levels(notebook.now)
    result = {(level.measure, level.labels): level.value for level in found}
    assert len(result) == len(found)
    return result


def test_without_terms_nothing_is_shown(notebook: Notebook) -> None:
    """Nor is the ledger read."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 5 * GB)], at=25)
    assert levels(notebook) == {}


def test_a_month_is_priced_from_its_buckets(notebook: Notebook) -> None:
    """Kinds add up; the day before belongs to the month before."""
    rows = [
        (DELIVERED_BYTES, ("live",), 23, 100 * GB),
        (DELIVERED_BYTES, ("live",), 24, 5 * GB),
        (DELIVERED_BYTES, ("vod",), 30, 12 * GB),
    ]
    notebook.poll(rows, at=32)
    found = levels(notebook, Contract("EUR", 0, (DELIVERY, PLAN), budget=Decimal(70)))
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 10 * 2 + 3
    assert found[MONTH_TO_DATE_COST, ("plan", "EUR")] == 50
    assert found[MONTH_TO_DATE_CHARGED_UNITS, ("delivery", "GB")] == 17
    assert found[INCLUDED_UNITS, ("delivery", "GB")] == 4
    assert found[INCLUDED_USED_RATIO, ("delivery", "GB")] == 17 / 4
    assert found[CHARGE_INFO, ("delivery", "media_delivered_bytes_total")] == 1
    assert found[PRICE, ("delivery", "GB", "EUR")] == 1
    assert found[BUDGET, ("EUR",)] == 70
    assert found[MONTH_FORECAST_COST, ("EUR",)] > 73
    assert found[MONTH_FORECAST_INCLUDED_USED_RATIO, ("delivery", "GB")] > 17 / 4
    assert (PREVIOUS_MONTH_COST, ("delivery", "EUR")) not in found, "the ledger began in it"


def test_a_revision_reprices_its_own_day(notebook: Notebook) -> None:
    """Downwards too: it is a gauge of what the vendor says now."""
    terms = Contract("EUR", 0, (DELIVERY,))
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=25)
    assert levels(notebook, terms)[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 10
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 6 * GB)], at=26)
    assert levels(notebook, terms)[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 4


def test_only_what_the_labels_say_is_counted(notebook: Notebook) -> None:
    """Streams beyond the limit by their own name."""
    rows = [(STREAM_DELIVERED_BYTES, ("live", f"s{n}"), 24, n * GB) for n in range(40)]
    notebook.poll(rows, at=25)
    for names in (("s3", "s39"), tuple(f"s{n}" for n in range(30))):
        metered = Metered(STREAM_DELIVERED_BYTES, "GB", (("stream", names),), None, TIERS)
        found = levels(notebook, Contract("EUR", 0, (Charge("x", metered=metered),)))
        expected = sum(int(name[1:]) for name in names)
        assert found[MONTH_TO_DATE_CHARGED_UNITS, ("x", "GB")] == expected
        assert (INCLUDED_UNITS, ("x", "GB")) not in found


def test_a_counter_that_the_account_lacks_is_not_shown_as_nothing(notebook: Notebook) -> None:
    """Unknown is no sample."""
    metered = Metered(TRANSCODED_SECONDS, "minute", (), Decimal(100))
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=25)
    assert levels(notebook, Contract("EUR", 0, (Charge("minutes", metered=metered),))) == {}


def test_a_quota_costs_nothing(notebook: Notebook) -> None:
    """It has a ratio, and neither cost nor price."""
    quota = Charge("quota", metered=Metered(DELIVERED_BYTES, "GB", (), Decimal(18)))
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=25)
    found = levels(notebook, Contract("EUR", 0, (quota,)))
    assert found[INCLUDED_USED_RATIO, ("quota", "GB")] == 0.5
    assert not {measure for measure, _ in found} & {MONTH_TO_DATE_COST, PRICE}


def test_the_month_before_is_shown_when_the_ledger_has_all_of_it(notebook: Notebook) -> None:
    """With what it lacked to the commitment; late data changes it."""
    terms = Contract("EUR", 0, (DELIVERY, PLAN), commitment=Decimal(100))
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=25)
    notebook.poll([(DELIVERED_BYTES, ("live",), 24 * 32, GB)], at=24 * 33)
    found = levels(notebook, terms)
    assert found[PREVIOUS_MONTH_COST, ("delivery", "EUR")] == 10
    assert found[PREVIOUS_MONTH_COST, ("plan", "EUR")] == 50
    assert found[PREVIOUS_MONTH_COST, ("commitment", "EUR")] == 40
    assert found[COMMITTED, ("EUR",)] == 100
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 0
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 29 * GB)], at=24 * 33 + 1)
    found = levels(notebook, terms)
    assert found[PREVIOUS_MONTH_COST, ("delivery", "EUR")] == 35
    assert found[PREVIOUS_MONTH_COST, ("commitment", "EUR")] == 15


def test_the_forecast_is_no_less_than_the_commitment(notebook: Notebook) -> None:
    """It is what will be billed."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 5 * GB)], at=25)
    found = levels(notebook, Contract("EUR", 0, (PLAN,), commitment=Decimal(1000)))
    assert found[MONTH_FORECAST_COST, ("EUR",)] == 1000


def test_the_end_of_the_contract_is_that_of_its_last_terms(notebook: Notebook) -> None:
    """Not of terms that others follow."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, GB)], at=25)
    change, end = APRIL + 10 * DAY, APRIL + 90 * DAY
    one = Contract("EUR", 0, (PLAN,), end=change)
    two = Contract("EUR", change, (PLAN,), end=end, last=True)
    assert levels(notebook, one, two)[CONTRACT_END, ()] == end
    assert (CONTRACT_END, ()) not in levels(notebook, one)


def test_units_are_counted_once_over_a_change_of_currency(notebook: Notebook) -> None:
    """The quota and the price are those of the terms in force; each currency keeps its cost."""
    change = APRIL + DAY
    metered = Metered(DELIVERED_BYTES, "GB", (), Decimal(10), TIERS)
    quota = Charge("delivery", metered=metered)
    rows = [(DELIVERED_BYTES, ("live",), hour, 9 * GB) for hour in (24, 48)]
    notebook.poll(rows, at=49)
    found = levels(
        notebook, Contract("EUR", 0, (DELIVERY,), end=change), Contract("USD", change, (quota,))
    )
    assert found[MONTH_TO_DATE_CHARGED_UNITS, ("delivery", "GB")] == 18
    assert found[INCLUDED_UNITS, ("delivery", "GB")] == 10
    assert found[INCLUDED_USED_RATIO, ("delivery", "GB")] == 1.8
    assert found[MONTH_FORECAST_INCLUDED_USED_RATIO, ("delivery", "GB")] > 1.8
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 5 * 2
    assert found[MONTH_TO_DATE_COST, ("delivery", "USD")] == 8 * 2
    assert found[PRICE, ("delivery", "GB", "USD")] == 2
    assert (PRICE, ("delivery", "GB", "EUR")) not in found


def test_units_of_another_counter_are_not_added_up(notebook: Notebook) -> None:
    """Where later terms count something else under the same name."""
    change = APRIL + DAY
    other = Metered(RECEIVED_BYTES, "GB", (), Decimal(4), TIERS)
    rows = [
        (DELIVERED_BYTES, ("live",), 24, 9 * GB),
        (RECEIVED_BYTES, ("live",), 24, 100 * GB),
        (RECEIVED_BYTES, ("live",), 48, 5 * GB),
    ]
    notebook.poll(rows, at=49)
    found = levels(
        notebook,
        Contract("EUR", 0, (DELIVERY,), end=change),
        Contract("EUR", change, (Charge("delivery", metered=other),)),
    )
    assert found[MONTH_TO_DATE_CHARGED_UNITS, ("delivery", "GB")] == 5
    assert found[INCLUDED_USED_RATIO, ("delivery", "GB")] == 5 / 4
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 5 * 2 + 1 * 2


def test_what_has_cost_something_goes_on_being_shown_as_a_quota(notebook: Notebook) -> None:
    """In the month in which it lost its price, and as the month before."""
    change = APRIL + DAY
    free = Charge("delivery", metered=Metered(DELIVERED_BYTES, "GB", (), Decimal(30)))
    terms = (Contract("EUR", 0, (DELIVERY,), end=change), Contract("EUR", change, (free,)))
    notebook.poll([(DELIVERED_BYTES, ("live",), hour, 9 * GB) for hour in (24, 48)], at=49)
    found = levels(notebook, *terms)
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 10
    assert found[INCLUDED_USED_RATIO, ("delivery", "GB")] == 18 / 30
    assert PRICE not in {measure for measure, _ in found}
    notebook.poll([], at=24 * 32)
    found = levels(notebook, *terms)
    assert found[PREVIOUS_MONTH_COST, ("delivery", "EUR")] == 10
    assert (MONTH_TO_DATE_COST, ("delivery", "EUR")) not in found


def test_what_has_cost_something_is_shown_when_the_counter_that_follows_is_not_there(
    notebook: Notebook,
) -> None:
    """Of the one that is not there, neither units nor a quota."""
    change = APRIL + DAY
    unknown = Metered(TRANSCODED_SECONDS, "minute", (), Decimal(30), TIERS)
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=49)
    found = levels(
        notebook,
        Contract("EUR", 0, (DELIVERY,), end=change),
        Contract("EUR", change, (Charge("delivery", metered=unknown),)),
    )
    assert found == {
        (MONTH_TO_DATE_COST, ("delivery", "EUR")): 10,
        (MONTH_FORECAST_COST, ("EUR",)): 10,
    }


def test_a_charge_that_terms_in_force_lack_keeps_its_cost_and_units(notebook: Notebook) -> None:
    """Its quota and price are gone: nobody can use any more of it."""
    change = APRIL + DAY
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 9 * GB)], at=49)
    found = levels(
        notebook, Contract("EUR", 0, (DELIVERY,), end=change), Contract("EUR", change, (PLAN,))
    )
    assert found[MONTH_TO_DATE_COST, ("delivery", "EUR")] == 10
    assert found[MONTH_TO_DATE_CHARGED_UNITS, ("delivery", "GB")] == 9
    gone = {CHARGE_INFO, INCLUDED_UNITS, INCLUDED_USED_RATIO, PRICE}
    assert not {measure for measure, _ in found} & gone


@some.composite
def charges(draw: some.DrawFn, name: str) -> Charge:
    if draw(some.integers(0, 3)) == 0:
        return Charge(name, fee=Decimal(draw(some.integers(0, 9))))
    included = draw(some.none() | some.integers(0, 40).map(Decimal))
    tiers = draw(some.sampled_from(((), TIERS) if included is not None else (TIERS,)))
    measure = draw(some.sampled_from((DELIVERED_BYTES, RECEIVED_BYTES, TRANSCODED_SECONDS)))
    unit = "minute" if measure is TRANSCODED_SECONDS else draw(some.sampled_from(("GB", "TiB")))
    return Charge(name, metered=Metered(measure, unit, (), included, tiers))


@some.composite
def contracts(draw: some.DrawFn) -> Sequence[Contract]:
    """Terms of which each may say anything else under the same names."""
    changes = sorted(draw(some.sets(some.integers(-2, 34), min_size=2, max_size=4)))
    days = [APRIL + day * DAY for day in changes]
    ends = [*days[1:], draw(some.sampled_from((None, APRIL + 35 * DAY)))]
    found = []
    for start, end in zip(days, ends, strict=True):
        names = draw(some.sets(some.sampled_from(("a", "b")), min_size=1))
        found.append(
            Contract(
                draw(some.sampled_from(("EUR", "USD"))),
                start,
                tuple(draw(charges(name)) for name in sorted(names)),
                end=end,
                last=end is not None and start == days[-1],
                budget=draw(some.sampled_from((None, Decimal(5)))),
                commitment=draw(some.sampled_from((None, Decimal(5), Decimal(5000)))),
            )
        )
    return found


USED = some.lists(
    some.tuples(
        some.sampled_from((DELIVERED_BYTES, RECEIVED_BYTES)),
        some.integers(1, 40 * 24),
        some.integers(0, 20 * GB),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(contracts(), USED, some.integers(24, 50 * 24))
def test_whatever_terms_follow_each_other_no_series_is_there_twice_and_rows_add_up_to_gauges(
    terms: Sequence[Contract], used: Sequence[tuple[Measure, int, int]], at: int
) -> None:
    """A cost that is shown is that of the rows, and rows with a cost are shown."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = Notebook(Path(folder))
        rows = {(measure, hour): amount for measure, hour, amount in used if hour < at}
        first = [(DELIVERED_BYTES, ("live",), 0, 1), (RECEIVED_BYTES, ("live",), 0, 1)]
        bucket = [(measure, ("live",), hour, amount) for (measure, hour), amount in rows.items()]
        notebook.poll([*first, *bucket], at=at)
        found = levels(notebook, *terms)
        exported = rows_of(notebook, terms)
        notebook.close()
    alike = {"unit", "measure"}
    named = [(one, labels[0]) for one, labels in found if alike & set(one.labels)]
    assert len(named) == len(set(named))
    month = Step.MONTH.floor(notebook.now)
    periods = {MONTH_TO_DATE_COST: month, PREVIOUS_MONTH_COST: Step.MONTH.floor(month - 1)}
    for measure, period in periods.items():
        shown = {labels: value for (own, labels), value in found.items() if own is measure}
        if measure is PREVIOUS_MONTH_COST and not shown:
            continue  # the ledger does not have all of it
        added: dict[tuple[str, ...], Decimal] = {}
        for row in exported:
            if row.BillingPeriodStart == period:
                key = row.x_Charge, row.BillingCurrency
                added[key] = added.get(key, Decimal(0)) + row.BilledCost
        assert {key for key, cost in added.items() if cost} <= shown.keys()
        assert shown == pytest.approx({key: float(added.get(key, 0)) for key in shown}, abs=1e-9)


def rows_of(notebook: Notebook, terms: Sequence[Contract]) -> list[focus.Row]:
    account = focus.Billed("millicast", "live", ("account",), tuple(terms))
    with reading(notebook.path) as history:
        return list(focus.rows(history, [account], Choice(unsettled=True), now=notebook.now))
