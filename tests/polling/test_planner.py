"""What a feed is asked for next, given what the ledger knows of it."""

from dataclasses import dataclass

import pytest

from exporter.ledger import Book, FeedState
from exporter.model import DAY, HOUR, Ask, Resolution, Span, Step, Window
from exporter.polling.planner import MAX_DAYS_SECONDS, backlog_seconds, next_gap_part, plan_asks
from exporter.polling.streams import stream_names

NOW = 1_704_067_200 + 40 * DAY + 60  # 2024-02-10 00:01
LATEST = Window(NOW - 60 - 3 * HOUR, NOW - 60 + HOUR)
HOURS = Resolution(Step.HOUR, reach=7 * DAY, longest=7 * DAY)
DAYS = Resolution(Step.DAY, reach=90 * DAY, longest=90 * DAY)


@dataclass(frozen=True)
class FakeFeed:
    name: str = "usage"
    measures: tuple = ()
    resolutions: tuple = (HOURS, DAYS)
    settling: int = 3 * HOUR
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask):
        raise NotImplementedError

    def parse(self, request, body, ask):
        raise NotImplementedError

    def refused(self, request, error):
        raise NotImplementedError


def state(**values):
    """A feed that was polled a quarter of an hour ago."""
    return FeedState(
        1, "usage", **{"began": 0, "polled_at": NOW - 900, "revisited_at": NOW - 900, **values}
    )


def ask(feed, known, *, streams=(), history=DAY, reduction=0):
    return plan_asks(
        feed,
        known,
        streams=streams,
        now=NOW,
        history=history,
        cadence_seconds=900,
        reduction=reduction,
    )


def windows(asked):
    return {
        one.streams: Window(one.spans[0].window.start, one.spans[-1].window.end)
        for one in asked.asks
    }


STREAMS = FakeFeed(needs_streams=True)


def test_a_feed_of_levels_is_asked_once_about_now():
    asked = ask(FakeFeed(resolutions=()), state())
    assert asked.asks == (Ask(NOW),)
    assert asked.planned is None
    assert asked.streams is None


def test_a_feed_in_step_is_asked_for_what_may_still_change():
    asked = ask(FakeFeed(), state())
    assert asked.asks == (Ask(NOW, (Span(LATEST, Step.HOUR),)),)
    assert asked.lost is None


def test_the_first_poll_asks_for_the_history():
    first = FeedState(1, "usage")
    assert windows(ask(FakeFeed(), first))[()].start == LATEST.end - HOUR - DAY
    everything = ask(FakeFeed(), first, history="max")
    assert everything.asks[0].spans[0].step is Step.DAY
    assert everything.planned is not None
    assert everything.planned.window.start < NOW - MAX_DAYS_SECONDS + HOUR
    assert everything.lost is None, "what was never there is not lost"


def test_the_first_poll_asks_for_the_whole_month_in_hours_as_far_as_there_are_any():
    first = FeedState(1, "usage")
    (asked,) = ask(FakeFeed(), first, history="month").asks
    month = Step.MONTH.floor(NOW)
    assert [span.step for span in asked.spans] == [Step.DAY, Step.HOUR]
    assert asked.spans[0].window == Window(month, month + 3 * DAY)
    assert asked.spans[1].window == Window(month + 3 * DAY, LATEST.end)


def test_a_stream_found_just_after_the_months_end_is_asked_for_from_before_it():
    """It may have begun then; a feed that begins to be polled begins with the month."""
    now = Step.MONTH.floor(NOW) + 5 * 60
    known = FeedState(1, "usage", began=0, polled_at=now - 900, revisited_at=now - 900)
    found = plan_asks(
        STREAMS, known, streams=("new",), now=now, history="month", cadence_seconds=900
    )
    assert windows(found)[("new",)].start == Step.HOUR.floor(now - DAY)
    first = plan_asks(
        FakeFeed(), FeedState(1, "usage"), streams=(), now=now, history="month", cadence_seconds=900
    )
    assert windows(first)[()].start == Step.MONTH.floor(now)


@pytest.mark.parametrize("history", ["month", "max", 200 * DAY])
def test_what_a_reduced_first_poll_leaves_for_later_is_kept_until_then(history):
    """Nothing of it is said to be lost that this vendor never kept for so long."""
    asked = ask(FakeFeed(), FeedState(1, "usage"), history=history, reduction=1)
    assert asked.planned.window.start == Step.HOUR.floor(NOW - DAY)
    assert asked.planned.gap.end == asked.planned.window.start
    oldest = Step.MONTH.floor(NOW) if history == "month" else Step.DAY.floor(NOW - 88 * DAY)
    assert asked.planned.gap.start == oldest
    later = state(began=oldest, gaps=[asked.planned.gap])
    for seconds in (900, DAY - HOUR):
        part = next_gap_part(FakeFeed(), later, now=NOW + seconds)
        assert part is not None
        assert not part.lost
        assert part.window.start == oldest


