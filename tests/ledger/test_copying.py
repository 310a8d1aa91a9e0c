"""A copy of a ledger is the ledger: in either direction, and exactly."""

import re
import sqlite3
from contextlib import closing

import pytest

from exporter.cli.main import main
from exporter.history import export
from exporter.history.backfill import backfill
from exporter.history.reader import Choice
from exporter.history.remote_write import Queue
from exporter.ledger import Ledger, Poll
from exporter.ledger.copying import copy
from exporter.ledger.opening import reading
from exporter.ledger.place import Server
from exporter.ledger.postgres import PostgresLedger
from exporter.ledger.tables import TABLES
from exporter.model import DAY, HOUR, Usage, Window, measures
from exporter.model.errors import LedgerError
from tests.ledger.disk import HOLD_SECONDS, contents
from tests.ledger.polls import NOW, a_rich_poll, delivered

pytestmark = pytest.mark.sockets


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.db"


@pytest.fixture
def database(postgres):
    """A ledger in which nothing is recorded."""
    return Server(postgres.url(postgres.ledger()))


def open_at(place, clock):
    # Not shared with replicas, so that holds end by this clock in both.
    kind = PostgresLedger if isinstance(place, Server) else Ledger
    return kind.open(place, clock=clock, hold_seconds=HOLD_SECONDS)


def open_book(ledger):
    return ledger.book("millicast", "studio", feeds=("usage",), stream_limit=3)


@pytest.fixture
def filled(path, clock):
    """A file with something in every table."""
    clock.now = NOW + 0.5
    names = ("a\x00b", "back\\slash", "d")
    with closing(Ledger.open(path, clock=clock, hold_seconds=HOLD_SECONDS)) as ledger:
        book = open_book(ledger)
        ledger.record(book, Poll(feed="usage", at=NOW - DAY, usage=(delivered(9, NOW - 9 * DAY),)))
        ledger.settle(book, {"usage": HOUR})
        ledger.pushed(book.feeds["usage"].id, NOW - 2 * HOUR, [])
        ledger.record(
            book,
            Poll(
                feed="usage",
                at=NOW,
                usage=(delivered(4, NOW - 2 * DAY), delivered(8, NOW - 9 * DAY)),
                streams=names,
                discovered=names,
                unfinished=dict.fromkeys(names, NOW - HOUR),
            ),
        )
        ledger.settle(book, {"usage": HOUR})
        ledger.record(book, a_rich_poll(NOW + 900))
        ledger.book("wowza", "films", feeds=("usage", "more"), stream_limit=3)
    rows = dump(path)
    assert all(rows[table.name] for table in TABLES)
    return rows


def dump(path):
    """Every row of every table of a file, with the types of its values."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: sorted(map(repr, connection.execute(f"SELECT * FROM {table.name}")))
            for table in TABLES
        }


def test_a_copy_there_and_back_is_identical(filled, path, database, tmp_path):
    back = tmp_path / "back.db"
    counted = copy(path, database)
    assert counted == {name: len(rows) for name, rows in filled.items()}
    assert copy(database, back) == counted
    assert dump(back) == filled == dump(path)


def test_counters_go_on_in_the_copy(filled, path, database, clock):
    """What comes next makes the same of both; no id is given twice."""
    copy(path, database)
    books = []
    for place in (path, database):
        with closing(open_at(place, clock)) as ledger:
            book = open_book(ledger)
            before = {one.id for named in book.series.values() for one in named.values()}
            new = Usage(measures.VIEWS, ("live",), NOW, HOUR, 5)
            poll = Poll(feed="usage", at=NOW + 1800, usage=(delivered(6, NOW), new))
            ledger.record(book, poll)
            ledger.give_up(book, "usage", Window(NOW - 9 * DAY, NOW - 8 * DAY))
            (views,) = book.series[measures.VIEWS].values()
            assert views.id > max(before)
            found = contents(book, clock())
            series = found["series"]
            assert isinstance(series, dict)
            found["series"] = {key: one[1:] for key, one in series.items()}
            books.append(found)
            ledger.book("wowza", "third", feeds=("usage",), stream_limit=3)
    assert books[0] == books[1]


def test_the_history_of_the_copy_is_the_same(filled, path, database, clock):
    """Backfilled, exported, and pushed by remote write."""
    copy(path, database)
    found = []
    for place in (path, database):
        with reading(place) as history:
            document = list(backfill(history, Choice(), now=NOW + HOUR))
            rows = list(export.rows(history, Choice(unsettled=True)))
        with closing(open_at(place, clock)) as ledger:
            batches = []
            while (batch := Queue(ledger, ()).next()) is not None:
                batches.append(batch)
                ledger.pushed(batch.feed, batch.until, batch.late)
        assert len(rows) > 5
        assert batches
        found.append((document, rows, batches))
    assert found[0] == found[1]


def test_a_ledger_in_use_is_not_copied(filled, path, database, postgres, clock, tmp_path):
    with closing(open_at(path, clock)), pytest.raises(LedgerError, match="another exporter"):
        copy(path, database)
    copy(path, database)
    postgres.execute(
        "INSERT INTO lease SELECT id, 'left', 1, now() + interval '1 minute', 1 FROM account",
        database=postgres._ledger,
    )
    with pytest.raises(LedgerError, match="the replica left is polling with it"):
        copy(database, tmp_path / "back.db")
    assert not (tmp_path / "back.db").exists()
    postgres.execute("UPDATE lease SET until = now()", database=postgres._ledger)
    copy(database, tmp_path / "back.db")


def test_a_target_that_is_not_empty_is_left_as_it_is(filled, path, database, clock, tmp_path):
    other = tmp_path / "other.db"
    for place in (database, other):
        with closing(open_at(place, clock)) as ledger:
            open_book(ledger)
        with pytest.raises(LedgerError, match="it is not empty"):
            copy(path, place)
        with reading(place) as history:
            assert [feed.name for feed in history.feeds()] == ["usage"]
            assert history.series(1) == {}


def test_a_copy_that_fails_leaves_nothing_behind(filled, path, database):
    """The last table is the one that cannot be copied."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE description SET labels = CAST(x'ff' AS TEXT)")
    with pytest.raises(LedgerError):
        copy(path, database)
    with reading(database) as history:
        assert history.feeds() == []


def test_the_command_copies_and_says_how_much(filled, path, database, tmp_path, capsys):
    back = tmp_path / "back.db"
    for source, target in ((path, database), (database, back)):
        assert main(["ledger", "copy", "--from", str(source), "--to", str(target)]) == 0
        said = capsys.readouterr().out
        assert re.fullmatch(r"copied 2 accounts, \d+ series and \d+ buckets; let .*\n", said)
        assert str(target) in said
    assert dump(back) == filled


@pytest.mark.parametrize(
    ("source", "target", "match"),
    [
        ("none.db", "to.db", "ledger none.db: there is no such file"),
        ("none.db", "postgresql://usage:sesame@db/usage", "--to: .* one with a password"),
        ("mysql://db/usage", "to.db", "--from: expected a postgresql:// address"),
        ("postgresql:///usage?host=/nowhere", "to.db", "cannot be reached"),
    ],
)
def test_what_cannot_be_copied_is_one_line_and_exit_1(
    tmp_path, monkeypatch, capsys, source, target, match
):
    monkeypatch.chdir(tmp_path)
    assert main(["ledger", "copy", "--from", source, "--to", target]) == 1
    said = capsys.readouterr().err
    assert re.search(match, said)
    assert said.count("\n") == 1
    assert "sesame" not in said
    assert list(tmp_path.iterdir()) == []
