"""The daily revisit of 48 hours, on simulated time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.simulation import ACCOUNTS, DAY, HOUR, Simulation


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_the_look_back_adds_nothing_from_before_the_first_poll(
    provider: str, tmp_path: Path
) -> None:
    """Two days on, totals still begin where the first poll's day of history began."""
    simulation = Simulation(tmp_path, providers=[provider], polling={"cadence": "2h"})
    first = int(simulation.now) - DAY
    start = first - first % (DAY if provider == "dolby_media" else HOUR)
    async with simulation.running():
        for _ in range(25):
            assert await simulation.poll()
            simulation.now += 2 * HOUR
        simulation.now -= 2 * HOUR
        await simulation.settle(121)
        polled = int(simulation.now) - 121
        shown = {
            key: value
            for key, value in simulation.usage(provider).items()
            if key[0] != "media_jobs_finished_total"
        }
        truth = simulation.truth(provider, start, polled)
        wrong = {
            key: (value, truth.get(key, 0))
            for key, value in shown.items()
            if value != truth.get(key, 0)
        }
        assert shown
        assert wrong == {}
