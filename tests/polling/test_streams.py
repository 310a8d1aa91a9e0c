"""Requests follow live streams: which streams a poll asks for, and which it need not ask for."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from exporter.ledger import Book, FeedState
from exporter.model import HOUR, Usage, measures
from exporter.polling.streams import select_streams, sums_match_from

NOW = 1_775_000_000
CADENCE = 900
SETTLING = 3 * HOUR
PAIRS = (
    (measures.RECEIVED_BYTES, measures.STREAM_RECEIVED_BYTES),
    (measures.DELIVERED_BYTES, measures.STREAM_DELIVERED_BYTES),
)


def book(seen, listed_at=NOW):
    return Book(1, "millicast", "live", 10_000, streams=dict(seen), listed_at=listed_at)


def polled(names, **values):
    """A feed that has asked for all of `names` a quarter of an hour ago."""
    return FeedState(1, "streams", polled_at=NOW - CADENCE, streams=dict.fromkeys(names), **values)


def streams(names, state, known, *, now=NOW, reduction=0):
    return select_streams(
        names,
        state,
        known,
        now=now,
        settling=SETTLING,
        cadence_seconds=CADENCE,
        reduction=reduction,
    )


NAMES = [f"stream {number}" for number in range(1000)]


def test_streams_that_live_or_are_not_settled_are_asked_for_at_every_poll():
    ages = {"live": 0, "ended": 2 * HOUR, "settled": 5 * HOUR, "old": 40 * HOUR}
    known = book({name: NOW - age for name, age in ages.items()})
    found = streams([*ages, "configured"], polled([*ages, "configured"]), known)
    assert found.live == ("live", "ended")
    assert sorted(found.idle) == ["configured", "old", "settled"]


def test_a_stream_that_was_never_asked_for_is_asked_for_at_once():
    found = streams(["new", "old"], polled(["old"]), book({}))
    assert found.live == ("new",)


def test_all_are_asked_for_where_no_listing_tells_which_live():
    found = streams(NAMES, polled(NAMES), book({}, listed_at=None))
    assert found.live == tuple(NAMES)
    assert found.due == 0


def test_a_listing_that_fails_for_days_leaves_those_live_that_it_showed_last():
    seen = {"a": NOW - 50 * HOUR, "b": NOW - 60 * HOUR}
    found = streams(["a", "b"], polled(["a", "b"]), book(seen, listed_at=NOW - 50 * HOUR))
    assert found.live == ("a",)


@pytest.mark.parametrize("skipped", [set(), {3}, {2, 3, 4, 5, 6}])
def test_every_idle_stream_is_asked_for_within_an_hour_of_polls(skipped):
    """The streams due in a poll that did not take place are due in the next one."""
    state = polled(NAMES)
    asked_at = dict.fromkeys(NAMES, NOW - CADENCE)
    counts = []
    for number in range(20):
        now = NOW + number * CADENCE
        if number in skipped:
            continue
        found = streams(NAMES, state, book({}), now=now)
        due = found.idle[: found.due]
        counts.append(len(due))
        asked = dict(state.streams)
        for name in NAMES:
            waited = now - asked_at[name]
            assert waited <= HOUR or name in due
            if name in due:
                asked_at[name] = now
            elif state.streams[name] is None:
                asked[name] = state.polled_at
        asked |= dict.fromkeys(due)
        state = replace(state, streams=asked, polled_at=now)
    if not skipped:
        assert set(counts) == {250}, "evenly spread"


def test_a_cadence_of_an_hour_or_more_asks_for_all():
    found = select_streams(
        NAMES, polled(NAMES), book({}), now=NOW, settling=SETTLING, cadence_seconds=2 * HOUR
    )
    assert found.due == len(NAMES)


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_a_reduced_poll_takes_all_names_in_rotation(reduction):
    """What a vendor's quota does not allow at once is asked for later, the oldest first."""
    known = book(dict.fromkeys(NAMES[:600], NOW))
    state = polled(NAMES)
    state.streams[NAMES[7]] = NOW - 2 * HOUR
    found = streams(NAMES, state, known, reduction=reduction)
    assert found.live == ()
    assert found.due == ceil(len(NAMES) / 4**reduction)
    assert found.idle[0] == NAMES[7]
    assert sorted(found.idle) == sorted(NAMES)


def hours(measure, labels, **amounts):
    return {
        (measure, labels, NOW + int(hour[1:]) * HOUR): amount for hour, amount in amounts.items()
    }


def prove(totals, known, asked=()):
    end = NOW + 4 * HOUR
    return (sums_match_from(PAIRS, totals, known, asked, start=NOW, end=end) - NOW) // HOUR


TOTALS = hours(measures.DELIVERED_BYTES, ("live",), h0=30, h1=40, h2=50, h3=60)
KNOWN = {
    **hours(measures.STREAM_DELIVERED_BYTES, ("live", "a"), h0=10, h1=10, h2=10, h3=10),
    **hours(measures.STREAM_DELIVERED_BYTES, ("live", "b"), h0=20, h1=30, h2=40, h3=50),
}


def test_where_the_streams_add_up_to_the_account_nothing_is_missing():
    assert prove(TOTALS, KNOWN) == 0


def test_hours_are_proven_from_after_the_last_that_does_not_add_up():
    more = {**TOTALS, **hours(measures.DELIVERED_BYTES, ("live",), h1=41)}
    assert prove(more, KNOWN) == 2


def test_an_open_hour_that_does_not_add_up_proves_nothing():
    less = {**TOTALS, **hours(measures.DELIVERED_BYTES, ("live",), h3=59)}
    assert prove(less, KNOWN) == 4


def test_every_pair_of_measures_has_to_add_up():
    received = hours(measures.RECEIVED_BYTES, ("live",), h2=1)
    assert prove({**TOTALS, **received}, KNOWN) == 3


def test_what_this_poll_has_brought_stands_for_what_the_ledger_had():
    more = {**TOTALS, **hours(measures.DELIVERED_BYTES, ("live",), h3=65)}
    row = Usage(measures.STREAM_DELIVERED_BYTES, ("live", "b"), NOW + 3 * HOUR, HOUR, 55)
    assert prove(more, KNOWN) == 4
    assert prove(more, KNOWN, [row]) == 0


def test_a_stream_that_the_account_does_not_know_of_proves_nothing():
    stray = hours(measures.STREAM_DELIVERED_BYTES, ("live", "c"), h3=5)
    assert prove(TOTALS, {**KNOWN, **stray}) == 4
