"""The gauges of cost and quota are what the ledger's buckets cost."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from exporter.billing.gauges import Billing
from exporter.model import DAY, Measure
from exporter.model.contracts import Charge, Contract, Metered, Tier
from exporter.model.measures import (
    BUDGET,
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
