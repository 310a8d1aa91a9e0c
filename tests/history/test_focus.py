"""What usage costs, as rows of FOCUS 1.2."""

from __future__ import annotations

import calendar
import csv
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.billing.gauges import Billing
from exporter.cli.flags import parse
from exporter.history import focus, focus_files
from exporter.history.reader import Choice, HistoryError, reading
from exporter.model import DAY, HOUR
from exporter.model.contracts import Charge, Contract, Metered, Tier
from exporter.model.measures import (
    DELIVERED_BYTES,
    MONTH_TO_DATE_COST,
    PREVIOUS_MONTH_COST,
    STREAM_DELIVERED_BYTES,
    TRANSCODED_SECONDS,
)
from tests.history import focus_rules
from tests.history.ledgers import BEGAN, Notebook

APRIL = calendar.timegm((2026, 4, 1, 0, 0, 0))
MAY = calendar.timegm((2026, 5, 1, 0, 0, 0))
GB = 10**9
TIERS = (Tier(Decimal(2), Decimal(10)), Tier(Decimal(1)))
DELIVERY = Charge("delivery", metered=Metered(DELIVERED_BYTES, "GB", (), Decimal(4), TIERS))
THIRDS = Charge(
    "encoding", metered=Metered(TRANSCODED_SECONDS, "minute", (), None, (Tier(Decimal("0.07")),))
)
QUOTA = Charge("quota", metered=Metered(DELIVERED_BYTES, "TB", (), Decimal(18)))
PLAN = Charge("plan", fee=Decimal(50))
CHEAPER = Charge(
    "delivery", metered=Metered(DELIVERED_BYTES, "TiB", (), None, (Tier(Decimal("0.3")),))
)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def billed(*contracts: Contract, feeds: tuple[str, ...] = ("account",)) -> focus.Billed:
    return focus.Billed("millicast", "live", feeds, contracts)


def written(
    notebook: Notebook,
    *contracts: Contract,
    choice: Choice = Choice(unsettled=True),  # noqa: B008 -- frozen
    format: str = "focus",
    accounts: Sequence[focus.Billed] | None = None,
) -> bytes:
    output = io.BytesIO()
    chosen = [billed(*contracts)] if accounts is None else accounts
    with reading(notebook.path) as history:
        found = focus.rows(history, chosen, choice, now=notebook.now)
        focus_files.write(found, format, output)
    return output.getvalue()


def rows(
    notebook: Notebook,
    *contracts: Contract,
    choice: Choice = Choice(unsettled=True),  # noqa: B008 -- frozen
) -> list[dict[str, str]]:
    """The rows of the CSV, each held to FOCUS' rules."""
    text = written(notebook, *contracts, choice=choice).decode()
    found = list(csv.DictReader(io.StringIO(text)))
    for row in found:
        assert focus_rules.broken(row) == [], row
    return found


def told(row: dict[str, str]) -> tuple[str, str, str]:
    return row["x_Charge"], row["ChargePeriodStart"][:10], row["BilledCost"]


def hour(month: int, day: int) -> int:
    """Hours from the notebook's beginning to noon of that day of 2026."""
    return (calendar.timegm((2026, month, day, 12, 0, 0)) - BEGAN) // HOUR


def test_every_mandatory_column_is_there_and_own_ones_come_last() -> None:
    """In the order in which FOCUS is met: its own columns first."""
    assert list(focus_files.COLUMNS) == list(focus_rules.COLUMNS)
    own = [name.startswith("x_") for name in focus_files.COLUMNS]
    assert own == sorted(own)


def test_a_day_that_reaches_the_next_tier_has_the_mean_price(notebook: Notebook) -> None:
    """Included units are usage that costs nothing, a fee is a purchase, a quota is no cost."""
    notebook.poll(
        [
            (DELIVERED_BYTES, ("live",), hour(4, 1), 4 * GB),
            (DELIVERED_BYTES, ("live",), hour(4, 3), 8 * GB),
            (DELIVERED_BYTES, ("vod",), hour(4, 4), 8 * GB),
        ],
        at=hour(4, 5),
    )
    found = rows(notebook, Contract("EUR", 0, (DELIVERY, PLAN, QUOTA)))
    assert [told(row) for row in found if row["BillingPeriodStart"] >= "2026-04"] == [
        ("delivery", "2026-04-01", "0"),
        ("plan", "2026-04-01", "50"),
        ("delivery", "2026-04-03", "16"),
        ("delivery", "2026-04-04", "10"),
    ]
    prices = {told(row)[:2]: row["ContractedUnitPrice"] for row in found}
    assert prices["delivery", "2026-04-01"] == "0"
    assert prices["delivery", "2026-04-03"] == "2"
    assert prices["delivery", "2026-04-04"] == "1.25"
    usage = found[-1]
    assert (usage["ConsumedQuantity"], usage["ConsumedUnit"]) == ("8", "GB")
    assert usage["x_Measure"] == DELIVERED_BYTES.name


