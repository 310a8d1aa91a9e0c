"""What an account's status tells: the gauges of its page, and feeds with nothing to ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.emulators.millicast import Millicast
from exporter.emulators.world import World
from exporter.exposition import AccountPage
from exporter.model import Level, measures
from exporter.polling.figures import figures
from exporter.polling.status import Figures
from exporter.web.landing import landing_page
from tests.exposition.plain import Shelf
from tests.support.simulation import ACCOUNTS, START, Simulation

BILLING: list[dict[str, Any]] = [
    {
        "accounts": ["live", "vod"],
        "currency": "EUR",
        "from": "2026-01-01",
        "charges": [
            {
                "name": "delivery",
                "measure": "media_delivered_bytes_total",
                "unit": "GB",
                "included": "100000",
                "tiers": [{"price": "0.25"}],
            },
            {
                "name": "ingest",
                "measure": "media_received_bytes_total",
                "unit": "GB",
                "included": "7",
                "tiers": [{"price": "0.5"}],
            },
            {"name": "plan", "fee": "499"},
        ],
    }
]


def shown(simulation: Simulation, metric: str, account: str, **where: str) -> list[float]:
    """The values of an account's lines on the page of metrics."""
    wanted = {"account": account, **where}.items()
    return [
        value
        for (name, labels), value in simulation.samples().items()
        if name == metric and wanted <= dict(labels).items()
    ]


def total(values: list[float]) -> float | None:
    return sum(values) if values else None


async def test_the_figures_are_what_the_page_of_metrics_shows(tmp_path: Path) -> None:
    """For each account, its lines or their sum; after two cadences both are gone."""
    simulation = Simulation(tmp_path, polling={"history": "2d"}, billing=BILLING)
    async with simulation.running() as exporter:
        assert [one.figures for one in exporter.status()] == 4 * [Figures()]
        assert await simulation.poll()
        found = {one.name: one.figures for one in exporter.status()}
        assert set(found) == set(ACCOUNTS.values())
        for name, shows in found.items():
            assert shows.viewers == total(shown(simulation, "media_viewers", name))
            assert shows.month_to_date_delivered_bytes == total(
                shown(simulation, "media_month_to_date_bytes", name, direction="delivered")
            )
            assert shows.month_to_date_viewing_seconds == total(
                shown(simulation, "media_month_to_date_viewing_seconds", name)
            )
            assert shows.month_to_date_jobs == total(
                shown(simulation, "media_month_to_date_jobs", name)
            )
            assert [shows.month_to_date_since] == shown(
                simulation, "media_month_to_date_since_timestamp_seconds", name
            )
            assert shows.month_to_date_complete is False, "two days are not the month"
            assert shown(simulation, "media_month_to_date_complete", name) == [0]
            ratios = shown(simulation, "media_included_used_ratio", name)
            assert shows.included_used_ratio == max(ratios, default=None)
            for costs, metric in (
                (shows.month_to_date_cost, "media_month_to_date_cost"),
                (shows.month_forecast_cost, "media_month_forecast_cost"),
            ):
                lines = shown(simulation, metric, name, currency="EUR")
                assert costs == ({"EUR": pytest.approx(sum(lines))} if lines else {})
        live, jobs = found["live"], found["processing"]
        assert live.viewers
        assert live.month_to_date_delivered_bytes
        assert live.included_used_charge == "ingest"
        assert live.month_to_date_cost["EUR"] > 499
        assert live.month_forecast_cost
        assert jobs.month_to_date_jobs
        assert jobs.viewers is jobs.included_used_ratio is None
        assert not jobs.month_to_date_cost
        await simulation.settle(1801)
        assert not shown(simulation, "media_viewers", "live")
        assert [one.figures for one in exporter.status()] == 4 * [Figures()]


async def test_the_month_is_whole_when_the_ledger_has_it_from_its_beginning(tmp_path: Path) -> None:
    """As the gauge says."""
    simulation = Simulation(tmp_path, providers=["millicast"], polling={"history": "31d"})
    async with simulation.running() as exporter:
        assert await simulation.poll()
        assert shown(simulation, "media_month_to_date_complete", "live") == [1]
        assert exporter.status()[0].figures.month_to_date_complete is True


