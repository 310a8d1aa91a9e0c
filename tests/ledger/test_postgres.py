"""The ledger's PostgreSQL database: opened, refused with one line, and connections that break."""

import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise

import psycopg
import pytest

from exporter.credentials import FileCredential
from exporter.ledger import Poll
from exporter.ledger.book import Lease
from exporter.ledger.opening import open_ledger, reading
from exporter.ledger.place import Server
from exporter.ledger.postgres import PostgresLedger, database, schema
from exporter.ledger.postgres.schema import LOCKS_SECONDS, STEPS, Step
from exporter.ledger.postgres.stored import PostgresStored
from exporter.model import HOUR, Usage, Window, measures
from exporter.model.errors import (
    LeaseLostError,
    LedgerError,
    LedgerUnknownError,
    LedgerWriteError,
)
from tests.ledger.databases import breaking
from tests.ledger.disk import HOLD_SECONDS, contents
from tests.ledger.polls import NOW, a_rich_poll, delivered

pytestmark = pytest.mark.sockets

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"


@pytest.fixture
def place(postgres):
    """A ledger in which nothing is recorded."""
    return Server(postgres.url(postgres.ledger()))


@pytest.fixture
def empty(postgres):
    """The name of a database without tables."""
    return postgres.database()


@pytest.fixture
def ledger(place, clock):
    with closing(open_at(place, clock)) as ledger:
        yield ledger


@pytest.fixture
def book(ledger):
    return open_book(ledger)


def open_at(place, clock):
    return open_ledger(place, clock=clock, hold_seconds=HOLD_SECONDS, lease_seconds=120)


def open_book(ledger):
    return ledger.book("millicast", "studio", feeds=("usage",), stream_limit=3)


def refused(place, clock, match):
    """Opening is refused in one line; gives it."""
    with pytest.raises(LedgerError, match=match) as error:
        open_at(place, clock)
    text = str(error.value)
    assert "\n" not in text
    return text


# Opening.


def test_an_empty_database_becomes_a_ledger_once(postgres, empty, clock):
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    tables = postgres.execute(TABLES, database=empty)
    assert ("bucket",) in tables
    open_at(place, clock).close()
    assert postgres.execute(TABLES, database=empty) == tables
    assert postgres.execute("SELECT version, finished FROM ledger", database=empty) == [
        (len(STEPS), len(STEPS))
    ]


def test_replicas_that_open_an_empty_database_at_once_all_get_a_ledger(postgres, empty, clock):
    place = Server(postgres.url(empty))
    together = threading.Barrier(4)
    failed = []

    def start():
        together.wait()
        try:
            open_at(place, clock).close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert postgres.execute("SELECT count(*) FROM ledger", database=empty) == [(1,)]


def test_another_programs_database_is_left_as_it_is(postgres, empty, clock):
    postgres.execute("CREATE TABLE bookmark (url text)", database=empty)
    text = refused(Server(postgres.url(empty)), clock, "tables of another program")
    assert "name an empty database" in text
    assert postgres.execute(TABLES, database=empty) == [("bookmark",)]


def test_another_programs_ledger_is_left_as_it_is(postgres, empty, clock):
    """A table of the same name says nothing."""
    postgres.execute("CREATE TABLE ledger (debit numeric, credit numeric)", database=empty)
    refused(Server(postgres.url(empty)), clock, "tables of another program")
    assert postgres.execute(TABLES, database=empty) == [("ledger",)]


def test_a_ledger_of_a_newer_version_is_left_as_it_is(postgres, empty, clock):
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    postgres.execute("UPDATE ledger SET version = 99, finished = 99", database=empty)
    assert "99" in refused(place, clock, "newer version")
    with pytest.raises(LedgerError, match="newer version"), reading(place):
        pass


def test_a_database_in_another_encoding_is_refused(postgres, clock):
    name = "latin"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    refused(Server(postgres.url(name)), clock, "encoding is LATIN1")


def test_a_user_who_may_not_create_tables_is_told_what_is_missing(postgres, empty, clock):
    postgres.execute("CREATE ROLE guest LOGIN")
    refused(Server(postgres.url(empty, user="guest")), clock, "GRANT CREATE ON its SCHEMA")
    assert postgres.execute(TABLES, database=empty) == []