def test_a_price_and_a_unit_that_change_within_a_month_hold_from_their_day(
    notebook: Notebook,
) -> None:
    change = APRIL + 9 * DAY
    notebook.poll(
        [
            (DELIVERED_BYTES, ("live",), hour(4, 9), 14 * GB),
            (DELIVERED_BYTES, ("live",), hour(4, 10), 2**39),
        ],
        at=hour(4, 12),
    )
    terms = Contract("EUR", 0, (DELIVERY,), end=change), Contract("EUR", change, (CHEAPER,))
    found = [row for row in rows(notebook, *terms) if row["x_Charge"] == "delivery"]
    assert [(*told(row), row["PricingQuantity"], row["PricingUnit"]) for row in found] == [
        ("delivery", "2026-04-09", "20", "14", "GB"),
        ("delivery", "2026-04-10", "0.15", "0.5", "TiB"),
    ]


def test_a_fee_stays_due_once_when_the_currency_changes(notebook: Notebook) -> None:
    """As in the gauges."""
    change = APRIL + 9 * DAY
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 9), GB)], at=hour(4, 12))
    terms = Contract("EUR", 0, (PLAN,), end=change), Contract("USD", change, (PLAN,))
    found = [row for row in rows(notebook, *terms) if row["BillingPeriodStart"] >= "2026-04"]
    assert [told(row) for row in found] == [("plan", "2026-04-01", "50")]


def test_what_a_closed_month_lacked_to_the_commitment_is_a_purchase_on_its_last_day(
    notebook: Notebook,
) -> None:
    """Not before the month is over, and not of a month whose beginning the ledger lacks."""
    terms = Contract("EUR", 0, (DELIVERY, PLAN), commitment=Decimal(100))
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), 9 * GB)], at=hour(4, 2))
    notebook.poll([], at=(MAY - BEGAN) // HOUR - 1)
    assert "commitment" not in {row["x_Charge"] for row in rows(notebook, terms)}
    notebook.poll([], at=(MAY - BEGAN) // HOUR)
    (row,) = (row for row in rows(notebook, terms) if row["x_Charge"] == "commitment")
    assert told(row) == ("commitment", "2026-04-30", "40")
    assert (row["ChargeCategory"], row["x_Settled"]) == ("Purchase", "false")
    assert row["BillingPeriodEnd"] == row["ChargePeriodEnd"] == "2026-05-01T00:00:00Z"
    settled = Choice()
    assert "commitment" not in {row["x_Charge"] for row in rows(notebook, terms, choice=settled)}
    notebook.poll([], at=(MAY - BEGAN) // HOUR + 4)
    (row,) = (
        row for row in rows(notebook, terms, choice=settled) if row["x_Charge"] == "commitment"
    )
    assert (told(row), row["x_Settled"]) == (("commitment", "2026-04-30", "40"), "true")


def test_a_commitment_that_is_reached_makes_no_row(notebook: Notebook) -> None:
    """Nor is anything missing once late data has come."""
    terms = Contract("EUR", 0, (DELIVERY,), commitment=Decimal(10))
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), 9 * GB)], at=hour(5, 2))
    assert [told(row) for row in rows(notebook, terms)] == [("delivery", "2026-04-01", "10")]


def test_a_revised_bucket_replaces_the_rows_from_its_day_on(notebook: Notebook) -> None:
    """What was exported is not known to the ledger: no row is a correction."""
    terms = Contract("EUR", 0, (DELIVERY,))
    for amount, costs in ((4, ("0", "16")), (14, ("20", "8"))):
        notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), amount * GB)], at=hour(4, 9))
        notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 2), 8 * GB)], at=hour(4, 9))
        found = rows(notebook, terms)
        assert tuple(row["BilledCost"] for row in found) == costs
        assert {row["ChargeClass"] for row in found} == {""}


