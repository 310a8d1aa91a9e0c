"""The month to date is what the ledger's buckets of this month add up to."""

import calendar

import pytest

from exporter.model import DAY, Window
from exporter.model.measures import (
    COMPONENT_DELIVERED_BYTES,
    DELIVERED_BYTES,
    JOBS,
    MONTH_TO_DATE_BYTES,
    MONTH_TO_DATE_COMPLETE,
    MONTH_TO_DATE_JOBS,
    MONTH_TO_DATE_SINCE,
    MONTH_TO_DATE_VIEWING_SECONDS,
    PREVIOUS_MONTH_BYTES,
    PREVIOUS_MONTH_JOBS,
    PREVIOUS_MONTH_VIEWING_SECONDS,
    RECEIVED_BYTES,
    STREAM_DELIVERED_BYTES,
    VIEWING_SECONDS,
)
from exporter.polling.months import Months
from tests.history.ledgers import BEGAN, Notebook, hour

APRIL = calendar.timegm((2026, 4, 1, 0, 0, 0))


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def levels(notebook):
    found = Months(notebook.ledger, notebook.book).levels(notebook.now)
    return {(level.measure, level.labels): level.value for level in found}


def test_kinds_add_up_and_parts_of_them_do_not(notebook):
    """Bytes by direction, seconds in seconds, jobs over all paths."""
    notebook.poll(
        [
            (DELIVERED_BYTES, ("live",), 24, 5),
            (DELIVERED_BYTES, ("vod",), 30, 6),
            (COMPONENT_DELIVERED_BYTES, ("standard",), 24, 5),
            (STREAM_DELIVERED_BYTES, ("live", "lobby"), 24, 5),
            (RECEIVED_BYTES, ("live",), 25, 2),
            (VIEWING_SECONDS, ("all",), 25, 1500),
        ],
        at=32,
    )
    notebook.poll([(JOBS, ("/a",), 24, 3), (JOBS, ("/b",), 24, 4)], at=32, width=DAY)
    assert levels(notebook) == {
        (MONTH_TO_DATE_BYTES, ("delivered",)): 11,
        (MONTH_TO_DATE_BYTES, ("received",)): 2,
        (MONTH_TO_DATE_VIEWING_SECONDS, ()): 1.5,
        (MONTH_TO_DATE_JOBS, ()): 7,
        (MONTH_TO_DATE_SINCE, ()): APRIL,
        (MONTH_TO_DATE_COMPLETE, ()): 1,
    }


def test_it_begins_anew_with_the_month(notebook):
    """The hour before belongs to the month before, whenever it was told."""
    rows = [(DELIVERED_BYTES, ("live",), 23, 5), (DELIVERED_BYTES, ("live",), 24, 7)]
    notebook.poll(rows[:1], at=23)
    assert levels(notebook)[MONTH_TO_DATE_BYTES, ("delivered",)] == 5
    notebook.poll(rows, at=25)
    assert levels(notebook)[MONTH_TO_DATE_BYTES, ("delivered",)] == 7


def test_it_says_from_when_on_it_is_complete(notebook):
    """A ledger that begins, or remembers, less than the month does not pretend to."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 1, 5)], at=2)
    assert levels(notebook)[MONTH_TO_DATE_SINCE, ()] == BEGAN
    assert levels(notebook)[MONTH_TO_DATE_COMPLETE, ()] == 0
    notebook.poll([(DELIVERED_BYTES, ("live",), 24 * 5, 5)], at=24 * 6)
    notebook.ledger.compact(notebook.book, "account", APRIL + 3 * DAY)
    assert levels(notebook)[MONTH_TO_DATE_SINCE, ()] == APRIL + 3 * DAY
    assert levels(notebook)[MONTH_TO_DATE_COMPLETE, ()] == 0


def test_a_gap_is_missing_until_it_is_filled(notebook):
    """After an outage the current data comes first."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 5)], at=25)
    gap = Window(hour(26), hour(72))
    notebook.poll([(DELIVERED_BYTES, ("live",), 80, 5)], at=81, gap=gap)
    assert levels(notebook)[MONTH_TO_DATE_SINCE, ()] == hour(72)
    assert levels(notebook)[MONTH_TO_DATE_COMPLETE, ()] == 0
    notebook.poll(at=82, filled=gap)
    assert levels(notebook)[MONTH_TO_DATE_SINCE, ()] == APRIL
    assert levels(notebook)[MONTH_TO_DATE_COMPLETE, ()] == 1


