"""Leases as rows of a real database, seen by several replicas."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from exporter.ledger.book import Lease
from exporter.ledger.leases import AccountKey, Holder, LeaseState
from exporter.ledger.place import Server as Place
from exporter.ledger.poll import Poll
from exporter.ledger.postgres import PostgresLedger
from exporter.ledger.postgres.leases import PostgresLeases
from exporter.model.errors import LeaseLostError, LedgerWriteError
from tests.support.processes import eventually

pytestmark = pytest.mark.sockets

ONE, TWO = Holder("one#1", "ab"), Holder("two", "c")
LIVE, VOD = AccountKey("millicast", "live"), AccountKey("wowza", "vod")
BOTH = frozenset((LIVE, VOD))


@pytest.fixture(params=["directly", "through PgBouncer"])
def place(request, postgres):
    port = 5432 if request.param == "directly" else postgres.bouncer_port
    return Place(postgres.url(postgres.ledger(), port=port))


@pytest.fixture
def seen_by(place):
    """The leases as a replica sees them, for `lease_seconds`."""
    opened = []

    def seen_by(me, lease_seconds=3600.0):
        leases = PostgresLeases(place, me, lease_seconds=lease_seconds)
        opened.append(leases)
        return leases

    yield seen_by
    for leases in opened:
        leases.close()


@pytest.fixture
def row(place, postgres):
    """Changes or reads a lease behind everybody's back."""

    def row(statement, *values):
        return postgres.execute(statement, *values, database=place.url.split("/")[3].split("?")[0])

    return row


def test_a_free_lease_is_taken_by_one_of_two_that_want_it(seen_by):
    one, two = seen_by(ONE), seen_by(TWO)
    standing = one.renew({}, BOTH)
    assert standing.leases == {LIVE: LeaseState(None, 0), VOD: LeaseState(None, 0)}
    assert two.renew({}, BOTH).replicas == {ONE, TWO}
    assert one.acquire({LIVE: 0, VOD: 0}) == {LIVE: 1, VOD: 1}
    assert two.acquire({LIVE: 0, VOD: 0}) == {}
    seen = two.renew({}, BOTH).leases[LIVE]
    assert (seen.holder, seen.epoch) == (ONE, 1)
    assert 3500 < seen.left_seconds <= 3600


def test_only_replicas_that_poll_the_same_accounts_are_peers(seen_by):
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, BOTH)
    seen = two.renew({}, {LIVE})
    assert seen.replicas == {ONE, TWO}
    assert seen.peers == {TWO}
    assert two.renew({}, BOTH).peers == {ONE, TWO}


def test_renewing_never_changes_the_epoch_and_acquiring_always_does(seen_by, row):
    one = seen_by(ONE)
    one.renew({}, {LIVE})
    held = one.acquire({LIVE: 0})
    row("UPDATE lease SET until = clock_timestamp() + interval '1 s'")
    seen = one.renew(held, {LIVE}).leases[LIVE]
    assert seen.epoch == 1
    assert seen.left_seconds > 3500, "renewed"
    one.release(held)
    seen = one.renew({}, {LIVE}).leases[LIVE]
    assert seen == LeaseState(None, 1)
    assert one.acquire({LIVE: 1}) == {LIVE: 2}


def test_a_lease_that_has_run_out_is_not_renewed(seen_by, row):
    """Another replica may be about to take it."""
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, {LIVE})
    held = one.acquire({LIVE: 0})
    row("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
    assert one.renew(held, {LIVE}).leases[LIVE].holder is None
    two.renew({}, {LIVE})
    assert two.acquire({LIVE: 1}) == {LIVE: 2}
    assert one.renew(held, {LIVE}).leases[LIVE].holder == TWO
    one.release(held)
    assert two.renew({LIVE: 2}, {LIVE}).leases[LIVE].holder == TWO, "not the other's to give up"


def test_what_another_has_taken_meanwhile_is_not_taken(seen_by, row):
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, {LIVE})
    seen = two.renew({}, {LIVE}).leases[LIVE].epoch
    one.acquire({LIVE: 0})
    row("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
    assert two.acquire({LIVE: seen}) == {}


def test_a_replica_that_leaves_is_not_live_and_holds_nothing(seen_by):
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, BOTH)
    held = one.acquire({LIVE: 0, VOD: 0})
    two.renew({}, BOTH)
    one.leave(held)
    standing = two.renew({}, BOTH)
    assert standing.replicas == {TWO}
    assert {state.holder for state in standing.leases.values()} == {None}