def test_days_that_can_still_change_are_left_out_unless_asked_for(notebook: Notebook) -> None:
    """A day is settled when all its buckets are."""
    notebook.poll(
        [
            (DELIVERED_BYTES, ("live",), hour(4, 2), 5 * GB),
            (DELIVERED_BYTES, ("live",), hour(4, 3), 5 * GB),
        ],
        at=hour(4, 4) - 11,
    )
    terms = Contract("EUR", 0, (DELIVERY,))
    everything = rows(notebook, terms)
    assert [row["x_Settled"] for row in everything] == ["true", "false"]
    assert rows(notebook, terms, choice=Choice()) == everything[:1]
    notebook.poll([], at=hour(4, 4))
    settled = rows(notebook, terms, choice=Choice())
    assert [told(row) for row in settled] == [told(row) for row in everything]


def test_a_bucket_wider_than_a_day_settles_as_a_whole(notebook: Notebook) -> None:
    """It counts to the day on which it begins, as in the gauges."""
    april = (APRIL - BEGAN) // HOUR
    notebook.poll([(DELIVERED_BYTES, ("live",), april, 5 * GB)], at=april + 49, width=2 * DAY)
    terms = Contract("EUR", 0, (DELIVERY,))
    (row,) = rows(notebook, terms)
    assert (told(row), row["x_Settled"]) == (("delivery", "2026-04-01", "2"), "false")
    notebook.poll([], at=april + 52)
    assert rows(notebook, terms) == [{**row, "x_Settled": "true"}]


def test_a_window_leaves_out_days_and_prices_the_month_from_its_first(notebook: Notebook) -> None:
    """Only days that lie in it entirely."""
    notebook.poll(
        [(DELIVERED_BYTES, ("live",), hour(4, day), 4 * GB) for day in range(1, 7)],
        at=hour(4, 9),
    )
    terms = Contract("EUR", 0, (DELIVERY, PLAN))
    whole = [row for row in rows(notebook, terms) if row["BillingPeriodStart"] >= "2026-04"]
    start, end = APRIL + 2 * DAY + 1, APRIL + 6 * DAY - 1
    assert rows(notebook, terms, choice=Choice(start, end)) == whole[4:6]
    assert [told(row) for row in whole[4:6]] == [
        ("delivery", "2026-04-04", "6"),
        ("delivery", "2026-04-05", "4"),
    ]


def test_months_before_the_ledger_have_no_rows(notebook: Notebook) -> None:
    """Also no fees: nothing is claimed of a month of which nothing is known."""
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), GB)], at=hour(4, 9))
    found = rows(notebook, Contract("EUR", 0, (PLAN,)))
    assert [told(row)[1] for row in found] == ["2026-03-01", "2026-04-01"]


def test_compacted_months_have_no_rows_and_no_commitment(notebook: Notebook) -> None:
    """What a month lacked is not known once a part of it is gone."""
    days = ((4, 2), (5, 2), (5, 20))
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(*day), 9 * GB) for day in days], at=hour(6, 9))
    terms = Contract("EUR", 0, (DELIVERY,), commitment=Decimal(100))
    charges = [told(row)[:2] for row in rows(notebook, terms)]
    assert charges == [
        ("delivery", "2026-04-02"),
        ("commitment", "2026-04-30"),
        ("delivery", "2026-05-02"),
        ("delivery", "2026-05-20"),
        ("commitment", "2026-05-31"),
    ]
    notebook.ledger.compact(notebook.book, "account", MAY + 9 * DAY)
    assert [told(row)[:2] for row in rows(notebook, terms)] == [charges[3]]


def test_only_what_the_labels_say_is_counted(notebook: Notebook) -> None:
    """Streams beyond the limit by their own name."""
    notebook.close()
    notebook.path.unlink()
    limited = Notebook(notebook.path.parent, stream_limit=1)
    streams = [(STREAM_DELIVERED_BYTES, ("live", name), hour(4, 1), GB) for name in "abc"]
    limited.poll(streams, at=hour(4, 9))
    metered = Metered(STREAM_DELIVERED_BYTES, "GB", (("stream", ("b", "c")),), None, TIERS)
    terms = Contract("EUR", 0, (Charge("x", metered=metered),))
    assert [told(row) for row in rows(limited, terms)] == [("x", "2026-04-01", "4")]
    limited.close()


