"""A ledger whose database is behind a network that loses connections in every way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.ledger import Poll
from exporter.ledger.leases import AccountKey, Holder
from exporter.ledger.place import Server as Place
from exporter.ledger.postgres import PostgresLedger
from exporter.ledger.postgres.leases import PostgresLeases
from exporter.model import HOUR, measures
from exporter.model.errors import LedgerUnknownError, LedgerWriteError
from tests.ledger.polls import NOW, delivered
from tests.support.postgres import Server, postgres
from tests.support.tcp_proxy import Cut, TcpProxy

__all__ = ["postgres"]

pytestmark = pytest.mark.sockets

PATIENCE_SECONDS = 0.2
"""What an ordinary statement may take here; an answer is waited for twice as long."""

LIVE = AccountKey("millicast", "live")


@pytest.fixture
def proxy(postgres: Server) -> Iterator[TcpProxy]:
    with TcpProxy(postgres.folder / ".s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def place(postgres: Server, proxy: TcpProxy) -> Place:
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{postgres.ledger()}"
    return Place(f"{url}?sslmode=disable&connect_timeout=2")


@pytest.fixture
def ledger(place: Place) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger.open(
        place, clock=lambda: NOW, hold_seconds=0, patience_seconds=PATIENCE_SECONDS
    )
    yield ledger
    ledger.close()


@pytest.fixture
def leases(place: Place) -> Iterator[PostgresLeases]:
    # Statements may take a second at least.
    leases = PostgresLeases(place, Holder("one", "t"), lease_seconds=2)
    yield leases
    leases.close()


def a_poll(amount: int, *, hours_ago: int = 4) -> Poll:
    return Poll(feed="usage", at=NOW, usage=(delivered(amount, NOW - hours_ago * HOUR),))


def test_silence_while_a_poll_is_written_fails_it_and_the_next_one_is_written(ledger, proxy):
    book = ledger.book("millicast", "live", feeds=["usage"], stream_limit=10)
    ledger.record(book, a_poll(1, hours_ago=5))
    proxy.silence()
    with pytest.raises(LedgerWriteError):
        ledger.record(book, a_poll(7))
    proxy.speak()
    assert ledger.record(book, a_poll(7)).changed == {measures.DELIVERED_BYTES}
    (series,) = book.shown(measures.DELIVERED_BYTES)
    assert (series.truth, series.exposed) == (8, 8)


def test_a_server_that_takes_long_is_waited_for_as_long_as_it_may(ledger, proxy):
    """What bounds a slow statement is the server's timeout, which leaves nothing unknown."""
    with (
        pytest.raises(LedgerWriteError, match="a statement took too long and was ended"),
        ledger.database.transaction() as connection,
    ):
        connection.execute("SELECT pg_sleep(60)")
    assert proxy.connections == 1
    with ledger.database.transaction(statement_seconds=5) as connection:
        connection.execute(f"SELECT pg_sleep({3 * PATIENCE_SECONDS})")
    assert proxy.connections == 1, "the connection is as good as before"


@pytest.mark.parametrize("cut", list(Cut))
def test_a_commit_whose_answer_is_lost_counts_once(ledger, proxy, cut):
    book = ledger.book("millicast", "live", feeds=["usage"], stream_limit=10)
    ledger.record(book, a_poll(1, hours_ago=5))
    proxy.cut_at_commit(cut)
    with pytest.raises(LedgerUnknownError, match="whether it is, the next one finds out"):
        ledger.record(book, a_poll(7))
    assert proxy.cuts == 1
    recorded = ledger.record(book, replace(a_poll(9), at=NOW + 900))
    assert recorded.changed == {measures.DELIVERED_BYTES}
    (series,) = book.shown(measures.DELIVERED_BYTES)
    assert (series.truth, series.exposed) == (10, 10)
    again = ledger.book("millicast", "live", feeds=["usage"], stream_limit=10)
    (series,) = again.shown(measures.DELIVERED_BYTES)
    assert (series.truth, series.exposed) == (10, 10)


def test_silence_fails_a_renewal_and_the_next_one_goes_over_a_new_connection(leases, proxy):
    standing = leases.renew({}, [LIVE])
    held = leases.acquire({LIVE: standing.leases[LIVE].epoch})
    assert leases.renew(held, [LIVE]).leases[LIVE].holder == Holder("one", "t")
    proxy.silence()
    with pytest.raises(LedgerWriteError):
        leases.renew(held, [LIVE])
    proxy.speak()
    assert leases.renew(held, [LIVE]).replicas == {Holder("one", "t")}


@pytest.mark.parametrize("cut", list(Cut))
def test_a_release_whose_end_is_unknown_can_be_made_again(leases, proxy, cut):
    """And nobody holds the account then."""
    standing = leases.renew({}, [LIVE])
    held = leases.acquire({LIVE: standing.leases[LIVE].epoch})
    proxy.cut_at_commit(cut)
    with pytest.raises(LedgerUnknownError):
        leases.release(held)
    leases.release(held)
    assert leases.renew({}, [LIVE]).leases[LIVE].holder is None
