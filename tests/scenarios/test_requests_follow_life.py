"""Requests follow what lives, and every count stays exact: of streams that are idle, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.emulators.millicast import Millicast
from exporter.emulators.world import Stream, World
from tests.support.comparing import counters, differences, expected_counters
from tests.support.simulation import DAY, HOUR, Simulation

QUARTER = 900
STREAMS = 24
BY_STREAM = {"streams": "/streams/series", "stream_countries": "/streams/geo_series"}


def simulate(folder: Path, feeds: Sequence[str]) -> Simulation:
    """Many streams, of which a third are silent for more than half of the day, and unlisted."""
    simulation = Simulation(
        folder,
        providers=["millicast"],
        accounts={"millicast": {"feeds": list(feeds)}},
        world=World(streams=STREAMS),
    )
    vendors = dict(simulation.emulators.vendors)
    vendors["millicast"] = Millicast(
        simulation.world, clock=simulation.clock, quirks=frozenset({"idle-unlisted"})
    )
    simulation.emulators.vendors = vendors
    return simulation


def asked(simulation: Simulation, feed: str = "streams") -> set[str]:
    """The names that a feed asked about, since the log was last cleared."""
    return {
        value
        for entry in simulation.emulators.log
        if entry.path.endswith(BY_STREAM[feed])
        for key, value in entry.params
        if key == "streamNames"
    }


async def poll_all(simulation: Simulation) -> None:
    """A first poll of a vendor that lists every stream, so that all are known."""
    vendor = simulation.emulators.vendors["millicast"]
    assert isinstance(vendor, Millicast)
    quirks, vendor.quirks = vendor.quirks, frozenset()
    assert await simulation.poll()
    vendor.quirks = quirks


async def poll_next(simulation: Simulation) -> None:
    simulation.now += QUARTER
    simulation.emulators.log.clear()
    assert await simulation.poll()


def idle_stream(simulation: Simulation, idle: set[str]) -> Stream:
    """One of those that are idle."""
    now = int(simulation.now)
    streams = simulation.world.streams("millicast", "live", now=now)
    return next(stream for stream in streams if stream.name in idle)


def delivered(simulation: Simulation, stream: Stream) -> float:
    value = simulation.value(
        "media_stream_delivered_bytes_total",
        provider="millicast",
        account="live",
        kind="live",
        stream=stream.name,
    )
    assert value is not None
    return value


FEEDS = {
    "in turn": ["streams", "stream_countries", "viewers"],
    "proven": ["account", "countries", "streams", "stream_countries", "viewers"],
}


@pytest.mark.parametrize(
    "feeds",
    [
        pytest.param(FEEDS["in turn"], id="in turn", marks=pytest.mark.soak),
        pytest.param(FEEDS["proven"], id="proven"),
    ],
)
async def test_counters_are_exact_while_streams_fall_silent_and_wake(
    feeds: list[str], tmp_path: Path
) -> None:
    """Over more than a day, with the revisit in it, at every sixth poll."""
    simulation = simulate(tmp_path, feeds)
    first = int(simulation.now)
    async with simulation.running():
        await poll_all(simulation)
        fewest = STREAMS
        for number in range(27 * HOUR // QUARTER):
            await poll_next(simulation)
            fewest = min(fewest, len(asked(simulation)))
            if number % 6 == 0:
                polled = int(simulation.now)
                await simulation.settle()
                names = {m.name for f in simulation.feeds("millicast") for m in f.measures}
                expected = {
                    key: value
                    for key, value in expected_counters(
                        simulation, "millicast", first, end=polled
                    ).items()
                    if key[0] in names
                }
                assert differences(counters(simulation, "millicast"), expected) == {}, number
                simulation.now = polled
        assert fewest < STREAMS * 9 // 10, "or nothing was spared"


@pytest.mark.parametrize("feeds", FEEDS.values(), ids=FEEDS.keys())
@pytest.mark.parametrize("feed", BY_STREAM)
async def test_late_growth_of_an_idle_stream_is_counted_within_the_hour(
    feeds: list[str], feed: str, tmp_path: Path
) -> None:
    """Nothing says that it has grown but its own numbers, or the account's."""
    simulation = simulate(tmp_path, feeds)
    async with simulation.running():
        await poll_all(simulation)
        for _ in range(4 * 5):
            await poll_next(simulation)
        known = {
            stream.name
            for stream in simulation.world.streams("millicast", "live", now=int(simulation.now))
        }
        live = set()
        for _ in range(2):
            await poll_next(simulation)
            live |= asked(simulation, feed)
        stream = idle_stream(simulation, known - live)
        before = delivered(simulation, stream)
        now = int(simulation.now)
        simulation.world.grow(
            ("millicast", "live", stream.id),
            now // HOUR * HOUR - HOUR,
            now // HOUR * HOUR,
            units=3600,
            since=now,
        )
        for _ in range(HOUR // QUARTER):
            await poll_next(simulation)
        await simulation.settle()
        assert delivered(simulation, stream) > before


async def test_what_the_accounts_total_proves_is_not_asked_for(tmp_path: Path) -> None:
    """Then only streams that live or are not settled are; they are as many as in their turn."""
    proven, in_turn = (
        simulate(tmp_path / name, feeds)
        for name, feeds in (("proven", FEEDS["proven"]), ("turn", FEEDS["in turn"]))
    )
    counts = []
    for simulation in (proven, in_turn):
        simulation.folder.mkdir()
        async with simulation.running():
            await poll_all(simulation)
            for _ in range(4 * 6):
                await poll_next(simulation)
            names = set()
            most = 0
            for _ in range(4):
                await poll_next(simulation)
                names |= asked(simulation)
                most = max(most, len(asked(simulation)))
            counts.append((len(names), most))
    (all_proven, most_proven), (all_in_turn, most_in_turn) = counts
    assert all_in_turn == STREAMS, "each has its turn within the hour"
    assert most_in_turn < STREAMS
    assert all_proven < STREAMS
    assert most_proven < most_in_turn


@pytest.mark.soak
async def test_a_day_old_growth_of_an_idle_stream_is_found_at_the_look_back(
    tmp_path: Path,
) -> None:
    """Long after its hours were settled, as for any other stream."""
    simulation = simulate(tmp_path, FEEDS["in turn"])
    first = int(simulation.now)
    async with simulation.running():
        await poll_all(simulation)
        for _ in range(4 * 6):
            await poll_next(simulation)
        known = {
            stream.name
            for stream in simulation.world.streams("millicast", "live", now=int(simulation.now))
        }
        await poll_next(simulation)
        stream = idle_stream(simulation, known - asked(simulation))
        grown_at = int(simulation.now) // HOUR * HOUR - 5 * HOUR
        since = int(simulation.now) + 12 * HOUR
        simulation.world.grow(
            ("millicast", "live", stream.id), grown_at, grown_at + HOUR, units=3600, since=since
        )
        for _ in range((DAY + 2 * HOUR) // QUARTER):
            await poll_next(simulation)
        polled = int(simulation.now)
        await simulation.settle()
        truth = expected_counters(simulation, "millicast", first, end=polled)
        key = ("media_stream_delivered_bytes_total", (("kind", "live"), ("stream", stream.name)))
        assert simulation.usage("millicast")[key] == truth[key]
