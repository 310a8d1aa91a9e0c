"""Once a day the ledger's month is held against the vendor's own total."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import providers
from exporter.config.fields import option_default
from exporter.ledger import Ledger
from exporter.model import DAY, Totals, Window
from exporter.polling.reconciliation import difference
from tests.support.simulation import ACCOUNTS, HOUR, START, Simulation

FEEDS = {
    "millicast": "account",
    "dolby_media": "usage",
    "wowza": "vod_streams",
    "livepeer": "usage",
}
RATIO = "media_exporter_reconciliation_difference_ratio"


def simulation(provider: str, folder: Path) -> Simulation:
    # Five days into a month, of which the ledger gets everything.
    return Simulation(
        folder,
        now=START + 5 * DAY,
        providers=[provider],
        polling={"history": "6d"},
        accounts={provider: {"feeds": [FEEDS[provider]]}},
    )


def ratio(world: Simulation, provider: str) -> float | None:
    return world.value(RATIO, provider=provider, account=ACCOUNTS[provider], feed=FEEDS[provider])


@pytest.mark.parametrize("provider", FEEDS)
async def test_a_ledger_that_holds_all_differs_from_no_vendor(
    provider: str, tmp_path: Path
) -> None:
    """The total is asked for with the first poll, and then once a day."""
    world = simulation(provider, tmp_path)
    async with world.running():
        assert await world.poll()
        assert ratio(world, provider) == 0


@pytest.mark.parametrize("provider", FEEDS)
async def test_a_month_that_the_ledger_has_in_part_is_compared_from_there(
    provider: str, tmp_path: Path
) -> None:
    """What came before the first poll's window is no difference."""
    world = simulation(provider, tmp_path)
    world.polling = {"history": "1d"}
    async with world.running():
        assert await world.poll()
        assert ratio(world, provider) is None
        world.now += 2 * DAY
        assert await world.poll()
        assert ratio(world, provider) == 0


async def test_a_ledger_that_lacks_something_shows_how_much(tmp_path: Path) -> None:
    """Below 0 when the vendor has more."""
    world = simulation("millicast", tmp_path)
    async with world.running() as exporter:
        assert await world.poll()
        collector = exporter.collectors[0]
        ledger = exporter.shared.ledger
        assert isinstance(ledger, Ledger)
        ledger.connection.execute("UPDATE bucket SET amount = amount / 2")
        world.now += HOUR
        assert await world.poll()
        assert ratio(world, "millicast") == 0
        world.now += DAY
        assert await world.poll()
        shown = ratio(world, "millicast")
        assert shown is not None
        assert -0.5 < shown < -0.2
        assert collector.ready


async def test_a_vendor_that_does_not_answer_takes_nothing_along(tmp_path: Path) -> None:
    """Polling succeeded; the comparison is left for another day."""
    world = simulation("millicast", tmp_path)
    async with world.running():
        assert await world.poll()
        world.faults.set("millicast", "500")
        world.now += DAY
        assert not await world.poll()
        assert ratio(world, "millicast") == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(10, 10, 0.0), (0, 0, 0.0), (11, 10, 0.1), (5, 10, -0.5), (0, 10, -1.0), (5, 0, None)],
)
def test_a_difference_is_a_ratio_of_the_vendors_total(ours, theirs, expected):
    """Where that is none there is no ratio."""
    assert difference(ours, theirs) == expected


def test_every_vendor_has_a_feed_that_can_be_reconciled():
    """And asks for a window of whole days in at least one request."""
    window = Window(1_775_001_600, 1_775_001_600 + 3 * DAY)
    for name, provider in providers.load().items():
        options = {option.key: option_default(option) for option in provider.options}
        (feed,) = provider.feeds([FEEDS[name]], options)
        assert isinstance(feed, Totals), name
        assert list(feed.totals(window))
