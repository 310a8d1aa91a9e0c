"""The overview of docs/metrics.md against what an exporter shows of emulated vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from exporter import providers
from exporter.model.measures import CATALOGUE
from tests.support.simulation import Simulation
from tools.generate import ROOT
from tools.metric_sources import BILLING, VENDORS

PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[`(media_\w+)`\]\(#\1\) \| (.*) \|$", re.MULTILINE)
LEDGER = {"media_month_to_date_since_timestamp_seconds", "media_month_to_date_complete"}
BEFORE = {"media_previous_month_bytes", "media_previous_month_viewing_seconds"} | {
    "media_previous_month_jobs"
}
"""Only there when the ledger has all of the month before."""


def table() -> Mapping[str, dict[str, str]]:
    """The cell of each vendor by metric."""
    return {
        name: dict(zip(VENDORS, cells.split(" | "), strict=True))
        for name, cells in ROW.findall(PAGE)
    }


async def shown(folder: Path, provider: str, **account: object) -> set[str]:
    """The vendor's metrics on the page after a poll, without those of the ledger alone."""
    simulation = Simulation(folder, providers=[provider], accounts={provider: dict(account)})
    async with simulation.running():
        assert await simulation.poll()
        await simulation.settle()
        names = {name for name, _ in simulation.samples()}
    bare = {re.sub("_(bucket|sum|count)$", "", name) for name in names}
    return (
        {name for name in bare if name.startswith("media_")}
        - LEDGER
        - {name for name in bare if name.startswith("media_exporter_")}
    )


async def test_what_is_bold_is_what_an_account_shows_that_names_no_feeds(tmp_path: Path):
    """For each vendor, in both directions."""
    for provider in VENDORS:
        bold = {name for name, cells in table().items() if "**" in cells[provider]}
        (tmp_path / provider).mkdir()
        assert await shown(tmp_path / provider, provider) == bold - BEFORE


async def test_what_is_listed_is_what_an_account_shows_with_every_feed_and_setting(tmp_path: Path):
    settings = {"millicast": {"stream_components": True}, "livepeer": {"browsers": True}}
    for provider in VENDORS:
        listed = {name for name, cells in table().items() if cells[provider] != "–"}
        folder = tmp_path / provider
        folder.mkdir()
        ids = Simulation(folder).emulators.vendors[provider].example.options
        account = {**settings.get(provider, {}), **ids, "feeds": "all"}
        assert await shown(folder, provider, **account) == listed - BEFORE


def test_every_vendor_and_every_metric_is_on_the_page():
    """In the table, or in the sentence about what is computed."""
    assert VENDORS.keys() == providers.load().keys()
    sentence = PAGE.partition("Computed from the ledger")[2].partition("## ")[0]
    computed = set(re.findall(r"`(media_\w+)`", sentence))
    assert computed == LEDGER | {measure.name for measure in BILLING}
    assert table().keys() | computed == {measure.name for measure in CATALOGUE}
    assert not table().keys() & computed
