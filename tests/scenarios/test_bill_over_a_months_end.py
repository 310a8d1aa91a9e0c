"""The bill of two months: the real process over HTTP, its clock moved, against pricing by hand.

Vendors tell hours late and anew across the month's end, and the process is killed and started
again. What the gauges show, what the command `export` writes, and what the vendors' world comes to
by the prices below are one amount for each charge, currency and month.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.support import components
from tests.support.processes import Exporter, eventually, vendors

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(240)]

HOUR = 3600
DAY = 24 * HOUR
MONTHS = ("2026-03", "2026-04")
PROVIDERS = {"live": "millicast", "vod": "wowza", "studio": "livepeer", "processing": "dolby_media"}
FEEDS = {
    "live": ["account"],
    "vod": ["vod_streams"],
    "studio": ["usage", "viewership"],
    "processing": ["usage"],
}

Terms = dict[str, Any]

DELIVERY = {"name": "delivery", "measure": "media_delivered_bytes_total"}
JOBS = {"name": "jobs", "measure": "media_jobs_total", "unit": "one"}
MINUTES = {
    "name": "minutes",
    "measure": "media_usage_delivered_seconds_total",
    "unit": "minute",
    "included": "1000.5",
}
BILLING: list[Terms] = [
    # Another price from a day in the middle of March on, and a commitment that is never reached.
    {
        "accounts": ["live"],
        "currency": "EUR",
        "from": "2026-01-01",
        "charges": [
            {"name": "plan", "fee": "499.90"},
            DELIVERY
            | {
                "unit": "GB",
                "included": "120",
                "tiers": [{"to": "400", "price": "0.0513"}, {"price": "0.0417"}],
            },
        ],
    },
    {
        "accounts": ["live"],
        "currency": "EUR",
        "from": "2026-03-16",
        "commitment": "30000",
        "charges": [
            {"name": "plan", "fee": "599.90"},
            DELIVERY
            | {
                "unit": "GB",
                "included": "20",
                "tiers": [
                    {"to": "25", "price": "0.0479"},
                    {"to": "1500", "price": "0.0391"},
                    {"price": "0.0203"},
                ],
            },
            {
                "name": "ingest",
                "measure": "media_received_bytes_total",
                "unit": "GiB",
                "included": "900",
            },
        ],
    },
    # Another price from the first day of April on; the commitment is reached in March.
    {
        "accounts": ["vod"],
        "currency": "USD",
        "from": "2026-01-01",
        "commitment": "1",
        "charges": [
            {
                "name": "viewing",
                "measure": "media_viewing_seconds_total",
                "where": {"kind": ["vod"]},
                "unit": "hour",
                "included": "7",
                "tiers": [{"to": "100", "price": "0.31"}, {"price": "0.29"}],
            },
            DELIVERY | {"where": {"kind": ["vod"]}, "unit": "TiB", "tiers": [{"price": "38.77"}]},
        ],
    },
    {
        "accounts": ["vod"],
        "currency": "USD",
        "from": "2026-04-01",
        "charges": [
            DELIVERY
            | {
                "where": {"kind": ["vod"]},
                "unit": "GiB",
                "included": "11",
                "tiers": [{"to": "50", "price": "0.07"}, {"price": "0.03"}],
            },
        ],
    },
    # Another currency from the second day of April on, under the same names.
    {
        "accounts": ["studio"],
        "currency": "USD",
        "from": "2026-03-01",
        "commitment": "250",
        "charges": [
            MINUTES | {"tiers": [{"to": "700", "price": "0.003"}, {"price": "0.0021"}]},
            {
                "name": "views",
                "measure": "media_views_total",
                "unit": "thousand",
                "tiers": [{"price": "1.37"}],
            },
            {"name": "support", "fee": "20"},
        ],
    },
    {
        "accounts": ["studio"],
        "currency": "EUR",
        "from": "2026-04-02",
        "charges": [
            MINUTES | {"tiers": [{"to": "900", "price": "0.0027"}, {"price": "0.0019"}]},
            {"name": "support", "fee": "18"},
        ],
    },
    {
        "accounts": ["processing"],
        "currency": "EUR",
        "from": "2026-03-16",
        "charges": [
            JOBS | {"included": "300", "tiers": [{"to": "150", "price": "0.35"}, {"price": "0.3"}]},
            {"name": "seat", "fee": "33.33"},
        ],
    },
]
SIZES = {"GB": 10**9, "GiB": 2**30, "TiB": 2**40, "minute": 60, "hour": 3600, "one": 1}
SIZES["thousand"] = 1000

Charged = tuple[str, str, str]
"""Account, charge, currency."""


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def date(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


class Time:
    """The vendors' clock: still, or so many times as fast as the real one."""

    def __init__(self) -> None:
        self._moment = 0
        self._speed = 0
        self._began = 0.0

    def __call__(self) -> float:
        return self._moment + (time.time() - self._began) * self._speed

    def set(self, moment: str, *, speed: int = 0) -> None:
        self._moment, self._speed, self._began = instant(moment), speed, time.time()

    def environment(self) -> dict[str, str]:
        """That of a process that is started now, whose clock goes on with this one."""
        now = datetime.fromtimestamp(self(), UTC)
        return {
            "LD_PRELOAD": str(components.faketime()),
            "FAKETIME": f"@{now:%Y-%m-%d %H:%M:%S} x{self._speed or 1}",
            "TZ": "UTC",
        }


