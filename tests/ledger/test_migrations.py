"""Every step from one version of the tables to the next is whole, or was never made."""

import sqlite3
from contextlib import closing

import pytest

from exporter.ledger.sqlite import schema
from exporter.ledger.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate
from exporter.model.errors import LedgerError
from tests.ledger.disk import Failing


def tables(connection):
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))


def version(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


@pytest.fixture
def connection(tmp_path):
    connection = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    yield connection
    connection.close()


def test_an_empty_file_becomes_a_ledger_of_the_newest_version(connection):
    migrate(connection)
    assert version(connection) == len(MIGRATIONS)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_to_migrate_twice_changes_nothing(connection):
    migrate(connection)
    before = tables(connection)
    migrate(connection)
    assert tables(connection) == before


def whole_versions(monkeypatch):
    """The tables of each version, made step by step."""
    made = []
    for number in range(len(MIGRATIONS) + 1):
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:number])
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            migrate(memory)
            made.append(tables(memory))
    monkeypatch.undo()
    return made


def test_a_step_that_fails_at_any_statement_leaves_the_version_before_it(connection, monkeypatch):
    whole = whole_versions(monkeypatch)
    statement = 0
    while True:
        statement += 1
        broken = Failing(connection, statement=statement)
        try:
            migrate(broken)  # type: ignore[arg-type]
        except sqlite3.OperationalError:
            assert broken.failed
            assert tables(connection) == whole[version(connection)]
            continue
        break
    assert statement > len(MIGRATIONS[0])
    assert version(connection) == len(MIGRATIONS)


def test_a_later_step_keeps_what_the_earlier_ones_made(connection, monkeypatch):
    migrate(connection)
    connection.execute("INSERT INTO account (provider, name) VALUES ('millicast', 'studio')")
    later = (*MIGRATIONS, ("ALTER TABLE account ADD COLUMN colour TEXT",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    migrate(connection)
    assert version(connection) == len(later)
    assert connection.execute("SELECT name, colour FROM account").fetchall() == [("studio", None)]


def test_what_an_older_version_counted_is_not_counted_again(connection, monkeypatch):
    """The start of a job is an event of its own since version 3; ids have cursors of their own."""
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:2])
    migrate(connection)
    for account, provider in enumerate(("dolby_media", "livepeer", "millicast"), 1):
        connection.execute("INSERT INTO account VALUES (?, ?, 'a')", (account, provider))
    feeds = ((1, 1, "jobs"), (2, 2, "creators"), (3, 2, "public_totals"), (4, 3, "streams"))
    connection.executemany(
        "INSERT INTO feed (id, account, name, polled_at) VALUES (?, ?, ?, 900)", feeds
    )
    connection.execute("INSERT INTO event VALUES (1, 'job', 7)")
    for feed, labels in ((2, '["all","asset"]'), (3, '["id"]'), (4, '["live","lobby"]')):
        connection.execute(
            "INSERT INTO series (feed, measure, labels, truth, exposed, created)"
            " VALUES (?, 'm', ?, 1, 1, 0)",
            (feed, labels),
        )
    connection.execute("INSERT INTO feed_stream VALUES (4, 'lobby', NULL, NULL)")
    connection.execute("INSERT INTO stream VALUES (3, 'lobby', 800, 0), (3, 'stage', 850, 0)")
    monkeypatch.undo()
    migrate(connection)
    events = set(connection.execute("SELECT id, since FROM event"))
    assert events == {("job", 7), ("job started", 7)}
    cursors = set(connection.execute("SELECT feed, name, began, left_at FROM feed_stream"))
    assert cursors == {
        (feed, name, None, None) for feed, name in ((2, "asset"), (3, "id"), (4, "lobby"))
    }
    assert connection.execute("SELECT listed_at FROM account").fetchall() == [
        (None,),
        (None,),
        (850,),
    ]
    assert connection.execute("SELECT id FROM feed WHERE listed").fetchall() == [(4,)]


@pytest.fixture
def of_version_3(connection, monkeypatch):
    """A ledger of version 3 of a Livepeer account; its feeds are viewership, 1, and creators, 2."""
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:3])
    migrate(connection)
    monkeypatch.undo()
    connection.execute("INSERT INTO account (id, provider, name) VALUES (1, 'livepeer', 'a')")
    connection.executemany(
        "INSERT INTO feed (id, account, name) VALUES (?, 1, ?)",
        [(1, "viewership"), (2, "creators")],
    )
    return connection


