"""The whole exporter with its ledger on PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.cli.main import main
from exporter.emulators.world import World
from tests.scenarios.test_reload import configured, reload
from tests.support.postgres import Server, postgres
from tests.support.simulation import Simulation

__all__ = ["postgres"]

pytestmark = pytest.mark.sockets

OWN = re.compile(
    "process_|python_|media_exporter_(build_info|ledger_size|.*_duration_|.*config_last_reload)"
)


def shown(simulation: Simulation) -> list[str]:
    """The lines of the page in order, without what is the process's own."""
    return sorted(line for line in simulation.text().splitlines() if OWN.search(line) is None)


async def test_the_page_is_the_same_whichever_database_keeps_the_ledger(
    postgres: Server, tmp_path: Path
) -> None:
    """Over polls, months and a restart, of every vendor."""
    file: list[list[str]] = []
    database: list[list[str]] = []
    for pages, ledger in ((file, {}), (database, {"url": postgres.url(postgres.ledger())})):
        folder = tmp_path / f"{len(file)}"
        folder.mkdir()
        simulation = Simulation(folder, world=World(), ledger=ledger)
        async with simulation.running():
            for _ in range(3):
                assert await simulation.poll()
                simulation.now += 900
            await simulation.settle()
            pages.append(shown(simulation))
        async with simulation.running():
            pages.append(shown(simulation))
            simulation.now += 7200
            assert await simulation.poll()
            await simulation.settle()
            pages.append(shown(simulation))
    assert min(len(page) for page in file) > 100
    assert database == file


async def test_a_database_that_goes_away_and_comes_back_costs_nothing(
    postgres: Server, tmp_path: Path
) -> None:
    """Polls fail meanwhile and say so; counters stay; then everything is there."""
    simulation = Simulation(
        tmp_path, providers=["millicast"], ledger={"url": postgres.url(postgres.ledger())}
    )
    async with simulation.running() as exporter:
        assert await simulation.poll()
        await simulation.settle()
        before = simulation.usage("millicast")
        database = exporter.shared.ledger.database  # type: ignore[attr-defined]
        there, database.server = database.server, type(database.server)("postgresql:///?host=/no")
        database.close()
        simulation.now += 900
        assert not await simulation.poll()
        assert simulation.usage("millicast") == before
        assert simulation.value("media_exporter_ledger_write_failures_total")
        database.server = there
        simulation.now += 900
        assert await simulation.poll()
        await simulation.settle()
        began = exporter.collectors[0].recorder.book.feeds["account"].began
        assert began is not None
        truth = simulation.truth("millicast", began)
        usage = simulation.usage("millicast")
        shared = usage.keys() & truth.keys()
        assert shared
        assert {key: usage[key] for key in shared} == {key: truth[key] for key in shared}


async def test_another_database_needs_a_restart(postgres: Server, tmp_path: Path) -> None:
    url = postgres.url(postgres.ledger())
    simulation = Simulation(tmp_path, providers=["millicast"], ledger={"url": url})
    async with simulation.running() as exporter:
        assert (
            await reload(exporter, configured(tmp_path, "millicast", ledger={"url": url})) is None
        )
        elsewhere = configured(tmp_path, "millicast", ledger={"url": url + "&connect_timeout=1"})
        for config in (elsewhere, configured(tmp_path, "millicast")):
            problem = await reload(exporter, config)
            assert problem is not None
            assert "ledger.url cannot be changed while running" in problem


def check(config: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main(["check-config", "--config.file", str(config), *flags])
    return code, capsys.readouterr().out


def test_check_config_says_where_the_ledger_is(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = Simulation(tmp_path, providers=["millicast"])
    code, said = check(simulation.configuration(), capsys)
    assert code == 0
    assert f"ledger: SQLite, {tmp_path / 'usage.db'}, kept in detail for 400d\n" in said
    url = postgres.url(postgres.ledger())
    simulation.ledger = {"url": url, "retention": "62d"}
    code, said = check(simulation.configuration(), capsys)
    assert code == 0
    assert f"ledger: PostgreSQL, {url}, kept in detail for 62d\n" in said


def test_check_config_online_tries_the_database_and_changes_nothing(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreachable vendor fails the command here as well, so the lines tell."""
    empty = postgres.database()
    simulation = Simulation(tmp_path, providers=["millicast"])
    for url, expected in (
        (postgres.url(postgres.ledger()), "a ledger of version 1"),
        (postgres.url(empty), "empty; serve makes the tables"),
        (postgres.url("nowhere"), 'ledger .*: cannot be reached: .*"nowhere" does not exist'),
    ):
        simulation.ledger = {"url": url}
        code, said = check(simulation.configuration(), capsys, "--online")
        assert code == 1
        assert re.search(f"  ledger, asked online: {expected}", said), said
    assert postgres.execute("SELECT 1 FROM pg_class WHERE relname = 'feed'", database=empty) == []


@pytest.mark.parametrize("command", ["once", "backfill"])
def test_a_database_that_cannot_be_opened_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    url = f"postgresql://usage@/usage?host={tmp_path}"
    simulation = Simulation(tmp_path, providers=["millicast"], ledger={"url": url})
    assert main([command, "--config.file", str(simulation.configuration())]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"ledger {url}: cannot be reached" in said.err


def test_the_variable_that_images_set_does_not_hide_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is typed does."""
    url = f"postgresql://usage@/usage?host={tmp_path}"
    simulation = Simulation(tmp_path, providers=["millicast"], ledger={"url": url})
    config = ["--config.file", str(simulation.configuration())]
    monkeypatch.setenv("MEDIA_USAGE_EXPORTER_LEDGER_PATH", str(tmp_path / "of_the_image.db"))
    for command in ("once", "backfill"):
        assert main([command, *config]) == 1
        assert url in capsys.readouterr().err
    assert main(["backfill", *config, "--ledger.path", str(tmp_path / "typed.db")]) == 1
    assert "typed.db: there is no such file" in capsys.readouterr().err
