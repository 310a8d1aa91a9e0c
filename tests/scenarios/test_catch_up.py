"""After an outage: what the vendor still has is counted once, what is gone is said, in time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.emulators.dolby_media import jobs
from exporter.emulators.faults import Faults
from exporter.emulators.world import World
from exporter.model import Step
from tests.support.comparing import (
    counters,
    differences,
    ended_jobs,
    expected_counters,
    expected_growth_of_jobs,
)
from tests.support.simulation import DAY, HOUR, START, Key, Simulation

QUARTER = 900
FEEDS = {
    "millicast": ["account", "streams", "countries", "transcoders"],
    "dolby_media": ["usage"],
    "wowza": ["vod_streams", "account"],
    "livepeer": ["viewership", "usage"],
}
OUTAGES = [
    *(("millicast", hours) for hours in (2, 30, 8 * 24, 30 * 24, 100 * 24)),
    *(("dolby_media", hours) for hours in (30, 100 * 24)),
    *(("wowza", hours) for hours in (2, 30, 8 * 24, 100 * 24)),
    *(("livepeer", hours) for hours in (30, 30 * 24)),
]


def simulate(folder: Path, provider: str, **settings: Any) -> Simulation:
    options = {provider: {"feeds": FEEDS[provider]}}
    world = World(streams=2)
    return Simulation(folder, providers=[provider], accounts=options, world=world, **settings)


def expected_of_feeds(simulation: Simulation, provider: str, end: int) -> dict[Key, float]:
    """The truth about the feeds that are on."""
    told = {measure.name for feed in simulation.feeds(provider) for measure in feed.measures}
    shown = counters(simulation, provider)
    assert {name for name, _ in shown} <= told
    expected = expected_counters(simulation, provider, int(START), end=end)
    # Other feeds of these two have streams of their own under the same names of metrics.
    others = provider in ("wowza", "livepeer")
    return {
        key: value
        for key, value in expected.items()
        if key[0] in told and (not others or key in shown)
    }


def said(caplog: pytest.LogCaptureFixture, beginning: str) -> list[dict[str, Any]]:
    """What was logged with the lines that begin so."""
    return [vars(line) for line in caplog.records if line.getMessage().startswith(beginning)]


def own(simulation: Simulation, name: str, **labels: str) -> dict[str, float]:
    """One of the exporter's own metrics, by feed."""
    return {
        dict(pairs)["feed"]: value
        for (found, pairs), value in simulation.samples().items()
        if found == name and labels.items() <= dict(pairs).items()
    }


def kept_since(name: str, now: int) -> tuple[int, str]:
    """From when on the vendor has what a Millicast counter lacks at `now`; the feed it is of."""
    if name.startswith("media_stream_"):
        return Step.HOUR.ceil(now - 7 * DAY), "streams"
    if name.startswith("media_transcoded_"):
        return Step.DAY.ceil(now - 90 * DAY), "transcoders"
    if name.startswith("media_country_"):
        return Step.DAY.ceil(now - 90 * DAY), "countries"
    if Step.DAY.ceil(now - 90 * DAY) > START:
        # Months are there for ever, but the first one began before counting did.
        return Step.MONTH.ceil(int(START)), "account"
    return 0, "account"


def with_losses(
    simulation: Simulation, expected: dict[Key, float], now: int
) -> tuple[dict[Key, float], dict[str, int]]:
    """What is left of `expected`, and how long a time each feed has lost."""
    left_at = int(START) // QUARTER * QUARTER
    left: dict[Key, float] = {}
    lost: dict[str, int] = {}
    for key, value in expected.items():
        since, feed = kept_since(key[0], now)
        step = Step.DAY if feed == "transcoders" else Step.HOUR
        begin = step.floor(left_at)
        lost[feed] = max(0, since - begin)
        gone = simulation.truth("millicast", begin, since).get(key, 0) if since > begin else 0
        left[key] = value - gone
    return left, lost


