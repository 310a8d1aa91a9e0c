"""The ledger's contract, held against every implementation; see also test_recording.py.

What a method stores survives a restart, and one that fails at any statement leaves storage and
memory as they were.
"""

from dataclasses import replace

import pytest

from exporter.ledger import OTHER_STREAM, Poll
from exporter.ledger.contract import Bucket, FeedToPush, Late, Point, SeriesName, Stretch
from exporter.ledger.settling import Revised
from exporter.model import (
    DAY,
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Event,
    Level,
    Step,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import LedgerWriteError
from tests.ledger.disk import HOLD_SECONDS, contents
from tests.ledger.polls import NOW, a_rich_poll, delivered

SETTLING = {"usage": HOUR}


def open_book(ledger):
    return ledger.book("millicast", "studio", feeds=("usage",), stream_limit=3)


@pytest.fixture
def book(ledger):
    return open_book(ledger)


def record(ledger, book, *usage, at=NOW, **poll):
    return ledger.record(book, Poll(feed="usage", at=at, usage=usage, **poll))


# Transactions.


def record_a_rich_poll(ledger, book):
    ledger.record(book, a_rich_poll(NOW + 900))


def give_up(ledger, book):
    ledger.give_up(book, "usage", Window(NOW - 9 * DAY, NOW - 5 * DAY))


def compact(ledger, book):
    assert ledger.compact(book, "usage", NOW - DAY) == 1


def settle(ledger, book):
    ledger.settle(book, SETTLING)


def push(ledger, book):
    ledger.pushed(book.feeds["usage"].id, NOW, [(NOW - 2 * DAY, HOUR, 1)])


def stored(ledger):
    """Everything that a ledger says of its account."""
    with ledger.read() as reader:
        found = reader.to_push()
        late = [reader.late(one.id, until=NOW + DAY, limit=100) for one in found]
        oldest = reader.first_bucket(1, 0)
    return contents(open_book(ledger), NOW), found, late, oldest


def prepared(ledger):
    """A book of a feed with old buckets, a gap, settled hours and a late one."""
    book = open_book(ledger)
    record(ledger, book, delivered(9, NOW - 9 * DAY), delivered(3, NOW), at=NOW - 900)
    ledger.settle(book, SETTLING)
    ledger.pushed(book.feeds["usage"].id, NOW - 2 * HOUR, [])
    record(ledger, book, delivered(4, NOW - 2 * DAY), at=NOW)
    ledger.settle(book, SETTLING)
    record(ledger, book, gap=Window(NOW - 3 * DAY, NOW - 2 * DAY))
    return book


@pytest.mark.parametrize("method", [record_a_rich_poll, give_up, compact, settle, push])
def test_what_fails_at_any_statement_is_not_half_done(storage, ledger, method):
    """Neither in memory, nor in the storage as a kill would leave it, at that instant or later."""
    book = prepared(ledger)
    if method is give_up:
        record(ledger, book, gap=Window(NOW - 9 * DAY, NOW - 4 * DAY))
    if method is settle:
        record(ledger, book, delivered(5, NOW - 2 * DAY), at=NOW + HOUR)
    memory, whole = contents(book, NOW), stored(ledger)
    statement = 0
    while True:
        statement += 1
        with storage.failing(ledger, statement=statement) as disk:
            try:
                method(ledger, book)
            except LedgerWriteError:
                assert disk.failed
        if not disk.failed:
            break
        assert contents(book, NOW) == memory
        for open_copy in (storage.after_failure, storage.after_kill):
            copy = open_copy()
            assert stored(copy) == whole
            copy.close()
    assert statement > 3
    assert stored(ledger) != whole, "once nothing fails, it is done"
    assert contents(open_book(ledger), NOW) == contents(book, NOW)


def test_a_mistake_in_a_poll_changes_nothing(ledger):
    """A wrong number of labels is a mistake of the program, not of the storage."""
    book = prepared(ledger)
    memory, whole = contents(book, NOW), stored(ledger)
    rich = a_rich_poll()
    wrong = Usage(measures.VIEWS, (), NOW, HOUR, 1)
    with pytest.raises(ValueError, match="labels"):
        ledger.record(book, replace(rich, usage=(*rich.usage, wrong)))
    assert (contents(book, NOW), stored(ledger)) == (memory, whole)


def test_a_restart_finds_everything_as_it_was(storage, clock):
    ledger = storage.open()
    book = prepared(ledger)
    ledger.record(book, a_rich_poll(NOW + 900))
    before, whole = contents(book, NOW), stored(ledger)
    ledger.close()
    ledger.close()
    again = storage.open()
    assert stored(again) == whole
    assert contents(open_book(again), NOW) == before
    again.close()


def test_series_that_come_after_a_restart_are_told_from_those_before(storage):
    ledger = storage.open()
    record(ledger, open_book(ledger), delivered(1))
    ledger.close()
    again = storage.open()
    book = open_book(again)
    record(again, book, delivered(1), Usage(measures.VIEWS, ("live",), NOW - HOUR, HOUR, 5))
    identities = {one.id for named in book.series.values() for one in named.values()}
    assert len(identities) == 2
    assert contents(open_book(again), NOW) == contents(book, NOW)
    again.close()


def test_how_long_new_counters_are_held_can_be_changed(ledger, book):
    record(ledger, book)
    ledger.hold_seconds = 3 * HOLD_SECONDS
    record(ledger, book, delivered(5))
    assert [until for _, until in book.holds.values()] == [NOW + 3 * HOLD_SECONDS]


def test_it_says_how_large_it_is(ledger, book):
    before = ledger.size_bytes()
    countries = [
        Usage(measures.COUNTRY_VIEWS, ("live", f"country {n}"), NOW - HOUR, HOUR, n)
        for n in range(2000)
    ]
    record(ledger, book, *countries)
    assert ledger.size_bytes() > before > 0


# Reading.


def test_one_reading_answers_from_one_state(ledger, book):
    """What it says of feeds, series and buckets."""
    record(
        ledger,
        book,
        delivered(3, NOW - 2 * HOUR),
        delivered(4, NOW - DAY, DAY),
        delivered(50, NOW - 3 * DAY, DAY),
        Usage(measures.VIEWS, ("live",), NOW - 5 * HOUR, HOUR, 7),
    )
    feed = book.feeds["usage"].id
    one = book.series[measures.DELIVERED_BYTES]["live",].id
    views = book.series[measures.VIEWS]["live",].id
    with ledger.read() as reader:
        assert reader.feed_of(one) == feed
        assert reader.series_name(views) == SeriesName(measures.VIEWS.name, ("live",), False)
        assert reader.bucket(feed, NOW - 5 * HOUR, HOUR) == {views: 7}
        assert reader.bucket(feed, NOW - DAY, DAY) == {one: 4}
        assert reader.bucket(feed, NOW, HOUR) == {}
        assert reader.first_bucket(feed, 0) == NOW - 3 * DAY
        assert reader.first_bucket(feed, NOW - 3 * DAY + 1) == NOW - DAY
        assert reader.first_bucket(feed, NOW) is None
        month = Window(NOW - 10 * DAY, NOW)
        assert reader.amount(feed=feed, series=one, window=month) == 54
        assert reader.amount(feed=feed, series=one, window=Window(NOW - DAY, NOW)) == 4
        assert reader.amount(feed=feed, series=views, window=Window(NOW - HOUR, NOW)) == 0
        assert reader.to_push() == []
        assert reader.pushed_until() is None


@pytest.mark.parametrize("more", [0, 100])
def test_what_series_add_up_to_is_told_by_day(ledger, book, more):
    """Of few series and of many; a lifetime total has no day, and a day is a day's bucket too."""
    day = Step.DAY.floor(NOW) - 3 * DAY
    names = [f"s{number}" for number in range(3 + more)]
    record(
        ledger,
        book,
        *(Usage(measures.STREAM_VIEWS, ("live", name), day + HOUR, HOUR, 2) for name in names),
        *(Usage(measures.STREAM_VIEWS, ("live", name), day + DAY, DAY, 5) for name in names),
        Usage(measures.STREAM_VIEWS, ("live", "other"), day, HOUR, 99),
        Usage(measures.LIFETIME_VIEWS, ("s0",), LIFETIME_START, LIFETIME_WIDTH, 1000),
    )
    feed = book.feeds["usage"].id
    ids = {book.series[measures.STREAM_VIEWS]["live", name].id for name in names}
    ids.add(book.series[measures.LIFETIME_VIEWS][("s0",)].id)
    with ledger.read() as reader:
        assert reader.days(feed=feed, series=ids, window=Window(day, NOW)) == {
            day: 2 * len(names),
            day + DAY: 5 * len(names),
        }
        assert reader.days(feed=feed, series=ids, window=Window(day + DAY, NOW)) == {
            day + DAY: 5 * len(names)
        }
        assert reader.days(feed=feed, series=(), window=Window(day, NOW)) == {}


def test_settled_buckets_are_to_be_pushed_and_late_ones_too(ledger, book):
    """A bucket that is there once its time was pushed is late, one that changed is revised."""
    feed = book.feeds["usage"].id
    record(ledger, book, delivered(3, NOW - 5 * HOUR), delivered(1, NOW))
    one = book.series[measures.DELIVERED_BYTES]["live",].id
    assert ledger.settle(book, SETTLING) == []
    with ledger.read() as reader:
        assert reader.to_push() == [
            FeedToPush(feed, 0, NOW - HOUR, 0, "millicast", "studio"),
        ]
        assert reader.pushed_until() == 0
    ledger.pushed(feed, NOW - HOUR, [])
    record(ledger, book, delivered(8, NOW - 4 * HOUR), delivered(2, NOW - 5 * HOUR))
    with ledger.read() as reader:
        assert reader.late(feed, until=NOW, limit=9) == [], "not reported yet"
    assert ledger.settle(book, SETTLING) == [
        Revised("usage", 2, Window(NOW - 5 * HOUR, NOW - 3 * HOUR))
    ]
    assert ledger.settle(book, SETTLING) == []
    late = Late(NOW - 4 * HOUR, HOUR, one, 8, False)
    with ledger.read() as reader:
        assert reader.pushed_until() == NOW - HOUR
        assert reader.late(feed, until=NOW, limit=9) == [late]
        assert reader.late(feed, until=NOW - 4 * HOUR, limit=9) == []
        assert reader.late(feed, until=NOW, limit=0) == []
    ledger.pushed(feed, NOW - 2 * HOUR, [late[:3]])
    with ledger.read() as reader:
        assert reader.late(feed, until=NOW, limit=9) == []
        assert reader.pushed_until() == NOW - HOUR, "it does not go back"


def test_hours_that_a_settled_day_takes_the_place_of_are_told(ledger, book):
    """They are no more in the ledger, yet they may have been pushed."""
    day = Step.DAY.floor(NOW) - 3 * DAY
    record(ledger, book, delivered(5, day + HOUR), at=day + 8 * HOUR)
    assert ledger.settle(book, SETTLING) == []
    gap = Window(day + 5 * HOUR, day + 2 * DAY)
    record(ledger, book, delivered(1, NOW - 2 * HOUR), gap=gap)
    assert ledger.settle(book, SETTLING) == []
    record(ledger, book, delivered(9, day, DAY), filled=gap, advances=False)
    revised = ledger.settle(book, SETTLING)
    assert revised == [Revised("usage", 1, Window(day + HOUR, day + 2 * HOUR))]


def test_a_late_bucket_of_a_stream_beyond_the_limit_says_so(ledger):
    book = ledger.book("millicast", "studio", feeds=("usage",), stream_limit=0)
    record(ledger, book, delivered(1, NOW))
    ledger.settle(book, SETTLING)
    feed = book.feeds["usage"].id
    ledger.pushed(feed, NOW - HOUR, [])
    record(ledger, book, Usage(measures.STREAM_VIEWS, ("live", "a"), NOW - 3 * HOUR, HOUR, 7))
    ledger.settle(book, SETTLING)
    with ledger.read() as reader:
        (late,) = reader.late(feed, until=NOW, limit=9)
        assert late.beyond
        assert reader.series_name(late.series) == SeriesName(
            measures.STREAM_VIEWS.name, ("live", "a"), True
        )


def test_another_process_reads_the_history(storage, ledger, book):
    """Raw buckets, and one measure's lines with what they grew by."""
    record(
        ledger,
        book,
        delivered(3, NOW - 5 * HOUR),
        delivered(4, NOW - 3 * HOUR),
        *(
            Usage(measures.STREAM_VIEWS, ("live", name), NOW - 3 * HOUR, HOUR, 7)
            for name in "abcde"
        ),
        began=NOW - DAY,
    )
    ledger.settle(book, SETTLING)
    one = book.series[measures.DELIVERED_BYTES]["live",].id
    with storage.history() as history:
        (feed,) = history.feeds()
        assert (feed.provider, feed.account, feed.name) == ("millicast", "studio", "usage")
        assert (feed.began, feed.settled_until, feed.compacted_until, feed.step) == (
            NOW - DAY,
            NOW - HOUR,
            0,
            HOUR,
        )
        buckets = list(history.buckets(feed.id, start=NOW - 6 * HOUR, end=NOW - 3 * HOUR))
        assert buckets == [Bucket(NOW - 5 * HOUR, HOUR, one, 3)]
        assert len(list(history.buckets(feed.id, start=0, end=NOW))) == 7
        assert history.series_name(one).labels == ("live",)
        named = history.series(feed.id)
        assert named[one] == SeriesName(measures.DELIVERED_BYTES.name, ("live",), False)
        assert {identity: history.series_name(identity) for identity in named} == named
        assert history.series(feed.id + 1) == {}

        def lines(measure, start):
            stretch = Stretch(feed, first=start, last=NOW - HOUR)
            found = history.lines(measure, [stretch], start=start)
            return [(line.labels, line.totals, list(points)) for line, points in found]

        (shown,) = lines(measures.DELIVERED_BYTES, NOW - 4 * HOUR)
        assert shown == (("live",), {"": 3}, [Point(1, NOW - 2 * HOUR, HOUR, "", 4)])
        streams = {
            labels[1]: points[0].amount for labels, _, points in lines(measures.STREAM_VIEWS, 0)
        }
        assert streams == {"a": 7, "b": 7, "c": 7, OTHER_STREAM: 14}


def test_compacted_buckets_are_gone_and_their_totals_stay(storage, ledger, book):
    record(ledger, book, delivered(10, NOW - 3 * DAY), delivered(5, NOW - HOUR))
    assert ledger.compact(book, "usage", NOW - DAY + HOUR) == 1
    with storage.history() as history:
        (feed,) = history.feeds()
        assert feed.compacted_until == NOW - DAY == book.feeds["usage"].compacted_until
        assert [one.amount for one in history.buckets(feed.id, start=0, end=NOW)] == [5]
    record(ledger, book, delivered(99, NOW - 3 * DAY))
    again = open_book(ledger)
    assert contents(again, NOW) == contents(book, NOW)
    assert again.series[measures.DELIVERED_BYTES]["live",].truth == 15


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
    """The daily revisit is a gap, too, where it is filled after the current data."""
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