def add_series(connection, feed, measure, *rows):
    """Series with (id, labels, truth, exposed, created, held, held_until, folded)."""
    connection.executemany(
        "INSERT INTO series (feed, measure, id, labels, truth, exposed, created, held, held_until,"
        f" folded) VALUES ({feed}, '{measure}', ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def test_a_countrys_names_become_one_series_with_all_that_they_had(of_version_3):
    """Not an amount is lost, counted twice, or taken for a revision."""
    add_series(
        of_version_3,
        1,
        "media_country_views_total",
        (1, '["all","Türkiye"]', 30, 32, 200, None, None, 0),
        (2, '["all","Germany"]', 7, 7, 100, 5, 900, 0),
        (3, '["all","Turkey"]', 5, 5, 100, 0, 900, 0),
        (4, '["all","Atlantis"]', 1, 1, 100, None, None, 0),
        (5, '["all","US"]', 2, 2, 100, None, None, 0),
    )
    add_series(
        of_version_3,
        1,
        "media_stream_views_total",
        (6, '["all","Germany"]', 9, 9, 100, None, None, 0),
    )
    of_version_3.executemany(
        "INSERT INTO bucket (feed, start, width, series, amount) VALUES (1, ?, 3600, ?, ?)",
        [
            (0, 1, 10),
            (0, 3, 5),
            (0, 2, 7),
            (3600, 1, 20),
            (7200, 3, 4),
            (0, 4, 1),
            (0, 5, 2),
            (0, 6, 9),
        ],
    )
    # The first hour of Turkey was 3 when it was settled; the third was not there.
    of_version_3.executemany(
        "INSERT INTO revision (feed, start, width, series, before, reported)"
        " VALUES (1, ?, 3600, ?, ?, ?)",
        [(0, 3, 3, 1), (7200, 3, None, 0), (0, 2, 6, 1)],
    )
    of_version_3.execute("UPDATE feed SET settled_until = 14400 WHERE id = 1")
    migrate(of_version_3)
    assert set(
        of_version_3.execute(
            "SELECT id, labels, truth, exposed, created, held, held_until FROM series"
        )
    ) == {
        (1, '["all","TR"]', 35, 37, 100, None, None),
        (2, '["all","DE"]', 7, 7, 100, 5, 900),
        (4, '["all","Atlantis"]', 1, 1, 100, None, None),
        (5, '["all","US"]', 2, 2, 100, None, None),
        (6, '["all","Germany"]', 9, 9, 100, None, None),
    }
    assert set(of_version_3.execute("SELECT start, series, amount FROM bucket")) == {
        (0, 1, 15),
        (3600, 1, 20),
        (7200, 1, 4),
        (0, 2, 7),
        (0, 4, 1),
        (0, 5, 2),
        (0, 6, 9),
    }
    assert set(of_version_3.execute("SELECT start, series, before, reported FROM revision")) == {
        (0, 1, 13, 1),
        (7200, 1, None, 0),
        (0, 2, 6, 1),
    }
    assert of_version_3.execute("SELECT settled_until FROM feed").fetchall() == [(14400,), (None,)]


def test_what_creators_had_counted_is_shown_under_metrics_of_its_own(of_version_3):
    """Ids beyond the limit come into view; the sum of the others stays with those that remain."""
    for feed, measure, identity, labels, folded in (
        (1, "media_stream_views_total", 1, '["all","playback"]', 0),
        (1, "media_stream_views_total", 2, '["all","beyond"]', 1),
        (2, "media_stream_views_total", 3, '["all","asset"]', 0),
        (2, "media_stream_viewing_seconds_total", 4, '["all","asset"]', 1),
        (2, "media_stream_views_total", 5, '["all","__other__"]', 0),
    ):
        add_series(of_version_3, feed, measure, (identity, labels, 6, 4, 100, None, None, folded))
    migrate(of_version_3)
    assert of_version_3.execute(
        "SELECT id, measure, exposed, folded FROM series ORDER BY id"
    ).fetchall() == [
        (1, "media_stream_views_total", 4, 0),
        (2, "media_stream_views_total", 4, 1),
        (3, "media_creator_views_total", 6, 0),
        (4, "media_creator_viewing_seconds_total", 6, 0),
        (5, "media_stream_views_total", 4, 0),
    ]


def test_a_newer_version_is_refused(connection):
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LedgerError, match="newer version"):
        migrate(connection)
