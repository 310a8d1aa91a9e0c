"""Stream names: how they are found, kept, left and folded, and what that does to the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.emulators.app import all_vendors
from exporter.emulators.millicast import Millicast
from exporter.emulators.vendor import Vendor
from exporter.emulators.world import Stream, World
from tests.support.simulation import DAY, HOUR, START, Simulation

QUARTER = 900
DELIVERED = "media_stream_delivered_bytes_total"
BORN = int(START) - 30 * DAY


class Listing(Millicast):
    """Leaves streams out of the monitoring summary."""

    hidden: frozenset[str] = frozenset()

    def _listed(self, stream: Stream, now: int) -> bool:
        return stream.name not in self.hidden


def simulate(folder: Path, *, streams: int = 3, **settings: Any) -> Simulation:
    options = {"feeds": ["streams", "viewers"], **settings.pop("options", {})}
    return Simulation(
        folder,
        providers=["millicast"],
        accounts={"millicast": options},
        world=World(streams=streams),
        **settings,
    )


def with_listing(simulation: Simulation) -> Listing:
    clock = simulation.clock
    vendors: dict[str, Vendor] = all_vendors(simulation.world, clock=clock, credential="demo")
    listing = Listing(simulation.world, clock=clock)
    vendors["millicast"] = listing
    simulation.emulators.vendors = vendors
    return listing


def add(simulation: Simulation, name: str, *, born: int = BORN) -> None:
    stream = Stream(id=f"id of {name}", name=name, archived=False, born=born)
    simulation.world.add_stream("millicast", "live", stream)


def asked(simulation: Simulation) -> set[str]:
    """The names that the vendor was asked about, ever since the log was last cleared."""
    return {
        value
        for entry in simulation.emulators.log
        for key, value in entry.params
        if key == "streamNames"
    }


def shown(simulation: Simulation) -> dict[str, float]:
    return {
        dict(labels)["stream"]: value
        for (name, labels), value in simulation.usage("millicast").items()
        if name == DELIVERED
    }


def truth(simulation: Simulation, start: int, polled: float | None = None) -> dict[str, float]:
    """What was published at `polled`, or now."""
    end = int(simulation.now if polled is None else polled) // QUARTER * QUARTER
    return {
        dict(labels)["stream"]: value
        for (name, labels), value in simulation.truth("millicast", start, end).items()
        if name == DELIVERED
    }


SINCE = (int(START) - DAY) // HOUR * HOUR


async def test_names_that_the_vendor_does_not_report_on_are_warned_of_once_and_never_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`/`, `*` and `--` in a discovered or configured name: one line, no request."""
    simulation = simulate(tmp_path, options={"streams": ["from/config"]})
    for name in ("a/b", "a*b", "a--b"):
        add(simulation, name)
    async with simulation.running():
        for _ in range(3):
            assert await simulation.poll()
            simulation.now += QUARTER
    assert asked(simulation) == {"lobby", "stage 2", "café-été"}
    by_feed = [
        vars(line)["feed"] for line in caplog.records if "reports no usage for" in line.message
    ]
    assert sorted(by_feed) == ["streams", "viewers"]


