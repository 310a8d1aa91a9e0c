"""The main job, on simulated time: what is shown is what the vendors' world comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.model import Step
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Simulation

CADENCE = 900


def starts(now: float) -> dict[str, int]:
    """From when on a first poll at `now` with a day of history counts, by provider."""
    first = int(now) - DAY
    return {name: first - first % (DAY if name == "dolby_media" else HOUR) for name in ACCOUNTS}


def differences(shown: dict, truth: dict) -> dict:
    """Where the two disagree; a truth of 0 may be shown or not."""
    return {
        key: (shown.get(key), truth.get(key))
        for key in shown.keys() | truth.keys()
        if shown.get(key, 0) != truth.get(key, 0)
    }


def without_finished_jobs(shown: dict) -> dict:
    """The rest; jobs are listed by submission, so the first poll has no whole window of them."""
    return {key: value for key, value in shown.items() if key[0] != "media_jobs_finished_total"}


def jobs(simulation: Simulation) -> dict:
    names = (
        "media_jobs_finished_total",
        "media_job_queue_seconds_count",
        "media_job_processing_seconds_count",
    )
    return {
        (name, tuple(pair for pair in labels if pair[0] not in ("provider", "account"))): value
        for (name, labels), value in simulation.samples().items()
        if name in names
    }


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_default_feeds_show_the_truth_after_every_poll(provider: str, tmp_path: Path) -> None:
    """At each poll every counter of a provider's default feeds is exactly what the vendor holds."""
    simulation = Simulation(tmp_path, providers=[provider])
    start = starts(simulation.now)[provider]
    async with simulation.running():
        for _ in range(9):
            assert await simulation.poll()
            await simulation.settle(0)
            shown = without_finished_jobs(simulation.usage(provider))
            truth = simulation.truth(provider, start)
            assert shown
            assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
            simulation.now += CADENCE


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_the_first_poll_makes_the_month_whole(provider: str, tmp_path: Path) -> None:
    """Each counter is what the vendor holds of the month; of single streams some keep a week."""
    simulation = Simulation(tmp_path, providers=[provider], polling={"history": "month"})
    month = Step.MONTH.floor(int(simulation.now))
    account = {"provider": provider, "account": ACCOUNTS[provider]}
    async with simulation.running():
        for _ in range(2):
            assert await simulation.poll()
            await simulation.settle(0)
            assert simulation.value("media_month_to_date_complete", **account) == 1
            since = simulation.value("media_month_to_date_since_timestamp_seconds", **account)
            assert since == month
            shown = {
                key: value
                for key, value in without_finished_jobs(simulation.usage(provider)).items()
                if not (provider == "millicast" and key[0].startswith("media_stream_"))
            }
            truth = simulation.truth(provider, month)
            assert shown
            assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
            simulation.now += CADENCE


async def test_finished_jobs_grow_by_those_that_finished(tmp_path: Path) -> None:
    """From the first poll on, finished jobs and their timings grow by exactly what finished."""
    simulation = Simulation(tmp_path, providers=["dolby_media"])
    first = int(simulation.now)
    async with simulation.running():
        assert await simulation.poll()
        before = jobs(simulation)
        for _ in range(12):
            simulation.now += CADENCE
            assert await simulation.poll()
        polled = int(simulation.now)
        await simulation.settle()
        after = jobs(simulation)
        grown = {key: value - before.get(key, 0) for key, value in after.items()}
        assert sum(grown.values()) > 0
        truth = {
            key: value
            for key, value in simulation.truth("dolby_media", first, polled).items()
            if key[0] in {name for name, _ in grown}
        }
        assert differences(grown, truth) == {}


async def test_counters_are_there_after_a_restart_before_the_first_poll(tmp_path: Path) -> None:
    """A new process shows every counter at its old value, from the ledger alone."""
    simulation = Simulation(tmp_path)
    async with simulation.running():
        assert await simulation.poll()
        before = {name: simulation.usage(name) for name in ACCOUNTS}
        assert all(before.values())
    async with simulation.running():
        assert {name: simulation.usage(name) for name in ACCOUNTS} == before


async def test_a_failing_vendor_leaves_the_others_alone_and_catches_up(tmp_path: Path) -> None:
    """While one vendor fails its counters stand still, the others' do not, and nothing is lost."""
    simulation = Simulation(tmp_path)
    beginnings = starts(simulation.now)
    labels = {"provider": "wowza", "account": "vod", "feed": "vod_streams"}
    async with simulation.running():
        assert await simulation.poll()
        kept = simulation.usage("wowza")
        simulation.faults.set("wowza", "500")
        for _ in range(5):
            simulation.now += CADENCE
            assert not await simulation.poll()
            assert simulation.usage("wowza") == kept
            assert simulation.value("media_exporter_poll_success", **labels) == 0
            truth = simulation.truth("millicast", beginnings["millicast"])
            name = "media_delivered_bytes_total"
            key = (name, (("kind", "live"),))
            assert simulation.usage("millicast")[key] == truth[key]
        failures = simulation.value("media_exporter_poll_failures_total", **labels, reason="server")
        assert failures == 5
        assert (
            simulation.value("media_viewers", provider="wowza", account="vod", kind="all") is None
        )
        simulation.faults.clear("wowza")
        simulation.now += CADENCE
        assert await simulation.poll()
        await simulation.settle()
        shown = simulation.usage("wowza")
        truth = simulation.truth("wowza", beginnings["wowza"], int(simulation.now) - 121)
        assert differences(shown, {key: truth.get(key, 0) for key in shown}) == {}
