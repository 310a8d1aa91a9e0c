"""Every step from one version of the tables to the next is whole, or was never made."""

import sqlite3
from contextlib import closing

import pytest

from exporter.errors import LedgerError
from exporter.ledger import schema
from exporter.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate
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


def test_a_newer_version_is_refused(connection):
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LedgerError, match="newer version"):
        migrate(connection)
