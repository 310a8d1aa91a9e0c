"""Two or three replicas of the real program share a database: every account is on one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.ledger.book import Lease
from exporter.ledger.leases import AccountKey
from exporter.model.errors import LedgerWriteError
from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.support.postgres import Server, postgres
from tests.support.processes import eventually
from tests.support.simulation import ACCOUNTS, Simulation

__all__ = ["postgres"]

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(240)]


@pytest.fixture
def rig(tmp_path: Path, postgres: Server) -> Iterator[Replicas]:
    with Replicas(tmp_path, postgres).serving() as rig:
        yield rig


def test_accounts_move_and_stay_exact_when_replicas_come_die_sleep_and_go(rig: Replicas) -> None:
    """In the merged view no counter ever falls, no account is on two pages, and in the end all are
    the truth.
    """
    rig.start("one")
    rig.wait()
    rig.start("two")
    eventually(rig.even, "two replicas hold two accounts each")

    rig.kill("one")
    rig.wait()
    rig.start("three")
    eventually(rig.even, "the third has its share")

    rig.freeze("two")
    rig.wait("two")
    rig.wait("two")  # a single page of the third would look like one beside those of the second
    assert rig.thaw("two") == frozenset(), "it has slept for longer than its leases"
    eventually(rig.even, "it takes its share again")

    rig.stop("three")
    rig.wait()
    rig.settle(Attack())
    assert rig.judge.shown_twice() == []
    assert "Traceback" not in rig.logs()


def test_a_replica_that_is_stopped_hands_its_accounts_over_without_waiting_for_a_lease(
    tmp_path: Path, postgres: Server
) -> None:
    with Replicas(tmp_path, postgres, lease="1h").serving() as rig:
        rig.start("one")
        rig.wait()
        rig.start("two")
        rig.live(0.1)
        rig.stop("one")
        rig.wait()
        assert rig.spread() == {"two": {"live", "processing", "vod", "studio"}}
        assert rig.judge.shown_twice() == []


async def test_only_accounts_that_are_held_are_polled_and_another_epoch_loads_them_anew(
    tmp_path: Path, postgres: Server
) -> None:
    simulation = Simulation(
        tmp_path, ledger={"url": postgres.url(postgres.ledger())}, replica="one"
    )
    live, vod = AccountKey("millicast", "live"), AccountKey("wowza", "vod")
    async with simulation.running() as exporter:
        assert exporter.leases is not None
        assert "media_delivered" not in simulation.text()
        assert not await exporter.polling.hold({live: 1, vod: 1})
        before = {one.account.name: one for one in exporter.collectors}
        assert list(before) == ["live", "vod"]
        assert not await exporter.polling.hold({live: 1, vod: 2})
        after = {one.account.name: one for one in exporter.collectors}
        assert after["live"] is before["live"]
        assert after["vod"] is not before["vod"]
        assert after["vod"].recorder.book.lease == Lease(str(exporter.leases.me), 2)
        await exporter.polling.hold({vod: 2})
        assert [one.account.name for one in exporter.collectors] == ["vod"]
        assert exporter.accounts == tuple((name, ACCOUNTS[name]) for name in ACCOUNTS)


async def test_an_account_that_cannot_be_loaded_is_named_and_left_to_other_replicas(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        ledger={"url": postgres.url(postgres.ledger())},
        replica="one",
    )
    live = AccountKey("millicast", "live")
    async with simulation.running() as exporter:

        def book(*_: object, **__: object) -> None:
            raise LedgerWriteError("its rows are damaged")

        with monkeypatch.context() as patched:
            patched.setattr(type(exporter.shared.ledger), "book", staticmethod(book))
            assert await exporter.polling.hold({live: 1}) == [live]
        assert not exporter.collectors
        assert exporter.healthy() is None, "a restart would not mend it"
        assert await exporter.polling.hold({live: 2}) == []
        assert [one.account.name for one in exporter.collectors] == ["live"]


async def test_an_account_whose_lease_was_taken_is_not_written_to(
    tmp_path: Path, postgres: Server
) -> None:
    """It is shown no longer, and the poll that was under way counts nowhere."""
    database = postgres.ledger()
    simulation = Simulation(
        tmp_path,
        providers=["millicast"],
        ledger={"url": postgres.url(database)},
        replica="one",
    )
    async with simulation.running() as exporter:
        assert exporter.leases is not None
        await exporter.leases.look()
        assert await simulation.poll()
        assert "media_delivered" in simulation.text()
        postgres.execute("UPDATE lease SET epoch = 7", database=database)
        simulation.now += 900
        assert not await simulation.poll()
        assert "media_delivered" not in simulation.text()
