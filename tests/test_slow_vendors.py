"""A vendor too slow for all that a poll would ask of it is asked for less, and for the rest later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from exporter.emulators.world import World
from tests.simulation import ACCOUNTS, DAY, HOUR, Key, Simulation

PATIENCE_SECONDS = 1.5
ANSWERS = 30
"""So many requests a poll has time for, one after the other."""


def simulate(folder: Path, history: int) -> Simulation:
    folder.mkdir()
    return Simulation(
        folder,
        providers=["wowza"],
        world=World(streams=2),
        polling={"history": f"{history}s"},
        accounts={"wowza": {"feeds": ["vod_streams"]}},
    )


def slow_down(simulation: Simulation) -> None:
    """From now on each answer takes its time."""
    assert simulation.exporter is not None
    (collector,) = simulation.exporter.collectors
    get, turn = collector._get, asyncio.Lock()

    async def slowly(request: Any, feed: str, deadline: float) -> bytes:
        async with turn:
            await asyncio.sleep(PATIENCE_SECONDS / ANSWERS)
            return await get(request, feed, deadline)

    collector._get = slowly


async def poll(simulation: Simulation) -> bool:
    assert simulation.exporter is not None
    (collector,) = simulation.exporter.collectors
    return await collector.poll(patience_seconds=PATIENCE_SECONDS)


async def poll_until_nothing_is_left(simulation: Simulation) -> list[bool]:
    """Whether each poll succeeded."""
    outcomes: list[bool] = []
    while not (outcomes and outcomes[-1]) or simulation.value(
        "media_exporter_backlog_seconds",
        provider="wowza",
        account=ACCOUNTS["wowza"],
        feed="vod_streams",
    ):
        assert len(outcomes) < 30, outcomes
        outcomes.append(await poll(simulation))
    return outcomes


async def as_if_it_were_fast(folder: Path, history: int, *instants: float) -> dict[Key, float]:
    """What an exporter of the same world shows that is answered at once, polling at `instants`."""
    simulation = simulate(folder, history)
    async with simulation.running():
        for simulation.now in instants:
            assert await simulation.poll()
        await simulation.settle()
        return simulation.usage("wowza")


async def test_a_first_poll_that_takes_too_long_is_made_up_of_shorter_ones(tmp_path: Path) -> None:
    """The history comes after the current data, piece by piece, and is counted exactly."""
    simulation = simulate(tmp_path / "slow", DAY)
    began = simulation.now
    async with simulation.running():
        slow_down(simulation)
        outcomes = await poll_until_nothing_is_left(simulation)
        assert outcomes[0] is False, "or this vendor is not slow"
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "fast", DAY, began)


async def test_a_daily_look_back_that_takes_too_long_does_not_keep_a_feed_from_being_polled(
    tmp_path: Path,
) -> None:
    """What the vendor said of the last two days changes is found later, in pieces."""
    simulation = simulate(tmp_path / "slow", 2 * HOUR)
    instants = [simulation.now, simulation.now + DAY, simulation.now + DAY + 900]
    async with simulation.running():
        assert await simulation.poll()
        simulation.now = instants[1]
        slow_down(simulation)
        outcomes = await poll_until_nothing_is_left(simulation)
        assert outcomes[0] is False, "or this vendor is not slow"
        simulation.now = instants[2]
        assert await poll(simulation)
        await simulation.settle()
        shown = simulation.usage("wowza")
    assert shown == await as_if_it_were_fast(tmp_path / "fast", 2 * HOUR, *instants)
