"""The overview's arithmetic, with made-up weeks."""

from functools import partial
from pathlib import Path

import pytest

from tests.grafana.arithmetic import assert_answers
from tests.grafana.arithmetic import query as query_of

pytestmark = pytest.mark.sockets

query = partial(query_of, "overview")

TARGET = 'job="j", instance="i", provider="p"'
WEEKS = "Last 7 days against the 7 days before"
DELIVERED, DELIVERED_BEFORE, DELIVERED_CHANGE = (query(WEEKS, letter) for letter in "ABC")
WATCHED, WATCHED_BEFORE, WATCHED_CHANGE = (query(WEEKS, letter) for letter in "DEF")
QUARTERS_OF_A_WEEK = 28


def labels(account: str) -> str:
    return f'{{account="{account}", provider="p"}}'


def test_a_week_is_compared_with_the_whole_week_before(tmp_path: Path):
    """Delivered doubles after 8 days; of a new account there is no whole week to compare with."""
    delivered = f"media_delivered_bytes_total{{{TARGET}, account="
    watched = f"media_viewing_seconds_total{{{TARGET}, account="
    series = {
        delivered + '"old"}': "0+10x32 340+20x40",
        delivered + '"new"}': "_x20 0+10x60",
        watched + '"old"}': "0+7200x80",
    }
    week = QUARTERS_OF_A_WEEK
    assert_answers(
        tmp_path,
        series,
        [
            (DELIVERED, "15d", {labels("old"): 20 * week, labels("new"): 10 * week}),
            (DELIVERED_BEFORE, "15d", {labels("old"): 10 * week}),
            (DELIVERED_CHANGE, "15d", {labels("old"): 1}),
            (WATCHED, "15d", {labels("old"): 2 * week}),
            (WATCHED_BEFORE, "15d", {labels("old"): 2 * week}),
            (WATCHED_CHANGE, "15d", {labels("old"): 0}),
        ],
    )


def test_feeds_are_overdue_after_two_polls_and_a_half(tmp_path: Path):
    """At 60 h the last polls were 12 and 18 h ago."""
    feed = f'{{{TARGET}, account="a", feed="%s"}}'
    last, interval = (
        "media_exporter_poll_last_success_timestamp_seconds",
        "media_exporter_poll_interval_seconds",
    )
    series = {f"{interval}{feed % name}": f"{6 * 3600}x10" for name in ("waits", "overdue")}
    series[last + feed % "waits"] = f"{48 * 3600}x10"
    series[last + feed % "overdue"] = f"{42 * 3600}x10"
    assert_answers(
        tmp_path,
        series,
        [
            (query("Feeds overdue"), "54h", {"{}": 0}),
            (query("Feeds overdue"), "60h", {"{}": 1}),
            (query("Oldest poll"), "60h", {"{}": 18 * 3600}),
        ],
    )
