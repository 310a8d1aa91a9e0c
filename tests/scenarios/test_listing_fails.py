"""A vendor's listing of streams that fails, at first or for days, changes no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_discovery import QUARTER, SINCE, add, asked, shown, simulate, truth
from tests.support.simulation import DAY, HOUR, Simulation

LISTING = "/api/monitoring"


def success(simulation: Simulation, feed: str) -> float | None:
    return simulation.value(
        "media_exporter_poll_success", provider="millicast", account="live", feed=feed
    )


def failures(simulation: Simulation, reason: str) -> float | None:
    return simulation.value(
        "media_exporter_poll_failures_total",
        provider="millicast",
        account="live",
        feed="streams",
        reason=reason,
    )


@pytest.mark.parametrize("feeds", [["streams", "viewers"], ["streams"]])
@pytest.mark.parametrize("options", [{}, {"streams": ["lobby"]}])
async def test_the_past_of_streams_is_no_growth_when_the_first_listing_failed(
    feeds: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    """With the first listing that succeeds, counting of the names it brings begins."""
    simulation = simulate(tmp_path, options={"feeds": feeds, **options})
    simulation.faults.set("millicast", "404", path_prefix=LISTING)
    async with simulation.running():
        for _ in range(2):
            await simulation.poll()
            simulation.now += QUARTER
        assert shown(simulation).keys() == set(options.get("streams", []))
        simulation.faults.clear()
        assert await simulation.poll()
        at_once = shown(simulation)
        polled = simulation.now
        assert at_once.keys() == {"lobby", "stage 2", "café-été"}
        assert min(at_once.values()) > 0, "none is held at 0"
        await simulation.settle()
        new = at_once.keys() - set(options.get("streams", []))
        expected = truth(simulation, SINCE, polled)
        assert {name: shown(simulation)[name] for name in new} == {
            name: expected[name] for name in new
        }


async def test_a_feed_without_names_fails_while_the_listing_does(tmp_path: Path) -> None:
    """It asks for nothing: that is no success."""
    simulation = simulate(tmp_path)
    simulation.faults.set("millicast", "404", path_prefix=LISTING)
    async with simulation.running():
        assert not await simulation.poll()
        assert success(simulation, "streams") == 0
        assert failures(simulation, "not_found") == 1
        simulation.faults.clear()
        simulation.now += QUARTER
        assert await simulation.poll()
        assert success(simulation, "streams") == 1


async def test_a_listing_that_fails_for_days_leaves_the_names(tmp_path: Path) -> None:
    """What it showed last is asked for until it shows something else."""
    simulation = simulate(tmp_path, options={"feeds": ["streams"]})
    async with simulation.running():
        assert await simulation.poll()
        simulation.faults.set("millicast", "404", path_prefix=LISTING)
        for _ in range(20):
            simulation.now += 4 * HOUR
            simulation.emulators.log.clear()
            await simulation.poll()
            assert asked(simulation) == {"lobby", "stage 2", "café-été"}
            assert success(simulation, "streams") == 1
        assert simulation.now > SINCE + 4 * DAY
        polled = simulation.now
        await simulation.settle()
        assert shown(simulation) == truth(simulation, SINCE, polled)


async def test_a_stream_that_appears_after_a_good_listing_starts_at_0(tmp_path: Path) -> None:
    """Its first increment is to be seen."""
    simulation = simulate(tmp_path, streams=1)
    async with simulation.running():
        assert await simulation.poll()
        add(simulation, "new", born=int(simulation.now) - 60)
        simulation.now += QUARTER
        assert await simulation.poll()
        assert shown(simulation)["new"] == 0