async def test_one_unknown_name_does_not_fail_the_other_nine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal of ten names is taken apart; the unknown one is named in the log, once."""
    simulation = simulate(tmp_path, streams=9, options={"streams": ["nobody"]})
    async with simulation.running():
        for _ in range(2):
            assert await simulation.poll()
            simulation.now += QUARTER
        expected = truth(simulation, SINCE, int(simulation.now) - QUARTER)
        await simulation.settle()
        assert shown(simulation) == expected
        assert len(expected) == 9
    (said,) = [line.message for line in caplog.records if "does without" in line.message]
    assert "'nobody'" in said


async def test_a_feed_whose_every_name_is_unknown_fails(tmp_path: Path) -> None:
    """When the vendor knows none of the names, the feed does not pass for working."""
    simulation = simulate(tmp_path, options={"streams": ["nobody"], "discover": False})
    async with simulation.running():
        assert not await simulation.poll()
        labels = {"provider": "millicast", "account": "live"}
        success = "media_exporter_poll_success"
        assert simulation.value(success, feed="streams", **labels) == 0
        assert simulation.value(success, feed="viewers", **labels) == 1


async def test_patterns_choose_among_discovered_names_and_not_among_configured_ones(
    tmp_path: Path,
) -> None:
    """`include` and `exclude` are for what is found; what is configured is wanted."""
    patterns = {"include": ["s*", "l*"], "exclude": ["*by"], "streams": ["café-été"]}
    simulation = simulate(tmp_path, options=patterns)
    async with simulation.running():
        assert await simulation.poll()
    assert asked(simulation) == {"stage 2", "café-été"}


async def test_without_discovery_only_configured_names_are_asked_for(tmp_path: Path) -> None:
    """`discover: false` adds nothing to `streams:`."""
    simulation = simulate(tmp_path, options={"discover": False, "streams": ["lobby"]})
    async with simulation.running():
        assert await simulation.poll()
    assert asked(simulation) == {"lobby"}


async def test_found_names_are_remembered_left_after_two_days_and_taken_up_without_loss(
    tmp_path: Path,
) -> None:
    """A stream that the listing no longer shows is asked for two more days, over restarts, too;
    when it returns, its counter goes on from where it was left.
    """
    simulation = simulate(tmp_path)
    listing = with_listing(simulation)

    async def poll(after: float) -> set[str]:
        simulation.now = START + after
        simulation.emulators.log.clear()
        async with simulation.running():
            assert await simulation.poll()
        return asked(simulation)

    everybody = {"lobby", "stage 2", "café-été"}
    assert await poll(0) == everybody
    listing.hidden = frozenset({"lobby"})
    assert await poll(HOUR) == everybody
    assert await poll(47 * HOUR) == everybody
    assert await poll(49 * HOUR) == everybody
    assert await poll(50 * HOUR) == everybody - {"lobby"}
    assert await poll(70 * HOUR) == everybody - {"lobby"}
    listing.hidden = frozenset()
    assert await poll(90 * HOUR) == everybody
    async with simulation.running():
        await simulation.settle()
        assert shown(simulation) == truth(simulation, SINCE, int(START) + 90 * HOUR)


async def test_a_configured_stream_starts_at_its_value_and_a_discovered_one_at_0(
    tmp_path: Path,
) -> None:
    """What came before a name was configured is its baseline; one that turns up is shown at 0
    first, so that its first increment is seen.
    """
    simulation = simulate(tmp_path)
    listing = with_listing(simulation)
    listing.hidden = frozenset({"lobby"})
    async with simulation.running():
        assert await simulation.poll()
        assert "lobby" not in shown(simulation)
    simulation.accounts["millicast"]["streams"] = ["lobby"]
    simulation.now += QUARTER
    async with simulation.running():
        assert await simulation.poll()
        assert shown(simulation)["lobby"] == truth(simulation, SINCE)["lobby"] > 0
        simulation.now += QUARTER
        add(simulation, "newcomer")
        polled = int(simulation.now)
        assert await simulation.poll()
        assert shown(simulation)["newcomer"] == 0
        await simulation.settle()
        since = (polled - DAY) // HOUR * HOUR
        assert shown(simulation)["newcomer"] == truth(simulation, since, polled)["newcomer"] > 0


async def test_streams_beyond_the_limit_are_summed_for_good(tmp_path: Path) -> None:
    """Sums over streams are exact whatever the limit was, is, or becomes; a folded stream stays
    folded, a stream that was shown stays shown.
    """
    simulation = simulate(tmp_path, streams=6, limits={"streams": 2})
    visible: set[str] = set()
    for limit, newcomer, expected in (
        (2, None, 3),
        (2, "after a restart", 3),
        (4, "with more room", 4),
        (1, "with less room", 4),
    ):
        simulation.limits = {"streams": limit}
        if newcomer is not None:
            add(simulation, newcomer, born=int(simulation.now) - 20 * HOUR)
        async with simulation.running():
            assert await simulation.poll()
            polled = int(simulation.now)
            await simulation.settle()
            values = shown(simulation)
            assert visible <= values.keys()
            visible = set(values)
            assert "__other__" in visible
            assert len(visible) == expected
            assert sum(values.values()) == sum(truth(simulation, SINCE, polled).values())
            viewers = [
                value
                for (name, _), value in simulation.samples().items()
                if name == "media_stream_viewers"
            ]
            in_all = simulation.value(
                "media_viewers", provider="millicast", account="live", kind="live"
            )
            assert sum(viewers) == in_all
        simulation.now += HOUR
