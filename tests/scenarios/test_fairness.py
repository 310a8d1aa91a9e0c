"""One thing that goes wrong must not take others along: what a review found, as tests."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from exporter import providers
from exporter.config import Config, load
from exporter.exposition import Format
from exporter.exposition.telemetry import RENDERED_AT_ONCE, AccountTelemetry, Telemetry
from exporter.ledger import Book, Ledger
from exporter.model import Request
from exporter.model.errors import LedgerWriteError, RateLimitedError
from tests.support.simulation import Simulation
from tests.support.virtual_time import in_virtual_time


def test_every_accounts_own_metrics_get_their_turn() -> None:
    """With many accounts that all change between two scrapes, none is stuck at what it was."""
    clock = iter(range(10**6)).__next__
    telemetry = Telemetry(clock=lambda: float(clock()), ledger_size=lambda: 0)
    accounts = [
        AccountTelemetry(provider="p", account=f"a{n}", feeds=["f"], cadence_seconds=10)
        for n in range(3 * RENDERED_AT_ONCE)
    ]
    telemetry.set_accounts(accounts)
    section = telemetry.section(Format.TEXT, None)
    for _ in range(3):
        for account in accounts:
            account.poll("f", seconds=0.1, failure=None, at=1.0)
        section = telemetry.section(Format.TEXT, None)
    text = b"".join(section.plain).decode()
    for account in accounts:
        labels = f'{{provider="p",account="{account.account}",feed="f"}}'
        assert f"media_exporter_polls_total{labels} 0\n" not in text


async def test_an_account_is_polled_once_at_a_time(tmp_path: Path) -> None:
    """A poll that is asked for during another waits for it, and succeeds."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running() as exporter:
        (collector,) = exporter.collectors
        first, second = await asyncio.gather(collector.poll(), collector.poll())
        assert first
        assert second


async def test_a_reload_that_the_ledger_refuses_leaves_every_account_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the ledger cannot be written in a reload, the old accounts go on as before."""
    simulation = Simulation(tmp_path, providers=["millicast", "wowza"])
    async with simulation.running() as exporter:
        assert await simulation.poll()
        before = simulation.usage("millicast")
        changed = Simulation(
            tmp_path, providers=["millicast", "wowza", "livepeer"], polling={"cadence": "5m"}
        )
        exporter.read_config = lambda: read(changed)
        whole, calls = exporter.shared.ledger.book, []

        def book(provider: str, *arguments: Any, **options: Any) -> Book:
            calls.append(provider)
            if provider == "livepeer":
                raise LedgerWriteError("the disk is full")
            return whole(provider, *arguments, **options)

        monkeypatch.setattr(type(exporter.shared.ledger), "book", staticmethod(book))
        assert "the disk is full" in (await exporter.reload() or "")
        assert "livepeer" in calls
        assert [one.account.name for one in exporter.collectors] == ["live", "vod"]
        assert exporter.healthy() is None
        assert simulation.usage("millicast") == before
        assert await simulation.poll()


def read(simulation: Simulation) -> Config:
    return load(simulation.configuration(), providers.load())


@in_virtual_time
async def test_a_stalled_listing_does_not_take_configured_streams_along(tmp_path: Path) -> None:
    """While the vendor's listing does not answer, streams that are known are polled on."""
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        polling={"cadence": "3s", "timeout": "30s"},
        accounts={"millicast": {"streams": ["lobby"]}},
    )
    async with simulation.running() as exporter:
        simulation.faults.set("millicast", "stall", path_prefix="/api/monitoring")
        (collector,) = exporter.collectors
        assert not await collector.poll(patience_seconds=2.5)
        labels = {"provider": "millicast", "account": "live"}
        assert simulation.value("media_exporter_poll_success", **labels, feed="viewers") == 0
        assert simulation.value("media_exporter_poll_success", **labels, feed="streams") == 1


async def test_a_poll_ends_before_the_next_tick(tmp_path: Path) -> None:
    """A stalled feed is given up shortly before the next tick, so that no tick is missed."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        (collector,) = exporter.collectors
        ticks = collector.ticks
        simulation.now = simulation.now // 900 * 900 + ticks.delay_seconds + 0.001
        assert 900 * 0.9 < ticks.seconds_for_a_poll() < 900 * 0.96
        simulation.now += 800
        assert 900 < ticks.seconds_for_a_poll() < 1000


async def test_retry_after_is_obeyed_by_the_next_poll_too(tmp_path: Path) -> None:
    """A vendor that asked for more time than the poll had is not asked again before."""
    simulation = Simulation(tmp_path, providers=["wowza"])
    async with simulation.running() as exporter:
        simulation.faults.set("wowza", "429-absurd")
        client = exporter.polling.running[0].client
        loop = asyncio.get_running_loop()
        for _ in range(2):
            with pytest.raises(RateLimitedError):
                await client.get(
                    Request("/api/v1.11/usage/account"), feed="account", deadline=loop.time() + 5
                )
        assert len(simulation.emulators.log) == 1


async def test_an_account_asks_no_more_often_than_the_configuration_allows(tmp_path: Path) -> None:
    """What has no turn within the poll fails at once, and leaves what has one alone."""
    simulation = Simulation(tmp_path, providers=["wowza"], polling={"requests_per_second": 0.01})
    async with simulation.running() as exporter:
        (collector,) = exporter.collectors
        assert not await collector.poll(patience_seconds=50)
        assert len(simulation.emulators.log) == 1


def test_closing_does_not_wait_for_readers(tmp_path: Path) -> None:
    """A ledger is closed at once while somebody reads it, and loses nothing by that."""
    ledger = Ledger.open(tmp_path / "usage.db", clock=time.time, hold_seconds=0)
    ledger.book("millicast", "a", feeds=["account"], stream_limit=10)
    reader = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM account").fetchone() == (1,)
    ledger.book("millicast", "b", feeds=["account"], stream_limit=10)
    closed = threading.Thread(target=ledger.close)
    closed.start()
    closed.join(timeout=8)  # a tenth of a second is enough; it used to take more than ten
    assert not closed.is_alive()
    reader.close()
    again = sqlite3.connect(tmp_path / "usage.db")
    assert again.execute("SELECT count(*) FROM account").fetchone() == (2,)
    again.close()
