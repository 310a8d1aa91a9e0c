"""The bill of the real process over a month's end: gauges, FOCUS rows and the truth are equal.

The truth is what the emulated vendors hold, priced here day by day, by hand.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support import components
from tests.support.processes import Exporter, eventually, vendors

pytestmark = pytest.mark.sockets

DAY = 86_400
HOUR = 3600

ACCOUNTS = """
polling: {cadence: 15m, timeout: 60s}
accounts:
  - {name: live, provider: millicast, url: "BASE/millicast", feeds: [account], credentials_file: credential}
  - {name: vod, provider: wowza, url: "BASE/wowza", feeds: [vod_streams], credentials_file: credential}
  - {name: studio, provider: livepeer, url: "BASE/livepeer/api", feeds: [usage, viewership], credentials_file: credential}
  - {name: processing, provider: dolby_media, url: "BASE/dolby_media", auth_url: "BASE/dolby_media", feeds: [usage],
     app_key_file: credential, app_secret_file: credential}
billing:
  - accounts: [live]
    currency: EUR
    from: 2026-01-01
    until: 2026-03-16
    commitment: "5000"
    charges:
      - {name: delivery, measure: media_delivered_bytes_total, unit: GB, included: "5000",
         tiers: [{to: "20000", price: "0.05"}, {price: "0.03"}]}
      - {name: plan, fee: "499.90"}
  - accounts: [live]
    currency: EUR
    from: 2026-03-16
    commitment: "9000"
    charges:
      - {name: delivery, measure: media_delivered_bytes_total, unit: GB, included: "5000",
         tiers: [{to: "20000", price: "0.06"}, {price: "0.025"}]}
      - {name: plan, fee: "549.90"}
  - accounts: [vod]
    currency: USD
    from: 2026-01-01
    charges:
      - {name: traffic, measure: media_delivered_bytes_total, unit: GiB, tiers: [{price: "0.07"}]}
      - {name: hours, measure: media_viewing_seconds_total, unit: hour, included: "100", tiers: [{price: "0.013"}]}
  - accounts: [studio]
    currency: EUR
    from: 2026-01-01
    charges:
      - {name: transcoding, measure: media_transcoded_seconds_total, unit: minute,
         tiers: [{to: "10000", price: "0.005"}, {price: "0.0033"}]}
  - accounts: [processing]
    currency: USD
    from: 2026-03-01
    charges:
      - {name: jobs, measure: media_jobs_total, unit: one, included: "10", tiers: [{price: "0.1"}]}
"""


@dataclass(frozen=True)
class Charge:
    """One charge as a person reads it out of the contract. `prices` are (first day, tiers)."""

    account: str
    provider: str
    name: str
    currency: str
    measure: str
    parts: int
    included: int
    prices: tuple[tuple[int, tuple[tuple[float, str], ...]], ...]
    kind: str | None = None


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


ENDLESS = float("inf")
MARCH, APRIL = instant("2026-03-01"), instant("2026-04-01")
MAY = instant("2026-05-01")
CHARGES = (
    Charge(
        *("live", "millicast", "delivery", "EUR", "media_delivered_bytes_total", 10**9, 5000),
        (
            (0, ((20000, "0.05"), (ENDLESS, "0.03"))),
            (instant("2026-03-16"), ((20000, "0.06"), (ENDLESS, "0.025"))),
        ),
    ),
    Charge(
        *("vod", "wowza", "traffic", "USD", "media_delivered_bytes_total", 2**30, 0),
        ((0, ((ENDLESS, "0.07"),)),),
        kind="vod",
    ),
    Charge(
        *("vod", "wowza", "hours", "USD", "media_viewing_seconds_total", 3_600_000, 100),
        ((0, ((ENDLESS, "0.013"),)),),
        kind="vod",
    ),
    Charge(
        *("studio", "livepeer", "transcoding", "EUR", "media_transcoded_seconds_total", 60_000, 0),
        ((0, ((10000, "0.005"), (ENDLESS, "0.0033"))),),
    ),
    Charge(
        *("processing", "dolby_media", "jobs", "USD", "media_jobs_total", 1, 10),
        ((0, ((ENDLESS, "0.1"),)),),
    ),
)
FEES = {("live", "plan", "EUR"): {MARCH: Decimal("499.90"), APRIL: Decimal("549.90")}}
COMMITMENT = Decimal(9000)
ENDS_OF_STAGES = ("2026-03-20T10:05", "2026-03-31T22:05", "2026-04-01T00:20", "2026-04-02T10:05")


class Moving:
    """The vendors' time: real seconds, from an instant that is set."""

    def __init__(self) -> None:
        self.set(instant(ENDS_OF_STAGES[0]))

    def set(self, at: int) -> None:
        self._at, self._since = at, time.monotonic()

    def __call__(self) -> float:
        return self._at + time.monotonic() - self._since


