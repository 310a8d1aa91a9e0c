"""A replica shows an account only while it holds its lease, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from exporter.exposition.validity import Validity
from exporter.ledger.leases import AccountKey, Holder
from exporter.ledger.thread import Worker
from exporter.model.errors import LedgerWriteError
from exporter.polling.lease_keeper import SHOWN_PART, STUCK_SECONDS, LeaseKeeper
from exporter.polling.status import LeasesStatus, ReplicaStatus
from tests.polling.leases import LEASE_SECONDS, Database
from tests.support.virtual_time import in_virtual_time

ACCOUNTS = tuple(AccountKey("acme", name) for name in ("one", "two", "three"))
SHOWN_SECONDS = LEASE_SECONDS * SHOWN_PART


class Notes:
    """What a keeper says."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self.reachable = True

    def leases(self, *, replicas: int, held: int, free: int) -> None:
        self.seen = {"replicas": replicas, "held": held, "free": free}

    def lease_taken_over(self) -> None:
        self.counts["taken over"] += 1

    def lease_lost(self) -> None:
        self.counts["lost"] += 1

    def ledger_reachable(self, *, reachable: bool) -> None:
        self.reachable = reachable


class Replica:
    """A keeper, and what it polls."""

    def __init__(
        self, database: Database, name: str, now: Callable[[], float] | None = None
    ) -> None:
        self.database = database
        self.polled: dict[AccountKey, int] = {}
        self.broken: set[AccountKey] = set()
        self.bugs = 0
        self.wanted: tuple[AccountKey, ...] = ACCOUNTS
        self.notes = Notes()
        self.worker = Worker()
        now = now or (lambda: database.now)
        self.validity = Validity(now)
        self.leases: Any = database.seen_by(Holder(name, "token"))
        self.keeper = LeaseKeeper(
            self.leases,
            worker=self.worker,
            me=Holder(name, "token"),
            lease_seconds=LEASE_SECONDS,
            wanted=lambda: self.wanted,
            hold=self.hold,
            validity=self.validity,
            telemetry=self.notes,
            now=now,
        )

    async def hold(self, held: Mapping[AccountKey, int]) -> Collection[AccountKey]:
        if self.bugs:
            self.bugs -= 1
            raise RuntimeError("a bug")
        self.polled = {key: epoch for key, epoch in held.items() if key not in self.broken}
        return [key for key in held if key in self.broken]

    @property
    def shown(self) -> set[str]:
        return {key.account for key in self.polled} - self.validity.expired()


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def replicas(database):
    both = Replica(database, "a"), Replica(database, "b")
    yield both
    for one in both:
        one.worker.close()


async def test_one_replica_takes_all_and_a_second_one_its_share(replicas):
    one, two = replicas
    await one.keeper.look()
    assert one.shown == {"one", "two", "three"}
    assert one.notes.seen == {"replicas": 1, "held": 3, "free": 0}
    for _ in range(3):
        await two.keeper.look()
        await one.keeper.look()
    await two.keeper.look()
    assert len(one.shown) + len(two.shown) == 3
    assert len(two.shown) == 1
    assert two.notes.counts == {"taken over": 1}
    assert two.notes.seen["replicas"] == 2
    assert not one.notes.counts, "given up is not lost"


async def test_an_account_is_given_up_only_once_it_is_not_polled_any_more(replicas, database):
    one, _ = replicas
    await one.keeper.look()
    held_when_released: list[Mapping[AccountKey, int]] = []
    release = one.leases.release

    def note(held: Mapping[AccountKey, int]) -> None:
        held_when_released.append(dict(one.polled))
        release(held)

    one.leases.release = note
    one.wanted = ACCOUNTS[:1]
    await one.keeper.look()
    assert held_when_released == [{ACCOUNTS[0]: 1}]
    assert database.rows[ACCOUNTS[1]].holder is None


async def test_an_account_is_not_shown_from_the_instant_on_at_which_its_lease_may_end(
    replicas, database
):
    """A process that was stopped answers without it, before it does anything else."""
    one, two = replicas
    await one.keeper.look()
    database.now += SHOWN_SECONDS - 0.001
    assert one.shown == {"one", "two", "three"}
    database.now += 0.001
    assert one.shown == set()
    await two.keeper.look()
    assert two.shown == set(), "it may not be taken yet"
    database.now += LEASE_SECONDS - SHOWN_SECONDS
    await two.keeper.look()
    assert two.shown == {"one", "two", "three"}
    await one.keeper.look()
    assert one.notes.counts["lost"] == 3
    assert not one.shown & two.shown


