"""A vendor too slow for all that a poll would ask of it is asked for less, and for the rest later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from exporter.emulators.world import World
from exporter.model import Request
from exporter.model.errors import PollTimeoutError
from exporter.polling.collector import Collector
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Key, Simulation
from tests.support.virtual_time import in_virtual_time

PATIENCE_SECONDS = 1.2
ANSWERS = 30
"""So many requests one poll has answered; none is from then on, until its time is over."""


def simulate(
    folder: Path, history: int | str, provider: str = "wowza", feed: str = "vod_streams"
) -> Any:
    folder.mkdir()
    return Simulation(
        folder,
        providers=[provider],
        world=World(streams=2),
        polling={"history": history if isinstance(history, str) else f"{history}s"},
        accounts={provider: {"feeds": [feed]}},
    )


class SlowVendor:
    """Stands between a collector and its vendor."""

    def __init__(self, collector: Collector, answers: int = ANSWERS) -> None:
        self.answers = answers
        self.collector = collector
        self._client = collector.client
        self._left = 0
        collector.client = self

    @property
    def concurrency(self) -> int:
        return self._client.concurrency

    async def get(self, request: Request, *, feed: str, deadline: float | None) -> bytes:
        assert deadline is not None
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(deadline - asyncio.get_running_loop().time())
            raise PollTimeoutError("no whole answer in time")
        return await self._client.get(request, feed=feed, deadline=deadline)

    async def poll(self) -> bool:
        self._left = self.answers
        return await self.collector.poll(patience_seconds=PATIENCE_SECONDS)


def slow(simulation: Simulation, answers: int = ANSWERS) -> SlowVendor:
    assert simulation.exporter is not None
    (collector,) = simulation.exporter.collectors
    return SlowVendor(collector, answers)


def backlog(simulation: Simulation) -> float | None:
    return simulation.value(
        "media_exporter_backlog_seconds",
        provider="wowza",
        account=ACCOUNTS["wowza"],
        feed="vod_streams",
    )


async def poll_until_nothing_is_left(simulation: Simulation, vendor: SlowVendor) -> list[bool]:
    """Whether each poll succeeded."""
    outcomes: list[bool] = []
    while not (outcomes and outcomes[-1]) or backlog(simulation):
        assert len(outcomes) < 30, outcomes
        outcomes.append(await vendor.poll())
    return outcomes


async def as_if_it_were_fast(
    folder: Path, history: int | str, *instants: float
) -> dict[Key, float]:
    """What an exporter of the same world shows that is answered at once, polling at `instants`."""
    simulation = simulate(folder, history)
    async with simulation.running():
        for simulation.now in instants:
            assert await simulation.poll()
        await simulation.settle()
        shown: dict[Key, float] = simulation.usage("wowza")
        return shown


@in_virtual_time
async def test_a_look_back_that_takes_too_long_does_not_keep_a_feed_from_being_polled(
    tmp_path: Path,
) -> None:
    """A day's outage and the revisit of two are more than a slow vendor answers in one poll:
    the current data comes first, the rest in pieces, and all is counted exactly. No poll fails.
    """
    simulation = simulate(tmp_path / "slow", 2 * HOUR)
    instants = [simulation.now, simulation.now + DAY, simulation.now + DAY + 900]
    async with simulation.running():
        assert await simulation.poll()
        simulation.now = instants[1]
        vendor = slow(simulation)
        outcomes = await poll_until_nothing_is_left(simulation, vendor)
        assert len(outcomes) > 1, "or this vendor is not slow"
        assert all(outcomes)
        simulation.now = instants[2]
        assert await vendor.poll()
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "fast", 2 * HOUR, *instants)


@in_virtual_time
async def test_a_restart_in_the_middle_loses_nothing_of_it(tmp_path: Path) -> None:
    """What was left for later is in the ledger."""
    simulation = simulate(tmp_path / "slow", 2 * HOUR)
    instants = [simulation.now, simulation.now + DAY, simulation.now + DAY + 900]
    async with simulation.running():
        assert await simulation.poll()
        simulation.now = instants[1]
        vendor = slow(simulation, answers=14)
        assert await vendor.poll()
        assert backlog(simulation)
    async with simulation.running():
        simulation.now = instants[2]
        assert await simulation.poll()
        assert not backlog(simulation)
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "fast", 2 * HOUR, *instants)


@in_virtual_time
async def test_pieces_that_take_too_long_become_shorter_until_one_fits(tmp_path: Path) -> None:
    """After days without an answer, a piece of a day is too much; those of an hour are not."""
    simulation = simulate(tmp_path / "slow", 2 * HOUR)
    instants = [simulation.now, simulation.now + 3 * DAY]
    async with simulation.running():
        assert await simulation.poll()
        simulation.now = instants[1]
        vendor = slow(simulation, answers=20)
        outcomes = await poll_until_nothing_is_left(simulation, vendor)
        assert len(outcomes) > 1, "or this vendor is not slow"
        assert all(outcomes)
        progress = vendor.collector.feeds[0].progress
        assert progress.max_part_seconds is None, (
            "nothing is left: the next gap is a matter of its own"
        )
        assert not progress.reduction
        await simulation.settle()
        shown = simulation.usage("wowza")
        lost = simulation.value(
            "media_exporter_data_lost_seconds_total",
            provider="wowza",
            account=ACCOUNTS["wowza"],
            feed="vod_streams",
        )
        assert lost == 0
    assert shown == await as_if_it_were_fast(tmp_path / "fast", 2 * HOUR, *instants)


@in_virtual_time
async def test_a_vendor_that_does_not_answer_at_all_is_not_a_slow_one(tmp_path: Path) -> None:
    """Requests that fail long before the poll's time is over do not make the next poll shorter."""
    simulation = simulate(tmp_path / "slow", 2 * HOUR)
    async with simulation.running():
        assert await simulation.poll()
        simulation.faults.set("wowza", "503")
        simulation.now += DAY
        assert not await simulation.poll()
        assert simulation.exporter is not None
        ((feed,),) = (one.feeds for one in simulation.exporter.collectors)
        assert not feed.progress.reduction
