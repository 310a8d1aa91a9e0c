"""When to poll and what to ask for: nothing is left out, nothing is asked for in vain."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as some

from exporter.model import DAY, HOUR, Resolution, Span, Step, Window
from exporter.polling.schedule import hold_seconds, next_tick, offset_seconds
from exporter.polling.windows import (
    REVISIT_SECONDS,
    counted_from,
    cover,
    cover_gap_part,
    plan_window,
)

HOURS = Resolution(Step.HOUR, reach=7 * DAY, longest=7 * DAY)
DAYS = Resolution(Step.DAY, reach=90 * DAY, longest=90 * DAY)
MONTHS = Resolution(Step.MONTH, reach=None, longest=5 * 366 * DAY)
MILLICAST = (HOURS, DAYS, MONTHS)
WOWZA = (
    Resolution(Step.HOUR, 3 * DAY, HOUR),
    Resolution(Step.DAY, None, DAY),
    Resolution(Step.HOUR, None, HOUR),
)
COUNTRIES = (HOURS, Resolution(Step.DAY, 90 * DAY, 90 * DAY))
ENDLESS = (Resolution(Step.HOUR, None, 7 * DAY),)
JOBS = (Resolution(Step.HOUR, 31 * DAY, 31 * DAY),)
DAILY = (Resolution(Step.DAY, None, DAY),)
VENDORS = (MILLICAST, WOWZA, COUNTRIES, ENDLESS, JOBS, DAILY)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


instants = some.integers(at("2020-01-01"), at("2032-12-31"))
cadences = some.sampled_from([1, 7, 60, 900, 3600, 5400, 7200, 10_800, 21_600, 43_200, DAY])


# Ticks.


@settings(deadline=None)
@given(now=some.floats(0, 4e9), cadence=some.integers(1, DAY), delay=some.floats(0, 3600, width=32))
def test_the_next_tick_is_the_first_multiple_plus_delay_after_now(now, cadence, delay):
    tick = next_tick(now, cadence_seconds=cadence, delay_seconds=delay)
    assert now < tick <= now + cadence + 1e-5
    multiple = (tick - delay) / cadence
    assert abs(multiple - round(multiple)) < 1e-5


@settings(deadline=None)
@given(some.integers(0, 4_000_000), some.floats(0, 105))
def test_a_poll_that_starts_on_its_tick_is_followed_by_the_next_one(number, delay):
    tick = number * 900 + delay
    assert next_tick(tick, cadence_seconds=900, delay_seconds=delay) - tick > 899


def test_missed_ticks_are_skipped():
    tick = next_tick(10 * 900 + 61.0, cadence_seconds=900, delay_seconds=60)
    assert tick == 11 * 900 + 60


@settings(deadline=None)
@given(some.text(max_size=20), some.integers(1, DAY))
def test_an_accounts_offset_is_its_own_and_small(account, cadence):
    offset = offset_seconds(account, cadence)
    assert 0 <= offset < min(cadence / 20, 60)
    assert offset == offset_seconds(account, cadence)


def test_accounts_do_not_ask_in_the_same_second():
    offsets = {round(offset_seconds(f"account-{n}", 900), 2) for n in range(50)}
    assert len(offsets) > 45
    assert max(offsets) - min(offsets) > 30


@pytest.mark.parametrize(("cadence", "hold"), [(900, 112.5), (1, 0.125), (960, 120), (DAY, 120)])
def test_counters_are_held_for_an_eighth_of_the_cadence_at_most_two_minutes(cadence, hold):
    assert hold_seconds(cadence) == hold


# Covering a window.


def covered(spans):
    return [(span.window.start, span.window.end) for span in spans]


@settings(max_examples=400, deadline=None)
@given(
    vendor=some.sampled_from(VENDORS),
    now=instants,
    back=some.integers(1, 3 * 365 * DAY),
    length=some.integers(1, 3 * 365 * DAY),
)
@example(vendor=MILLICAST, now=at("2024-03-31T12:00"), back=120 * DAY, length=120 * DAY)
@example(vendor=MILLICAST, now=at("2024-01-01T00:00"), back=400 * DAY, length=10 * DAY)
@example(vendor=MILLICAST, now=at("2023-03-01T00:30"), back=91 * DAY, length=2 * DAY)
def test_a_cover_is_whole_and_free_of_overlap(vendor, now, back, length):
    start = now - back
    window = Window(start, min(start + length, now + 1))
    found = cover(window, vendor, now=now)
    pieces = covered(found.spans)
    begin = window.start if found.lost is None else found.lost.end
    if found.lost is not None:
        assert found.lost.start == window.start
        reach = max(resolution.reach or 10**12 for resolution in vendor)
        assert found.lost.end <= max(resolution.step.ceil(now - reach) for resolution in vendor), (
            "only what nothing reaches is lost"
        )
        assert vendor[-1].reach is not None
    if pieces:
        assert pieces[0][0] <= begin
        assert pieces[-1][1] >= window.end
        assert all(one[1] == two[0] for one, two in pairwise(pieces))
    else:
        assert found.lost is not None
        assert found.lost.end == vendor[0].step.ceil(window.end)
    for span in found.spans:
        resolution = next(one for one in vendor if one.step is span.step)
        assert span.step.floor(span.window.start) == span.window.start
        assert span.step.floor(span.window.end) == span.window.end
        length = span.window.end - span.window.start
        assert length <= max(resolution.longest, span.step.width(span.window.start))
        if resolution.reach is not None:
            assert span.window.start >= now - resolution.reach
        if resolution is not vendor[0]:
            assert span.window.end <= now, "coarse buckets are asked for when they are closed"


@settings(deadline=None)
@given(vendor=some.sampled_from(VENDORS), now=instants, back=some.integers(0, 2 * DAY))
def test_recent_time_is_asked_for_in_the_finest_buckets(vendor, now, back):
    window = Window(now - back, now + 1)
    steps = {span.step for span in cover(window, vendor, now=now).spans}
    if vendor is not WOWZA:
        assert steps == {vendor[0].step}


def test_an_outage_of_200_days_is_covered_by_months_then_days_then_hours():
    now = at("2024-03-15T10:20")
    found = cover(Window(at("2023-08-28T09:00"), now), MILLICAST, now=now)
    assert found.lost is None
    months, days, hours = found.spans
    assert months == Span(Window(at("2023-08-01"), at("2024-01-01")), Step.MONTH)
    assert days == Span(Window(at("2024-01-01"), at("2024-03-09")), Step.DAY)
    assert hours == Span(Window(at("2024-03-09"), at("2024-03-15T11:00")), Step.HOUR)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(deadline=None)
@given(now=instants, back=some.integers(1, 400 * 24), before=some.integers(0, 60 * 24))
def test_no_bucket_begins_before_counting_did(vendor, now, back, before):
    """A coarse bucket that holds uncounted time is not asked for; finer ones are, or it is lost."""
    finest = vendor[0].step
    start = finest.floor(now - back * HOUR)
    earliest = finest.floor(start - before * HOUR)
    assume(start < finest.ceil(now))
    window = Window(start, finest.ceil(now))
    found = cover(window, vendor, now=now, earliest=earliest)
    covered = sorted((span.window.start, span.window.end) for span in found.spans)
    assert all(begin >= earliest for begin, _ in covered)
    assert all(one[1] == other[0] for one, other in pairwise(covered))
    assert found.lost is None or not covered or found.lost.end == covered[0][0]
    assert found.lost is not None or covered[0][0] <= start


def test_days_stand_in_for_a_month_that_began_before_counting_did():
    """The vendor still has days of the month that cannot be taken whole."""
    now = at("2026-06-10T10:00")
    earliest = at("2026-03-05T09:00")
    window = Window(at("2026-03-08T00:00"), at("2026-05-01T00:00"))
    found = cover(window, MILLICAST, now=now, earliest=earliest)
    assert found.lost == Window(at("2026-03-08T00:00"), at("2026-03-13T00:00"))
    assert {span.step for span in found.spans} == {Step.DAY}


def test_hours_stand_in_for_a_day_that_began_before_counting_did():
    """Wowza tells any window: the day on which counting began is had by the hour."""
    now = at("2026-06-10T10:00")
    window = Window(at("2026-03-05T09:00"), at("2026-03-07T00:00"))
    found = cover(window, WOWZA, now=now, earliest=window.start)
    assert found.lost is None
    assert [span.step for span in found.spans] == [Step.HOUR] * 15 + [Step.DAY]


def test_what_no_resolution_reaches_is_lost():
    now = at("2024-03-15T10:20")
    found = cover(Window(now - 100 * DAY, now), COUNTRIES, now=now)
    assert found.lost == Window(now - 100 * DAY, at("2023-12-17"))
    assert found.spans[0].window.start == at("2023-12-17")


@pytest.mark.parametrize(
    ("step", "inside", "start", "after"),
    [
        (Step.HOUR, "2024-02-29T23:59:59", "2024-02-29T23:00", "2024-03-01T00:00"),
        (Step.DAY, "2024-02-29T23:59:59", "2024-02-29", "2024-03-01"),
        (Step.MONTH, "2024-02-29T23:59:59", "2024-02-01", "2024-03-01"),
        (Step.MONTH, "2023-02-28T23:59:59", "2023-02-01", "2023-03-01"),
        (Step.MONTH, "2023-12-31T23:59:59", "2023-12-01", "2024-01-01"),
        (Step.MONTH, "2024-01-01T00:00:00", "2024-01-01", "2024-02-01"),
    ],
)
def test_steps_follow_the_calendar(step, inside, start, after):
    assert step.floor(at(inside)) == at(start)
    assert step.after(at(start)) == at(after)
    assert step.ceil(at(start)) == at(start)
    assert step.ceil(at(start) + 1) == at(after)


# Planning a poll.


class Cursor:
    """A feed as the collector polls it: every plan is asked for, and the cursor moves on."""

    def __init__(self, *, step, settling, cadence, history=DAY):
        self.step, self.settling, self.cadence, self.history = step, settling, cadence, history
        self.reduction: int = 0
        self.began: int | None = None
        self.polled_at = None
        self.revisited_at = None
        self.asked: dict[int, list[int]] = {}
        self.last = None

    def poll(self, now, resume=None):
        found = plan_window(
            self.step,
            settling=self.settling,
            began=self.began,
            polled_at=self.polled_at,
            revisited_at=self.revisited_at,
            resume=resume,
            now=now,
            first=now - self.history,
            cadence=self.cadence,
            reduction=self.reduction,
        )
        for window in (found.gap, found.window):
            if window is not None:
                start = self.step.floor(window.start)
                while start < window.end:
                    self.asked.setdefault(start, []).append(now)
                    start = self.step.after(start)
        self.began = found.start if self.began is None else self.began
        self.polled_at = now
        if found.revisit:
            self.revisited_at = now
        self.last = found
        return found


shapes = some.sampled_from(
    [(Step.HOUR, 3 * HOUR), (Step.HOUR, 4 * HOUR), (Step.HOUR, HOUR), (Step.DAY, DAY)]
)


@settings(max_examples=200, deadline=None)
@given(
    shape=shapes,
    start=instants,
    cadence=cadences,
    pauses=some.lists(
        some.one_of(
            some.just(0),
            some.integers(0, 3),
            some.integers(0, 12 * HOUR),
            some.integers(0, 40 * DAY),
            some.integers(-2 * HOUR, 0),
        ),
        min_size=3,
        max_size=25,
    ),
    reduction=some.integers(0, 2**25 - 1),
)
def test_every_bucket_is_asked_for_after_it_closed_and_until_it_settled(
    shape, start, cadence, pauses, reduction
):
    """At any cadence, over any outage, when the clock is set back, and of a slow vendor."""
    step, settling = shape
    cursor = Cursor(step=step, settling=settling, cadence=cadence)
    cursor.poll(start)
    now = newest = start
    seen: list[int] = [start]
    for number, pause in enumerate(pauses):
        cursor.reduction = bool(reduction >> number & 1)
        now = now + pause if pause < 0 else now + cadence + pause
        newest = max(newest, now)
        found = cursor.poll(now)
        seen.append(now)
        assert found.window.end == step.ceil(now + 1)
        if cursor.reduction:
            assert found.window.start >= step.floor(now - settling)
        bucket = step.floor(start)
        while bucket < step.floor(now):
            closed = step.after(bucket)
            asked = cursor.asked.get(bucket, [])
            if now - closed < settling:
                assert now in asked, "at every poll until it is settled"
            bucket = step.after(bucket)
    tolerance = cadence if 2 * cadence <= settling else 0
    bucket = step.floor(start)
    while step.after(bucket) <= now - settling and now == newest:
        closed = step.after(bucket)
        assert max(cursor.asked[bucket]) >= closed + settling - tolerance, "seen settled"
        bucket = step.after(bucket)


@settings(deadline=None)
@given(start=instants, cadence=some.sampled_from([60, 900, 3600]), polls=some.integers(2, 60))
def test_a_poll_on_its_tick_asks_for_no_more_than_it_must(start, cadence, polls):
    start -= start % cadence
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=cadence)
    for number in range(polls):
        now = start + number * cadence
        found = cursor.poll(now)
        if number and not found.revisit:
            assert found.window.start == Step.HOUR.floor(now - 3 * HOUR)
            assert found.gap is None


def test_once_a_day_the_last_48_hours_are_asked_for_again():
    start = at("2024-02-28T00:01")
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900)
    revisits = []
    for number in range(1 + 4 * 96):
        now = start + number * 900
        found = cursor.poll(now)
        if found.revisit and number:
            revisits.append(now)
            assert found.window.start == Step.HOUR.floor(now - REVISIT_SECONDS)
    assert revisits == [start + DAY * day for day in (1, 2, 3, 4)]


def test_of_days_today_and_yesterday_are_asked_for_at_every_poll():
    """And once a day the day before, which a vendor may revise a day late."""
    cursor = Cursor(step=Step.DAY, settling=DAY, cadence=900, history=2 * DAY)
    start = at("2024-02-29T00:01")
    revisits = []
    for number in range(300):
        now = start + number * 900
        found = cursor.poll(now)
        today = Step.DAY.floor(now)
        back = 2 * DAY if found.revisit else DAY
        assert found.window == Window(today - back, today + DAY)
        revisits += [number] if found.revisit else []
    assert revisits == [0, 96, 192, 288]


@pytest.mark.parametrize("history", [0, HOUR, DAY, 10 * DAY])
def test_the_first_poll_reaches_back_by_the_history(history):
    now = at("2024-03-01T00:20")
    found = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900, history=history).poll(now)
    assert found.window.start == Step.HOUR.floor(now - history)
    assert found.gap is None


@pytest.mark.parametrize(
    ("history", "reduction", "asked"),
    [
        (16 * DAY, 1, DAY),
        (16 * DAY, 2, 6 * HOUR),
        (16 * DAY, 3, HOUR + HOUR // 2),
        (2 * DAY, 1, 12 * HOUR),
        (2 * DAY, 2, 3 * HOUR),
    ],
)
def test_a_first_poll_that_did_not_fit_leaves_its_older_part_for_later(history, reduction, asked):
    """At most a day is asked for, and less of it each time that it did not fit."""
    now = at("2024-03-01T00:20")
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900, history=history)
    cursor.reduction = reduction
    found = cursor.poll(now)
    assert found.window == Window(Step.HOUR.floor(now - asked), Step.HOUR.ceil(now))
    assert found.gap == Window(Step.HOUR.floor(now - history), found.window.start)
    assert found.start == found.gap.start
    cursor.reduction = 0
    assert cursor.poll(now + 900).gap is None, "it is left once"


@pytest.mark.parametrize("outage", [9 * HOUR, 30 * HOUR, 47 * HOUR])
def test_a_revisit_that_an_outage_delayed_asks_for_more(outage):
    """Each bucket is asked for once more when it is at least a day old."""
    start = at("2024-02-28T00:01")
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900)
    revisited_at = 0
    for number in range(1 + 2 * 96 - 4):  # an hour before the next revisit is due
        revisited_at = (
            start + number * 900 if cursor.poll(start + number * 900).revisit else revisited_at
        )
    now = start + 2 * DAY - HOUR + outage
    found = cursor.poll(now)
    assert found.revisit
    assert found.gap is None
    assert found.window.start == Step.HOUR.floor(revisited_at - DAY)


def test_of_a_slow_vendor_the_daily_revisit_is_left_for_afterwards():
    start = at("2024-03-01T00:20")
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900, history=10 * DAY)
    cursor.poll(start)
    cursor.reduction = True
    now = start + DAY
    cursor.poll(now - 900)
    found = cursor.poll(now)
    assert found.revisit
    current = Step.HOUR.floor(now - 3 * HOUR)
    assert found.window.start == current
    assert found.gap == Window(Step.HOUR.floor(now - REVISIT_SECONDS), current)


def test_after_a_long_outage_current_data_comes_first_and_the_rest_is_a_gap():
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900)
    left = at("2024-02-10T12:01")
    cursor.poll(left)
    back = left + 30 * DAY
    found = cursor.poll(back)
    assert found.window == Window(Step.HOUR.floor(back - 2 * DAY), Step.HOUR.ceil(back))
    assert found.gap is not None
    assert found.gap.end == found.window.start
    assert Step.HOUR.floor(left - 3 * HOUR) <= found.gap.start <= left - 2 * HOUR
    assert cursor.poll(back + 900).gap is None


def test_an_outage_of_less_than_a_day_leaves_no_gap():
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900)
    left = at("2024-02-10T12:01")
    cursor.poll(left)
    found = cursor.poll(left + 20 * HOUR)
    assert found.gap is None
    assert found.window.start <= left - 2 * HOUR


def test_a_job_that_still_runs_is_asked_for_from_its_start():
    cursor = Cursor(step=Step.HOUR, settling=HOUR, cadence=900)
    now = at("2024-02-10T12:01")
    cursor.poll(now)
    found = cursor.poll(now + 900, resume=now - 9 * DAY)
    assert found.window.start == Step.HOUR.floor(now - 9 * DAY)


@pytest.mark.parametrize("back", [60, HOUR, DAY, 400 * DAY])
def test_when_the_clock_is_set_back_polls_go_on_and_later_outages_are_seen(back):
    cursor = Cursor(step=Step.HOUR, settling=3 * HOUR, cadence=900)
    wrong = at("2024-02-10T12:01")
    cursor.poll(wrong)
    right = wrong - back
    found = cursor.poll(right)
    began = cursor.began or 0
    earliest = began if began <= right else 0
    assert found.window.end == Step.HOUR.floor(right) + HOUR
    assert found.window.start <= max(earliest, Step.HOUR.floor(right - 3 * HOUR))
    assert found.gap is None
    found = cursor.poll(right + 10 * HOUR)
    assert found.window.start <= max(earliest, right - 2 * HOUR)
    assert sum(cursor.poll(right + hour * HOUR).revisit for hour in range(11, 61)) == 2


# Filling gaps.


@settings(max_examples=300, deadline=None)
@given(
    vendor=some.sampled_from(VENDORS),
    now=instants,
    back=some.integers(DAY, 900 * DAY),
    length=some.integers(HOUR, 900 * DAY),
    pace=some.integers(0, 3 * HOUR),
    most=some.sampled_from([None, 0, 5 * HOUR, 5 * DAY]),
)
# Years hour by hour: if each part computed all that is left, this would never end.
@example(vendor=ENDLESS, now=1_700_000_000, back=1800 * DAY, length=1800 * DAY, pace=0, most=0)
def test_a_gap_is_filled_part_by_part_without_leaving_any_out(
    vendor, now, back, length, pace, most
):
    step = vendor[0].step
    start = step.floor(now - back)
    end = step.ceil(min(start + length, now - HOUR))
    assume(start < end)
    gap: Window | None = Window(start, end)
    done: list[tuple[int, int]] = []
    for _ in range(100_000):
        if gap is None:
            break
        part = cover_gap_part(gap, vendor, now=now, max_seconds=most)
        if part.lost is not None:
            assert not part.spans
            assert part.lost.start == gap.start
            assert all(
                resolution.reach is not None
                and part.lost.end <= resolution.step.ceil(now - resolution.reach)
                for resolution in vendor[-1:]
            )
            until = part.lost.end
        else:
            assert part.spans
            assert part.spans[0].window.start <= gap.start
            pieces = covered(part.spans)
            assert all(one[1] == two[0] for one, two in pairwise(pieces))
            until = pieces[-1][1]
            if most is not None:
                width = part.spans[0].step
                assert until - part.spans[0].window.start <= most or until == width.after(
                    part.spans[0].window.start
                )
            done += pieces
        assert until > gap.start, "every part is progress"
        gap = Window(until, gap.end) if until < gap.end else None
        now += pace
    assert gap is None
    # So slowly that hours have become days meanwhile, a day stands in for hours asked for before.
    assert most is not None or done == sorted(done)


@pytest.mark.parametrize(
    ("began", "newest", "expected"),
    [
        (None, None, 0),
        (-HOUR, None, -HOUR),
        (DAY, None, 0),  # the clock was wrong at the first poll, which found nothing
        (DAY, -HOUR, 0),
        (DAY, 2 * DAY, DAY),  # the clock is wrong now: there is data of the future
    ],
)
def test_a_beginning_in_the_future_stands_when_data_shows_that_the_clock_is_behind(
    began, newest, expected
):
    now = 1_775_001_600
    counted = counted_from(
        None if began is None else now + began,
        newest=None if newest is None else now + newest,
        now=now,
        finest=Step.HOUR,
    )
    assert counted == (now + expected if expected else 0)
