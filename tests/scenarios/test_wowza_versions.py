"""Wowza's versions: each with its own routes and names, all with the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.emulators.app import all_vendors
from exporter.emulators.world import World
from exporter.emulators.wowza import VERSIONS, Wowza
from tests.support.comparing import counters, differences, expected_counters
from tests.support.simulation import START, Simulation

SERVED = [f"v{major}.{minor}" for major, minor in VERSIONS]
BEFORE_1_11 = ("v1.8", "v1.9", "v1.10")


def simulate(folder: Path, version: str, *quirks: str) -> Simulation:
    simulation = Simulation(
        folder,
        providers=["wowza"],
        polling={"history": "2h"},
        accounts={"wowza": {"api_version": version, "feeds": "all"}},
        world=World(streams=3),
    )
    clock = simulation.clock
    vendors = all_vendors(simulation.world, clock=clock, credential="demo")
    vendors["wowza"] = Wowza(simulation.world, clock=clock, quirks=frozenset(quirks))
    simulation.emulators.vendors = vendors
    if version in BEFORE_1_11:
        vod = simulation.world.streams("wowza", "vod_streams", now=int(START))
        simulation.accounts["wowza"]["streams"] = [stream.id for stream in vod]
    return simulation


@pytest.mark.parametrize("version", SERVED)
async def test_every_feed_works_in_every_version(version: str, tmp_path: Path) -> None:
    """All feeds succeed and count the truth, by whatever names and routes the version has."""
    simulation = simulate(tmp_path, version)
    start = (int(START) - 2 * 3600) // 3600 * 3600
    async with simulation.running():
        for _ in range(3):
            assert await simulation.poll()
            simulation.now += 900
        simulation.now -= 900
        await simulation.settle()
        shown = counters(simulation, "wowza")
        truth = simulation.truth("wowza", start, int(simulation.now) // 900 * 900)
        assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
        lacking = {key[0] for key in truth.keys() - shown.keys() if truth[key]}
        of_all = {
            "media_egress_seconds_total",
            "media_received_bytes_total",
            "media_delivered_bytes_total",
        }
        assert lacking <= (of_all if version in BEFORE_1_11 else set())
    assert {entry.path.split("/")[2] for entry in simulation.emulators.log} == {version}


@pytest.mark.parametrize(
    ("version", "quirk"), [("v1.11", "accounts-route"), ("v2.0", "accounts-route"), ("v2.0", None)]
)
async def test_the_accounts_route_is_found_out_once(
    version: str, quirk: str | None, tmp_path: Path
) -> None:
    """A route that is not there is tried at the first poll only."""
    simulation = simulate(tmp_path, version, *([quirk] if quirk else []))
    simulation.accounts["wowza"]["feeds"] = ["account"]
    async with simulation.running():
        assert await simulation.poll()
        missed = [entry for entry in simulation.emulators.log if entry.status == 404]
        assert bool(missed) == (quirk is not None)
        simulation.emulators.log.clear()
        for _ in range(2):
            simulation.now += 900
            assert await simulation.poll()
        assert {entry.status for entry in simulation.emulators.log} == {200}
        assert counters(simulation, "wowza")


@pytest.mark.parametrize("version", ["v1.8", "v1.10"])
async def test_older_names_are_read(version: str, tmp_path: Path) -> None:
    """`viewing_time` and `bytes`, as before 1.8, are the same amounts."""
    simulation = simulate(tmp_path, version, "names-of-1.7")
    simulation.accounts["wowza"]["feeds"] = ["vod_streams"]
    async with simulation.running():
        assert await simulation.poll()
        shown = counters(simulation, "wowza")
        expected = expected_counters(simulation, "wowza", int(START))
        assert {key[0] for key in shown} >= {"media_delivered_bytes_total"}
        assert all(0 < value <= expected[key] for key, value in shown.items() if value)
