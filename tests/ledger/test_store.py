"""The ledger's file: opened by one, refused with one line, never left half written."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.ledger import Ledger, Poll
from exporter.model import (
    DAY,
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Event,
    Level,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import LedgerError, LedgerWriteError
from tests.ledger.disk import HOLD_SECONDS, Clock, contents, copy_ledger, failing

NOW = 1_704_067_200 + 10 * DAY


@pytest.fixture
def clock():
    return Clock(NOW)


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


def delivered(amount, start=NOW - HOUR, width=HOUR):
    return Usage(measures.DELIVERED_BYTES, ("live",), start, width, amount)


def a_rich_poll(at=NOW):
    """One that writes to every table."""
    return Poll(
        feed="usage",
        at=at,
        usage=(
            delivered(1),
            delivered(50, NOW - 3 * DAY, DAY),
            *(
                Usage(measures.STREAM_VIEWS, ("live", name), NOW - HOUR, HOUR, 7)
                for name in "abcde"
            ),
        ),
        events=(Event("job", NOW - 60, NOW, ((measures.JOBS_FINISHED, ("/x", "success")),)),),
        revisited=True,
        unfinished={"running": NOW - 7 * HOUR},
        newest=NOW,
        gap=Window(NOW - 9 * DAY, NOW - 4 * DAY),
        streams=("a", "b"),
        listed=True,
        discovered=("c", "d", "z"),
        described=(Level(measures.STREAM_INFO, ("vod", "a", "Film", "false"), 1),),
    )


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# Opening.


def test_a_ledger_is_made_when_missing(path, clock):
    open_ledger(path, clock).close()
    assert path.read_bytes().startswith(b"SQLite format 3\0")


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
    ledger._connection.execute("UPDATE series SET labels = '[7'")
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
    ledger._connection.execute("PRAGMA busy_timeout = 1")
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


# Writing.


def test_a_poll_that_fails_at_any_statement_is_not_half_written(
    path, ledger, book, clock, tmp_path
):
    """Neither in memory, nor on the disk as a kill would leave it, at that instant or later."""
    ledger.record(book, Poll(feed="usage", at=NOW - 900, usage=(delivered(0), delivered(3, NOW))))
    before = contents(book, NOW)
    killed, later = tmp_path / "killed.db", tmp_path / "later.db"
    statements = 0
    while True:
        statements += 1
        with failing(ledger, statement=statements, copy_to=killed) as disk:
            try:
                ledger.record(book, a_rich_poll())
            except LedgerWriteError:
                assert disk.failed
        if not disk.failed:
            break
        assert contents(book, NOW) == before
        copy_ledger(path, later)
        for copy in (killed, later):
            other = open_ledger(copy, clock)
            assert contents(open_book(other), NOW) == before
            other.close()
    assert statements > 10
    after = contents(book, NOW)
    assert after != before
    assert contents(open_book(ledger), NOW) == after


def test_a_full_disk_fails_one_poll_and_the_next_one_works(ledger, book):
    ledger.record(book, Poll(feed="usage", at=NOW - 900, usage=(delivered(1),)))
    before = contents(book, NOW)
    (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
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
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    ledger.record(book, poll)
    assert book.series[measures.DELIVERED_BYTES][("live",)].truth == 2
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_a_gap_that_could_not_be_given_up_stays(ledger, book):
    ledger.record(book, a_rich_poll())
    gap = Window(NOW - 9 * DAY, NOW - 4 * DAY)
    with failing(ledger, statement=3), pytest.raises(LedgerWriteError):
        ledger.give_up(book, "usage", Window(NOW - 9 * DAY, NOW - 5 * DAY))
    assert open_book(ledger).feeds["usage"].gaps == book.feeds["usage"].gaps == [gap]


# What a feed remembers.


def test_gaps_are_filled_and_given_up_piece_by_piece(ledger, book):
    def gaps():
        assert open_book(ledger).feeds["usage"].gaps == book.feeds["usage"].gaps
        return [(gap.start - NOW, gap.end - NOW) for gap in book.feeds["usage"].gaps]

    def record(**poll):
        ledger.record(book, Poll(feed="usage", at=NOW, **poll))

    record(gap=Window(NOW - 100, NOW - 50))
    record(gap=Window(NOW - 30, NOW - 10))
    record(filled=Window(NOW - 90, NOW - 80), advances=False)
    assert gaps() == [(-100, -90), (-80, -50), (-30, -10)]
    record(gap=Window(NOW - 100, NOW - 70))
    assert gaps() == [(-100, -50), (-30, -10)]
    ledger.give_up(book, "usage", Window(NOW - 200, NOW - 20))
    assert gaps() == [(-20, -10)]
    record(gap=Window(NOW - 5, NOW), filled=Window(NOW - 20, NOW - 10))
    assert gaps() == [(-5, 0)]


def test_the_cursor_follows_the_clock_also_back(ledger, book):
    """Kept in the future it would make the next outages look short, and lose them."""
    for at in (NOW, NOW + DAY, NOW + 60):
        ledger.record(book, Poll(feed="usage", at=at))
        assert book.feeds["usage"].polled_at == at
    assert open_book(ledger).feeds["usage"].polled_at == NOW + 60


def test_a_piece_of_an_old_gap_leaves_the_cursor_alone(ledger, book):
    ledger.record(book, Poll(feed="usage", at=NOW, unfinished={"x": NOW - 60}, streams=("a",)))
    ledger.record(book, Poll(feed="usage", at=NOW + 5, advances=False, streams=("b",)))
    feed = open_book(ledger).feeds["usage"]
    assert (feed.polled_at, feed.resume, feed.streams) == (NOW, NOW - 60, {"a": None})


def test_what_an_old_gap_shows_as_unfinished_is_asked_for_again(ledger, book):
    def resume():
        assert open_book(ledger).feeds["usage"].resume == book.feeds["usage"].resume
        return book.feeds["usage"].resume

    ledger.record(book, Poll(feed="usage", at=NOW))
    ledger.record(
        book, Poll(feed="usage", at=NOW, advances=False, unfinished={"old": NOW - 70 * HOUR})
    )
    assert resume() == NOW - 70 * HOUR
    ledger.record(
        book, Poll(feed="usage", at=NOW, advances=False, unfinished={"x": NOW - 60 * HOUR})
    )
    ledger.record(book, Poll(feed="usage", at=NOW, advances=False))
    assert resume() == NOW - 70 * HOUR


def test_an_unfinished_job_is_asked_for_until_it_has_ended_or_is_too_old(ledger, book):
    """A listing that leaves it out, once or for ever, says nothing about it."""

    def resume(**of):
        ledger.record(book, Poll(feed="usage", at=NOW, **of))
        assert open_book(ledger).feeds["usage"].resume == book.feeds["usage"].resume
        return book.feeds["usage"].resume

    assert resume(unfinished={"a": NOW - 9 * DAY, "b": NOW - DAY}) == NOW - 9 * DAY
    assert resume() == NOW - 9 * DAY
    assert resume(unfinished={"c": NOW - 60}) == NOW - 9 * DAY
    ended = Event("a", NOW - 9 * DAY, NOW, ((measures.JOBS_FINISHED, ("/x", "success")),))
    assert resume(events=(ended,), unfinished={"b": NOW - DAY}) == NOW - DAY
    assert resume(listed_from=NOW - HOUR) == NOW - 60
    assert resume(listed_from=NOW) is None


def test_what_fills_a_gap_is_counted_however_old_it_is(ledger, book):
    """Nothing of a time in which something is still missing is folded, and then ignored."""
    gap = Window(NOW - 8 * DAY, NOW - 6 * DAY)
    old = delivered(5, start=NOW - 9 * DAY)
    ledger.record(book, Poll(feed="usage", at=NOW, usage=(old, delivered(1)), gap=gap))
    assert ledger.compact(book, "usage", NOW - DAY) == 1
    late = delivered(7, start=NOW - 7 * DAY)
    ledger.record(book, Poll(feed="usage", at=NOW, advances=False, usage=(late,), filled=gap))
    (series,) = book.shown(measures.DELIVERED_BYTES)
    assert series.truth == 13
    assert ledger.compact(book, "usage", NOW - DAY) == 1
    assert series.truth == 13


def test_a_stream_that_is_asked_for_no_more_is_left_where_it_was_last_asked_for(ledger, book):
    ledger.record(book, Poll(feed="usage", at=NOW, streams=("a", "b")))
    ledger.record(book, Poll(feed="usage", at=NOW + 900, streams=("a",)))
    ledger.record(book, Poll(feed="usage", at=NOW + 1800, streams=("a",)))
    assert open_book(ledger).feeds["usage"].streams == {"a": None, "b": NOW}
    ledger.record(book, Poll(feed="usage", at=NOW + 2700, streams=("b",)))
    assert open_book(ledger).feeds["usage"].streams == {"a": NOW + 1800, "b": None}
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_when_the_listing_showed_a_stream_is_kept_to_a_quarter_of_an_hour(ledger, book):
    seen = []
    for at in (NOW, NOW + 600, NOW + 901, NOW - DAY):
        ledger.record(book, Poll(feed="usage", at=at, discovered=("a",)))
        assert open_book(ledger).streams == book.streams
        seen.append(book.streams["a"])
    assert seen == [NOW, NOW, NOW + 901, NOW - DAY]


def test_only_the_feeds_that_are_polled_are_in_the_book(ledger):
    both = ledger.book("millicast", "studio", feeds=("usage", "more"), stream_limit=3)
    ledger.record(both, Poll(feed="usage", at=NOW, usage=(delivered(1),)))
    more = Usage(measures.VIEWS, ("live",), NOW - HOUR, HOUR, 1)
    ledger.record(both, Poll(feed="more", at=NOW, usage=(more,)))
    assert open_book(ledger).series.keys() == {measures.DELIVERED_BYTES}


def test_accounts_of_one_name_at_two_vendors_are_two(ledger):
    for vendor in ("millicast", "wowza"):
        book = ledger.book(vendor, "studio", feeds=("usage",), stream_limit=3)
        assert not book.series
        ledger.record(book, Poll(feed="usage", at=NOW, usage=(delivered(1),)))
        assert book.series[measures.DELIVERED_BYTES][("live",)].exposed == 1


def test_a_piece_of_a_gap_counts_as_late_only_what_had_been_asked_for_before(ledger, book):
    """The daily look back is a gap, too, where it is filled after the current data."""
    old, missed = NOW - 40 * HOUR, NOW - 20 * HOUR
    ledger.record(book, Poll(feed="usage", at=NOW - 30 * HOUR, usage=(delivered(1, old, HOUR),)))
    gap = Window(old - HOUR, NOW - HOUR)
    ledger.record(book, Poll(feed="usage", at=NOW, gap=gap))
    pieces = (delivered(9, old, HOUR), delivered(5, missed, HOUR))
    piece = Poll(feed="usage", at=NOW, usage=pieces, advances=False, filled=gap)
    assert open_book(ledger).feeds["usage"].gaps_seen == NOW - 30 * HOUR
    assert ledger.record(book, piece).late == 1


def info(name, archived="false"):
    return Level(measures.STREAM_INFO, ("vod", "a", name, archived), 1)


def test_the_newest_description_of_a_thing_is_kept(ledger, book):
    def described():
        known = book.described["usage", measures.STREAM_INFO]
        assert open_book(ledger).described["usage", measures.STREAM_INFO] == known
        return list(known.values())

    changed = ledger.record(book, Poll(feed="usage", at=NOW, described=(info("Film"),))).changed
    assert changed == {measures.STREAM_INFO}
    assert described() == [("vod", "a", "Film", "false")]
    unchanged = ledger.record(book, Poll(feed="usage", at=NOW, described=(info("Film"),)))
    assert unchanged.changed == frozenset()
    ledger.record(book, Poll(feed="usage", at=NOW))
    ledger.record(book, Poll(feed="usage", at=NOW, described=(info("Film", "true"),)))
    assert described() == [("vod", "a", "Film", "true")]
    ledger.record(book, Poll(feed="usage", at=NOW, described=(info("Old"),), advances=False))
    assert described() == [("vod", "a", "Film", "true")], "a gap is about the past"


def test_a_listing_and_the_first_poll_after_it_are_remembered(ledger, book):
    assert book.listed_at is None
    ledger.record(book, Poll(feed="usage", at=NOW, streams=("a",)))
    assert not book.feeds["usage"].listed
    ledger.record(book, Poll(feed="usage", at=NOW + 900, streams=("a", "b"), listed=True))
    for known in (book, open_book(ledger)):
        assert known.listed_at == NOW + 900
        assert known.feeds["usage"].listed


def test_countries_of_streams_beyond_the_limit_are_summed_exactly(ledger):
    """Each stream keeps its total; what is beyond the limit grows under one country."""

    def book(limit):
        return ledger.book(
            "millicast", "studio", feeds=("usage",), stream_limit=10, label_limit=limit
        )

    def poll(at, **amounts):
        return Poll(
            feed="usage",
            at=at,
            usage=tuple(
                Usage(measure, ("live", "a", country), NOW - HOUR, HOUR, amount)
                for measure in (measures.STREAM_COUNTRY_VIEWS, measures.STREAM_COUNTRY_PUBLISHES)
                for country, amount in amounts.items()
            ),
        )

    def shown(book, measure=measures.STREAM_COUNTRY_VIEWS):
        return {series.labels[2]: series.exposed for series in book.shown(measure)}

    limited = book(2)
    ledger.record(limited, poll(NOW, DE=1, FR=2, ES=3, IT=4))
    assert shown(limited) == {"DE": 1, "FR": 2, "__other__": 7}
    ledger.record(limited, poll(NOW, DE=1, FR=2, ES=5, IT=3, PT=6))
    for known in (limited, book(2), book(100)):
        for measure in (measures.STREAM_COUNTRY_VIEWS, measures.STREAM_COUNTRY_PUBLISHES):
            assert shown(known, measure) == {"DE": 1, "FR": 2, "__other__": 14}
    again = book(100)
    ledger.record(again, poll(NOW, ES=6, PL=1))
    assert shown(again) == {"DE": 1, "FR": 2, "__other__": 15, "PL": 1}, "decided for good"
    reopened = book(100)
    measure = measures.STREAM_COUNTRY_VIEWING_SECONDS
    seen = [Usage(measure, ("live", "a", one), NOW, HOUR, 1) for one in ("PL", "ES", "NO")]
    ledger.record(reopened, Poll(feed="usage", at=NOW, usage=seen))
    assert shown(reopened, measure).keys() == {"PL", "__other__", "NO"}, "for every measure"
    full = book(3)
    ledger.record(full, poll(NOW, SE=1))
    assert "SE" not in shown(full), "those before count against the limit, after a restart, too"


def test_the_past_of_a_total_since_ever_is_where_it_begins(ledger, book):
    """An id that is configured later has a past: its first total is no growth."""
    ledger.record(book, Poll(feed="usage", at=NOW))
    total = Usage(measures.LIFETIME_VIEWS, ("id",), LIFETIME_START, LIFETIME_WIDTH, 5_000_000)
    ledger.record(book, Poll(feed="usage", at=NOW + 900, usage=(total,)))
    (series,) = book.shown(measures.LIFETIME_VIEWS)
    assert book.value(series, NOW) == 5_000_000


def test_the_hours_of_a_feed_can_be_read(ledger, book):
    usage = (delivered(3, NOW - HOUR, HOUR), delivered(4, NOW - 5 * HOUR, HOUR))
    ledger.record(book, Poll(feed="usage", at=NOW, usage=usage))
    hours = ledger.hours(
        book, "usage", [measures.DELIVERED_BYTES], Window(NOW - 2 * HOUR, NOW + HOUR)
    )
    assert list(hours.values()) == [3]
    assert ledger.hours(book, "usage", [measures.RECEIVED_BYTES], Window(0, NOW)) == {}
