"""What one poll changes: totals, corrections, late buckets, holds, streams, events."""

import pytest

from exporter.ledger import OTHER_STREAM, Poll
from exporter.model import DAY, HOUR, LIFETIME_START, LIFETIME_WIDTH, Event, Usage, measures
from exporter.model.errors import LedgerWriteError
from tests.ledger.disk import HOLD_SECONDS, contents
from tests.ledger.polls import NOW

MONTH_START, MONTH = NOW - 10 * DAY, 31 * DAY


def open_book(ledger, *, feeds=("usage",), limit=100, **options):
    return ledger.book("millicast", "studio", feeds=feeds, stream_limit=limit, **options)


@pytest.fixture
def book(ledger):
    return open_book(ledger)


def delivered(amount, start=NOW - HOUR, width=HOUR):
    return Usage(measures.DELIVERED_BYTES, ("live",), start, width, amount)


def of_stream(stream, amount, start=NOW - HOUR, width=HOUR, measure=measures.STREAM_VIEWS):
    return Usage(measure, ("live", stream), start, width, amount)


def record(ledger, book, *usage, at=None, feed="usage", **poll):
    when = int(ledger.clock()) if at is None else at
    return ledger.record(book, Poll(feed=feed, at=when, usage=usage, **poll))


def series(book, measure=measures.DELIVERED_BYTES, labels=("live",)):
    return book.series[measure][labels]


def shown(book, now, measure=measures.DELIVERED_BYTES, labels=("live",)):
    return book.value(series(book, measure, labels), now)


def test_a_bucket_told_twice_counts_once(ledger, book):
    record(ledger, book, delivered(5))
    again = record(ledger, book, delivered(5))
    assert series(book).truth == 5
    assert not again.changed


def test_of_two_rows_for_one_bucket_the_later_one_counts(ledger, book):
    record(ledger, book, delivered(5), delivered(7))
    assert series(book).truth == 7