def test_kinds_charges_and_currencies_come_together() -> None:
    """Kinds and charges are summed, currencies are not; of quotas the fullest is told."""
    page = AccountPage(Shelf().book(), level_seconds=1800)
    levels = [
        Level(measures.VIEWERS, ("live",), 7),
        Level(measures.VIEWERS, ("vod",), 5),
        Level(measures.INCLUDED_USED_RATIO, ("delivery", "GB"), 0.25),
        Level(measures.INCLUDED_USED_RATIO, ("jobs", "1"), 1.5),
        Level(measures.MONTH_TO_DATE_COST, ("delivery", "EUR"), 0.25),
        Level(measures.MONTH_TO_DATE_COST, ("plan", "EUR"), 0.5),
        Level(measures.MONTH_TO_DATE_COST, ("old plan", "USD"), 3),
        Level(measures.MONTH_FORECAST_COST, ("EUR",), 9.5),
    ]
    page.render(page.set_levels("", levels, at=START), START)
    assert figures(page) == Figures(
        viewers=12,
        included_used_ratio=1.5,
        included_used_charge="jobs",
        month_to_date_cost={"EUR": 0.75, "USD": 3},
        month_forecast_cost={"EUR": 9.5},
    )


@pytest.mark.parametrize("fault", [None, "401"])
async def test_a_feed_without_names_has_nothing_to_ask_and_proves_nothing(
    tmp_path: Path, fault: str | None
) -> None:
    """Whatever the vendor would answer, nobody has asked."""
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        accounts={"millicast": {"feeds": ["streams"], "discover": False}},
    )
    async with simulation.running() as exporter:
        (before,) = exporter.status()[0].feeds
        assert before.state == "waiting"
        if fault is not None:
            simulation.faults.set("millicast", fault)
        assert await simulation.poll()
        assert not simulation.emulators.log
        (feed,) = exporter.status()[0].feeds
        assert (feed.state, feed.last_success) == ("nothing_to_ask", None)
        page = landing_page(exporter.status(), simulation.now, "/metrics")
    assert "nothing to ask" in page
    assert "verdict note" in page
    assert "works</h1>" not in page


async def test_a_list_of_streams_that_has_none_is_an_answer(tmp_path: Path) -> None:
    """The feed has nothing to ask, and yet the vendor has accepted the credential."""
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        accounts={"millicast": {"feeds": ["streams"]}},
        world=World(streams=0),
    )
    async with simulation.running() as exporter:
        assert await simulation.poll()
        (status,) = exporter.status()
        assert status.streams_listed
        assert [feed.state for feed in status.feeds] == ["nothing_to_ask"]
        page = landing_page([status], simulation.now, "/metrics")
        assert "Everything that is asked works" in page
        assert "the vendor answered with its list of streams, which has no names" in page
        simulation.now += 900
        simulation.faults.set("millicast", "401")
        assert not await simulation.poll()
        (status,) = exporter.status()
        assert not status.streams_listed
        assert [feed.state for feed in status.feeds] == ["failing"]


async def test_an_extra_feed_without_ids_is_no_part_of_what_works(tmp_path: Path) -> None:
    """The account's other feeds tell how it stands: rejected, then accepted."""
    simulation = Simulation(
        tmp_path,
        providers=["livepeer"],
        accounts={"livepeer": {"feeds": ["realtime", "public_totals"]}},
    )
    async with simulation.running() as exporter:
        simulation.faults.set("livepeer", "401")
        assert not await simulation.poll()
        states = {feed.name: feed.state for feed in exporter.status()[0].feeds}
        assert states == {"realtime": "failing", "public_totals": "nothing_to_ask"}
        page = landing_page(exporter.status(), simulation.now, "/metrics")
        assert "Nothing works: the only feed that asks anything fails" in page
        simulation.faults.clear("livepeer")
        simulation.now += 900
        assert await simulation.poll()
        page = landing_page(exporter.status(), simulation.now, "/metrics")
    assert "Everything that is asked works" in page
    assert "1 feed with nothing to ask" in page


async def test_streams_that_need_no_request_are_known_all_the_same(tmp_path: Path) -> None:
    """The account's own total, which was asked for, proves that they had nothing."""
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        accounts={"millicast": {"feeds": ["account", "streams"]}},
        world=World(seed=2, streams=1),
    )
    vendor = Millicast(simulation.world, clock=simulation.clock)
    simulation.emulators.vendors = {**simulation.emulators.vendors, "millicast": vendor}
    async with simulation.running() as exporter:
        assert await simulation.poll()  # of a vendor that lists every stream
        vendor.quirks = frozenset({"idle-unlisted"})
        spared = False
        for _ in range(40):
            simulation.now += 900
            simulation.emulators.log.clear()
            assert await simulation.poll()
            spared |= all("/streams/series" not in one.path for one in simulation.emulators.log)
            assert {feed.state for feed in exporter.status()[0].feeds} == {"ok"}
    assert spared, "or the only stream was never silent"
