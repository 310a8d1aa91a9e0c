"""A reload touches what has changed, and nothing else."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter import providers
from exporter.app import Exporter
from exporter.config import Config, load
from exporter.model.errors import LedgerWriteError
from exporter.web.app import Server
from tests.support.simulation import Simulation


def configured(folder: Path, *names: str, **settings: Any) -> Config:
    simulation = Simulation(folder, providers=names, **settings)
    return load(simulation.configuration(), providers.load())


async def reload(exporter: Exporter, config: Config) -> str | None:
    exporter.read_config = lambda: config
    return await exporter.reload()


async def test_an_account_that_did_not_change_is_left_as_it_is(tmp_path: Path) -> None:
    """It goes on with what it was doing; one that changed is built anew."""
    simulation = Simulation(tmp_path, providers=["millicast", "wowza"])
    async with simulation.running() as exporter:
        live, vod = exporter.collectors
        changed = configured(
            tmp_path, "millicast", "wowza", accounts={"wowza": {"feeds": ["viewers"]}}
        )
        assert await reload(exporter, changed) is None
        assert exporter.collectors[0] is live
        assert exporter.collectors[1] is not vod


async def test_the_counters_of_an_account_that_comes_back_begin_where_they_were(
    tmp_path: Path,
) -> None:
    """Prometheus has taken them for gone: growth that came with them would escape `increase()`."""
    simulation = Simulation(tmp_path, providers=["millicast", "wowza"])
    async with simulation.running() as exporter:
        assert await simulation.poll()
        await simulation.settle()
        before = simulation.usage("wowza")
        assert await reload(exporter, configured(tmp_path, "millicast")) is None
        assert not simulation.usage("wowza")
        simulation.now += 900
        assert await reload(exporter, configured(tmp_path, "millicast", "wowza")) is None
        assert await simulation.poll()
        assert simulation.usage("wowza") == before
        await simulation.settle()
        after = simulation.usage("wowza")
        assert any(after[key] > value for key, value in before.items())


async def test_the_ledger_stays_where_it_is(tmp_path: Path) -> None:
    """Another path is refused, in words that say what to do."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        elsewhere = configured(
            tmp_path, "millicast", ledger={"path": str(tmp_path / "elsewhere.db")}
        )
        assert "restart" in (await reload(exporter, elsewhere) or "")
        assert not (tmp_path / "elsewhere.db").exists()
        assert await simulation.poll()


async def test_a_failed_reload_is_on_the_page_until_one_succeeds(tmp_path: Path) -> None:
    """As the metric has it: for people and, in the status, for programs."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        server = Server(exporter)
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as browser:

            async def shown() -> tuple[float | None, str | None, str]:
                status = (await browser.get("/api/v1/status")).json()
                page = (await browser.get("/")).text
                metric = simulation.value("media_exporter_config_last_reload_successful")
                return metric, status["reload_failure"], page

            assert await simulation.poll()
            assert (await shown())[:2] == (1, None)
            path = simulation.configuration()
            path.write_text(path.read_text().replace("accounts:", "account:"))
            exporter.read_config = lambda: load(path, providers.load())
            failure = await exporter.reload()
            assert failure is not None
            metric, told, page = await shown()
            assert (metric, told) == (0, failure)
            assert html.escape(failure) in page.replace("&#39;", "&#x27;").replace(
                "&#34;", "&quot;"
            )
            assert "old configuration is in force" in page
            assert "✓ Everything works" not in page
            simulation.configuration()
            assert await exporter.reload() is None
            metric, told, page = await shown()
            assert (metric, told) == (1, None)
            assert "✓ Everything works" in page


async def test_an_account_that_could_not_be_taken_back_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When neither the new configuration nor the old one can be had, a supervisor hears of it."""
    simulation = Simulation(tmp_path, providers=["millicast"])
    async with simulation.running() as exporter:
        assert exporter.healthy() is None

        def book(*_: Any, **__: Any) -> None:
            raise LedgerWriteError("the disk is full")

        monkeypatch.setattr(type(exporter.shared.ledger), "book", staticmethod(book))
        changed = configured(tmp_path, "millicast", polling={"cadence": "5m"})
        assert "the disk is full" in (await reload(exporter, changed) or "")
        assert "Account live is not polled" in (exporter.healthy() or "")
