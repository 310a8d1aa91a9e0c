"""What polling takes: the figure that people are told is what the vendors' logs show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exporter import providers
from exporter.emulators.app import Logged
from exporter.emulators.world import World
from exporter.polling.cost import Cost, cost
from exporter.polling.reconciliation import Reconciler
from exporter.polling.schedule import offset_seconds
from tests.support.comparing import turn_on_every_feed
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Simulation

HISTORY = {"history": "1h"}
TOKEN = "/auth/token"


@pytest.fixture(autouse=True)
def no_reconciliation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors' own totals of the month, once a day, are no part of polling."""

    async def nothing(self: Reconciler, get: object, *, now: int) -> None:
        return None

    monkeypatch.setattr(Reconciler, "reconcile", nothing)


def asked(simulation: Simulation) -> list[Logged]:
    """Without signing in: a token runs out here earlier than the client's own clock tells it."""
    return [
        entry
        for entry in simulation.emulators.log
        if not entry.path.endswith(TOKEN) and entry.status != 401
    ]


def computed(simulation: Simulation, provider: str, streams: int, cadence_seconds: int) -> Cost:
    return cost(
        (*simulation.feeds(provider), *simulation.discovery(provider)),
        streams=[str(number) for number in range(streams)],
        cadence_seconds=cadence_seconds,
        delay_seconds=int(60 + offset_seconds(ACCOUNTS[provider], cadence_seconds)),
    )


async def test_a_thousand_discovered_streams_take_the_computed_minimum(tmp_path: Path) -> None:
    """Ten names a request and a hundred streams a page of the listing: no request more."""
    world = World(streams=1000)
    simulation = Simulation(tmp_path, polling=HISTORY, providers=["millicast"], world=world)
    async with simulation.running():
        assert await simulation.poll()
        simulation.emulators.log.clear()
        simulation.now += 900
        assert await simulation.poll()
    found = Counter(entry.path.rpartition("/api/")[2] for entry in asked(simulation))
    assert found == {
        "analytics/account/series": 1,
        "analytics/account/geo_series": 1,
        "analytics/streams/series": 100,
        "monitoring/summary": 10,
    }
    further_pages = 9
    assert computed(simulation, "millicast", 1000, 900).per_poll == found.total() - further_pages


UNPAGED = [
    ("millicast", ["streams"]),
    ("millicast", ["account", "streams", "countries", "viewers"]),
    (
        "millicast",
        ["account", "stream_countries", "countries", "viewers", "transcoders", "storage"],
    ),
    ("dolby_media", ["usage"]),
    ("wowza", ["vod_streams", "viewers"]),
    ("wowza", ["stream_targets", "transcoders", "real_time_streams", "account"]),
    ("livepeer", ["realtime", "viewership", "usage"]),
    ("livepeer", ["creators", "public_totals"]),
]


@pytest.mark.parametrize(("provider", "feeds"), UNPAGED)
async def test_a_days_requests_are_as_many_as_computed(
    provider: str, feeds: list[str], tmp_path: Path
) -> None:
    """Every poll of a day makes as many requests as computed, and the day, with its revisit,
    as many in all.
    """
    cadence = 2 * HOUR
    simulation = Simulation(
        tmp_path,
        polling={"history": "2d", "cadence": f"{cadence}s"},
        providers=[provider],
        world=World(streams=12 if provider == "millicast" else 2),
    )
    turn_on_every_feed(simulation)
    simulation.accounts[provider]["feeds"] = feeds
    dolby: Any = simulation.emulators.vendors["dolby_media"]
    dolby.usage_on_page = 100  # paging is the vendor's business, and not computed
    offset = 60 + offset_seconds(ACCOUNTS[provider], cadence)
    simulation.now = simulation.now // cadence * cadence + offset
    polls: list[int] = []
    async with simulation.running():
        assert await simulation.poll()  # the first one: history, and the revisit of 48 hours
        simulation.now += cadence
        for _ in range(DAY // cadence):
            simulation.emulators.log.clear()
            assert await simulation.poll()
            polls.append(len(asked(simulation)))
            simulation.now += cadence
    expected = computed(simulation, provider, 12, cadence)
    # The last of them is the day's revisit.
    assert max(polls[:-1]) == expected.per_poll
    assert sum(polls) == expected.per_day


async def test_no_request_is_made_twice_in_one_poll(tmp_path: Path) -> None:
    """With every feed on, feeds that need the same answer share it."""
    simulation = Simulation(tmp_path, polling=HISTORY, world=World(streams=2))
    turn_on_every_feed(simulation)
    async with simulation.running():
        for _ in range(2):
            simulation.emulators.log.clear()
            assert await simulation.poll()
            times = Counter(
                (entry.provider, entry.path, entry.params) for entry in asked(simulation)
            )
            assert {request: count for request, count in times.items() if count > 1} == {}
            simulation.now += 900


PATHS = {
    ("millicast", "account"): {"account/series"},
    ("millicast", "streams"): {"streams/series", "monitoring/summary"},
    ("millicast", "countries"): {"account/geo_series"},
    ("millicast", "stream_countries"): {"streams/geo_series", "monitoring/summary"},
    ("millicast", "viewers"): {"monitoring/summary"},
    ("millicast", "transcoders"): {"transcoder/series"},
    ("millicast", "storage"): {"storage/usage"},
    ("dolby_media", "usage"): {"media/usage"},
    ("dolby_media", "jobs"): {"media/jobs"},
    ("wowza", "vod_streams"): {"usage/vod_streams", "vod_streams/summary"},
    ("wowza", "vod_trends"): {"usage/vod_streams", "vod_streams/*"},
    ("wowza", "viewers"): {"viewers/account", "viewers/live_streams", "viewers/vod_streams"},
    ("wowza", "stream_viewers"): {
        "viewers/live_streams",
        "viewers/vod_streams",
        "live_streams/*",
        "vod_streams/*",
    },
    ("wowza", "stream_targets"): {"usage/stream_targets", "stream_targets/summary"},
    ("wowza", "transcoders"): {"usage/transcoders", "transcoders/summary"},
    ("wowza", "real_time_streams"): {"usage/real_time_streams", "real_time_streams/summary"},
    ("wowza", "account"): {"usage/account"},
    ("livepeer", "realtime"): {"views/now"},
    ("livepeer", "viewership"): {"views/query"},
    ("livepeer", "usage"): {"usage/query"},
    ("livepeer", "creators"): {"query/creator"},
    ("livepeer", "public_totals"): {"total/*"},
}


def shortened(path: str) -> str:
    before, last = path.split("/")[-2:]
    return (
        f"{before}/*"
        if len(last) == 16 and set(last) <= set("0123456789abcdef")
        else f"{before}/{last}"
    )


@pytest.mark.parametrize(("provider", "feed"), PATHS)
async def test_a_feed_makes_only_the_requests_that_it_needs(
    provider: str, feed: str, tmp_path: Path
) -> None:
    """Alone, a feed asks for its own answers, and for stream names if it needs them."""
    simulation = Simulation(tmp_path, polling=HISTORY, providers=[provider], world=World(streams=2))
    turn_on_every_feed(simulation)
    simulation.accounts[provider]["feeds"] = [feed]
    async with simulation.running():
        assert await simulation.poll()
    assert {shortened(entry.path) for entry in asked(simulation)} == PATHS[provider, feed]


def test_every_feed_is_among_them() -> None:
    """A feed added later has to say what it asks for."""
    known = providers.load()
    assert {(name, feed) for name in known for feed in known[name].feed_names} == PATHS.keys()