@dataclass
class Bill:
    """The program with its vendors, at instants that are set."""

    folder: Path
    clock: Moving
    world: World
    emulators: Emulators
    exporter: Exporter

    def environment(self) -> dict[str, str]:
        now = datetime.fromtimestamp(self.clock(), UTC)
        return {
            "LD_PRELOAD": str(components.faketime()),
            "FAKETIME": f"@{now:%Y-%m-%d %H:%M:%S}",
            "TZ": "UTC",
        }

    def start(self, at: str | None = None) -> None:
        if at is not None:
            self.clock.set(instant(at))
        self.exporter.environment |= self.environment()
        self.exporter.start()

    def page(self) -> dict[tuple[str, ...], float]:
        """What is shown, by name, account, charge and currency, once nothing is left to fill in."""
        self.exporter.wait_until_ready()
        return eventually(self._whole, "every feed was polled, and no gap is left")

    def _whole(self) -> dict[tuple[str, ...], float] | None:
        text = httpx.get(f"{self.exporter.url}/metrics", trust_env=False).text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        begun = [one.value for one in samples if one.name == "media_exporter_polls_total"]
        complete = [one.value for one in samples if one.name == "media_month_to_date_complete"]
        if not begun or not all(begun) or len(complete) < 4 or not all(complete):
            return None
        now = self.clock()
        polled = [
            one for one in samples if one.name.endswith("poll_last_success_timestamp_seconds")
        ]
        if any(now - one.value > 600 for one in polled):
            return None
        return {
            (one.name, *(one.labels.get(key, "") for key in ("account", "charge", "currency"))): (
                one.value
            )
            for one in samples
        }

    def focus(self) -> list[dict[str, str]]:
        """The rows of `export --format focus`, those of the day in progress among them."""
        output = self.folder / "focus.csv"
        command = [
            *(sys.executable, "-m", "exporter", "export", "--format", "focus", "--unsettled"),
            *("--config.file", str(self.exporter.config), "--from", "2026-03-01"),
            *("--output", str(output)),
        ]
        done = subprocess.run(
            command, env={**os.environ, **self.environment()}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        with output.open(newline="") as file:
            rows = list(csv.DictReader(file))
        output.unlink()
        return rows

    def used(self, charge: Charge, day: int) -> Fraction:
        """What the vendor says was used on a day, in the charge's unit."""
        now = int(self.clock())
        amounts = self.emulators.vendors[charge.provider].truth(day, min(day + DAY, now), now=now)
        return Fraction(
            sum(
                amount
                for (name, labels), amount in amounts.items()
                if name == charge.measure
                and (charge.kind is None or dict(labels).get("kind") == charge.kind)
            ),
            charge.parts,
        )

    def truth(self, month: int) -> dict[tuple[str, str, str], Decimal]:
        """Costs of one month in whole cents, by account, charge and currency."""
        end = APRIL if month == MARCH else int(self.clock())
        costs = {key: fees[month] for key, fees in FEES.items()}
        for charge in CHARGES:
            total = used = Fraction(0)
            for day in range(month, end, DAY):
                tiers = [tiers for since, tiers in charge.prices if since <= day][-1]
                after = used + self.used(charge, day)
                total += up_to(after, charge.included, tiers) - up_to(used, charge.included, tiers)
                used = after
            assert total or month == APRIL, f"{charge.name} costs nothing: it would prove nothing"
            costs[charge.account, charge.name, charge.currency] = cents(total)
        return costs


def up_to(units: Fraction, included: int, tiers: tuple[tuple[float, str], ...]) -> Fraction:
    """What so many units of a month cost by these tiers."""
    cost, begins = Fraction(0), Fraction(0)
    for ends, price in tiers:
        billed = max(Fraction(0), units - included)
        inside = billed - begins if ends == ENDLESS else min(billed, Fraction(ends)) - begins
        cost += max(Fraction(0), inside) * Fraction(price)
        begins = begins if ends == ENDLESS else Fraction(ends)
    return cost


def cents(amount: Fraction | Decimal | float) -> Decimal:
    exact = Fraction(amount)
    return (Decimal(exact.numerator) / exact.denominator).quantize(Decimal("0.01"))


def shown(page: dict[tuple[str, ...], float], metric: str) -> dict[tuple[str, ...], Decimal]:
    return {key[1:]: cents(value) for key, value in page.items() if key[0] == metric}


def rows_of(rows: list[dict[str, str]], month: int) -> dict[tuple[str, ...], Decimal]:
    """The sums of a month's rows, by account, charge and currency."""
    begins = datetime.fromtimestamp(month, UTC)
    sums: dict[tuple[str, ...], Decimal] = {}
    for row in rows:
        if datetime.fromisoformat(row["BillingPeriodStart"]) == begins:
            key = row["BillingAccountId"], row["x_Charge"], row["BillingCurrency"]
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row["BilledCost"])
    return {key: cents(amount) for key, amount in sums.items()}