class ByHand:
    """What the vendors' world comes to, bucket after bucket.

    `days` are costs by what is charged and the day; `units` those counted by account, charge
    and month.
    """

    def __init__(self, emulators: Emulators) -> None:
        self.days: dict[tuple[Charged, str], Fraction] = defaultdict(Fraction)
        self.units: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
        self._paid: set[tuple[str, str, str]] = set()
        now = int(emulators.clock())
        for account, provider in PROVIDERS.items():
            width = DAY if provider == "dolby_media" else HOUR
            vendor = emulators.vendors[provider]
            for start in range(instant(f"{MONTHS[0]}-01"), now, width):
                self._bucket(account, start, vendor.truth(start, start + width, now=now))
        if now >= instant(f"{MONTHS[1]}-01"):
            self._lack()

    def months(self) -> dict[tuple[Charged, str], Fraction]:
        """Costs by what is charged and the month."""
        found: dict[tuple[Charged, str], Fraction] = defaultdict(Fraction)
        for (charged, day), cost in self.days.items():
            found[charged, day[:7]] += cost
        return found

    def _bucket(self, account: str, start: int, amounts: Mapping[Any, int]) -> None:
        day = date(start)
        terms = in_force(account, day)
        if terms is None:
            return
        for charge in terms["charges"]:
            charged = (account, charge["name"], terms["currency"])
            if "fee" in charge:
                if (account, charge["name"], day[:7]) not in self._paid:
                    self._paid.add((account, charge["name"], day[:7]))
                    self.days[charged, day] = Fraction(charge["fee"])
                continue
            parts = 1000 if "_seconds_" in charge["measure"] else 1
            units = Fraction(used(charge, amounts), SIZES[charge["unit"]] * parts)
            month = (account, charge["name"], day[:7])
            before = self.units[month]
            self.units[month] += units
            if "tiers" in charge:
                self.days[charged, day] += price(charge, before, before + units)

    def _lack(self) -> None:
        """What the first month lacked to the commitments that held at its end."""
        last = date(instant(f"{MONTHS[1]}-01") - DAY)
        for account in PROVIDERS:
            terms = in_force(account, last)
            if terms is None or "commitment" not in terms:
                continue
            billed = sum(
                cost
                for ((own, _, currency), day), cost in self.days.items()
                if (own, currency) == (account, terms["currency"]) and day <= last
            )
            charged = (account, "commitment", terms["currency"])
            self.days[charged, last] = max(Fraction(0), Fraction(terms["commitment"]) - billed)


def in_force(account: str, day: str) -> Terms | None:
    found = [one for one in BILLING if account in one["accounts"] and one["from"] <= day]
    return max(found, key=lambda one: one["from"], default=None)


def used(charge: Terms, amounts: Mapping[Any, int]) -> int:
    return sum(
        amount
        for (name, labels), amount in amounts.items()
        if name == charge["measure"]
        and all(dict(labels)[label] in values for label, values in charge.get("where", {}).items())
    )


