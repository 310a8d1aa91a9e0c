"""docs/request-costs.md against what the exporter tells of itself and what it really asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter import providers
from exporter.emulators.livepeer import Livepeer
from exporter.emulators.millicast import Millicast
from exporter.emulators.world import World
from exporter.emulators.wowza import Wowza
from tests.support.simulation import Simulation
from tools.generate import ROOT
from tools.metric_sources import VENDORS

PAGE = (ROOT / "docs/request-costs.md").read_text(encoding="utf-8")
CADENCE = 900
STREAMS = 10
DETAILS = {"vod_trends"}
"""What they list is asked for one by one, as the last column says."""


def table() -> Mapping[tuple[str, str], list[int]]:
    """The numbers of each row by provider and feed; "" for all default feeds together."""
    rows: dict[tuple[str, str], list[int]] = {}
    provider = ""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if not line.startswith("| ") or len(cells) != 9 or cells[0] == "| vendor":
            continue
        link = re.search(r"\(providers/(\w+)\.md", cells[0])
        provider = link[1] if link else provider
        feed = cells[1].strip("*`") if "`" in cells[1] else ""
        rows[provider, feed] = [int(cell.replace(",", "")) for cell in cells[2:8]]
    return rows


def test_every_feed_has_a_row():
    known = providers.load()
    feeds = {(name, feed) for name in known for feed in known[name].feed_names}
    assert table().keys() == feeds | {(name, "") for name in known}


@pytest.mark.parametrize("provider", VENDORS)
async def test_an_ordinary_poll_of_each_feed_makes_the_requests_of_its_row(
    tmp_path: Path, provider: str
):
    """Of ten streams, and without the further pages that the last column names."""
    for feed in providers.load()[provider].feed_names:
        if feed in DETAILS:
            continue
        folder = tmp_path / feed
        folder.mkdir()
        simulation = Simulation(folder, providers=[provider], world=World(streams=2 * STREAMS))
        simulation.accounts[provider] = {"feeds": [feed], **named(simulation, provider)}
        async with simulation.running():
            assert await simulation.poll()
            simulation.now += CADENCE
            simulation.emulators.log.clear()
            assert await simulation.poll()
        made = [
            one
            for one in simulation.emulators.log
            if "token" not in one.path and "next_token" not in dict(one.params)
        ]
        assert len(made) == table()[provider, feed][0], feed


def named(simulation: Simulation, provider: str) -> dict[str, object]:
    """Ten streams under each setting that names some."""
    vendor = simulation.emulators.vendors[provider]
    match vendor:
        case Livepeer():
            ids = {"assets": vendor.assets(), "playback_ids": vendor.playback_ids()}
            return {key: list(found[:STREAMS]) for key, found in ids.items()}
        case Millicast():
            found = simulation.world.streams("millicast", "live", now=int(simulation.now))
            return {"streams": [one.name for one in found][:STREAMS], "discover": False}
        case Wowza():
            found = simulation.world.streams("wowza", "vod_streams", now=int(simulation.now))
            return {"streams": [one.id for one in found][:STREAMS]}
        case _:
            return {}