@pytest.fixture
def bill(tmp_path: Path) -> Iterator[Bill]:
    clock = Moving()
    world = World(streams=3)
    emulators = Emulators(world, clock=clock)
    with vendors(emulators) as address:
        (tmp_path / "credential").write_text("demo")
        config = tmp_path / "config.yaml"
        config.write_text(ACCOUNTS.replace("BASE", f"http://{address}"))
        with_program = Exporter(config)
        try:
            yield Bill(tmp_path, clock, world, emulators, with_program)
        finally:
            with_program.__exit__()


def with_commitment(
    costs: dict[tuple[str, str, str], Decimal],
) -> dict[tuple[str, str, str], Decimal]:
    billed = sum(cost for key, cost in costs.items() if key[0] == "live")
    return {**costs, ("live", "commitment", "EUR"): max(Decimal(0), COMMITMENT - billed)}


def test_a_bill_is_the_truth_to_the_cent_over_a_months_end_and_kills(bill: Bill) -> None:
    """With an hour that comes a day late and hours that a vendor revises after the month's end."""
    bill.start(ENDS_OF_STAGES[0])
    assert shown(bill.page(), "media_month_to_date_cost") == bill.truth(MARCH)
    bill.exporter.kill()

    late = instant("2026-03-31T20:00")
    for provider in ("millicast", "wowza", "livepeer"):
        bill.world.late((provider,), late, late + HOUR, instant("2026-04-01T03:00"))
    bill.start(ENDS_OF_STAGES[1])
    assert shown(bill.page(), "media_month_to_date_cost") == bill.truth(MARCH)
    bill.exporter.kill()

    bill.start(ENDS_OF_STAGES[2])
    page, before_late = bill.page(), with_commitment(bill.truth(MARCH))
    assert shown(page, "media_previous_month_cost") == before_late
    assert shown(page, "media_month_to_date_cost") == bill.truth(APRIL)
    bill.exporter.kill()

    for provider in ("millicast", "wowza", "livepeer"):
        bill.world.revise((provider,), instant("2026-03-31T14:00"), 3, 2)
        bill.world.revise((provider,), instant("2026-03-31T18:00"), 1, 2)
    bill.start(ENDS_OF_STAGES[3])
    page = bill.page()
    march, april = with_commitment(bill.truth(MARCH)), bill.truth(APRIL)
    changed = {key for key in march if march[key] != before_late[key]}
    assert {key[0] for key in changed} == {"live", "vod", "studio"}, "or nothing came late"
    assert shown(page, "media_previous_month_cost") == march
    assert shown(page, "media_month_to_date_cost") == april

    rows = bill.focus()
    assert rows_of(rows, MARCH) == march
    assert rows_of(rows, APRIL) == april

    bill.exporter.kill()
    bill.start()
    page = bill.page()
    assert shown(page, "media_previous_month_cost") == march
    assert rows_of(bill.focus(), MARCH) == march
