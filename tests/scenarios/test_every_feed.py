"""Every feed of every vendor, together: each metric there, each value the vendors' own."""

from __future__ import annotations

from pathlib import Path

from exporter.emulators.world import World
from exporter.model.measures import CATALOGUE
from tests.support.comparing import (
    counters,
    differences,
    ended_jobs,
    expected_counters,
    expected_gauges,
    expected_growth_of_jobs,
    gauges,
    turn_on_every_feed,
)
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Key, Simulation

QUARTER = 900


def every_feed(folder: Path) -> Simulation:
    simulation = Simulation(folder, world=World(streams=4))
    turn_on_every_feed(simulation)
    return simulation


def names(simulation: Simulation) -> set[str]:
    return {name for name, _ in simulation.samples()}


def missing(simulation: Simulation, shown: set[str]) -> list[str]:
    told = {
        measure
        for provider in ACCOUNTS
        for feed in simulation.feeds(provider)
        for measure in feed.measures
    }
    return [
        measure.name
        for measure in CATALOGUE
        if measure in told and measure.name not in shown and f"{measure.name}_bucket" not in shown
    ]


async def test_every_feed_gives_every_metric_with_the_vendors_own_value(tmp_path: Path) -> None:
    """With every feed on, each metric of the catalogue is there, and each value is the truth:
    at the first poll and later ones, over an hour's and a day's end, and over restarts.
    """
    simulation = every_feed(tmp_path)
    first = int(simulation.now)
    seen: set[str] = set()
    jobs_at_first: dict[Key, float] = {}
    for polls in ((0, QUARTER), (HOUR, 2 * HOUR), (14 * HOUR,), (DAY + 5 * HOUR,)):
        async with simulation.running():
            for after in polls:
                simulation.now = first + after
                assert await simulation.poll()
                polled = int(simulation.now)
                for provider in ACCOUNTS:
                    expected = expected_gauges(simulation, provider)
                    assert differences(gauges(simulation, provider), expected) == {}, provider
                seen |= names(simulation)
                await simulation.settle()
                for provider in ACCOUNTS:
                    expected = expected_counters(simulation, provider, first, end=polled)
                    shown = counters(simulation, provider)
                    assert shown, provider
                    assert differences(shown, expected) == {}, (provider, after)
                if not jobs_at_first:
                    jobs_at_first = ended_jobs(simulation)
                grown = {
                    key: round(value - jobs_at_first.get(key, 0), 3)
                    for key, value in ended_jobs(simulation).items()
                }
                assert differences(grown, expected_growth_of_jobs(simulation, first, polled)) == {}
    assert missing(simulation, seen) == []


async def test_the_newest_data_is_known_of_every_feed_that_counts(tmp_path: Path) -> None:
    """Each feed of totals says up to when the vendor has filled its buckets, and it is not late."""
    simulation = every_feed(tmp_path)
    async with simulation.running():
        assert await simulation.poll()
        newest = {
            (labels["provider"], labels["feed"]): value
            for (name, pairs), value in simulation.samples().items()
            if name == "media_exporter_data_newest_timestamp_seconds" and (labels := dict(pairs))
        }
    of_levels = {
        ("millicast", "viewers"),
        ("millicast", "storage"),
        ("dolby_media", "jobs"),
        ("wowza", "viewers"),
        ("wowza", "stream_viewers"),
        ("livepeer", "realtime"),
        ("livepeer", "public_totals"),
    }
    feeds = {
        (provider, feed.name)
        for provider in ACCOUNTS
        for feed in simulation.feeds(provider)
        if (provider, feed.name) not in of_levels
    }
    assert newest.keys() - of_levels == feeds
    assert all(value > simulation.now - 2 * DAY for value in newest.values())
