"""The month to date is what the ledger's buckets of this month add up to."""

import calendar

import pytest

from exporter.model import DAY, Window
from exporter.model.measures import (
    COMPONENT_DELIVERED_BYTES,
    DELIVERED_BYTES,
    JOBS,
    MONTH_TO_DATE_BYTES,
    MONTH_TO_DATE_JOBS,
    MONTH_TO_DATE_SINCE,
    MONTH_TO_DATE_VIEWING_SECONDS,
    RECEIVED_BYTES,
    STREAM_DELIVERED_BYTES,
    VIEWING_SECONDS,
)
from exporter.polling.month_to_date import MonthToDate
from tests.history.ledgers import BEGAN, Notebook, hour

APRIL = calendar.timegm((2026, 4, 1, 0, 0, 0))


@pytest.fixture
def notebook(tmp_path):
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.close()


def levels(notebook):
    found = MonthToDate(notebook.ledger, notebook.book).levels(notebook.now)
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
    notebook.poll([(DELIVERED_BYTES, ("live",), 24 * 5, 5)], at=24 * 6)
    notebook.ledger.compact(notebook.book, "account", APRIL + 3 * DAY)
    assert levels(notebook)[MONTH_TO_DATE_SINCE, ()] == APRIL + 3 * DAY


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