def test_a_user_who_may_only_read_reads_and_is_refused_as_a_writer(postgres, place, clock):
    postgres.execute("DROP ROLE IF EXISTS reader")
    postgres.execute("CREATE ROLE reader LOGIN")
    name = postgres.ledger()
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database=name)
    own = Server(postgres.url(name, user="reader"))
    with closing(open_at(own, clock)) as ledger, pytest.raises(LedgerError, match="no permission"):
        open_book(ledger)
    with reading(own) as history:
        assert history.feeds() == []
    postgres.execute("DROP OWNED BY reader", database=name)


def test_a_server_that_is_not_there_is_said_in_one_line(tmp_path, clock):
    place = Server(f"postgresql://usage@/usage?host={tmp_path}")
    assert str(place) in refused(place, clock, "cannot be reached: .*No such file")


def test_a_database_that_is_not_there_is_said_in_one_line(postgres, clock):
    refused(Server(postgres.url("nowhere")), clock, 'database "nowhere" does not exist')


def test_the_password_comes_from_its_file_and_is_in_no_message(postgres, empty, clock, tmp_path):
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'open sesame'")
    postgres.execute(f"ALTER DATABASE {empty} OWNER TO guarded")
    file = tmp_path / "password"
    place = Server(postgres.url(empty, user="guarded"), FileCredential(file))
    refused(place, clock, "credential file .* cannot be read")
    file.write_text("close sesame\n")
    assert "sesame" not in refused(place, clock, "password authentication failed")
    file.write_text("open sesame\n")
    open_at(place, clock).close()


def test_a_password_in_the_url_is_refused_and_not_shown(clock):
    for url in (
        "postgresql://usage:sesame@localhost/usage",
        "postgresql://usage@localhost/usage?password=sesame",
    ):
        assert "sesame" not in refused(Server(url), clock, "holds a password")


def test_without_psycopg_the_extra_is_named(monkeypatch, place, clock):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    refused(place, clock, r"pip install 'psycopg\[binary\]")


def test_a_database_without_a_ledger_has_no_history(postgres, empty):
    with (
        pytest.raises(LedgerError, match="no exporter has written to it"),
        reading(Server(postgres.url(empty))),
    ):
        pass
    assert postgres.execute(TABLES, database=empty) == []


# Steps between versions.


def later(monkeypatch, **parts):
    monkeypatch.setattr(schema, "STEPS", (*STEPS, Step(**parts)))


def columns(postgres, name):
    return {
        column
        for (column,) in postgres.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'account'::regclass AND attnum > 0"
            " AND NOT attisdropped",
            database=name,
        )
    }


def test_old_and_new_replicas_write_to_one_ledger_until_no_old_one_holds_a_lease(
    postgres, empty, clock, monkeypatch
):
    place = Server(postgres.url(empty))
    old = open_at(place, clock)
    book = open_book(old)
    postgres.execute(
        "INSERT INTO lease SELECT id, 'old', 1, now() + interval '1 hour', %s FROM account",
        len(STEPS),
        database=empty,
    )
    later(
        monkeypatch,
        before=("ALTER TABLE account ADD colour text",),
        after=("ALTER TABLE account DROP COLUMN listed_at",),
    )
    open_at(place, clock).close()
    assert {"colour", "listed_at"} <= columns(postgres, empty)
    old.record(book, a_rich_poll())
    monkeypatch.undo()
    open_at(place, clock).close()  # one more of the old ones
    postgres.execute("UPDATE lease SET until = now() - interval '1 second'", database=empty)
    later(monkeypatch, before=(), after=("ALTER TABLE account DROP COLUMN listed_at",))
    open_at(place, clock).close()
    assert "listed_at" not in columns(postgres, empty)
    monkeypatch.undo()
    refused(place, clock, "newer version")
    old.close()


@pytest.mark.parametrize("part", ["before", "after"])
def test_a_step_that_fails_leaves_the_version_before_it(postgres, empty, clock, monkeypatch, part):
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    parts = {"before": (), part: ("ALTER TABLE account ADD colour text", "SELECT 1 / 0")}
    later(monkeypatch, **parts)
    refused(place, clock, "DivisionByZero")
    done = len(STEPS) + (part == "after")
    assert postgres.execute("SELECT version, finished FROM ledger", database=empty) == [
        (done, len(STEPS))
    ]
    assert "colour" not in columns(postgres, empty)


def impatient(place, clock):
    return PostgresLedger.open(place, clock=clock, hold_seconds=HOLD_SECONDS, patience_seconds=0.2)


def test_a_step_may_take_longer_than_a_write_to_an_account(postgres, empty, clock, monkeypatch):
    """A write may take half a lease; a step goes through a whole ledger."""
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    later(monkeypatch, before=("SELECT pg_sleep(0.5)", "ALTER TABLE account ADD colour text"))
    impatient(place, clock).close()
    assert "colour" in columns(postgres, empty)


