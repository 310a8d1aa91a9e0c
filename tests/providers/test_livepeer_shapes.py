"""Livepeer's answers in other shapes than the usual one, as far as its documents permit them."""

from __future__ import annotations

import msgspec
import pytest

from exporter.client.fetch import PollFetcher
from exporter.model import HOUR, Ask, Feed, Request, Span, Step, Window
from exporter.model.errors import InvalidRequestError, SchemaError
from exporter.providers.livepeer import PROVIDER
from tests.providers.test_livepeer import (
    ASK,
    CREATORS,
    OPTIONS,
    REALTIME,
    START,
    TOTALS,
    USAGE,
    VIEWERSHIP,
    amounts,
    billed,
    levels,
    read,
    views,
    without,
)

(WITH_BROWSERS,) = PROVIDER.feeds(("viewership",), {**OPTIONS, "browsers": True})
UNREADABLE = (SchemaError, msgspec.ValidationError)
FEEDS: tuple[Feed, ...] = (REALTIME, VIEWERSHIP, USAGE, CREATORS, TOTALS)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
@pytest.mark.parametrize("listed", [False, True])
def test_an_object_without_any_documented_key_is_no_answer(feed: Feed, listed: bool) -> None:
    with pytest.raises(UNREADABLE):
        read(feed, [{"rows": 3}] if listed else {"rows": 3})


async def test_no_answer_to_a_question_about_usage_is_not_asked_for_hour_by_hour() -> None:
    asked = []

    async def get(request: Request, _: str) -> bytes:
        asked.append(request)
        return b'{"rows": 3}'

    with pytest.raises(SchemaError, match="none of the documented keys"):
        await PollFetcher(get).fetch(USAGE, [ASK])
    assert len(asked) == 1


async def test_equal_hours_that_are_told_as_one_object_each_all_count() -> None:
    """The documented shape: one object for a window, without its hour."""

    async def get(request: Request, _: str) -> bytes:
        return b'{"UserID": "u", "DeliveryUsageMins": 60, "TotalUsageMins": 60}'

    span = Span(Window(START, START + 24 * HOUR), Step.HOUR)
    fetched = await PollFetcher(get).fetch(USAGE, [Ask(START + 24 * HOUR, (span,))])
    by_measure: dict[str, int] = {}
    for row in fetched.usage:
        by_measure[row.measure.name] = by_measure.get(row.measure.name, 0) + row.amount
    assert by_measure == {
        "media_usage_delivered_seconds_total": 86_400_000,
        "media_transcoded_seconds_total": 86_400_000,
    }


@pytest.mark.parametrize("feed", [REALTIME, VIEWERSHIP, USAGE, CREATORS], ids=lambda one: one.name)
def test_a_list_without_rows_may_be_null(feed: Feed) -> None:
    answer = read(feed, None)
    assert (list(answer.usage), list(answer.levels), list(answer.follow)) == ([], [], [])


def test_a_count_may_be_written_with_a_fraction_of_nothing() -> None:
    assert amounts(read(VIEWERSHIP, [views(viewCount=7.0)]))["media_views_total", 0] == 7
    assert levels(read(REALTIME, [{"viewCount": 7.0, "errorRate": 0}]))["media_viewers"] == 7
    (first, *_) = read(TOTALS, {"viewCount": 5.0, "legacyViewCount": 2.0}).usage
    assert first.amount == 7


@pytest.mark.parametrize("count", [7.5, -1, "7"])
def test_anything_else_is_no_count(count: object) -> None:
    for feed, document in (
        (VIEWERSHIP, [views(viewCount=count)]),
        (REALTIME, [{"viewCount": count, "errorRate": 0}]),
        (TOTALS, {"viewCount": count, "playtimeMins": 1}),
    ):
        with pytest.raises(UNREADABLE):
            read(feed, document)


def test_a_count_that_is_null_is_no_sample() -> None:
    """What else the row says is counted."""
    rows = amounts(read(VIEWERSHIP, [views(viewCount=None)]))
    assert ("media_views_total", 0) not in rows
    assert rows["media_viewing_seconds_total", 0] == 600_000
    assert "media_viewers" not in levels(read(REALTIME, [{"viewCount": None, "errorRate": 0.5}]))
    (only,) = read(TOTALS, {"viewCount": None, "playtimeMins": 1}).usage
    assert only.amount == 60_000


def test_amounts_of_usage_may_be_null_or_left_out() -> None:
    for row in (billed(DeliveryUsageMins=None), without(billed(), "DeliveryUsageMins")):
        assert amounts(read(USAGE, [row])) == {("media_transcoded_seconds_total", 0): 3_000_000}


@pytest.mark.parametrize(
    ("feed", "index", "key", "label", "shown"),
    [
        (VIEWERSHIP, 2, "country", "United States", "US"),
        (VIEWERSHIP, 2, "country", "us", "US"),
        (VIEWERSHIP, 2, "country", None, "unknown"),
        (WITH_BROWSERS, 3, "browser", "Firefox", "Firefox"),
        (WITH_BROWSERS, 3, "browser", "", "unknown"),
    ],
)
def test_views_are_broken_down_by_country_and_browser(
    feed: Feed, index: int, key: str, label: str | None, shown: str
) -> None:
    """Rows with equal labels add up."""
    usage = read(feed, [views(**{key: label}), views(**{key: label})], index).usage
    found: dict[tuple[str, tuple[str, ...]], int] = {}
    for row in usage:
        name = row.measure.name, row.labels
        found[name] = found.get(name, 0) + row.amount
    assert found == {
        (f"media_{key}_views_total", ("all", shown)): 200,
        (f"media_{key}_viewing_seconds_total", ("all", shown)): 1_200_000,
    }


@pytest.mark.parametrize(("feed", "index"), [(VIEWERSHIP, 2), (WITH_BROWSERS, 3)])
def test_a_breakdown_without_its_key_fails(feed: Feed, index: int) -> None:
    with pytest.raises(SchemaError, match="broken down by it"):
        read(feed, [views()], index)


def test_browsers_are_asked_for_by_option() -> None:
    """And the feed says which metrics it gives."""

    def keys(feed: Feed) -> list[str]:
        return [dict(request.params).get("breakdownBy[]", "") for request in feed.requests(ASK)]

    assert keys(VIEWERSHIP) == ["", "playbackId", "country"]
    assert keys(WITH_BROWSERS) == ["", "playbackId", "country", "browser"]
    more = {one.name for one in WITH_BROWSERS.measures} - {one.name for one in VIEWERSHIP.measures}
    assert more == {"media_browser_views_total", "media_browser_viewing_seconds_total"}


def test_the_halves_of_a_breakdown_stay_broken_down() -> None:
    request = list(VIEWERSHIP.requests(ASK))[2]
    halves = VIEWERSHIP.refused(request, InvalidRequestError("too many rows"))
    assert halves
    assert all(dict(half.params)["breakdownBy[]"] == "country" for half in halves)