@pytest.mark.parametrize(("provider", "hours"), OUTAGES)
async def test_after_an_outage_all_that_the_vendor_still_has_is_counted_once(
    provider: str, hours: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Totals are the truth less what the vendor has purged in every resolution, which is told
    by a metric and one line in the log; a second look changes nothing.
    """
    caplog.set_level(logging.INFO)
    simulation = simulate(tmp_path, provider)
    async with simulation.running():
        assert await simulation.poll()
    simulation.now += hours * HOUR
    polled = int(simulation.now)
    async with simulation.running():
        assert await simulation.poll()
        await simulation.settle()
        expected = expected_of_feeds(simulation, provider, polled)
        lost: Mapping[str, int] = dict.fromkeys(FEEDS[provider], 0)
        if provider == "millicast":
            expected, lost = with_losses(simulation, expected, polled)
        assert differences(counters(simulation, provider), expected) == {}
        told = own(simulation, "media_exporter_data_lost_seconds_total")
        lines = [line["feed"] for line in said(caplog, "data lost")]
        assert sorted(lines) == sorted(name for name in lost if lost[name])
        for feed, seconds in lost.items():
            # What had been asked for, but was not settled, counts as lost, too.
            settling = 2 * DAY if feed == "transcoders" else 3 * HOUR
            assert bool(seconds) <= (told[feed] >= seconds)
            assert told[feed] <= seconds + settling
            assert bool(told[feed]) == bool(seconds)
        assert set(own(simulation, "media_exporter_backlog_seconds").values()) == {0}
        simulation.now = polled + DAY + QUARTER
        assert await simulation.poll()
        await simulation.settle()
        late = int(simulation.now) - 121
        grown = expected_of_feeds(simulation, provider, late)
        if provider == "millicast":
            grown, _ = with_losses(simulation, grown, polled)
        assert differences(counters(simulation, provider), grown) == {}


@pytest.mark.parametrize("days", [1, 8])
async def test_jobs_that_ended_in_an_outage_are_counted_afterwards(
    days: int, tmp_path: Path
) -> None:
    """Each job that finished while nobody asked is counted once, with its times."""
    options = {"dolby_media": {"feeds": ["jobs"]}}
    simulation = Simulation(tmp_path, providers=["dolby_media"], accounts=options)
    first = int(simulation.now)
    async with simulation.running():
        assert await simulation.poll()
        await simulation.settle(0)
        before = ended_jobs(simulation)
    simulation.now += days * DAY + HOUR
    last = int(simulation.now)
    async with simulation.running():
        assert await simulation.poll()
        await simulation.settle()
        grown = {
            key: round(value - before.get(key, 0), 3)
            for key, value in ended_jobs(simulation).items()
        }
        assert differences(grown, expected_growth_of_jobs(simulation, first, last)) == {}
        lost = own(simulation, "media_exporter_data_lost_seconds_total")
        assert lost == {"jobs": 0}


async def test_jobs_that_outlast_an_outage_by_days_are_counted_when_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that began in an outage and still runs after it is watched until it ends, though it
    began before the window of any later poll.
    """
    ordinary = jobs.job

    def job(path: str, hour: int, bits: int) -> jobs.Job:
        """Before the outage none is left unfinished, or the polls would reach back to it."""
        found = ordinary(path, hour, bits)
        if hour < START:
            return replace(found, completed=min(found.completed, int(START) * 1000))
        if bits % 11 == 1 and found.started is not None:
            return replace(found, completed=found.started + 70 * HOUR * 1000)
        return found

    monkeypatch.setattr(jobs, "job", job)
    monkeypatch.setattr(jobs, "LONGEST_SECONDS", 80 * HOUR)
    shown = []
    for name, outage in (("out", 5 * DAY), ("there", 0)):
        folder = tmp_path / name
        folder.mkdir()
        options = {"dolby_media": {"feeds": ["jobs"]}}
        simulation = Simulation(folder, providers=["dolby_media"], accounts=options)
        began = simulation.now
        async with simulation.running():
            assert await simulation.poll()
            simulation.now += outage
            while simulation.now < began + 9 * DAY:
                simulation.now += 12 * HOUR
                assert await simulation.poll()
            await simulation.settle()
            shown.append(ended_jobs(simulation))
    assert differences(*shown) == {}


class Slow(Faults):
    """Every request takes its time."""

    simulation: Simulation
    seconds: float = 0

    def take(self, provider: str, path: str) -> str | None:
        self.simulation.now += self.seconds
        return super().take(provider, path)


def slow(folder: Path, provider: str) -> tuple[Simulation, Slow]:
    faults = Slow()
    simulation = simulate(folder, provider, faults=faults)
    faults.simulation = simulation
    return simulation, faults


async def test_current_data_comes_first_and_a_restart_goes_on_where_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A long gap is filled in pieces after the current data, until the next tick; progress is
    on the page and in the log, and survives restarts.
    """
    caplog.set_level(logging.INFO)
    simulation, faults = slow(tmp_path, "wowza")
    async with simulation.running():
        assert await simulation.poll()
    simulation.now += 150 * DAY
    simulation.emulators.log.clear()
    faults.seconds = 4
    backlogs: list[float] = []
    for _ in range(20):
        async with simulation.running():
            started = simulation.now
            assert await simulation.poll()
            assert simulation.now - started < 2 * QUARTER
            backlogs.append(own(simulation, "media_exporter_backlog_seconds")["vod_streams"])
            if sum(own(simulation, "media_exporter_backlog_seconds").values()) == 0:
                break
            simulation.now = simulation.now // QUARTER * QUARTER + QUARTER + 61
    assert len(backlogs) > 2
    assert backlogs == sorted(backlogs, reverse=True)
    assert backlogs[0] > 30 * DAY
    progress = said(caplog, "catching up")
    assert progress
    assert all(line["hours_left"] > 0 for line in progress)
    assert said(caplog, "caught up")
    asked = [dict(entry.params)["from"] for entry in simulation.emulators.log]
    recent = "2026-08-26"
    first_old = next(place for place, begin in enumerate(asked) if begin < recent)
    assert all(begin >= recent for begin in asked[:first_old])
    assert first_old > 90, "the newest two days, hour by hour, came first"
    faults.seconds = 0
    async with simulation.running():
        simulation.now += QUARTER
        last = int(simulation.now)
        assert await simulation.poll()
        await simulation.settle()
        expected = expected_of_feeds(simulation, "wowza", last)
        assert differences(counters(simulation, "wowza"), expected) == {}


@pytest.mark.parametrize("provider", ["millicast", "wowza"])
async def test_nothing_from_before_the_first_window_is_ever_counted(
    provider: str, tmp_path: Path
) -> None:
    """With an hour of history counting begins there, whatever later revisits reach: the daily
    48 hours, or whole days and months after an outage.
    """
    simulation = simulate(tmp_path, provider, polling={"history": "1h"})
    simulation.accounts[provider]["feeds"] = ["account"]
    begin = (int(START) - HOUR) // HOUR * HOUR
    for after in (0, QUARTER, 5 * HOUR, DAY + HOUR, 2 * DAY + 2 * HOUR):
        async with simulation.running():
            simulation.now = START + after
            assert await simulation.poll()
            await simulation.settle()
            truth = simulation.truth(provider, begin, int(START + after))
            shown = counters(simulation, provider)
            assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}


async def test_a_whole_day_is_not_taken_for_the_part_of_it_that_counts(tmp_path: Path) -> None:
    """Of the day on which counting began, Wowza tells the hours even after a month."""
    simulation = simulate(tmp_path, "wowza", polling={"history": "1h"})
    simulation.accounts["wowza"]["feeds"] = ["account"]
    begin = (int(START) - HOUR) // HOUR * HOUR
    async with simulation.running():
        assert await simulation.poll()
    simulation.now += 30 * DAY
    async with simulation.running():
        assert await simulation.poll()
        await simulation.settle()
        truth = simulation.truth("wowza", begin, int(simulation.now) - 121)
        shown = counters(simulation, "wowza")
        assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}


async def test_a_history_of_all_that_there_is_reaches_into_the_months(tmp_path: Path) -> None:
    """`history: max` counts hours, before them days, before them months, each time once."""
    simulation = simulate(tmp_path, "millicast", polling={"history": "max"})
    simulation.accounts["millicast"]["feeds"] = ["account"]
    begin = Step.MONTH.floor(int(START) - 5 * 366 * DAY)
    async with simulation.running():
        assert await simulation.poll()
        truth = simulation.truth("millicast", begin)
        shown = counters(simulation, "millicast")
        assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
        simulation.now += 3 * HOUR
        assert await simulation.poll()
        await simulation.settle()
        truth = simulation.truth("millicast", begin, int(simulation.now) - 121)
        shown = counters(simulation, "millicast")
        assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
    resolutions = {
        dict(entry.params)["resolution"]
        for entry in simulation.emulators.log
        if "/series" in entry.path
    }
    assert resolutions == {"Hour", "Day", "Month"}