def test_a_replica_that_is_not_heard_of_is_not_live(seen_by, row):
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, BOTH)
    row("UPDATE replica SET until = clock_timestamp() - interval '1 s'")
    assert two.renew({}, BOTH).replicas == {TWO}
    row("UPDATE replica SET until = clock_timestamp() - interval '2 days' WHERE holder LIKE 'one%'")
    two.renew({}, BOTH)
    assert row("SELECT holder FROM replica") == [(str(TWO),)]


def test_a_database_that_is_away_is_one_error(place):
    away = Place(place.url.replace("?host=", "?host=/nowhere"))
    with (
        closing(PostgresLeases(away, ONE, lease_seconds=60)) as leases,
        pytest.raises(LedgerWriteError, match="cannot be reached"),
    ):
        leases.renew({}, BOTH)


# Writing under a lease.


@pytest.fixture
def ledger(place):
    with closing(PostgresLedger.open(place, clock=lambda: 0.0, hold_seconds=0)) as ledger:
        yield ledger


def leased(ledger, me, epoch):
    book = ledger.book("millicast", "live", feeds=["account"], stream_limit=10)
    book.lease = Lease(str(me), epoch)
    return book


def test_who_has_lost_a_lease_writes_nothing(seen_by, ledger, row):
    """However long it has slept, and although nobody else has written anything yet."""
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, {LIVE})
    one.acquire({LIVE: 0})
    book = leased(ledger, ONE, 1)
    ledger.record(book, Poll(feed="account", at=900))
    row("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
    ledger.record(book, Poll(feed="account", at=1800))
    two.renew({}, {LIVE})
    two.acquire({LIVE: 1})
    with pytest.raises(LeaseLostError):
        ledger.record(book, Poll(feed="account", at=2700))
    assert row("SELECT polled_at FROM feed") == [(1800,)]


def test_a_write_under_way_delays_its_takeover_and_not_the_renewal_of_others(
    seen_by, ledger, place, row
):
    """What it has written counts; nobody waits for it, and the server ends one that has stopped."""
    one, two = seen_by(ONE), seen_by(TWO, lease_seconds=2.0)
    one.renew({}, BOTH)
    held = one.acquire({LIVE: 0, VOD: 0})
    with closing(psycopg.connect(place.url, prepare_threshold=None)) as stopped:
        stopped.execute("SET LOCAL idle_in_transaction_session_timeout = '1s'")
        stopped.execute(
            "SELECT 1 FROM lease JOIN account ON account.id = lease.account WHERE name = 'live'"
            " FOR SHARE OF lease"
        )
        row(
            "UPDATE lease SET until = clock_timestamp() + interval '1 s' WHERE epoch = 1"
            " AND account = (SELECT id FROM account WHERE name = 'vod')"
        )
        renewed = one.renew(held, BOTH).leases
        assert renewed[VOD].left_seconds > 3500
        two.renew({}, BOTH)
        assert two.acquire({LIVE: 1}) == {}, "it has not run out"
        stopping = "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        eventually(lambda: not row(stopping), "the server ends it")
    row("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
    assert two.acquire({LIVE: 1}) == {LIVE: 2}


def test_a_lease_locked_by_a_write_is_passed_over(seen_by, place, row):
    """It is taken as soon as the write is over."""
    one, two = seen_by(ONE), seen_by(TWO)
    one.renew({}, {LIVE})
    one.acquire({LIVE: 0})
    row("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
    two.renew({}, {LIVE})
    with closing(psycopg.connect(place.url, prepare_threshold=None)) as writing:
        writing.execute("SELECT 1 FROM lease FOR SHARE")
        assert two.acquire({LIVE: 1}) == {}
        writing.rollback()
        assert two.acquire({LIVE: 1}) == {LIVE: 2}