async def test_what_is_renewed_is_shown_on(replicas, database):
    one, _ = replicas
    for _ in range(20):
        await one.keeper.look()
        database.now += LEASE_SECONDS / 2
        assert one.shown == {"one", "two", "three"}
    assert one.polled == dict.fromkeys(ACCOUNTS, 1)


async def test_a_database_away_for_less_than_the_lease_changes_nothing(replicas, database):
    one, _ = replicas
    await one.keeper.look()
    database.away = True
    database.now += SHOWN_SECONDS - 1
    with pytest.raises(LedgerWriteError):
        await one.keeper.look()
    assert one.shown == {"one", "two", "three"}
    database.away = False
    await one.keeper.look()
    database.now += SHOWN_SECONDS - 1
    assert one.shown == {"one", "two", "three"}
    assert one.polled == dict.fromkeys(ACCOUNTS, 1), "nothing was loaded anew"


async def test_an_account_that_cannot_be_loaded_is_left_to_the_others(replicas, database):
    one, two = replicas
    one.broken = {ACCOUNTS[0]}
    await one.keeper.look()
    assert one.shown == {"two", "three"}
    assert database.rows[ACCOUNTS[0]].holder is None
    await one.keeper.look()
    assert one.notes.seen["held"] == 2
    await two.keeper.look()
    assert "one" in two.shown


async def test_a_refused_write_ends_an_account_at_once(replicas, database):
    one, _ = replicas
    await one.keeper.look()
    database.rows[ACCOUNTS[1]].epoch += 1
    one.keeper.lost(ACCOUNTS[1])
    assert one.shown == {"one", "three"}
    await one.keeper.look()
    assert ACCOUNTS[1] not in one.polled


async def test_a_lease_that_was_taken_without_an_answer_is_given_up_and_taken_again(
    replicas, database
):
    """The connection broke during COMMIT, say."""
    one, _ = replicas
    acquire = one.leases.acquire

    def unknown(wanted: Mapping[AccountKey, int]) -> None:
        acquire(wanted)
        raise LedgerWriteError("the connection broke")

    one.leases.acquire = unknown
    with pytest.raises(LedgerWriteError):
        await one.keeper.look()
    assert one.polled == {}
    one.leases.acquire = acquire
    await one.keeper.look()
    await one.keeper.look()
    assert one.polled == dict.fromkeys(ACCOUNTS, 2)


async def test_a_replica_that_stops_hands_all_over_at_once(replicas, database):
    one, two = replicas
    await one.keeper.look()
    await one.keeper.stop()
    assert one.shown == set()
    assert one.polled == {}
    await two.keeper.look()
    assert two.shown == {"one", "two", "three"}
    assert two.notes.seen["replicas"] == 1


async def test_the_status_is_who_holds_what_and_what_nobody_holds(replicas, database):
    one, two = replicas
    assert one.keeper.status() == LeasesStatus(
        "a", (ReplicaStatus("a", ()),), ("one", "three", "two"), reachable=True
    )
    await one.keeper.look()
    await two.keeper.look()
    await one.keeper.look()
    status = two.keeper.status()
    assert status.me == "b"
    assert status.replicas == (ReplicaStatus("a", ("one", "three", "two")), ReplicaStatus("b", ()))
    assert one.keeper.status().free == ("two",), "given up for the other"
    one.broken = {ACCOUNTS[2]}
    database.now += 2 * LEASE_SECONDS
    await one.keeper.look()
    assert one.keeper.status() == LeasesStatus(
        "a", (ReplicaStatus("a", ("one", "two")),), ("three",), reachable=True
    )


async def test_accounts_that_were_taken_when_a_bug_came_up_are_polled_all_the_same(replicas):
    one, _ = replicas
    one.bugs = 1
    with pytest.raises(RuntimeError):
        await one.keeper.look()
    assert one.polled == {}
    await one.keeper.look()
    assert one.shown == {"one", "two", "three"}
    assert one.polled == dict.fromkeys(ACCOUNTS, 1)


