"""A vendor that allows few requests is asked for what is current first, and for the rest later."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from exporter.model import Request
from exporter.model.errors import RateLimitedError
from exporter.polling.collector import Collector
from exporter.polling.request_budget import RequestBudget
from tests.scenarios.test_slow_vendors import as_if_it_were_fast, backlog, simulate
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Simulation

QUARTER = 900


class Quota:
    """Stands between a collector and its vendor: so many requests in each quarter of an hour."""

    def __init__(self, simulation: Simulation, allowed: int) -> None:
        assert simulation.exporter is not None
        (self._collector,) = simulation.exporter.collectors
        self._simulation = simulation
        self._client = self._collector.client
        self._collector.client = self
        self._used: Counter[float] = Counter()
        self.allowed = allowed

    @property
    def collector(self) -> Collector:
        return self._collector

    @property
    def concurrency(self) -> int:
        return self._client.concurrency

    async def get(self, request: Request, *, feed: str, deadline: float | None) -> bytes:
        quarter = self._simulation.now // QUARTER
        self._used[quarter] += 1
        if self._used[quarter] > self.allowed:
            raise RateLimitedError("429")
        return await self._client.get(request, feed=feed, deadline=deadline)


def newest(simulation: Simulation) -> float:
    value = simulation.value(
        "media_exporter_data_newest_timestamp_seconds",
        provider="wowza",
        account=ACCOUNTS["wowza"],
        feed="vod_streams",
    )
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("allowed", "most_failures"),
    [
        pytest.param(24, 0, marks=pytest.mark.soak),
        (10, 12),
    ],
    ids=["24", "10"],
)
async def test_a_quota_smaller_than_the_look_back_loses_nothing(
    allowed: int, most_failures: int, tmp_path: Path
) -> None:
    """The revisit of two days takes 98 requests; with ten allowed, not even what is not yet
    settled fits into one poll. Two days of polls, an outage among them, come to the same as
    without a quota, and data is never old.
    """
    simulation = simulate(tmp_path / "limited", 2 * HOUR)
    first = simulation.now
    instants = [first]
    async with simulation.running():
        assert await simulation.poll()
        quota = Quota(simulation, allowed)
        failures = 0
        for number in range(2 * DAY // QUARTER):
            simulation.now += QUARTER
            if 40 <= number < 60:
                continue
            instants.append(simulation.now)
            failures += not await simulation.poll()
            if number > 100:
                assert newest(simulation) > simulation.now - HOUR
            if number == 150 and allowed >= 24:
                assert not backlog(simulation), "pieces become as small as the quota needs"
        assert failures <= most_failures
        quota.allowed = 10_000
        while backlog(simulation):
            simulation.now += QUARTER
            instants.append(simulation.now)
            assert await simulation.poll()
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "free", 2 * HOUR, *instants)


async def test_a_first_poll_beyond_the_quota_asks_for_its_history_in_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest time comes first, and in the end the month is as whole as without a quota."""
    simulation = simulate(tmp_path / "limited", "month")
    instants: list[float] = []
    outcomes: list[bool] = []
    async with simulation.running():
        Quota(simulation, 20)
        while not outcomes or not outcomes[-1] or backlog(simulation):
            assert len(outcomes) < 40, outcomes
            simulation.now += QUARTER
            outcomes.append(await simulation.poll())
            if outcomes[-1]:
                instants.append(simulation.now)
                assert whole(simulation) is not bool(backlog(simulation))
        assert outcomes.count(False) <= 3
        assert "its older part is asked for afterwards" in caplog.text
        assert lost(simulation) == 0
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "free", "month", *instants)


def whole(simulation: Simulation) -> bool:
    complete = simulation.value(
        "media_month_to_date_complete", provider="wowza", account=ACCOUNTS["wowza"]
    )
    assert complete is not None
    return bool(complete)


def lost(simulation: Simulation) -> float | None:
    return simulation.value(
        "media_exporter_data_lost_seconds_total",
        provider="wowza",
        account=ACCOUNTS["wowza"],
        feed="vod_streams",
    )


def test_a_request_budget_is_halved_when_refused_and_grows_again() -> None:
    spent = 0

    def used() -> int:
        return spent

    budget = RequestBudget()

    def poll(*, refused_at: int | None, limited: bool = False, most: int = 200) -> int:
        nonlocal spent
        before = spent
        budget.begin(used, rate_limited=limited)
        while budget.left() and spent - before < most:
            if spent - before == refused_at:
                budget.refused()
                break
            spent += 1
        budget.end(done=False)
        return spent - before

    assert poll(refused_at=None) == 200, "no limit before the first refusal"
    assert poll(refused_at=80) == 80
    assert poll(refused_at=None) == 40
    assert poll(refused_at=None) == 46
    assert poll(refused_at=None, limited=True) == 23
    assert poll(refused_at=None, limited=True, most=0) == 0
    assert 1 <= poll(refused_at=None, limited=True) <= 15
    budget.begin(used, rate_limited=False)
    budget.end(done=True)
    assert poll(refused_at=None) == 200, "no limit once nothing is left to be filled in"
