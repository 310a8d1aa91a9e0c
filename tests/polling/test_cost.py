"""What polling costs, told quickly: the same as by looking at every poll."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import httpx
import pytest

from exporter import providers
from exporter.app import Exporter
from exporter.config import load
from exporter.model import DAY, Ask, Feed, Request
from exporter.polling.cost import cost, estimate
from tests.support.simulation import Simulation

MILLICAST = providers.load()["millicast"]
FEEDS = MILLICAST.feeds(
    ("account", "streams", "stream_countries", "viewers"),
    {option.key: option.default for option in MILLICAST.options},
)


@pytest.mark.parametrize("streams", [0, 1, 19, 39, 40, 47, 61, 250])
@pytest.mark.parametrize("cadence", [300, 900, 86400])
def test_an_estimate_is_what_it_costs(streams: int, cadence: int) -> None:
    """Twenty streams more cost what the twenty before did, so nobody has to look at thousands."""
    assert estimate(FEEDS, streams=streams, cadence_seconds=cadence, delay_seconds=60) == cost(
        FEEDS,
        streams=[str(number) for number in range(streams)],
        cadence_seconds=cadence,
        delay_seconds=60,
        most_ticks=96,
    )


class Afternoons:
    """A feed that asks ten questions in the afternoon and none in the morning."""

    name = "afternoons"
    needs_streams = False
    resolutions = ()

    def requests(self, ask: Ask) -> list[Request]:
        return [Request(f"/{number}") for number in range(10 if ask.now % DAY >= DAY / 2 else 0)]


def test_some_polls_of_a_day_stand_for_all() -> None:
    """Those that are looked at are spread over the day."""
    feeds = [cast("Feed", Afternoons())]
    few, all_ = (
        cost(feeds, streams=(), cadence_seconds=60, delay_seconds=0, most_ticks=ticks)
        for ticks in (96, 1440)
    )
    assert few == all_
    assert (few.per_poll, few.per_day) == (10, 7200)


class Unanswered(httpx.AsyncBaseTransport):
    """Vendors that take requests and say nothing."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("streams", [[], ["lobby", "stage"]])
async def test_the_cost_is_estimated_while_the_first_poll_is_under_way(
    tmp_path: Path, streams: list[str]
) -> None:
    """With the streams that are known so far."""
    simulation = Simulation(
        tmp_path, providers=["millicast"], accounts={"millicast": {"streams": streams}}
    )
    config = load(simulation.configuration(), providers.load())
    exporter = await Exporter.open(config, clock=simulation.clock, transport=Unanswered())
    try:
        exporter.polling.start()
        async with asyncio.timeout(60):
            while (status := exporter.status()[0]).requests_per_poll is None:
                await asyncio.sleep(0)
    finally:
        await exporter.close()
    exact = cost(
        simulation.feeds("millicast"), streams=streams, cadence_seconds=900, delay_seconds=60
    )
    assert status.polling
    assert (status.requests_per_poll, status.requests_per_day) == (exact.per_poll, exact.per_day)
    assert status.requests_measured_polls == 0