def test_a_replica_that_starts_waits_while_another_one_does_a_step(
    postgres, empty, clock, monkeypatch
):
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    with psycopg.connect(postgres.url(empty)) as other:
        other.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        monkeypatch.setattr(time, "sleep", lambda _: other.rollback())
        impatient(place, clock).close()


@pytest.mark.parametrize("patience", [LOCKS_SECONDS, 0.0])
def test_a_step_waits_for_those_who_use_its_tables(postgres, empty, clock, monkeypatch, patience):
    """Not for longer at a time than others may have to wait behind it; and not for ever."""
    place = Server(postgres.url(empty))
    open_at(place, clock).close()
    later(monkeypatch, before=("ALTER TABLE account ADD colour text",))
    monkeypatch.setattr(schema, "LOCKS_SECONDS", patience)
    pauses = []
    with psycopg.connect(postgres.url(empty)) as writer:
        writer.execute("UPDATE account SET listed_at = 1")

        def pause(seconds):
            pauses.append(seconds)
            writer.rollback()

        monkeypatch.setattr(time, "sleep", pause)
        if patience:
            impatient(place, clock).close()
        else:
            with pytest.raises(LedgerError, match="holds a lock on it for too long"):
                impatient(place, clock)
    assert bool(pauses) == bool(patience)
    assert ("colour" in columns(postgres, empty)) == bool(patience)


def test_a_history_of_an_older_version_is_not_read(postgres, place, monkeypatch):
    later(monkeypatch, before=())
    monkeypatch.setattr("exporter.ledger.postgres.offline.STEPS", schema.STEPS)
    with pytest.raises(LedgerError, match="start the exporter once"), reading(place):
        pass


# Connections.


def end_all(postgres):
    """The server ends every connection but this one."""
    postgres.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'media-usage-exporter'"
    )


def test_a_connection_that_was_lost_is_replaced(postgres, ledger, book):
    ledger.record(book, a_rich_poll())
    end_all(postgres)
    assert ledger.record(book, Poll(feed="usage", at=NOW, usage=(delivered(9),))).changed
    end_all(postgres)
    with ledger.read() as reader:
        assert reader.first_bucket(book.feeds["usage"].id, 0) is not None
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_a_server_that_goes_away_fails_polls_until_it_is_back(ledger, book):
    before = contents(book, NOW)
    away = Server("postgresql://usage@/usage?host=/nowhere")
    there, ledger.database.server = ledger.database.server, away
    ledger.database.close()
    with pytest.raises(LedgerWriteError, match="cannot be reached"):
        ledger.record(book, a_rich_poll())
    with pytest.raises(LedgerWriteError, match="cannot be reached"), ledger.read():
        pass
    assert contents(book, NOW) == before
    ledger.database.server = there
    assert ledger.record(book, a_rich_poll()).changed


@contextmanager
def losing_the_end(postgres, ledger, *, stored):
    """The connection breaks at COMMIT: after it was done, or before."""
    with (
        breaking(ledger, postgres, statement="COMMIT", after=stored),
        pytest.raises(LedgerUnknownError, match="whether it is, the next one finds out"),
    ):
        yield


@pytest.mark.parametrize("stored", [True, False])
def test_a_poll_whose_end_is_unknown_counts_exactly_once(postgres, ledger, book, stored):
    """And what it changed is told with the next one."""
    first = Poll(feed="usage", at=NOW, usage=(delivered(1, NOW - 5 * HOUR),))
    ledger.record(book, first)
    poll = Poll(feed="usage", at=NOW + 900, usage=(delivered(7, NOW - 4 * HOUR),))
    before = contents(book, NOW)
    with losing_the_end(postgres, ledger, stored=stored):
        ledger.record(book, poll)
    assert contents(book, NOW) == before
    recorded = ledger.record(book, replace(poll, at=NOW + 1800))
    assert recorded.changed == {measures.DELIVERED_BYTES}
    (series,) = book.shown(measures.DELIVERED_BYTES)
    assert (series.truth, series.exposed) == (8, 8)
    assert contents(open_book(ledger), NOW) == contents(book, NOW)
    assert ledger.record(book, poll).changed == frozenset()