def test_a_reduced_first_poll_of_ids_leaves_nothing_for_later():
    """An id counts from where it was first asked for."""
    asked = ask(AboutIds(subjects=("a",)), FeedState(1, "usage"), history="month", reduction=1)
    assert asked.planned.gap is None
    assert asked.streams_began == {"a": Step.HOUR.floor(NOW - DAY)}


def test_streams_in_step_share_the_feeds_window():
    asked = ask(STREAMS, state(streams={"a": None, "b": None}), streams=("a", "b"))
    assert windows(asked) == {("a", "b"): LATEST}
    assert asked.streams == ("a", "b")


def test_a_stream_that_is_new_is_asked_for_with_its_history():
    asked = ask(STREAMS, state(streams={"a": None}), streams=("a", "new"))
    assert windows(asked) == {("a",): LATEST, ("new",): Window(NOW - 60 - DAY, LATEST.end)}


def test_a_stream_that_was_left_is_asked_for_from_where_it_was_left():
    left = NOW - 5 * HOUR
    known = state(streams={"a": None, "b": left}, revisited_at=NOW - 6 * HOUR)
    start = windows(ask(STREAMS, known, streams=("a", "b")))[("b",)].start
    assert left - 4 * HOUR <= start <= left - 2 * HOUR


def test_a_stream_that_was_not_asked_for_at_the_revisit_is_revisited_when_it_is_due():
    """Data a day late is found, also of streams that are asked for in rotation."""
    left = NOW - 5 * HOUR
    known = state(streams={"a": None, "b": left}, revisited_at=NOW - 4 * HOUR)
    found = windows(ask(STREAMS, known, streams=("a", "b")))
    assert found[("b",)].start == Step.HOUR.floor(left - 2 * DAY)
    assert found[("a",)] == LATEST


def test_the_look_back_comes_after_current_data_where_it_takes_further_requests():
    """One request an hour: 49 of them, all or nothing, might never fit into a quota."""
    each_hour = FakeFeed(resolutions=(Resolution(Step.HOUR, reach=None, longest=HOUR),))
    looking_back = state(revisited_at=NOW - DAY)
    planned = ask(each_hour, looking_back).planned
    assert planned.revisit
    assert planned.window == LATEST
    assert planned.gap == Window(Step.HOUR.floor(NOW - 2 * DAY), LATEST.start)
    assert ask(FakeFeed(), looking_back).planned.gap is None, "one request either way"


def test_what_came_before_the_first_good_listing_is_no_growth():
    """A listing that failed at the first poll left the feed without names."""
    found = plan_asks(
        STREAMS,
        state(streams={"a": None}),
        streams=("a", "b"),
        now=NOW,
        history=DAY,
        cadence_seconds=900,
        listed=True,
    )
    assert found.baseline == {"b"}
    listed = ask(STREAMS, state(streams={"a": None}, listed=True), streams=("a", "b"))
    assert listed.baseline == frozenset()


@dataclass(frozen=True)
class AboutIds(FakeFeed):
    """One that the configuration names ids for."""

    subjects: tuple = ()


def test_an_id_newly_written_into_the_configuration_has_a_beginning_of_its_own():
    known = state(streams={"old": None})
    found = ask(AboutIds(subjects=("old", "new")), known)
    assert found.streams == ("old", "new")
    assert found.baseline == {"new"}
    assert found.streams_began == {"new": Step.HOUR.floor(NOW - DAY)}
    assert windows(found)[("old",)] == LATEST
    later = state(
        streams={"old": None, "new": None},
        streams_began={"new": Step.HOUR.floor(NOW - DAY)},
        revisited_at=NOW - 2 * DAY,
    )
    looking_back = windows(ask(AboutIds(subjects=("old", "new")), later))
    assert looking_back[("new",)].start == Step.HOUR.floor(NOW - DAY), (
        "nothing before it was configured"
    )
    assert looking_back[("old",)].start < NOW - 2 * DAY


def test_a_feed_that_needs_streams_and_has_none_asks_for_nothing():
    asked = ask(STREAMS, state())
    assert asked.asks == ()
    assert asked.streams == ()


def test_what_an_outage_lost_is_told_once_when_its_gap_is_filled():
    polled_at = NOW - 100 * DAY
    found = ask(FakeFeed(), state(polled_at=polled_at, revisited_at=polled_at))
    assert found.lost is None, "the gap is asked for later, part by part"
    known = state(polled_at=polled_at, revisited_at=polled_at, resume=polled_at - DAY)
    assert ask(FakeFeed(), known).lost is None, "it would be told of twice"