def test_what_a_feed_brought_is_charged_after_it_is_polled_no_longer(notebook: Notebook) -> None:
    """All of it is final. Of the month in which its polls ended the commitment is not known."""
    terms = Contract("EUR", 0, (DELIVERY, PLAN), commitment=Decimal(100))
    for month, day in ((4, 1), (5, 9)):
        bucket = (DELIVERED_BYTES, ("live",), hour(month, day), 9 * GB)
        notebook.poll([bucket], at=hour(month, day) + 1)
    notebook.now = BEGAN + hour(7, 2) * HOUR
    past = [billed(terms, feeds=("other",))]
    text = written(notebook, accounts=past, choice=Choice()).decode()
    assert [told(row) for row in csv.DictReader(io.StringIO(text))] == [
        ("plan", "2026-03-01", "50"),
        ("delivery", "2026-04-01", "10"),
        ("plan", "2026-04-01", "50"),
        ("commitment", "2026-04-30", "40"),
        ("plan", "2026-05-01", "50"),
        ("delivery", "2026-05-09", "10"),
        ("plan", "2026-06-01", "50"),
        ("plan", "2026-07-01", "50"),
    ]


def test_a_feed_that_is_polled_no_longer_holds_nothing_up(tmp_path: Path) -> None:
    """Where another counts the same: days get final, and commitments are known."""
    notebook = Notebook(tmp_path, feeds=("account", "targets"))
    terms = Contract("EUR", 0, (DELIVERY,), commitment=Decimal(100))
    notebook.poll(
        [(DELIVERED_BYTES, ("targets",), hour(4, 1), 6 * GB)], at=hour(4, 2), feed="targets"
    )
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(5, 1), 9 * GB)], at=hour(6, 2))
    text = written(notebook, terms, choice=Choice()).decode()
    assert [told(row) for row in csv.DictReader(io.StringIO(text))] == [
        ("delivery", "2026-04-01", "4"),
        ("delivery", "2026-05-01", "10"),
        ("commitment", "2026-05-31", "90"),
    ]
    notebook.close()


def test_parquet_holds_the_same_rows(notebook: Notebook) -> None:
    """With costs as decimals, instants as instants, and nulls."""
    notebook.poll(
        [(TRANSCODED_SECONDS, (), hour(4, day), 1001 * day) for day in range(1, 9)],
        at=hour(5, 9),
    )
    terms = Contract("EUR", 0, (THIRDS, PLAN), commitment=Decimal(100))
    table = pyarrow.parquet.read_table(io.BytesIO(written(notebook, terms, format="focus-parquet")))
    assert table.column_names == list(focus_files.COLUMNS)

    def text(value: object) -> object:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value

    def same(row: dict[str, str]) -> dict[str, object]:
        return {
            name: Decimal(value) if value and column.kind == "decimal" else value
            for (name, value), column in zip(row.items(), focus_rules.COLUMNS.values(), strict=True)
        }

    found = rows(notebook, terms)
    assert {row["ChargeCategory"] for row in found} == {"Usage", "Purchase"}
    assert [{name: text(value) for name, value in row.items()} for row in table.to_pylist()] == [
        same(row) for row in found
    ]