@pytest.mark.parametrize("stored", [True, False])
def test_what_follows_an_unknown_end_begins_where_it_led(postgres, ledger, book, stored):
    gap = Window(NOW - 9 * HOUR, NOW - 5 * HOUR)
    first = Poll(feed="usage", at=NOW, gap=gap)
    ledger.record(book, first)
    second = Poll(feed="usage", at=NOW + 900, gap=Window(NOW - 3 * HOUR, NOW - 2 * HOUR))
    with losing_the_end(postgres, ledger, stored=stored):
        ledger.record(book, second)
    ledger.give_up(book, "usage", gap)
    assert list(book.feeds["usage"].gaps) == ([second.gap] if stored else [])
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_a_book_that_is_loaded_anew_knows_how_it_ended(postgres, ledger, book):
    first = Poll(feed="usage", at=NOW, usage=(delivered(1, NOW - 5 * HOUR),))
    ledger.record(book, first)
    with losing_the_end(postgres, ledger, stored=True):
        ledger.record(book, replace(first, usage=(delivered(3, NOW - 5 * HOUR),)))
    again = open_book(ledger)
    (series,) = again.shown(measures.DELIVERED_BYTES)
    assert series.truth == 3
    assert ledger.record(again, replace(first, at=NOW + 900)).corrections == 1


# Other writers.


def test_who_lost_the_lease_writes_nothing(postgres, place, ledger, book):
    def hold(holder, epoch):
        postgres.execute(
            "INSERT INTO lease SELECT id, %s, %s, now() + interval '1 minute', 1 FROM account"
            " ON CONFLICT (account) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch",
            holder,
            epoch,
            database=postgres._ledger,
        )

    ledger.record(book, a_rich_poll())
    before, at = contents(book, NOW), NOW + 900
    book.lease = Lease("one", 7)
    for holder, epoch in (("two", 8), ("one", 8), ("two", 7)):
        hold(holder, epoch)
        for method in (
            lambda: ledger.record(book, a_rich_poll(at)),
            lambda: ledger.settle(book, {"usage": HOUR}),
            lambda: ledger.give_up(book, "usage", Window(0, NOW)),
            lambda: ledger.compact(book, "usage", NOW),
        ):
            with pytest.raises(LeaseLostError, match="another replica has taken over") as error:
                method()
            assert "studio" in str(error.value)
    assert contents(book, NOW) == before == contents(open_book(ledger), NOW)
    hold("one", 7)
    ledger.record(book, a_rich_poll(at))
    assert book.feeds["usage"].polled_at == at


def test_two_exporters_do_not_count_into_one_account(place, ledger, book, clock):
    """What the second knows is no longer so once the first has written."""
    with closing(open_at(place, clock)) as second:
        other = open_book(second)
        ledger.record(book, a_rich_poll())
        before = contents(other, NOW)
        with pytest.raises(LeaseLostError, match="another exporter has written to account studio"):
            second.record(other, a_rich_poll(NOW + 900))
        assert contents(other, NOW) == before
        second.record(open_book(second), a_rich_poll(NOW + 900))


def test_series_of_another_replica_are_older_than_new_ones(place, ledger, book, clock):
    """A new one is told from those before it by its id, whichever process made them."""
    with closing(open_at(place, clock)) as second:
        ledger.record(book, Poll(feed="usage", at=NOW - 900, usage=(delivered(1, NOW - HOUR),)))
        other = open_book(second)
        views = Usage(measures.VIEWS, ("live",), NOW - HOUR, HOUR, 5)
        second.record(other, Poll(feed="usage", at=NOW, usage=(views,)))
        known = {one.id for named in other.series.values() for one in named.values()}
        book = open_book(ledger)
        late = (
            delivered(4, NOW - HOUR),
            Usage(measures.EXITS_BEFORE_START, ("live",), NOW, HOUR, 1),
        )
        assert ledger.record(book, Poll(feed="usage", at=NOW, usage=late)).late == 1
        (new,) = book.series[measures.EXITS_BEFORE_START].values()
        assert new.id > max(known)


def test_replicas_that_bring_series_at_once_give_no_id_twice(place, ledger, clock):
    """Neither waits for the other, and each may bring millions."""
    with (
        closing(open_at(place, clock)) as second,
        ledger.database.transaction() as one,
        second.database.transaction() as other,
    ):
        ids = [PostgresStored(connection).next_series() for connection in (one, other, one)]
        assert [later - before >= 2**24 for before, later in pairwise(ids)] == [True, True]


def test_a_lock_that_is_held_for_too_long_fails_one_poll(postgres, ledger, book, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.05)
    with psycopg.connect(ledger.database.server.url) as other:
        other.execute("SELECT 1 FROM account FOR UPDATE")
        with pytest.raises(LedgerWriteError, match="holds a lock"):
            ledger.record(book, a_rich_poll())
    assert ledger.record(book, a_rich_poll()).changed