def test_the_month_before_is_shown_when_the_ledger_has_all_of_it(notebook):
    """Late data goes into it; a gap, or a ledger that was begun in it, leaves it out."""
    april = 24
    may = april + 24 * 30
    rows = [
        (DELIVERED_BYTES, ("live",), may - 1, 5),
        (DELIVERED_BYTES, ("vod",), april, 6),
        (VIEWING_SECONDS, ("all",), april, 1500),
    ]
    notebook.poll([*rows, (RECEIVED_BYTES, ("live",), 23, 9)], at=24)
    before = {PREVIOUS_MONTH_BYTES, PREVIOUS_MONTH_VIEWING_SECONDS, PREVIOUS_MONTH_JOBS}
    assert before.isdisjoint(measure for measure, _ in levels(notebook)), (
        "March began on its last day"
    )
    notebook.poll([(DELIVERED_BYTES, ("live",), may, 100)], at=may + 1)
    notebook.poll([(JOBS, ("/a",), may - 24, 3)], at=may + 1, width=DAY)
    shown = {key: value for key, value in levels(notebook).items() if key[0] in before}
    assert shown == {
        (PREVIOUS_MONTH_BYTES, ("delivered",)): 11,
        (PREVIOUS_MONTH_BYTES, ("received",)): 0,
        (PREVIOUS_MONTH_VIEWING_SECONDS, ()): 1.5,
        (PREVIOUS_MONTH_JOBS, ()): 3,
    }
    notebook.poll([(DELIVERED_BYTES, ("live",), may - 1, 8)], at=may + 2)
    assert levels(notebook)[PREVIOUS_MONTH_BYTES, ("delivered",)] == 14
    gap = Window(hour(may - 2), hour(may + 1))
    notebook.poll(at=may + 3, gap=gap)
    assert before.isdisjoint(measure for measure, _ in levels(notebook))
    notebook.poll(at=may + 4, filled=gap)
    assert levels(notebook)[PREVIOUS_MONTH_BYTES, ("delivered",)] == 14


def test_a_revision_changes_the_month_downwards_too(notebook):
    """It is a gauge of what the vendor says now, not a counter."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 30, 9)], at=31)
    notebook.poll([(DELIVERED_BYTES, ("live",), 30, 4)], at=32)
    assert levels(notebook)[MONTH_TO_DATE_BYTES, ("delivered",)] == 4


def test_an_account_without_any_of_it_shows_none_of_it(notebook):
    """Absent is not zero."""
    notebook.poll([(STREAM_DELIVERED_BYTES, ("live", "lobby"), 24, 5)], at=30)
    assert levels(notebook) == {}


def test_buckets_of_every_width_are_found_by_their_key(notebook):
    """An hour, a day and a month side by side, in one window."""
    notebook.poll([(DELIVERED_BYTES, ("live",), 24, 1)], at=24 * 62)
    notebook.poll([(DELIVERED_BYTES, ("live",), 48, 10)], at=24 * 62, width=DAY)
    may = 24 * 31
    notebook.poll([(DELIVERED_BYTES, ("live",), may, 100)], at=24 * 63, width=31 * DAY)
    (series,) = notebook.book.shown(DELIVERED_BYTES)
    feed = notebook.book.feeds["account"].id
    with notebook.ledger.read() as reader:
        found = [
            reader.amount(feed=feed, series=series.id, window=window)
            for window in (
                Window(APRIL, hour(may)),
                Window(hour(may), hour(may + 24 * 31)),
                Window(APRIL + DAY, hour(may)),
            )
        ]
    assert found == [11, 100, 10]
