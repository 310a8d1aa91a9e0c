"""Vendors that answer in every way that their documents permit: the counters are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.emulators import dolby_media, livepeer, millicast, wowza
from exporter.emulators.app import Emulators
from exporter.emulators.vendor import Vendor
from exporter.emulators.world import World
from tests.attack.reporting import Attack
from tests.support.comparing import (
    counters,
    ended_jobs,
    expected_counters,
    expected_growth_of_jobs,
    turn_on_every_feed,
)
from tests.support.simulation import DAY, HOUR, Key, Simulation

VENDORS: Mapping[str, Any] = {
    "millicast": millicast.Millicast,
    "dolby_media": dolby_media.DolbyMedia,
    "wowza": wowza.Wowza,
    "livepeer": livepeer.Livepeer,
}
QUIRKS: Mapping[str, frozenset[str]] = {
    "millicast": millicast.QUIRKS,
    "dolby_media": dolby_media.QUIRKS,
    "wowza": wowza.QUIRKS,
    "livepeer": livepeer.QUIRKS,
}
NOT_COMPARED: Mapping[str, frozenset[str]] = {
    # The vendor has nothing to say.
    "livepeer": frozenset({"hollow", "unavailable"}),
    # It answers about another window than was asked for, which is refused.
    "wowza": frozenset({"limits-whole-days"}),
    # Streams that are idle at the first poll are not known then.
    "millicast": frozenset({"idle-unlisted"}),
}
"""Other tests hold what is made of these."""

CASES = [
    (provider, quirk)
    for provider, quirks in QUIRKS.items()
    for quirk in sorted(quirks - NOT_COMPARED.get(provider, frozenset()))
]
POLLS = (0, 900, 2 * HOUR, 13 * HOUR, DAY, DAY + 900, 2 * DAY + 3 * HOUR)
"""Seconds after the first one, so that days end, and each is revisited."""

FEWER_POLLS = (0, 900, DAY + 1800)


def simulate(folder: Path, provider: str, quirks: frozenset[str]) -> Simulation:
    simulation = Simulation(folder, providers=[provider], world=World(streams=4))
    vendors: dict[str, Vendor] = dict(simulation.emulators.vendors)
    vendors[provider] = VENDORS[provider](simulation.world, clock=simulation.clock, quirks=quirks)
    simulation.vendors = vendors
    simulation.emulators = Emulators(simulation.world, clock=simulation.clock, vendors=vendors)
    turn_on_every_feed(simulation)
    return simulation


async def compare(
    simulation: Simulation, provider: str, attack: Attack, *, polls: Sequence[int]
) -> None:
    """At every poll each counter is the vendor's own truth."""
    first = int(simulation.now)
    jobs_at_first: dict[Key, float] = {}
    async with simulation.running():
        for after in polls:
            simulation.now = first + after
            assert await simulation.poll(), after
            polled = int(simulation.now)
            await simulation.settle()
            expected = expected_counters(simulation, provider, first, end=polled)
            shown = counters(simulation, provider)
            if provider == "dolby_media":
                jobs_at_first = jobs_at_first or ended_jobs(simulation)
                shown |= {
                    key: round(value - jobs_at_first.get(key, 0), 3)
                    for key, value in ended_jobs(simulation).items()
                }
                expected |= expected_growth_of_jobs(simulation, first, polled)
            assert any(shown.values())
            for key in shown.keys() | expected.keys():
                attack.compared(shown.get(key), expected.get(key))
                assert shown.get(key, 0) == expected.get(key, 0), (after, key)


@pytest.mark.parametrize(("provider", "quirk"), CASES)
async def test_another_shape_of_the_same_answers_is_counted_alike(
    provider: str, quirk: str, tmp_path: Path, attack: Attack
) -> None:
    """Over a day with every feed on, and the revisit after it; see the longer one, too."""
    simulation = simulate(tmp_path, provider, frozenset({quirk}))
    await compare(simulation, provider, attack, polls=FEWER_POLLS)
    attack.tried("answers in other permitted shapes")


@pytest.mark.soak
@pytest.mark.parametrize(("provider", "quirk"), CASES)
async def test_another_shape_is_counted_alike_at_every_poll_of_two_days(
    provider: str, quirk: str, tmp_path: Path, attack: Attack
) -> None:
    """The same over two days, polled at many moments, and revisited on each of them."""
    simulation = simulate(tmp_path, provider, frozenset({quirk}))
    await compare(simulation, provider, attack, polls=POLLS)
    attack.tried("answers in other permitted shapes")