POLLS = st.lists(
    st.tuples(
        st.integers(0, 45 * 24 - 1),
        st.sampled_from(("live", "vod")),
        st.one_of(st.integers(0, 20 * GB), st.integers(0, 2**50)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(
    polls=POLLS,
    later=st.integers(0, 20 * 24),
    unit=st.sampled_from(("GB", "TB", "GiB", "TiB")),
    price=st.decimals("0", "100", places=5),
    change=st.integers(1, 60),
)
def test_the_days_of_a_month_add_up_to_its_gauge(
    polls: list[tuple[int, str, int]], later: int, unit: str, price: Decimal, change: int
) -> None:
    """Whatever was polled when, revised or late, and when prices changed."""
    tiers = (Tier(price, Decimal(7)), Tier(price / 3))
    first = Charge("delivery", metered=Metered(DELIVERED_BYTES, unit, (), Decimal(4), tiers))
    second = Charge("delivery", metered=Metered(DELIVERED_BYTES, unit, (), None, (Tier(price),)))
    day = BEGAN + change * DAY
    contracts = (
        Contract("EUR", 0, (first, PLAN), end=day, commitment=Decimal(1000)),
        Contract("EUR", day, (second, PLAN, QUOTA), commitment=Decimal(1000)),
    )
    with tempfile.TemporaryDirectory() as folder:
        notebook = Notebook(Path(folder))
        at = 0
        for hours, kind, amount in polls:
            at = max(at, hours + 1)
            notebook.poll([(DELIVERED_BYTES, (kind,), hours, amount)], at=at)
        notebook.poll([], at=at + later)
        levels = Billing(notebook.ledger, notebook.book, contracts).levels(notebook.now)
        found = rows(notebook, *contracts)
        notebook.close()
    month = calendar_month(notebook.now)
    before = calendar_month(calendar.timegm((*map(int, month.split("-")), 1, 0, 0, 0)) - 1)
    measures = {month: MONTH_TO_DATE_COST, before: PREVIOUS_MONTH_COST}
    sums: dict[tuple[str, str], Decimal] = {}
    for row in found:
        key = row["BillingPeriodStart"][:7], row["x_Charge"]
        sums[key] = sums.get(key, Decimal(0)) + Decimal(row["BilledCost"])
    checked = 0
    for when, measure in measures.items():
        for level in levels:
            if level.measure is measure:
                expected = pytest.approx(level.value, rel=1e-14, abs=1e-12)
                assert float(sums.get((when, level.labels[0]), 0)) == expected
                checked += 1
    assert checked


def calendar_month(instant: int) -> str:
    return focus_files._text("BillingPeriodStart", instant)[:7]


def test_rounding_does_not_add_up(notebook: Notebook) -> None:
    """Thirty days of a third of a part add up to ten parts."""
    days = {APRIL + day * DAY: Fraction(1, 3 * 10**12) for day in range(30)}
    found = focus._rounded(days)
    assert sum(found.values()) == Decimal("0.00000000001")
    assert set(found.values()) == {Decimal(0), Decimal("1e-12")}


def test_an_account_without_terms_is_refused(notebook: Notebook) -> None:
    """As one that the ledger does not have."""
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), GB)], at=hour(4, 9))
    for name, said in (("live", "no terms"), ("gone", "not in the ledger")):
        with reading(notebook.path) as history, pytest.raises(HistoryError, match=said):
            list(focus.rows(history, [], Choice(accounts=(name,)), now=notebook.now))


def test_every_format_can_be_asked_for() -> None:
    """The command line and the writers know the same ones."""
    for name in focus_files.FORMATS:
        assert parse(["export", "--format", name], {}).format == name


CONFIG = """\
accounts:
  - {name: live, provider: millicast, credentials_env: TOKEN, feeds: [account]}
ledger: {path: usage.db}
"""
BILLING = """\
billing:
  - accounts: [live]
    currency: EUR
    from: 2026-04-01
    charges:
      - name: delivery
        measure: media_delivered_bytes_total
        unit: GB
        tiers: [{price: "0.05"}]
"""


def exported(folder: Path, *flags: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "export", "--format", "focus", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.sockets
def test_the_command_prices_by_the_configuration(notebook: Notebook) -> None:
    """And says in one line what it needs."""
    folder = notebook.path.parent
    file = folder / "prices.yaml"
    notebook.poll([(DELIVERED_BYTES, ("live",), hour(4, 1), GB)], at=hour(4, 9))
    ledger = ("--ledger.path", str(notebook.path))
    code, out, error = exported(folder, *ledger)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "`billing`" in error
    assert "--config.file" in error
    file.write_text(CONFIG)
    code, out, error = exported(folder, *ledger, "--config.file", str(file))
    assert (code, out) == (1, "")
    assert error == (
        f"media-usage-exporter: {file}: no prices under `billing`, which --format focus needs\n"
    )
    file.write_text(CONFIG + BILLING)
    code, out, error = exported(folder, "--config.file", str(file))
    assert (code, error) == (0, "")
    (row,) = csv.DictReader(io.StringIO(out))
    assert focus_rules.broken(row) == []
    assert told(row) == ("delivery", "2026-04-01", "0.05")
    code, out, error = exported(folder, "--config.file", str(file), "--metric", "x")
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "--metric" in error
