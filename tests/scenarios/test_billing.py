"""What a month costs, end to end: the truth of the emulated world, priced by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporter import providers
from exporter.config import load
from exporter.model import Step
from tests.support.simulation import DAY, HOUR, START, Key, Simulation

MONTH = Step.MONTH.floor(int(START))
NEXT = Step.MONTH.after(MONTH)

TERMS: dict[str, Any] = {
    "accounts": ["live"],
    "currency": "EUR",
    "from": "2026-01-01",
    "commitment": "100000",
    "charges": [
        {
            "name": "delivery",
            "measure": "media_delivered_bytes_total",
            "unit": "GB",
            "included": "1",
            "tiers": [{"to": "2", "price": "3"}, {"price": "0.25"}],
        },
        {"name": "plan", "fee": "499"},
    ],
}
DELIVERED: Key = ("media_delivered_bytes_total", (("kind", "live"),))


def by_hand(delivered: float) -> Decimal:
    units = max(Decimal(0), Decimal(int(delivered)) / 10**9 - 1)
    return min(units, Decimal(2)) * 3 + max(Decimal(0), units - 2) * Decimal("0.25")


def cost(simulation: Simulation, metric: str, charge: str) -> float | None:
    return simulation.value(
        metric, provider="millicast", account="live", charge=charge, currency="EUR"
    )


async def test_a_month_is_priced_to_the_cent_over_its_end_and_a_restart(tmp_path: Path) -> None:
    """The month before goes on changing with what comes late; a new month begins at 0."""
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        polling={"history": "31d"},
        billing=[TERMS],
    )
    async with simulation.running():
        assert await simulation.poll()
        spent = by_hand(simulation.truth("millicast", MONTH)[DELIVERED])
        assert spent > 6, "or this world delivers too little for the last tier"
        shown = cost(simulation, "media_month_to_date_cost", "delivery")
        assert shown == pytest.approx(float(spent), abs=0.005)
        assert cost(simulation, "media_month_to_date_cost", "plan") == 499
        assert cost(simulation, "media_previous_month_cost", "delivery") is None
    simulation.now = NEXT + 5 * HOUR
    async with simulation.running():
        assert await simulation.poll()
        before = by_hand(simulation.truth("millicast", MONTH, NEXT)[DELIVERED])
        shown = cost(simulation, "media_previous_month_cost", "delivery")
        assert shown == pytest.approx(float(before), abs=0.005)
        lacking = 100_000 - 499 - float(before)
        assert cost(simulation, "media_previous_month_cost", "commitment") == pytest.approx(
            lacking, abs=0.005
        )
        now = by_hand(simulation.truth("millicast", NEXT)[DELIVERED])
        assert cost(simulation, "media_month_to_date_cost", "delivery") == pytest.approx(
            float(now), abs=0.005
        )
        simulation.now += DAY
        assert await simulation.poll()
        assert cost(simulation, "media_previous_month_cost", "delivery") == pytest.approx(
            float(before), abs=0.005
        )


async def test_new_terms_are_taken_up_by_a_reload(tmp_path: Path) -> None:
    """Without losing what was counted."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        assert await simulation.poll()
        assert cost(simulation, "media_month_to_date_cost", "plan") is None
        counted = simulation.usage("millicast")
        simulation.billing = [TERMS]
        await exporter.polling.replace(load(simulation.configuration(), providers.load()))
        assert await simulation.poll()
        assert simulation.usage("millicast") == counted
        assert cost(simulation, "media_month_to_date_cost", "plan") == 499
