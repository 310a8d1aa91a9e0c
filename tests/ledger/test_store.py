"""The ledger's SQLite file: opened by one, refused with one line, read while others write."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.ledger import Ledger, Poll
from exporter.model import HOUR, Usage, Window, measures
from exporter.model.errors import LedgerError, LedgerWriteError
from tests.ledger.disk import HOLD_SECONDS, contents
from tests.ledger.polls import NOW, a_rich_poll, delivered


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.db"


def open_ledger(path, clock):
    return Ledger.open(path, clock=clock, hold_seconds=HOLD_SECONDS)


def open_book(ledger):
    return ledger.book("millicast", "studio", feeds=("usage",), stream_limit=3)


@pytest.fixture
def ledger(path, clock):
    ledger = open_ledger(path, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def book(ledger):
    return open_book(ledger)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# Opening.


def test_a_ledger_is_made_when_missing(path, clock):
    open_ledger(path, clock).close()
    assert path.read_bytes().startswith(b"SQLite format 3\0")


def test_a_ledger_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(path, clock):
    before = os.umask(0o022)
    try:
        ledger = open_ledger(path, clock)
        open_book(ledger)
        beside = sorted(path.parent.iterdir())
        assert len(beside) == 4, "with -wal, -shm and .lock"
        assert {file.stat().st_mode & 0o777 for file in beside} == {0o600}
        ledger.close()
        path.chmod(0o640)
        open_ledger(path, clock).close()
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_closing_leaves_one_file_that_holds_everything(path, ledger, book, clock):
    ledger.record(book, a_rich_poll())
    before = contents(book, NOW)
    ledger.close()
    ledger.close()
    for suffix in ("-wal", "-shm", ".lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    again = open_ledger(path, clock)
    assert contents(open_book(again), NOW) == before
    again.close()


def test_a_second_opener_is_refused(path, ledger, clock):
    with pytest.raises(LedgerError, match="another exporter is writing to it") as error:
        open_ledger(path, clock)
    assert str(path) in one_line(error)


@pytest.mark.sockets
def test_another_process_is_refused_too(path, ledger):
    """The lock is between processes, not only within one."""
    script = (
        "import pathlib, sys\n"
        "from exporter.model.errors import LedgerError\n"
        "from exporter.ledger import Ledger\n"
        "try:\n"
        "    Ledger.open(pathlib.Path(sys.argv[1]), clock=lambda: 0.0, hold_seconds=1)\n"
        "except LedgerError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    assert "another exporter is writing to it" in done.stdout


def test_a_ledger_can_be_opened_again_after_a_failed_attempt(path, clock):
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(LedgerError):
        open_ledger(path, clock)
    path.unlink()
    open_ledger(path, clock).close()


def untouched(path, clock, match):
    """Opening is refused in one line, and the file stays as it is."""
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=match) as error:
        open_ledger(path, clock)
    assert str(path) in one_line(error)
    assert path.read_bytes() == before
    assert not Path(f"{path}-wal").exists()


def test_a_file_that_is_no_database_is_left_as_it_is(path, clock):
    path.write_text("media:\n  - not a ledger\n" * 200)
    untouched(path, clock, "not an SQLite database")


def test_another_programs_database_is_left_as_it_is(path, clock):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.commit()
    connection.close()
    untouched(path, clock, "another program")


def test_another_programs_database_with_an_identity_is_left_as_it_is(path, clock):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 7")
    connection.close()
    untouched(path, clock, "another program")


def test_a_ledger_of_a_newer_version_is_left_as_it_is(path, clock):
    open_ledger(path, clock).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="newer version") as error:
        open_ledger(path, clock)
    assert "99" in one_line(error)
    assert path.read_bytes() == before


def test_a_damaged_ledger_is_refused_and_left_as_it_is(path, clock):
    ledger = open_ledger(path, clock)
    book = open_book(ledger)
    usage = [
        Usage(measures.COUNTRY_VIEWS, ("live", f"country {n}"), NOW - HOUR, HOUR, n)
        for n in range(2000)
    ]
    ledger.record(book, Poll(feed="usage", at=NOW, usage=usage))
    ledger.close()
    whole = path.read_bytes()
    page = 4096
    damaged = whole[:page] + os.urandom(len(whole) - page)
    path.write_bytes(damaged)
    with pytest.raises(LedgerError, match="damaged") as error:  # noqa: PT012  # whichever comes first
        ledger = open_ledger(path, clock)
        try:
            open_book(ledger)
        finally:
            ledger.close()
    one_line(error)
    assert path.read_bytes() == damaged


def test_a_ledger_whose_labels_are_damaged_is_refused_in_one_line(path, ledger, book, clock):
    ledger.record(book, Poll(feed="usage", at=NOW, usage=(delivered(1),)))
    ledger.connection.execute("UPDATE series SET labels = '[7'")
    with pytest.raises(LedgerError, match="damaged") as error:
        open_book(ledger)
    one_line(error)


def test_a_folder_that_is_missing_is_said_in_one_line(tmp_path, clock):
    with pytest.raises(LedgerError, match="its folder must exist and be writable") as error:
        open_ledger(tmp_path / "missing" / "usage.db", clock)
    one_line(error)


def test_a_path_that_is_a_folder_is_said_in_one_line(path, clock):
    path.mkdir()
    with pytest.raises(LedgerError, match="cannot be opened") as error:
        open_ledger(path, clock)
    one_line(error)


def test_a_folder_that_cannot_be_written_to_is_said_in_one_line(path, clock, monkeypatch):
    """Permission bits do not bind root, so the system call refuses here."""

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LedgerError, match="Permission denied") as error:
        open_ledger(path, clock)
    one_line(error)


def test_a_ledger_that_another_program_holds_locked_is_said_in_one_line(path, ledger, book):
    ledger.connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(LedgerWriteError, match="holds it locked") as error:
            ledger.record(book, a_rich_poll())
    finally:
        other.close()
    one_line(error)
    assert ledger.record(book, a_rich_poll()).changed


def test_its_size_is_that_of_its_files(path, ledger, book):
    ledger.record(book, a_rich_poll())
    wal = Path(f"{path}-wal").stat().st_size
    assert wal > 0
    assert ledger.size_bytes() == path.stat().st_size + wal


def test_a_full_disk_fails_one_poll_and_the_next_one_works(ledger, book):
    ledger.record(book, Poll(feed="usage", at=NOW - 900, usage=(delivered(1),)))
    before = contents(book, NOW)
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [
        Usage(measures.COUNTRY_VIEWS, ("live", f"country {n}"), NOW - HOUR, HOUR, n)
        for n in range(5000)
    ]
    poll = Poll(feed="usage", at=NOW, usage=(*large, delivered(2)))
    with pytest.raises(LedgerWriteError, match="the disk is full") as error:
        ledger.record(book, poll)
    one_line(error)
    assert contents(book, NOW)["shown"] == before["shown"]
    assert contents(open_book(ledger), NOW) == before
    ledger.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.record(book, poll)
    assert book.series[measures.DELIVERED_BYTES][("live",)].truth == 2
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_reading_waits_for_no_writer(path, ledger, book):
    """A program that writes holds up what is written, not what is read."""
    ledger.record(book, a_rich_poll())
    ledger.connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with ledger.read() as reader:
            other.execute("UPDATE feed SET pushed_until = 7, settled_until = 8")
            assert reader.to_push() == []
        assert ledger.hours(book, "usage", [measures.DELIVERED_BYTES], Window(0, NOW))
    finally:
        other.close()