async def test_an_account_whose_giving_up_met_a_bug_is_shown_no_longer_than_its_lease(
    replicas, database
):
    one, two = replicas
    await one.keeper.look()
    one.wanted = two.wanted = ACCOUNTS[:1]
    one.bugs = 1
    with pytest.raises(RuntimeError):
        await one.keeper.look()
    assert database.rows[ACCOUNTS[1]].holder is not None, "it may be shown still"
    database.now += SHOWN_SECONDS
    assert one.shown == set()
    await one.keeper.look()
    assert one.polled == {ACCOUNTS[0]: 1}
    assert database.rows[ACCOUNTS[1]].holder is None


async def test_a_write_refused_after_the_account_was_given_up_changes_nothing(replicas):
    one, _ = replicas
    one.wanted = ACCOUNTS[:1]
    await one.keeper.look()
    one.keeper.lost(ACCOUNTS[1])
    assert one.validity.expired() == frozenset()
    await one.keeper.look()
    assert one.shown == {"one"}
    assert not one.notes.counts


@in_virtual_time
async def test_leases_are_kept_after_an_error_that_nobody_foresaw(caplog) -> None:
    """Wherever it comes up: in looking at the leases, or in dropping those that ran out."""
    database = Database()
    loop = asyncio.get_running_loop()

    def now() -> float:
        database.now = 1000 + loop.time()
        return database.now

    replica = Replica(database, "a", now)
    assert not replica.keeper.stuck(), "not begun"
    renew = replica.leases.renew
    running = asyncio.create_task(replica.keeper.run())
    try:
        await asyncio.sleep(1)
        assert replica.shown == {"one", "two", "three"}

        def bug(*_: object) -> None:
            raise RuntimeError("a bug")

        replica.leases.renew = bug
        replica.bugs = 3
        await asyncio.sleep(SHOWN_SECONDS + 1)
        assert replica.shown == set()
        assert replica.bugs < 3
        await asyncio.sleep(10)
        assert replica.polled == {}
        assert replica.notes.counts["lost"] == 3, "once each"
        assert not replica.keeper.stuck()
        await asyncio.sleep(2 * LEASE_SECONDS + STUCK_SECONDS)
        assert replica.keeper.stuck()
        assert 0 < caplog.messages.count("leases cannot be kept") < 600
        replica.leases.renew = renew
        await asyncio.sleep(2)
        assert replica.shown == {"one", "two", "three"}
        assert not replica.keeper.stuck()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        replica.worker.close()


@in_virtual_time
async def test_a_database_that_is_away_for_long_is_not_a_fault_of_this_process() -> None:
    database = Database(away=True)
    loop = asyncio.get_running_loop()
    replica = Replica(database, "a", lambda: 1000 + loop.time())
    running = asyncio.create_task(replica.keeper.run())
    try:
        await asyncio.sleep(2 * LEASE_SECONDS + STUCK_SECONDS + 10)
        assert not replica.notes.reachable
        assert not replica.keeper.stuck()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        replica.worker.close()


@in_virtual_time
async def test_while_it_runs_leases_are_renewed_and_those_that_run_out_are_dropped() -> None:
    """Also while the database is away."""
    database = Database()
    loop = asyncio.get_running_loop()

    def now() -> float:
        database.now = 1000 + loop.time()
        return database.now

    replica = Replica(database, "a", now)
    running = asyncio.create_task(replica.keeper.run())
    try:
        for _ in range(int(3 * LEASE_SECONDS)):
            await asyncio.sleep(1)
            assert replica.shown == {"one", "two", "three"}
        assert replica.polled == dict.fromkeys(ACCOUNTS, 1)
        database.away = True
        await asyncio.sleep(SHOWN_SECONDS + 0.1)
        assert replica.polled == {}
        assert not replica.notes.reachable
        assert replica.notes.counts["lost"] == 3
        database.away = False
        await asyncio.sleep(LEASE_SECONDS)
        assert replica.polled == dict.fromkeys(ACCOUNTS, 2), "loaded anew"
        assert replica.notes.reachable
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        replica.worker.close()