@pytest.mark.parametrize("ahead", [60, 2 * HOUR, 400 * DAY])
def test_a_first_poll_with_a_clock_that_was_ahead_does_not_stop_later_ones(ahead):
    future = NOW + ahead
    began = Step.HOUR.floor(future)
    known = state(
        began=began,
        polled_at=future,
        revisited_at=future,
        streams={"a": None},
        streams_began={"a": began},
    )
    for feed in (FakeFeed(), STREAMS):
        (asked,) = ask(feed, known, streams=("a",)).asks
        assert asked.spans[-1].window.end == LATEST.end
        if ahead > DAY:
            assert asked.spans[0].window.start <= LATEST.start


# Names.


def book(streams=(), **feeds):
    return Book(1, "millicast", "studio", 100, feeds=feeds, streams=dict(streams))


def test_names_are_the_configured_ones_then_those_seen_of_late():
    seen = {"old": NOW - 2 * DAY - 1, "new": NOW - 2 * DAY, "lobby": NOW}
    assert stream_names(book(seen), ("lobby", "stage"), NOW) == ("lobby", "stage", "new")


def test_names_seen_before_an_outage_are_asked_for_once_more_after_it():
    """What a stream did between the last poll and its end is in no other answer."""
    seen = {"a": NOW - 30 * DAY, "b": NOW - 33 * DAY}
    assert stream_names(book(seen), (), NOW) == ()
    assert stream_names(book(seen), (), NOW, polled_at=NOW - 30 * DAY) == ("a",)
    assert stream_names(book(seen), (), NOW - 31 * DAY, polled_at=NOW) == ("a", "b")


# Old gaps.


def test_a_gap_is_filled_from_its_oldest_end():
    known = state(gaps=[Window(NOW - 60 - 9 * DAY, NOW - 60 - 2 * DAY)])
    part = next_gap_part(FakeFeed(), known, now=NOW)
    assert part is not None
    assert part.window.start == known.gaps[0].start
    assert [span.step for one in part.asks for span in one.spans] == [Step.DAY]
    assert backlog_seconds(known) == 7 * DAY


def test_what_of_a_gap_is_gone_is_said():
    known = state(gaps=[Window(NOW - 100 * DAY, NOW - 2 * DAY)])
    part = next_gap_part(FakeFeed(), known, now=NOW)
    assert part is not None
    assert part.asks == ()
    assert part.lost
    assert part.window.start == NOW - 100 * DAY


def test_what_no_stream_misses_is_not_lost():
    """A feed of streams that had none has lost nothing."""
    gap = Window(NOW - 100 * DAY, NOW - 2 * DAY)
    nobody = next_gap_part(STREAMS, state(gaps=[gap]), now=NOW)
    somebody = next_gap_part(STREAMS, state(gaps=[gap], streams={"a": None}), now=NOW)
    assert nobody is not None
    assert somebody is not None
    assert (nobody.lost, somebody.lost) == (False, True)


def test_a_stream_that_began_in_a_gap_is_not_asked_for_before_that():
    """Its first poll asked for all of it that counts."""
    gap = Window(NOW - 60 - 5 * DAY, NOW - 60 - 3 * DAY)
    began = {"old": gap.start, "new": gap.start + HOUR}
    known = state(gaps=[gap], streams=dict.fromkeys(began), streams_began=began)
    part = next_gap_part(STREAMS, known, now=NOW)
    assert part is not None
    assert [one.streams for one in part.asks] == [("old",)]


def test_a_gap_is_asked_for_the_streams_that_were_in_step_over_it():
    gap = Window(NOW - 60 - 5 * DAY, NOW - 60 - 3 * DAY)
    streams = {"on": None, "left since": NOW - 900, "left before": gap.start, "new": None}
    known = state(gaps=[gap], streams=streams, streams_began={"on": 0, "new": gap.end})
    part = next_gap_part(STREAMS, known, now=NOW)
    assert part is not None
    assert [one.streams for one in part.asks] == [("on", "left since")]


def test_a_gap_of_a_feed_without_streams_left_needs_no_asking():
    gap = Window(NOW - 60 - 5 * DAY, NOW - 60 - 3 * DAY)
    part = next_gap_part(STREAMS, state(gaps=[gap]), now=NOW)
    assert part is not None
    assert part.asks == ()


def test_without_gaps_there_is_nothing_to_fill():
    assert next_gap_part(FakeFeed(), state(), now=NOW) is None
    assert next_gap_part(FakeFeed(resolutions=()), state(gaps=[Window(0, 1)]), now=NOW) is None