def price(charge: Terms, before: Fraction, after: Fraction) -> Fraction:
    """What the units from the one number to the other cost."""
    included = Fraction(charge.get("included", 0))
    total = Fraction(0)
    begin = included
    for tier in charge["tiers"]:
        end = included + Fraction(tier["to"]) if "to" in tier else max(after, begin)
        total += max(Fraction(0), min(after, end) - max(before, begin)) * Fraction(tier["price"])
        begin = end
    return total


class Customer:
    """The program, its vendors, and the moments at which it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.world = World(streams=1)
        self.emulators = Emulators(self.world, clock=self.time)
        self.folder = folder
        self.config = folder / "config.yaml"

    def serve(self, address: str) -> Exporter:
        (self.folder / "credential").write_text("demo")
        text = demo.configuration(
            address,
            self.folder,
            self.emulators,
            cadence_seconds=900,
            every_feed=False,
            history="month",
        )
        settings = yaml.safe_load(text)
        # A request's milliseconds are seconds where the clock runs fast.
        settings["polling"]["timeout"] = "1h"
        for account in settings["accounts"]:
            account["feeds"] = FEEDS[account["name"]]
        self.config.write_text(yaml.safe_dump(settings | {"billing": BILLING}))
        self.exporter = Exporter(self.config)
        return self.exporter

    def start(self, moment: str, *, speed: int = 0) -> None:
        """The program begins at that moment; its clock goes on by itself, the vendors' may not."""
        self.time.set(moment, speed=speed)
        self.exporter.environment = self.time.environment()
        self.exporter.start()

    def late(self, account: str, start: str, end: str, until: str) -> None:
        """Nobody is told of that time before `until`."""
        prefix = (PROVIDERS[account],)
        self.world.late(prefix, instant(start), instant(end), instant(until))

    def revise(self, account: str, hour: str, numerator: int, denominator: int) -> None:
        """From now on that hour is so many times what it was."""
        self.world.revise((PROVIDERS[account],), instant(hour), numerator, denominator)

    def page(self) -> dict[tuple[str, Charged], float]:
        """The gauges of billing by name and account, charge (or "") and currency (or "")."""
        page: dict[tuple[str, Charged], float] = {}
        seen: set[object] = set()
        for family in text_string_to_metric_families(self.exporter.get("/metrics").text):
            for sample in family.samples:
                series = sample.name, *sorted(sample.labels.items())
                assert series not in seen, f"{series} is there twice"
                seen.add(series)
                named = (
                    sample.labels.get(label, "") for label in ("account", "charge", "currency")
                )
                if "charge" in sample.labels:
                    page[sample.name, tuple(named)] = sample.value  # type: ignore[index]
        return page

    def wait_for(self, metric: str) -> None:
        """Until every account shows it, which comes at the end of a poll."""

        def shown() -> bool:
            if not self.exporter.answers("/-/healthy"):
                return False
            found = {account for name, (account, _, _) in self.page() if name == metric}
            return found == set(PROVIDERS)

        eventually(shown, f"every account shows {metric}")

    def wait_for_requests(self, number: int) -> None:
        until = len(self.emulators.log) + number
        eventually(lambda: len(self.emulators.log) >= until, f"vendors are asked {number} times")

    def export(self) -> dict[tuple[Charged, str], Fraction]:
        """What the command writes: costs by what is charged and the day."""
        written = subprocess.run(
            [
                *(sys.executable, "-m", "exporter", "export", "--config.file", str(self.config)),
                *("--format", "focus", "--unsettled"),
                *("--from", f"{MONTHS[0]}-01", "--to", f"{MONTHS[1]}-30"),
            ],
            env=os.environ | self.time.environment(),
            capture_output=True,
            check=False,
        )
        assert (written.returncode, written.stderr) == (0, b"")
        days: dict[tuple[Charged, str], Fraction] = {}
        for row in csv.DictReader(io.StringIO(written.stdout.decode())):
            charged = (row["BillingAccountId"], row["x_Charge"], row["BillingCurrency"])
            day = row["ChargePeriodStart"]
            assert day.endswith("T00:00:00Z")
            assert (charged, day[:10]) not in days, "one charge and day is there twice"
            assert row["BillingPeriodStart"] == f"{day[:7]}-01T00:00:00Z"
            days[charged, day[:10]] = Fraction(row["BilledCost"])
        return days