def test_timeouts_are_those_of_each_transaction_and_of_nothing_else(postgres, clock):
    """Through PgBouncer the next transaction has another session, and other programs have this one."""
    place = Server(postgres.url(postgres.ledger(), port=postgres.bouncer_port))

    def shown(connection):
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [connection.execute(f"SHOW {name}").fetchone()[0] for name in names]

    with closing(open_at(place, clock)) as ledger:
        for isolation in (database.READ, database.WRITE):
            with ledger.database.transaction(isolation) as connection:
                assert shown(connection) == ["1min", "10s", "1min"]
        assert shown(ledger.database.connection) == ["0", "0", "0"]


# What is stored.


def test_names_are_kept_whatever_characters_they_have(ledger):
    names = ["a\x00b", "a\\0b", "a\\\\0", "\\", "\x00", "ä\u2028", "😀"]
    book = ledger.book("millicast", "studio", feeds=("usage",), stream_limit=9)
    usage = [Usage(measures.STREAM_VIEWS, ("live", name), NOW, HOUR, 1) for name in names]
    poll = Poll(feed="usage", at=NOW, usage=usage, streams=names, discovered=names)
    ledger.record(book, replace(poll, unfinished=dict.fromkeys(names, NOW)))
    again = ledger.book("millicast", "studio", feeds=("usage",), stream_limit=9)
    assert contents(again, NOW) == contents(book, NOW)
    assert again.admitted == set(names)
    ledger.record(again, replace(poll, at=NOW + 900, listed_from=NOW + 1))
    assert again.feeds["usage"].resume is None


def test_a_total_that_is_too_large_fails_one_poll(ledger, book):
    large = Usage(measures.VIEWS, ("live",), NOW, HOUR, 2**63 - 1)
    ledger.record(book, Poll(feed="usage", at=NOW, usage=(large,)))
    before = contents(book, NOW)
    more = Usage(measures.VIEWS, ("live",), NOW + HOUR, HOUR, 1)
    with pytest.raises(LedgerWriteError, match="more than PostgreSQL can hold"):
        ledger.record(book, Poll(feed="usage", at=NOW, usage=(more,)))
    assert contents(book, NOW) == before == contents(open_book(ledger), NOW)


def test_a_ledger_whose_labels_are_damaged_is_refused_in_one_line(postgres, ledger, book):
    ledger.record(book, a_rich_poll())
    postgres.execute("UPDATE series SET labels = '[7'", database=postgres._ledger)
    with pytest.raises(LedgerError, match="contradict each other") as error:
        open_book(ledger)
    assert "\n" not in str(error.value)


def test_how_large_it_is_is_known_without_asking_the_server(ledger, book):
    """Scrapes ask for it, and a scrape waits for no database."""
    ledger.record(book, a_rich_poll())
    known = ledger.size_bytes()
    ledger.close()
    assert ledger.size_bytes() == known > 0
    assert ledger.database.connection is None


def test_the_exporter_opens_it_by_its_place(place, clock):
    with closing(open_at(place, clock)) as ledger:
        assert isinstance(ledger, PostgresLedger)


def test_holds_of_a_shared_ledger_end_by_the_servers_clock(postgres, place):
    """Replicas' clocks may be an hour apart, and none shows what another one has shown lower."""

    def opened(*, ahead, hold_seconds):
        return PostgresLedger.open(
            place,
            clock=lambda: time.time() + ahead,
            hold_seconds=hold_seconds,
            shared=True,
        )

    def shown(*, ahead):
        other = opened(ahead=ahead, hold_seconds=60)
        book = open_book(other)
        other.close()
        now = time.time() + ahead
        (series,) = book.shown(measures.DELIVERED_BYTES)
        return book.value(series, now), book.value(series, now + 61)

    first = opened(ahead=0, hold_seconds=60)
    book = open_book(first)
    first.record(book, Poll(feed="usage", at=NOW))
    first.record(book, Poll(feed="usage", at=NOW, usage=(delivered(7, NOW - 4 * HOUR),)))
    for ahead in (0, 3600, -3600):
        assert shown(ahead=ahead) == (0, 7)
    with first.database.transaction() as connection:  # a minute later
        connection.execute("UPDATE series SET held_until = held_until - 61")
    for ahead in (0, 3600, -3600):
        assert shown(ahead=ahead) == (7, 7)
    first.close()
