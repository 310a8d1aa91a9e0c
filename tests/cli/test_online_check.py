"""`check-config --online`: what a credential may do, tried once."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from exporter import providers
from exporter.cli import online_check
from exporter.config import Config, load
from tests.support.simulation import ACCOUNTS, Simulation


def config_of(simulation: Simulation) -> Config:
    return load(simulation.configuration(), providers.load())


async def examine(simulation: Simulation, *, ahead: float = 0.0) -> online_check.AccountFinding:
    """The finding for the simulation's only account, by a clock that may be ahead."""

    class Dated(httpx.ASGITransport):
        """Tells the time, as servers do."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            now = simulation.now
            response.headers["date"] = httpx_date(now)
            return response

    config = config_of(simulation)
    return await online_check.examine(
        config.accounts[0],
        config.polling,
        clock=lambda: simulation.now + ahead,
        transport=Dated(simulation.emulators),
    )


def httpx_date(now: float) -> str:

    return formatdate(now, usegmt=True)


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_a_good_credential_may_do_all_that_is_polled(provider: str, tmp_path: Path) -> None:
    """With the right credential every polled feed is allowed, and the clocks agree."""
    simulation = Simulation(
        tmp_path, providers=[provider], accounts={"millicast": {"streams": ["lobby"]}}
    )
    finding = await examine(simulation)
    assert finding.healthy
    assert {one.feed for one in finding.feeds if one.polled} == set(
        config_of(simulation).accounts[0].feeds
    )
    assert all(one.allowed for one in finding.feeds if one.polled)
    assert "    clock: agrees with the vendor's" in online_check.report(finding)


@pytest.mark.parametrize("provider", ACCOUNTS)
async def test_each_feed_is_tried_with_one_request(provider: str, tmp_path: Path) -> None:
    """A check costs at most one request for each feed, besides signing in."""
    simulation = Simulation(tmp_path, providers=[provider])
    finding = await examine(simulation)
    asked = [one for one in simulation.emulators.log if "token" not in one.path]
    assert len(asked) == sum(one.allowed is not None for one in finding.feeds)


async def test_a_bad_credential_is_said_for_every_feed(tmp_path: Path) -> None:
    """A credential that the vendor does not know is not healthy, and the report says why."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    simulation.faults.set("wowza", "401")
    finding = await examine(simulation)
    assert not finding.healthy
    assert all(one.allowed is not True for one in finding.feeds)
    assert "(auth)" in "\n".join(online_check.report(finding))


@pytest.mark.parametrize(
    ("discover", "why"),
    [
        (True, "not tried: only polls find the streams to ask for"),
        (False, "not tried: the configuration names no streams to ask for"),
    ],
)
async def test_a_feed_without_streams_says_why_it_is_not_tried(tmp_path, discover, why):
    """With discovery nothing is missing."""
    account = {"discover": discover, "feeds": ["streams"]}
    simulation = Simulation(tmp_path, providers=["millicast"], accounts={"millicast": account})
    finding = await examine(simulation)
    assert f"    streams (polled): {why}" in online_check.report(finding)


async def test_a_refused_feed_that_is_not_polled_is_no_fault(tmp_path: Path) -> None:
    """What the plan does not include is told, but only counts when it is polled."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    simulation.faults.set("millicast", "404", path_prefix="/api/analytics/media/storage")
    finding = await examine(simulation)
    storage = next(one for one in finding.feeds if one.feed == "storage")
    assert (storage.polled, storage.allowed) == (False, False)
    assert finding.healthy


async def test_a_wrong_clock_is_told(tmp_path: Path) -> None:
    """A clock that is two minutes ahead of the vendor's is told with the amount."""
    finding = await examine(Simulation(tmp_path, providers=["wowza"]), ahead=120)
    assert "120 s ahead of the vendor's" in "\n".join(online_check.report(finding))


async def test_each_outcome_is_told_before_the_next_request(tmp_path: Path) -> None:
    """Who waits sees where it stands."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    asked: list[int] = []
    config = config_of(simulation)
    finding = await online_check.examine(
        config.accounts[0],
        config.polling,
        tell=lambda _: asked.append(len(simulation.emulators.log)),
        clock=lambda: simulation.now,
        transport=httpx.ASGITransport(simulation.emulators),
    )
    tried = [one for one in finding.feeds if one.allowed is not None]
    assert len(asked) == len(finding.feeds)
    assert asked[-1] == len(tried)
    assert sorted(set(asked) - {0}) == list(range(1, len(tried) + 1))


async def test_a_refusal_is_not_tried_again_and_the_others_are_tried(tmp_path: Path) -> None:
    """Somebody answers there, if only with an error: the next feed may fare better."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    simulation.faults.set("wowza", "503")
    finding = await examine(simulation)
    tried = [one for one in finding.feeds if one.allowed is False]
    assert len(simulation.emulators.log) == len(tried) > 1
    assert finding.answered