@pytest.fixture
def customer(tmp_path: Path) -> Iterator[Customer]:
    customer = Customer(tmp_path)
    with vendors(customer.emulators) as address:
        exporter = customer.serve(address)
        try:
            yield customer
        finally:
            exporter.__exit__()


def gauges_are_as_priced_by_hand(customer: Customer) -> ByHand:
    """To the cent, for each charge, currency and month; and so are the units that they count."""
    by_hand = ByHand(customer.emulators)
    page = customer.page()
    month = date(int(customer.time()))[:7]
    metrics = {"media_previous_month_cost": MONTHS[0], "media_month_to_date_cost": month}
    shown = {
        (charged, metrics[name]): value
        for (name, charged), value in page.items()
        if name in metrics
    }
    priced = {key: float(cost) for key, cost in by_hand.months().items()}
    assert shown == pytest.approx(priced, abs=0.004, rel=0)
    units = {
        (account, charge, month): value
        for (name, (account, charge, _)), value in page.items()
        if name == "media_month_to_date_charged_units"
    }
    counted = {key: float(units) for key, units in by_hand.units.items() if key[2] == month}
    assert units == pytest.approx(counted)
    return by_hand


def test_gauges_export_and_pricing_by_hand_are_one_bill(customer: Customer) -> None:
    """Over late and revised hours, over midnight, and with kill -9 in the middle of a poll, too."""
    customer.late("live", "2026-03-31T18:00", "2026-03-31T21:00", until="2026-04-01T02:00")
    customer.late("vod", "2026-03-31T22:00", "2026-04-01T01:00", until="2026-04-01T03:00")
    customer.late("studio", "2026-03-31T20:00", "2026-04-01T02:00", until="2026-04-01T10:00")
    customer.late("processing", "2026-03-31T00:00", "2026-03-31T12:00", until="2026-04-01T08:00")
    customer.start("2026-03-31T20:07")
    customer.wait_for("media_month_to_date_cost")
    gauges_are_as_priced_by_hand(customer)
    customer.exporter.kill()

    customer.start("2026-03-31T23:49", speed=150)
    customer.wait_for("media_previous_month_cost")
    customer.exporter.kill()

    customer.start("2026-04-01T03:22")
    customer.wait_for_requests(6)
    customer.exporter.kill()
    customer.start("2026-04-01T03:24")
    customer.wait_for("media_month_to_date_cost")
    customer.exporter.kill()

    customer.revise("live", "2026-03-31T20:00", 3, 2)
    customer.revise("vod", "2026-03-31T23:00", 1, 3)
    customer.revise("studio", "2026-03-31T22:00", 0, 1)
    customer.revise("studio", "2026-04-01T01:00", 7, 3)
    customer.revise("processing", "2026-03-31T15:00", 5, 1)
    customer.start("2026-04-01T21:09")
    customer.wait_for("media_month_to_date_cost")
    gauges_are_as_priced_by_hand(customer)
    customer.exporter.kill()

    customer.revise("vod", "2026-04-01T20:00", 4, 1)
    customer.start("2026-04-02T10:07")
    customer.wait_for("media_month_to_date_cost")
    by_hand = gauges_are_as_priced_by_hand(customer)
    rows = customer.export()
    assert customer.exporter.stop() == 0
    assert rows.keys() <= by_hand.days.keys()
    wrong = {
        key: (float(rows.get(key, 0)), float(cost))
        for key, cost in by_hand.days.items()
        if abs(rows.get(key, 0) - cost) > Fraction(1, 10**11)
    }
    assert wrong == {}
    uses_every_tier_and_a_commitment(by_hand)


def uses_every_tier_and_a_commitment(by_hand: ByHand) -> None:
    """Or the world is too small for its prices, and the test proves less than it says."""
    for terms in BILLING:
        for charge in terms["charges"]:
            (account,) = terms["accounts"]
            spent = max(by_hand.units[account, charge["name"], month] for month in MONTHS)
            ends = [Fraction(tier["to"]) for tier in charge.get("tiers", []) if "to" in tier]
            free = Fraction(charge.get("included", 0))
            assert "fee" in charge or spent > free + max(ends, default=Fraction(0)), charge
    lacking = {key[0][0]: cost for key, cost in by_hand.days.items() if key[0][1] == "commitment"}
    assert lacking["live"] > 0 == lacking["vod"]