@pytest.mark.parametrize("first", ["fine", "coarse"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("coarse_amount", [0, 40])
def test_a_coarse_bucket_stands_in_for_finer_ones_in_any_order(
    ledger, book, first, together, coarse_amount
):
    day = NOW - DAY
    fine = [delivered(10, day + hour * HOUR) for hour in (0, 5, 23)]
    outside = delivered(3, NOW)
    coarse = [delivered(coarse_amount, day, DAY)]
    order = [[*fine, outside], coarse] if first == "fine" else [coarse, [*fine, outside]]
    if together:
        order = [[row for rows in order for row in rows]]
    for rows in order:
        record(ledger, book, *rows)
    assert series(book).truth == coarse_amount + 3


def test_a_month_stands_in_for_days_and_hours(ledger, book):
    record(ledger, book, delivered(1, MONTH_START), delivered(20, MONTH_START + DAY, DAY))
    assert series(book).truth == 21
    record(ledger, book, delivered(300, MONTH_START, MONTH))
    assert series(book).truth == 300
    record(ledger, book, delivered(9, MONTH_START + 2 * HOUR), delivered(99, MONTH_START, DAY))
    assert series(book).truth == 300


def test_finer_buckets_than_ever_before_lie_under_the_coarse_ones(ledger, book):
    """In the poll that brings the first of them, and in all later ones."""
    record(ledger, book, delivered(40, NOW - DAY, DAY))
    for hour in (1, 2, 3):
        record(ledger, book, delivered(hour, NOW - hour * HOUR))
    assert series(book).truth == 40


def test_a_coarse_bucket_leaves_other_series_alone(ledger, book):
    record(ledger, book, of_stream("a", 1), of_stream("b", 2))
    record(ledger, book, of_stream("a", 10, NOW - DAY, DAY))
    assert series(book, measures.STREAM_VIEWS, ("live", "a")).truth == 10
    assert series(book, measures.STREAM_VIEWS, ("live", "b")).truth == 2


def test_a_total_kept_since_ever_lies_beside_all_other_buckets(ledger, book):
    lifetime = Usage(measures.LIFETIME_VIEWS, ("a",), LIFETIME_START, LIFETIME_WIDTH, 100)
    record(ledger, book, lifetime, delivered(1))
    ledger.compact(book, "usage", NOW)
    assert record(ledger, book, replace_amount(lifetime, 130)).changed
    assert series(book, measures.LIFETIME_VIEWS, ("a",)).truth == 130
    record(ledger, book, delivered(50, NOW, DAY), delivered(5, NOW + HOUR))
    assert series(book).truth == 51


def replace_amount(row, amount):
    return Usage(row.measure, row.labels, row.start, row.width, amount)


def test_a_wrong_number_of_labels_is_a_loud_mistake_that_changes_nothing(ledger, book):
    before = contents(book, NOW)
    with pytest.raises(ValueError, match="labels"):
        record(ledger, book, delivered(5), Usage(measures.VIEWS, (), NOW, HOUR, 1))
    assert contents(book, NOW)["shown"] == before["shown"]
    record(ledger, book, delivered(6))
    assert series(book).truth == 6


# Corrections and late buckets.


def test_a_bucket_that_the_vendor_lowers_is_a_correction(ledger, book):
    record(ledger, book, delivered(10))
    recorded = record(ledger, book, delivered(4))
    assert (recorded.corrections, recorded.late) == (1, 0)
    assert not recorded.changed, "what is shown stays"
    assert (series(book).truth, series(book).exposed) == (4, 10)


def test_a_bucket_that_grows_after_it_closed_and_was_asked_for_since_is_late(ledger, book, clock):
    record(ledger, book, delivered(10))
    clock.now += 900
    assert record(ledger, book, delivered(11)).late == 1


def test_a_bucket_first_asked_for_after_it_closed_is_not_late(ledger, book, clock):
    record(ledger, book, delivered(10, NOW - HOUR), delivered(1, NOW))
    clock.now += HOUR + 60
    recorded = record(ledger, book, delivered(7, NOW))
    assert (recorded.late, recorded.corrections) == (0, 0), "it was open at the last poll"
    clock.now += 60
    assert record(ledger, book, delivered(8, NOW)).late == 1


def test_a_new_streams_history_is_not_late(ledger, book, clock):
    record(ledger, book, of_stream("a", 1))
    clock.now += 900
    assert record(ledger, book, of_stream("b", 1)).late == 0


def test_a_gap_that_is_filled_is_not_late(ledger, book, clock):
    record(ledger, book, delivered(1))
    clock.now += 900
    filled = record(ledger, book, delivered(9, NOW - 50 * HOUR), advances=False)
    assert filled.late == 0


def test_a_coarse_bucket_below_the_sum_of_its_finer_ones_is_a_correction(ledger, book):
    record(ledger, book, delivered(10, NOW - DAY), delivered(10, NOW - HOUR))
    assert record(ledger, book, delivered(19, NOW - DAY, DAY)).corrections == 1
    assert record(ledger, book, delivered(20, NOW - DAY, DAY)).corrections == 0


def test_what_a_coarse_bucket_of_the_same_poll_supersedes_was_never_there(ledger, book):
    recorded = record(ledger, book, delivered(10, NOW - HOUR), delivered(4, NOW - DAY, DAY))
    assert recorded.corrections == 0
    assert (series(book).truth, series(book).exposed) == (4, 4)


# Holds.


def test_counters_of_a_first_poll_start_at_their_value(ledger, book, clock):
    record(ledger, book, delivered(10))
    assert shown(book, clock()) == 10
    assert not book.holds


def test_a_counter_that_appears_later_is_shown_at_0_for_a_while(ledger, book, clock):
    record(ledger, book, delivered(10))
    record(ledger, book, of_stream("a", 3))
    key = (measures.STREAM_VIEWS, ("live", "a"))
    assert shown(book, clock(), *key) == 0
    assert [until for _, until in book.holds.values()] == [clock() + HOLD_SECONDS]
    clock.now += HOLD_SECONDS - 1
    assert shown(book, clock(), *key) == 0
    clock.now += 1
    assert shown(book, clock(), *key) == 3


def test_a_stream_newly_written_into_the_configuration_starts_at_its_value(ledger, book, clock):
    record(ledger, book, delivered(10))
    baseline = frozenset({"a"})
    record(ledger, book, of_stream("a", 3), of_stream("b", 4), baseline_streams=baseline)
    assert shown(book, clock(), measures.STREAM_VIEWS, ("live", "a")) == 3
    assert shown(book, clock(), measures.STREAM_VIEWS, ("live", "b")) == 0


def test_a_hold_outlives_a_restart(ledger, book, clock, storage):
    record(ledger, book, delivered(10))
    record(ledger, book, of_stream("a", 3))
    ledger.close()
    clock.now += HOLD_SECONDS / 2
    again = storage.open()
    try:
        book = open_book(again)
        assert shown(book, clock(), measures.STREAM_VIEWS, ("live", "a")) == 0
        clock.now += HOLD_SECONDS
        assert shown(book, clock(), measures.STREAM_VIEWS, ("live", "a")) == 3
        assert not open_book(again).holds
    finally:
        again.close()


@pytest.mark.parametrize(("away", "held"), [(1801, True), (1799, False)])
def test_counters_that_were_gone_for_long_are_shown_at_their_old_totals_first(
    ledger, book, clock, away, held
):
    record(ledger, book, delivered(10))
    clock.now += away
    book = open_book(ledger, reappears_after=1800)
    assert shown(book, clock()) == 10
    clock.now += 1
    record(ledger, book, delivered(25))
    assert shown(book, clock()) == (10 if held else 25)
    clock.now += HOLD_SECONDS
    assert shown(book, clock()) == 25


def test_a_stream_written_into_the_configuration_over_a_long_stop_starts_at_its_value(
    ledger, book, clock
):
    record(ledger, book, delivered(10))
    clock.now += DAY
    book = open_book(ledger, reappears_after=1800)
    record(ledger, book, of_stream("a", 3), baseline_streams=frozenset({"a"}))
    assert shown(book, clock(), measures.STREAM_VIEWS, ("live", "a")) == 3


# Streams beyond the limit.


def test_streams_beyond_the_limit_are_summed(ledger):
    book = open_book(ledger, limit=1)
    record(ledger, book, *(of_stream(name, 10**at) for at, name in enumerate("abc")))
    labels = {one.labels: one.exposed for one in book.shown(measures.STREAM_VIEWS)}
    assert labels == {("live", "a"): 1, ("live", OTHER_STREAM): 110}


def test_a_folded_stream_never_comes_back_out(ledger):
    book = open_book(ledger, limit=1)
    record(ledger, book, of_stream("a", 1), of_stream("b", 10))
    book = open_book(ledger, limit=5)
    other_measure = of_stream("b", 7, measure=measures.STREAM_DELIVERED_BYTES)
    record(ledger, book, of_stream("b", 20), of_stream("c", 100), other_measure)
    shown = {one.labels[1]: one.exposed for one in book.shown(measures.STREAM_VIEWS)}
    assert shown == {"a": 1, OTHER_STREAM: 20, "c": 100}
    (one,) = book.shown(measures.STREAM_DELIVERED_BYTES)
    assert one.labels[1] == OTHER_STREAM


def test_a_lowered_limit_leaves_shown_streams_as_they_are(ledger):
    book = open_book(ledger, limit=2)
    record(ledger, book, of_stream("a", 1), of_stream("b", 10))
    book = open_book(ledger, limit=1)
    record(ledger, book, of_stream("a", 2), of_stream("b", 20), of_stream("c", 100))
    shown = {one.labels[1]: one.exposed for one in book.shown(measures.STREAM_VIEWS)}
    assert shown == {"a": 2, "b": 20, OTHER_STREAM: 100}


def test_configured_streams_come_first_under_the_limit_but_not_over_it(ledger):
    book = open_book(ledger, limit=2, first_streams=("x", "y", "z"))
    record(ledger, book, *(of_stream(name, 1) for name in "azyx"))
    assert {one.labels[1] for one in book.shown(measures.STREAM_VIEWS)} == {"x", "y", OTHER_STREAM}


def test_a_configured_stream_keeps_its_place_when_it_is_no_longer_configured(ledger):
    book = open_book(ledger, limit=1, first_streams=("x",))
    record(ledger, book, of_stream("x", 1))
    book = open_book(ledger, limit=1)
    record(ledger, book, of_stream("a", 1))
    record(ledger, book, of_stream("x", 2, measure=measures.STREAM_DELIVERED_BYTES))
    assert book.admitted == {"x"}
    assert book.folded == {"a"}


def test_a_stream_that_was_only_listed_takes_no_place(ledger):
    book = open_book(ledger, limit=1)
    record(ledger, book, discovered=("idle", "other"))
    book = open_book(ledger, limit=1)
    assert book.streams.keys() == {"idle", "other"}
    assert not book.admitted
    record(ledger, book, of_stream("a", 1), of_stream("idle", 2))
    assert (book.admitted, book.folded) == ({"a"}, {"idle"})


def test_streams_of_levels_count_towards_the_limit(ledger):
    book = open_book(ledger, limit=1)
    record(ledger, book, of_stream("b", 1), named=("a",))
    assert (book.admitted, book.folded) == ({"a"}, {"b"})


def test_two_feeds_share_the_sum_of_the_streams_beyond_the_limit(ledger):
    """It stays one series, and does not fall, whichever of them is polled."""
    both = open_book(ledger, feeds=("one", "two"), limit=0)
    record(ledger, both, of_stream("a", 1), feed="one")
    record(ledger, both, of_stream("b", 10), feed="two")
    labels = ("live", OTHER_STREAM)
    assert series(both, measures.STREAM_VIEWS, labels).exposed == 11
    alone = open_book(ledger, feeds=("two",), limit=0)
    record(ledger, alone, of_stream("b", 20), feed="two")
    assert series(alone, measures.STREAM_VIEWS, labels).exposed == 21
    again = open_book(ledger, feeds=("one", "two"), limit=0)
    assert series(again, measures.STREAM_VIEWS, labels).exposed == 21


def test_a_feed_added_later_adds_to_the_sum_that_an_earlier_one_left(ledger):
    one = open_book(ledger, feeds=("one",), limit=0)
    record(ledger, one, of_stream("a", 1), feed="one")
    two = open_book(ledger, feeds=("two",), limit=0)
    record(ledger, two, of_stream("b", 10), feed="two")
    labels = ("live", OTHER_STREAM)
    assert series(two, measures.STREAM_VIEWS, labels).exposed == 11
    both = open_book(ledger, feeds=("one", "two"), limit=0)
    assert contents(both, NOW)["shown"] == {(measures.STREAM_VIEWS.name, labels): 11}


# Events.


def job(number=1, *, at=NOW - 60, since=NOW - 120, status="success", queued=500):
    return Event(
        id=f"job-{number}",
        since=since,
        at=at,
        counts=((measures.JOBS_FINISHED, ("/x", status)),),
        timings=((measures.JOB_QUEUE_SECONDS, ("/x",), queued),),
    )


def test_an_event_counts_once_however_often_it_is_told(ledger, book, clock):
    record(ledger, book, events=(job(1), job(1)))
    clock.now += 900
    assert not record(ledger, book, events=(job(1),)).changed
    book = open_book(ledger)
    record(ledger, book, events=(job(1), job(2)))
    assert series(book, measures.JOBS_FINISHED, ("/x", "success")).exposed == 2
    assert series(book, measures.JOB_QUEUE_SECONDS, ("/x", "count")).exposed == 2
    assert series(book, measures.JOB_QUEUE_SECONDS, ("/x", "sum")).exposed == 1000


def test_a_histogram_is_shown_as_it_was_at_one_moment(ledger, book, clock):
    """Some of its parts are held when the ledger is opened again, and others grow after it."""
    record(ledger, book, events=(job(1, queued=0),))
    clock.now += DAY
    book = open_book(ledger, reappears_after=1800)
    late = clock.now - HOUR
    record(ledger, book, events=(job(2, queued=2800, at=late, since=late),))
    book = open_book(ledger, reappears_after=1800)
    record(ledger, book, events=(job(3, queued=1900, at=late, since=late),))

    def counts():
        bounds = [str(float(bound)) for bound in measures.JOB_QUEUE_SECONDS.buckets]
        return [
            shown(book, clock(), measures.JOB_QUEUE_SECONDS, ("/x", bound))
            for bound in (*bounds, "+Inf")
        ]

    assert counts() == [1] * len(counts())
    clock.now += HOLD_SECONDS
    assert counts() == [1, 2, *[3] * (len(counts()) - 2)]


def test_an_amount_on_a_bound_lies_within_it(ledger, book):
    record(ledger, book, events=(job(1, queued=1000), job(2, queued=1001)))
    named = book.series[measures.JOB_QUEUE_SECONDS]
    assert named["/x", "1.0"].exposed == 1
    assert named["/x", "2.0"].exposed == 2
    assert named["/x", "+Inf"].exposed == named["/x", "count"].exposed == 2


def test_events_older_than_what_is_remembered_are_left_out(ledger, book):
    old = NOW - 93 * DAY - 1
    assert not record(ledger, book, events=(job(1, since=old, at=old),)).changed


def test_an_events_id_is_remembered_while_the_vendor_may_tell_of_it(ledger, book, clock):
    record(ledger, book, events=(job(1),))
    for _ in range(93):
        clock.now += DAY
        ledger.compact(book, "usage", int(clock()) - 30 * DAY)
        record(ledger, book, events=(job(1),))
    assert series(book, measures.JOBS_FINISHED, ("/x", "success")).exposed == 1


def test_an_event_in_compacted_time_counts_but_is_no_history(ledger, book):
    record(ledger, book, delivered(1))
    ledger.compact(book, "usage", NOW - DAY)
    record(ledger, book, events=(job(1, at=NOW - 2 * DAY, since=NOW - 2 * DAY),))
    assert series(book, measures.JOBS_FINISHED, ("/x", "success")).exposed == 1
    with ledger.read() as reader:
        assert reader.first_bucket(book.feeds["usage"].id, 0) == NOW - HOUR


# Compacting old buckets.


def test_compacted_buckets_stay_in_the_total_and_late_reports_about_them_are_ignored(ledger, book):
    record(ledger, book, delivered(10, NOW - 3 * DAY), delivered(1))
    assert ledger.compact(book, "usage", NOW - 2 * DAY + 5) == 1
    assert ledger.compact(book, "usage", NOW - 2 * DAY + 5) == 0
    assert series(book).truth == 11
    record(ledger, book, delivered(99, NOW - 3 * DAY), delivered(2))
    assert series(book).truth == 12


def test_a_month_that_is_compacted_in_part_still_stands_in_for_its_days(ledger, book):
    record(ledger, book, delivered(300, MONTH_START, MONTH))
    ledger.compact(book, "usage", MONTH_START + 5 * DAY)
    record(ledger, book, delivered(7, MONTH_START + 6 * DAY, DAY))
    assert series(book).truth == 300


def test_what_cannot_be_stored_fails_that_poll_alone(ledger, book):
    record(ledger, book, delivered(5))
    before = contents(book, NOW)
    for usage in (delivered(2**63), of_stream("\ud800", 1)):
        with pytest.raises(LedgerWriteError, match=r"more than .* can hold"):
            record(ledger, book, usage)
        assert contents(book, NOW)["shown"] == before["shown"]
    record(ledger, book, delivered(6))
    assert series(book).truth == 6
