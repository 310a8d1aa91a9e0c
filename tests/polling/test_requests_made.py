"""What polls have made: the figure of the status is what the vendors' logs show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median_low

from exporter.polling.cost import cost
from exporter.polling.requests_made import LAST_POLLS, RequestsMade
from tests.support.simulation import Simulation


def made(*requests: int, cadence_seconds: int = 900) -> RequestsMade:
    counted = RequestsMade(cadence_seconds)
    for number in requests:
        counted.add(number)
    return counted


def test_nothing_is_measured_before_a_poll_is_over() -> None:
    """Then the estimate is all there is."""
    assert made().cost is None
    assert made().polls == 0


def test_the_first_poll_with_its_history_stands_for_no_other() -> None:
    """One ordinary poll after it is enough."""
    first, second = made(400).cost, made(400, 9).cost
    assert first is not None
    assert second is not None
    assert (first.per_poll, second.per_poll) == (400, 9)
    assert second.per_day == 9 * 96


def test_the_median_follows_the_last_polls() -> None:
    """What was long ago is no longer part of it."""
    counted = made(*50 * [100], *LAST_POLLS * [7])
    assert counted.polls == LAST_POLLS
    assert counted.cost is not None
    assert counted.cost.per_poll == 7


def test_a_day_has_its_daily_revisit_once_a_whole_day_was_polled() -> None:
    """Sooner, it is the median times the polls of a day."""
    short, whole = made(*10 * [10], 90, *80 * [10]).cost, made(*50 * [10], 90, *45 * [10]).cost
    assert short is not None
    assert whole is not None
    assert short.per_day == 960
    assert whole.per_day == 95 * 10 + 90


def test_a_cadence_of_a_day_is_one_poll_a_day() -> None:
    """Then a poll is a day."""
    counted = made(30, 5, cadence_seconds=86400).cost
    assert counted is not None
    assert counted.per_day == 5


def test_polls_each_second_are_not_all_kept() -> None:
    """The last 1440 of them stand for the day."""
    counted = made(*1000 * [50], *1440 * [2], cadence_seconds=1).cost
    assert counted is not None
    assert counted.per_day == 2 * 86400


async def test_the_status_has_what_the_polls_have_made(tmp_path: Path) -> None:
    """Details of what lists name are part of it, as no estimate can tell."""
    simulation = Simulation(tmp_path, providers=["wowza"], accounts={"wowza": {"feeds": "all"}})
    counts: list[int] = []
    async with simulation.running() as exporter:
        assert exporter.status()[0].requests_measured_polls == 0
        for _ in range(4):
            simulation.emulators.log.clear()
            assert await simulation.poll()
            counts.append(len(simulation.emulators.log))
            simulation.now += 900
        (status,) = exporter.status()
    estimated = cost(simulation.feeds("wowza"), streams=(), cadence_seconds=900, delay_seconds=60)
    assert status.requests_measured_polls == 4
    assert status.requests_per_poll == median_low(counts) > estimated.per_poll
    assert status.requests_per_day == 96 * median_low(counts)


async def test_what_was_made_takes_the_place_of_the_estimate(tmp_path: Path) -> None:
    """As soon as the first poll is over."""
    simulation = Simulation(tmp_path, providers=["wowza"], accounts={"wowza": {"feeds": "all"}})
    async with simulation.running() as exporter:
        exporter.polling.start()
        async with asyncio.timeout(60):
            while not exporter.status()[0].requests_measured_polls:
                await asyncio.sleep(0)
        (status,) = exporter.status()
        assert status.requests_per_poll == len(simulation.emulators.log)
