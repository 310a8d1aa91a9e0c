"""Livepeer Studio: what each answer means, and what it costs to be wrong about it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from exporter.client.fetch import PollFetcher
from exporter.client.parse import read_answer
from exporter.model import (
    DAY,
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Answer,
    Ask,
    BearerToken,
    Configured,
    Feed,
    Level,
    Options,
    Request,
    Span,
    Step,
    Totals,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    SchemaError,
    ServerError,
    TooLargeError,
)
from exporter.providers.livepeer import PROVIDER

OPTIONS: Options = {
    "assets": ("asset-1",),
    "live_streams": ("stream-1",),
    "playback_ids": ("abcd1234", "ipfs://QmZ4/video.mp4"),
    "browsers": False,
}
REALTIME, VIEWERSHIP, USAGE, CREATORS, TOTALS = PROVIDER.feeds(
    ("realtime", "viewership", "usage", "creators", "public_totals"), OPTIONS
)
NONE: Options = {"assets": (), "live_streams": (), "playback_ids": (), "browsers": False}
(WITH_BROWSERS,) = PROVIDER.feeds(("viewership",), {**OPTIONS, "browsers": True})
REPEATED: Options = {
    **NONE,
    "assets": ("a2", "a1", "a2"),
    "live_streams": ("s1", "a1"),
    "playback_ids": ("p2", "p1", "p2"),
}
IDS = ("asset-1", "stream-1", "abcd1234", "ipfs://QmZ4/video.mp4")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


START = at("2026-03-01T08:00:00")
NOW = at("2026-03-01T11:16:00")
SPAN = Span(Window(START, START + 4 * HOUR), Step.HOUR)
ASK = Ask(now=NOW, spans=(SPAN,), streams=IDS)
HOUR_ASK = Ask(now=NOW, spans=(Span(Window(START, START + HOUR), Step.HOUR),), streams=IDS)


def read(feed: Feed, document, index=0, ask=ASK) -> Answer:
    """The answer to the feed's request number `index`."""
    request = list(feed.requests(ask))[index]
    return feed.parse(request, json.dumps(document).encode(), ask)


def views(**fields):
    return {
        "timestamp": START * 1000,
        "viewCount": 100,
        "playtimeMins": 10,
        "ttffMs": 100,
        "rebufferRatio": 0.1,
        "errorRate": 0.2,
        "exitsBeforeStart": 3,
    } | fields


def billed(hour=0, **fields):
    return {
        "UserID": "u1",
        "TimeInterval": (START + hour * HOUR) * 1000,
        "DeliveryUsageMins": 100,
        "TotalUsageMins": 50,
        "StorageUsageMins": 20,
    } | fields


BY_STREAM = (measures.STREAM_VIEWS, measures.STREAM_VIEWING_SECONDS)
BY_COUNTRY = (measures.COUNTRY_VIEWS, measures.COUNTRY_VIEWING_SECONDS)
BY_BROWSER = (measures.BROWSER_VIEWS, measures.BROWSER_VIEWING_SECONDS)
PARTS = {"playbackId": "p", "country": "Peru", "browser": "Safari"}
"""Whatever an answer is broken down by."""


def levels(answer: Answer) -> dict[str, float]:
    return {level.measure.name: level.value for level in answer.levels}


def amounts(answer: Answer) -> dict[tuple[str, int], int]:
    """Amounts by the measure's name and the bucket's start, in hours after START."""
    return {
        (row.measure.name, (row.start - START) // HOUR): row.amount
        for row in answer.usage
        if row.width == HOUR
    }


def without(row, *keys):
    return {key: value for key, value in row.items() if key not in keys}


class TestProvider:
    def test_the_key_is_sent_as_it_is(self):
        assert PROVIDER.authentication == (BearerToken(),)

    def test_a_500_is_retried_once(self):
        """It is often the question's fault, so that asking on and on would not help."""
        assert PROVIDER.retries(500) == 1
        assert PROVIDER.retries(503) is None

    @pytest.mark.parametrize(
        "text",
        [
            "query must return less than 10000 datapoints. "
            "consider decreasing your timeframe or increasing the time step",
            "result exceeded maximum bytes allowed. "
            "consider decreasing your timeframe or increasing the time step",
        ],
    )
    def test_a_question_that_is_too_large_is_known_by_its_text(self, text):
        """It is a 500 like a real failure, which must not be answered with more questions."""
        body = json.dumps({"errors": [text]}).encode()
        assert PROVIDER.classify(500, body) == "invalid_request"
        assert PROVIDER.classify(500, b'{"errors":["error authorizing request: timeout"]}') is None
        assert PROVIDER.classify(503, body) is None
        assert PROVIDER.classify(404, b"") is None

    def test_an_account_without_ids_asks_nothing_in_the_feeds_that_need_them(self):
        for feed in PROVIDER.feeds(("creators", "public_totals"), NONE):
            assert list(feed.requests(ASK)) == []


class TestConfigured:
    """Feeds that are asked about ids out of the account's configuration."""

    @pytest.mark.parametrize(
        ("name", "subjects"),
        [("creators", ("a2", "a1", "s1")), ("public_totals", ("p2", "p1"))],
    )
    def test_subjects_are_the_configured_ids_in_their_order_and_each_once(self, name, subjects):
        (feed,) = PROVIDER.feeds([name], REPEATED)
        assert isinstance(feed, Configured)
        assert feed.subjects == subjects

    @pytest.mark.parametrize("feed", [REALTIME, WITH_BROWSERS, USAGE], ids=lambda feed: feed.name)
    def test_a_feed_that_needs_no_ids_has_no_subjects(self, feed):
        """It asks the same whatever ids are named."""
        assert not isinstance(feed, Configured)
        assert list(feed.requests(ASK)) == list(feed.requests(replace(ASK, streams=())))

    @pytest.mark.parametrize(("name", "subject"), [("creators", "s1"), ("public_totals", "p1")])
    def test_only_the_ids_that_the_ask_names_are_asked_for(self, name, subject):
        """An id that was newly configured has a window of its own, and an ask of its own."""
        (feed,) = PROVIDER.feeds([name], REPEATED)
        ask = replace(ASK, streams=(subject, "not configured"))
        assert [request.subjects for request in feed.requests(ask)] == [(subject,)]
        assert list(feed.requests(replace(ASK, streams=()))) == []

    @pytest.mark.parametrize(("name", "count"), [("creators", 4), ("public_totals", 2)])
    def test_an_id_that_is_configured_twice_is_asked_for_once(self, name, count):
        """One that is both an asset's and a stream's is two questions."""
        (feed,) = PROVIDER.feeds([name], REPEATED)
        assert isinstance(feed, Configured)
        requests = list(feed.requests(replace(ASK, streams=feed.subjects)))
        assert len({request.identity for request in requests}) == len(requests) == count


class TestRealtime:
    def test_asks_for_the_whole_and_three_breakdowns(self):
        """A window is not allowed here, and the brackets are part of the parameter's name."""
        assert [(request.path, request.params) for request in REALTIME.requests(Ask(now=NOW))] == [
            ("/data/views/now", ()),
            ("/data/views/now", (("breakdownBy[]", "playbackId"),)),
            ("/data/views/now", (("breakdownBy[]", "country"),)),
            ("/data/views/now", (("breakdownBy[]", "device"),)),
        ]

    def test_nobody_watching_is_an_explicit_zero(self):
        """Unfiltered and unbroken, the answer is one row even when nobody watches."""
        answer = read(REALTIME, [{"viewCount": 0, "errorRate": 0}])
        assert levels(answer) == {
            "media_viewers": 0,
            "media_realtime_playback_error_ratio": 0,
        }

    @pytest.mark.parametrize("row", [{"viewCount": 3}, {"viewCount": 3, "errorRate": None}])
    def test_an_unknown_ratio_is_no_sample(self, row):
        assert levels(read(REALTIME, [row])) == {"media_viewers": 3}

    @pytest.mark.parametrize("index", range(4))
    def test_an_empty_list_is_no_sample(self, index):
        """Broken down, nobody watching has no rows; unbroken, an empty list is no data."""
        assert read(REALTIME, [], index) == Answer(levels=[])

    @pytest.mark.parametrize("index", range(4))
    def test_a_null_list_is_an_empty_one(self, index):
        """The vendor's server writes a list that it never began as null."""
        assert read(REALTIME, None, index) == Answer(levels=[])

    @pytest.mark.parametrize("index", range(4))
    def test_a_count_may_be_written_as_a_float(self, index):
        """JSON has one kind of number."""
        row = {"viewCount": 7.0, "playbackId": "p", "country": "Peru", "device": "iPhone"}
        (level,) = read(REALTIME, [row], index).levels
        assert (level.value, type(level.value)) == (7, int)

    @pytest.mark.parametrize("index", range(4))
    def test_a_null_count_is_no_sample(self, index):
        row = {"viewCount": None, "playbackId": "p", "country": "Peru", "device": "iPhone"}
        assert read(REALTIME, [row], index) == Answer(levels=[])

    @pytest.mark.parametrize(
        ("index", "measure", "key", "value", "label"),
        [
            (1, measures.STREAM_VIEWERS, "playbackId", "abcd1234", "abcd1234"),
            (1, measures.STREAM_VIEWERS, "playbackId", None, "unknown"),
            (2, measures.COUNTRY_VIEWERS, "country", "United States", "US"),
            (2, measures.COUNTRY_VIEWERS, "country", None, "unknown"),
            (3, measures.DEVICE_VIEWERS, "device", "iPhone", "iPhone"),
            (3, measures.DEVICE_VIEWERS, "device", "smarttv", "Smart TV"),
            (3, measures.DEVICE_VIEWERS, "device", "", "unknown"),
        ],
    )
    def test_each_breakdown_has_its_metric(self, index, measure, key, value, label):
        """Null means asked for, but unknown."""
        answer = read(REALTIME, [{key: value, "viewCount": 7, "errorRate": 0.1}], index)
        assert answer.levels == [Level(measure, ("all", label), 7)]

    @pytest.mark.parametrize("index", [1, 2, 3])
    def test_a_breakdown_without_its_key_fails(self, index):
        """Absent means not asked for: such rows would be the whole under a false label."""
        with pytest.raises(SchemaError, match=r"\$\[0\]"):
            read(REALTIME, [{"viewCount": 7, "errorRate": 0}], index)

    def test_rows_with_equal_labels_add_up(self):
        """Sessions of different rows are disjoint; a ratio is never summed."""
        rows = [{"playbackId": None, "viewCount": 2}, {"playbackId": "", "viewCount": 3}]
        found = read(REALTIME, rows, 1).levels
        assert {level.labels for level in found} == {("all", "unknown")}
        assert all(level.merge == "sum" for level in found)
        whole = read(REALTIME, [{"viewCount": 1, "errorRate": 0.5}]).levels
        assert [level.merge for level in whole] == ["sum", "greatest"]

    def test_a_list_that_was_cut_off_in_silence_is_remarked_upon(self):
        """At 1,001 rows the vendor stops without a word; what is there is still true."""
        rows = [{"playbackId": f"p{n}", "viewCount": 1, "errorRate": 0} for n in range(1001)]
        assert read(REALTIME, rows[:1000], 1).remarks == ()
        answer = read(REALTIME, rows, 1)
        assert len(answer.levels) == 1001
        assert "1001" in answer.remarks[0]

    @pytest.mark.parametrize(
        "broken",
        [{"viewCount": -1}, {"viewCount": 1, "errorRate": -0.1}],
    )
    def test_a_negative_number_fails_with_its_place(self, broken):
        with pytest.raises(SchemaError, match=r"\$\[0\]\.(viewCount|errorRate)"):
            read(REALTIME, [broken])

    @pytest.mark.parametrize("broken", [{}, {"rows": 3}, {"viewCount": "1"}, {"viewCount": True}])
    def test_a_count_of_another_type_fails(self, broken):
        with pytest.raises(msgspec.ValidationError):
            read(REALTIME, [broken])

    @pytest.mark.parametrize("index", range(4))
    def test_a_fraction_of_a_viewer_fails_with_its_place(self, index):
        row = {"viewCount": 1.5, "playbackId": "p", "country": "Peru", "device": "iPhone"}
        with pytest.raises(SchemaError, match=r"\$\[0\]\.viewCount"):
            read(REALTIME, [row], index)


@pytest.mark.parametrize("feed", [WITH_BROWSERS, USAGE, CREATORS], ids=lambda feed: feed.name)
class TestHours:
    def test_windows_are_whole_hours_in_unix_milliseconds(self, feed):
        """Equal addresses within an hour are what the vendor's five-minute cache is keyed by."""
        for request in feed.requests(ASK):
            params = dict(request.params)
            assert params["from"] == str(START * 1000)
            assert params["to"] == str((START + 4 * HOUR) * 1000)
            assert params["timeStep"] == "hour"

    def test_a_window_is_at_most_a_week(self, feed):
        """More than 10,000 rows are an error; hours settle within three."""
        assert [(r.step, r.reach, r.longest) for r in feed.resolutions] == [
            (Step.HOUR, None, 7 * DAY)
        ]
        assert feed.settling == 3 * HOUR

    @pytest.mark.parametrize("error", [InvalidRequestError, TooLargeError])
    def test_too_many_datapoints_are_asked_for_in_halves(self, feed, error):
        """The halves differ from the whole in their window alone."""
        request = list(feed.requests(ASK))[-1]
        halves = feed.refused(request, error("no"))
        middle = START + 2 * HOUR
        assert [half.span.window for half in halves] == [
            Window(START, middle),
            Window(middle, START + 4 * HOUR),
        ]
        for half, (start, end) in zip(
            halves, ((START, middle), (middle, START + 4 * HOUR)), strict=True
        ):
            window = {"from": str(start * 1000), "to": str(end * 1000)}
            assert dict(half.params) == dict(request.params) | window
            assert (half.path, half.subjects) == (request.path, request.subjects)

    def test_three_hours_are_halved_at_an_hour(self, feed):
        ask = Ask(now=NOW, spans=(Span(Window(START, START + 3 * HOUR), Step.HOUR),), streams=IDS)
        halves = feed.refused(next(iter(feed.requests(ask))), InvalidRequestError("no"))
        assert [half.span.window.end - half.span.window.start for half in halves] == [
            HOUR,
            2 * HOUR,
        ]

    def test_an_hour_cannot_be_halved(self, feed):
        """Its error stands."""
        request = next(iter(feed.requests(HOUR_ASK)))
        assert feed.refused(request, InvalidRequestError("no")) is None

    @pytest.mark.parametrize("error", [ForbiddenError, SchemaError, ServerError])
    def test_other_errors_stand(self, feed, error):
        """Halving what fails in an outage would only multiply the requests."""
        assert feed.refused(next(iter(feed.requests(ASK))), error("no")) is None


class TestViewership:
    @pytest.mark.parametrize(
        ("feed", "keys"),
        [
            (VIEWERSHIP, [None, "playbackId", "country"]),
            (WITH_BROWSERS, [None, "playbackId", "country", "browser"]),
        ],
    )
    def test_asks_for_the_whole_and_for_each_breakdown_of_every_window(self, feed, keys):
        earlier = Span(Window(START - 4 * HOUR, START), Step.HOUR)
        requests = list(feed.requests(Ask(now=NOW, spans=(earlier, SPAN))))
        assert {request.path for request in requests} == {"/data/views/query"}
        assert [
            (request.span, dict(request.params).get("breakdownBy[]")) for request in requests
        ] == [(span, key) for span in (earlier, SPAN) for key in keys]

    def test_its_measures_are_those_that_it_asks_for(self):
        """By browser only where the account's settings say so."""
        assert {*BY_STREAM, *BY_COUNTRY} <= set(VIEWERSHIP.measures)
        assert not {*BY_BROWSER} & set(VIEWERSHIP.measures)
        assert {*WITH_BROWSERS.measures} == {*VIEWERSHIP.measures, *BY_BROWSER}
        assert len(set(WITH_BROWSERS.measures)) == len(WITH_BROWSERS.measures)

    def test_browsers_are_not_asked_for_by_default(self):
        defaults = {option.key: option.default for option in PROVIDER.options}
        assert defaults["browsers"] is False

    def test_an_hour_of_the_whole_account(self):
        """Minutes become milliseconds; exitsBeforeStart is a count, whatever the docs say."""
        answer = read(VIEWERSHIP, [views()])
        assert list(answer.usage) == [
            Usage(measures.VIEWS, ("all",), START, HOUR, 100),
            Usage(measures.VIEWING_SECONDS, ("all",), START, HOUR, 600_000),
            Usage(measures.EXITS_BEFORE_START, ("all",), START, HOUR, 3000),
        ]

    def test_fractions_of_minutes_are_whole_milliseconds(self):
        """The vendor divides a sum of milliseconds by 60,000; nothing of it is lost."""
        answer = read(VIEWERSHIP, [views(playtimeMins=628_391 / 60_000)])
        assert amounts(answer)["media_viewing_seconds_total", 0] == 628_391

    @pytest.mark.parametrize(
        ("index", "key", "value", "label", "found"),
        [
            (1, "playbackId", "p1", "p1", BY_STREAM),
            (2, "country", "United States", "US", BY_COUNTRY),
            (2, "country", "us", "US", BY_COUNTRY),
            (2, "country", None, "unknown", BY_COUNTRY),
            (3, "browser", "Safari", "Safari", BY_BROWSER),
            (3, "browser", "", "unknown", BY_BROWSER),
        ],
    )
    def test_each_breakdown_has_its_metrics(self, index, key, value, label, found):
        """Null means asked for, but unknown."""
        answer = read(WITH_BROWSERS, [views(**{key: value})], index)
        assert list(answer.usage) == [
            Usage(found[0], ("all", label), START, HOUR, 100),
            Usage(found[1], ("all", label), START, HOUR, 600_000),
        ]
        assert answer.levels == ()

    @pytest.mark.parametrize("index", [1, 2, 3])
    def test_a_breakdown_without_its_key_fails(self, index):
        """Absent means not asked for: such rows would be the whole under a false label."""
        with pytest.raises(SchemaError, match=r"\$\[0\]: no '\w+' in an answer broken down by it"):
            read(WITH_BROWSERS, [views()], index)

    @pytest.mark.parametrize(
        ("index", "key", "values"),
        [
            (1, "playbackId", (None, "")),
            (2, "country", ("United States", "USA")),
            (3, "browser", ("Safari", "Safari")),
        ],
    )
    def test_views_of_rows_with_equal_labels_add_up(self, index, key, values):
        """The vendor groups by more than it writes: such rows look alike and are disjoint."""
        request = list(WITH_BROWSERS.requests(ASK))[index]
        rows = [views(**{key: value}) for value in values]
        _, usage = read_answer(WITH_BROWSERS, request, json.dumps(rows).encode(), ASK)
        assert [row.amount for row in usage.values()] == [200, 1_200_000]

    def test_a_null_playback_id_is_unknown_and_an_absent_one_fails(self):
        """Null: asked for, unknown. Absent: not asked for, which is not so here."""
        answer = read(VIEWERSHIP, [views(playbackId=None)], 1)
        assert {row.labels for row in answer.usage} == {("all", "unknown")}
        with pytest.raises(SchemaError, match=r"\$\[0\].*playbackId"):
            read(VIEWERSHIP, [views()], 1)

    def test_a_bucket_starts_at_the_hour_that_holds_its_timestamp(self):
        """The vendor's own example has a timestamp in the middle of an hour."""
        answer = read(VIEWERSHIP, [views(timestamp=(START + HOUR) * 1000 + 2_374_725)])
        assert {row.start for row in answer.usage} == {START + HOUR}

    @pytest.mark.parametrize("index", range(4))
    def test_hours_that_were_not_asked_for_are_ignored(self, index):
        """`from` belongs to the window, `to` does not."""
        hours = (-1, 0, 3, 4, 4, 0, -1)
        rows = [views(timestamp=(START + hour * HOUR) * 1000, **PARTS) for hour in hours]
        answer = read(WITH_BROWSERS, rows, index)
        assert {(row.start - START) // HOUR for row in answer.usage} == {0, 3}

    def test_quality_is_of_the_newest_complete_hour(self):
        """It is 11:16: the hour from 10:00 is the newest that is complete."""
        rows = [
            views(timestamp=(START + hour * HOUR) * 1000, ttffMs=1000 + hour) for hour in range(4)
        ]
        answer = read(VIEWERSHIP, rows)
        assert levels(answer) == {
            "media_time_to_first_frame_seconds": 1.002,
            "media_rebuffer_ratio": 0.1,
            "media_playback_error_ratio": 0.2,
        }
        assert not any(level.additive for level in answer.levels)

    def test_quality_of_older_hours_is_not_news(self):
        assert read(VIEWERSHIP, [views()]).levels == []

    @pytest.mark.parametrize("null", [{}, None])
    def test_null_and_absent_fields_are_no_samples(self, null):
        """Absent is not zero, nor is unknown; `viewCount` alone is always there."""
        keys = ("playtimeMins", "ttffMs", "rebufferRatio", "errorRate", "exitsBeforeStart")
        newest = views(timestamp=(START + 2 * HOUR) * 1000)
        row = without(newest, *keys) if null is not None else newest | dict.fromkeys(keys)
        answer = read(VIEWERSHIP, [row])
        assert amounts(answer) == {("media_views_total", 2): 100}
        assert answer.levels == []

    @pytest.mark.parametrize("index", range(4))
    def test_hollow_viewership_is_no_data_and_said_so(self, index):
        """Switched off, the vendor answers 200 `[]` to anything; that is not 0 views."""
        answer = read(WITH_BROWSERS, [], index)
        assert (list(answer.usage), list(answer.levels)) == ([], [])
        assert "empty list" in answer.remarks[0]
        row = views(**PARTS)
        assert read(WITH_BROWSERS, [row], index).remarks == ()

    @pytest.mark.parametrize("index", range(4))
    def test_a_null_list_is_an_empty_one(self, index):
        """The vendor's server writes a list that it never began as null."""
        assert read(WITH_BROWSERS, None, index) == read(WITH_BROWSERS, [], index)

    @pytest.mark.parametrize("index", range(4))
    def test_a_count_may_be_written_as_a_float(self, index):
        """JSON has one kind of number."""
        answer = read(WITH_BROWSERS, [views(viewCount=7.0, **PARTS)], index)
        assert [row.amount for row in answer.usage if row.measure.resolution == 1] == [7]

    @pytest.mark.parametrize("index", range(4))
    def test_a_null_count_is_no_row(self, index):
        """What else the row says is counted."""
        known = read(WITH_BROWSERS, [views(**PARTS)], index)
        unknown = read(WITH_BROWSERS, [views(viewCount=None, **PARTS)], index)
        assert list(unknown.usage) == [row for row in known.usage if row.measure.resolution != 1]

    @pytest.mark.parametrize("index", range(4))
    def test_a_fraction_of_a_view_fails_with_its_place(self, index):
        with pytest.raises(SchemaError, match=r"\$\[0\]\.viewCount"):
            read(WITH_BROWSERS, [views(viewCount=1.5, **PARTS)], index)

    def test_unknown_fields_are_ignored(self):
        """`deviceType` and its like are not even written; others may come."""
        assert read(VIEWERSHIP, [views(creatorId="john@doe.com", new=[1])]).usage

    @pytest.mark.parametrize(
        "broken", [{"playtimeMins": -1}, {"viewCount": -1}, {"ttffMs": -5}, {"timestamp": -1}]
    )
    def test_a_negative_number_fails_with_its_place(self, broken):
        (key,) = broken
        with pytest.raises(SchemaError, match=rf"\$\[1\]\.{key}"):
            read(VIEWERSHIP, [views(), views(**broken)])

    @pytest.mark.parametrize(
        "document",
        [
            {"viewCount": 1},
            [{"rows": 3}],
            [without(views(), "viewCount")],
            [without(views(), "timestamp")],
            [views(playtimeMins="10")],
        ],
    )
    def test_another_shape_fails(self, document):
        with pytest.raises(msgspec.ValidationError):
            read(VIEWERSHIP, document)


class TestUsage:
    def test_an_hour_as_billed(self):
        """TotalUsageMins is transcoding alone, in spite of its name."""
        answer = read(USAGE, [billed()])
        assert list(answer.usage) == [
            Usage(measures.USAGE_DELIVERED_SECONDS, (), START, HOUR, 6_000_000),
            Usage(measures.TRANSCODED_SECONDS, (), START, HOUR, 3_000_000),
        ]

    def test_storage_is_a_level_of_the_newest_hour(self):
        """It is a mean of minutes stored: hours are never added up."""
        rows = [billed(hour, StorageUsageMins=20 + hour) for hour in (0, 2, 1)]
        answer = read(USAGE, rows)
        assert answer.levels == [Level(measures.STORED_SECONDS, (), 22 * 60, merge="greatest")]

    def test_storage_is_not_read_off_the_hour_in_progress(self):
        """Nobody knows what a mean over part of an hour is worth: complete hours only."""
        rows = [billed(hour, StorageUsageMins=20 + hour) for hour in (2, 3)]
        assert levels(read(USAGE, rows)) == {"media_stored_seconds": 22 * 60}
        assert read(USAGE, [billed(3)]).levels == []

    def test_rows_of_one_hour_add_up(self):
        """Rows of the same hour are parts of it, in storage as in all else."""
        assert levels(read(USAGE, [billed(), billed()])) == {"media_stored_seconds": 2400}

    def test_storage_of_an_older_window_is_not_news(self):
        """A long time is asked for in several windows; the newest one knows the level."""
        earlier = Span(Window(START - 4 * HOUR, START), Step.HOUR)
        ask = Ask(now=NOW, spans=(earlier, SPAN))
        assert read(USAGE, [billed(-1)], 0, ask).levels == []
        assert levels(read(USAGE, [billed(1)], 1, ask)) == {"media_stored_seconds": 1200}

    def test_an_hour_without_rows_changes_nothing(self):
        assert read(USAGE, []) == Answer(usage=[], levels=[])

    def test_a_null_list_is_an_empty_one(self):
        """The vendor's server writes a list that it never began as null."""
        assert read(USAGE, None) == Answer(usage=[], levels=[])

    async def test_an_object_without_any_documented_key_fails_at_the_first_request(self):
        """It tells nothing about the window, and would not of a shorter one."""
        asked: list[Request] = []

        async def get(request: Request, feed: str) -> bytes:
            asked.append(request)
            return b'{"rows": 3}'

        with pytest.raises(SchemaError, match="documented"):
            await PollFetcher(get).fetch(USAGE, [ASK])
        assert len(asked) == 1

    @pytest.mark.parametrize(
        ("document", "place"),
        [({}, r"\$:"), ({"rows": 3}, r"\$:"), ([billed(), {"rows": 3}], r"\$\[1\]:")],
    )
    def test_a_row_without_any_documented_key_fails_with_its_place(self, document, place):
        with pytest.raises(SchemaError, match=f"{place}.*documented"):
            read(USAGE, document, ask=HOUR_ASK)

    @pytest.mark.parametrize("key", ["UserID", "CreatorID", "TotalUsageMins"])
    def test_one_documented_key_makes_a_row(self, key):
        """Even one that is null: absent is what was not asked for, null is not known."""
        assert read(USAGE, {key: None}, ask=HOUR_ASK) == Answer(usage=[], levels=[])

    def test_null_and_absent_fields_are_no_samples(self):
        row = without(billed(TotalUsageMins=None), "DeliveryUsageMins", "StorageUsageMins")
        assert read(USAGE, [row]) == Answer(usage=[], levels=[])

    def test_hours_that_were_not_asked_for_are_ignored(self):
        answer = read(USAGE, [billed(hour) for hour in (-1, 2, 4)])
        assert {(row.start - START) // HOUR for row in answer.usage} == {2}
        assert levels(answer) == {"media_stored_seconds": 1200}

    def test_one_object_for_one_hour_is_that_hour(self):
        """The reference shows an object; asked for one hour, it can mean nothing else."""
        answer = read(USAGE, without(billed(), "TimeInterval"), ask=HOUR_ASK)
        assert amounts(answer) == {
            ("media_usage_delivered_seconds_total", 0): 6_000_000,
            ("media_transcoded_seconds_total", 0): 3_000_000,
        }

    def test_one_object_for_several_hours_leads_to_shorter_windows(self):
        """A sum over a window does not say which hour it belongs to; single hours do."""
        answer = read(USAGE, without(billed(), "TimeInterval"))
        assert (answer.usage, answer.levels) == ((), ())
        assert [request.span and request.span.window for request in answer.follow] == [
            Window(START, START + 2 * HOUR),
            Window(START + 2 * HOUR, START + 4 * HOUR),
        ]

    async def test_a_day_of_equal_hours_told_as_objects_is_counted_hour_by_hour(self):
        """The shape that the reference shows; equal answers about two hours are two hours."""
        day = Window(at("2026-02-28T00:00:00"), at("2026-03-01T00:00:00"))

        async def get(request: Request, feed: str) -> bytes:
            assert request.span is not None
            window = request.span.window
            minutes = (window.end - window.start) // 60
            return json.dumps({"UserID": "u1", "DeliveryUsageMins": minutes}).encode()

        ask = Ask(now=NOW, spans=(Span(day, Step.HOUR),))
        fetched = await PollFetcher(get).fetch(USAGE, [ask])
        assert len(fetched.usage) == 24
        assert sum(row.amount for row in fetched.usage) == 86_400 * measures.MILLISECONDS
        assert fetched.newest == day.end

    def test_one_object_that_names_its_hour_is_read(self):
        assert {row.start for row in read(USAGE, billed(1)).usage} == {START + HOUR}

    def test_a_row_that_does_not_name_its_hour_fails(self):
        with pytest.raises(SchemaError, match=r"\$\[1\].*TimeInterval"):
            read(USAGE, [billed(), without(billed(), "TimeInterval")])

    @pytest.mark.parametrize("key", ["DeliveryUsageMins", "TotalUsageMins", "StorageUsageMins"])
    def test_a_negative_number_fails_with_its_place(self, key):
        with pytest.raises(SchemaError, match=rf"\$\[0\]\.{key}"):
            read(USAGE, [billed(**{key: -0.5})])
        with pytest.raises(SchemaError, match=rf"\$\.{key}"):
            read(USAGE, billed(**{key: -0.5}))


class TestBilledTotals:
    """The vendor's own total of a longer window."""

    DAYS = Window(at("2026-02-01T00:00:00"), at("2026-03-01T00:00:00"))

    def total(self, document) -> Answer:
        assert isinstance(USAGE, Totals)
        (request,) = USAGE.totals(self.DAYS)
        return USAGE.read_totals(request, json.dumps(document).encode(), now=NOW)

    def test_it_is_of_the_whole_window(self):
        start, width = self.DAYS.start, self.DAYS.end - self.DAYS.start
        assert list(self.total(without(billed(), "TimeInterval")).usage) == [
            Usage(measures.USAGE_DELIVERED_SECONDS, (), start, width, 6_000_000),
            Usage(measures.TRANSCODED_SECONDS, (), start, width, 3_000_000),
        ]

    def test_null_and_absent_amounts_are_no_rows(self):
        assert list(self.total({"UserID": "u1", "DeliveryUsageMins": None}).usage) == []

    @pytest.mark.parametrize("document", [{}, {"rows": 3}, [], None])
    def test_another_shape_fails(self, document):
        with pytest.raises(SchemaError, match=r"^\$: "):
            self.total(document)


class TestCreators:
    def test_asks_for_each_asset_and_stream_by_itself(self):
        """Exactly one of the two ids has to be given."""
        requests = list(CREATORS.requests(ASK))
        assert {request.path for request in requests} == {"/data/views/query/creator"}
        ids = [
            {key: value for key, value in request.params if key.endswith("Id")}
            for request in requests
        ]
        assert ids == [{"assetId": "asset-1"}, {"streamId": "stream-1"}]

    @pytest.mark.parametrize(("index", "stream"), [(0, "asset-1"), (1, "stream-1")])
    def test_rows_are_labelled_with_the_id_that_was_asked_for(self, index, stream):
        """A filter is not repeated in the rows."""
        row = {"timestamp": START * 1000, "viewCount": 5, "playtimeMins": 0.5}
        answer = read(CREATORS, [row], index)
        assert list(answer.usage) == [
            Usage(measures.CREATOR_VIEWS, ("all", stream), START, HOUR, 5),
            Usage(measures.CREATOR_VIEWING_SECONDS, ("all", stream), START, HOUR, 30_000),
        ]

    def test_the_halves_keep_the_subject(self):
        """Their rows do not name it either."""
        request = next(iter(CREATORS.requests(ASK)))
        first, _ = CREATORS.refused(request, InvalidRequestError("no")) or ()
        row = {"timestamp": START * 1000, "viewCount": 5}
        answer = CREATORS.parse(first, json.dumps([row]).encode(), ASK)
        assert {usage.labels for usage in answer.usage} == {("all", "asset-1")}

    def test_one_that_is_gone_does_not_fail_the_others(self):
        request = next(iter(CREATORS.requests(ASK)))
        assert CREATORS.refused(request, NotFoundError("404")) == ()

    def test_a_null_list_is_an_empty_one(self):
        assert read(CREATORS, None) == read(CREATORS, [])

    def test_hollow_viewership_is_no_data_and_said_so(self):
        answer = read(CREATORS, [])
        assert list(answer.usage) == []
        assert "empty list" in answer.remarks[0]

    def test_hours_that_were_not_asked_for_are_ignored(self):
        rows = [{"timestamp": (START + hour * HOUR) * 1000, "viewCount": 1} for hour in (-1, 0, 4)]
        assert amounts(read(CREATORS, rows)) == {("media_creator_views_total", 0): 1}


class TestPublicTotals:
    def test_asks_for_each_playback_id(self):
        """An address of distributed storage is one segment of the path."""
        assert list(TOTALS.requests(Ask(now=NOW, streams=IDS))) == [
            Request("/data/views/query/total/abcd1234", subjects=("abcd1234",)),
            Request(
                "/data/views/query/total/ipfs%3A%2F%2FQmZ4%2Fvideo.mp4",
                subjects=("ipfs://QmZ4/video.mp4",),
            ),
        ]

    def test_views_from_before_2023_are_added(self):
        """`legacyViewCount` is not contained in `viewCount`."""
        document = {
            "playbackId": "abcd1234",
            "viewCount": 100,
            "legacyViewCount": 23,
            "playtimeMins": 10,
        }
        labels = ("abcd1234",)
        assert list(read(TOTALS, document).usage) == [
            Usage(measures.LIFETIME_VIEWS, labels, LIFETIME_START, LIFETIME_WIDTH, 123),
            Usage(
                measures.LIFETIME_VIEWING_SECONDS, labels, LIFETIME_START, LIFETIME_WIDTH, 600_000
            ),
        ]

    def test_views_that_are_too_many_only_together_are_refused(self):
        """Above 2^53 a scraper would read another number than was sent."""
        most = {"viewCount": 2**52, "legacyViewCount": 2**52, "playtimeMins": 10}
        views, _ = read(TOTALS, most).usage
        assert views.amount == 2**53
        with pytest.raises(SchemaError, match=r"viewCount \+ \$\.legacyViewCount"):
            read(TOTALS, most | {"legacyViewCount": 2**52 + 1})

    @pytest.mark.parametrize("unknown", [{}, {"playtimeMins": None}])
    def test_no_playing_time_is_no_sample(self, unknown):
        answer = read(TOTALS, {"viewCount": 5} | unknown)
        assert [(row.measure, row.amount) for row in answer.usage] == [(measures.LIFETIME_VIEWS, 5)]

    def test_an_id_that_was_never_watched_is_zero(self):
        """Playing time that is there and 0 makes it an answer."""
        answer = read(TOTALS, {"viewCount": 0, "playtimeMins": 0})
        assert [row.amount for row in answer.usage] == [0, 0]

    def test_a_hollow_total_is_no_data_and_said_so(self):
        """Switched off, the vendor answers viewCount 0 without playing time: not a zero.

        Recorded as one, the day it is switched on again would look like a jump.
        """
        answer = read(TOTALS, {"playbackId": "abcd1234", "viewCount": 0})
        assert answer.usage == ()
        assert "switched viewership off" in answer.remarks[0]

    def test_counts_may_be_written_as_floats(self):
        """JSON has one kind of number."""
        total = {"viewCount": 7.0, "legacyViewCount": 1e1, "playtimeMins": 0}
        assert [row.amount for row in read(TOTALS, total).usage] == [17, 0]

    @pytest.mark.parametrize("unknown", [{}, {"viewCount": None}])
    def test_without_a_count_there_is_only_the_playing_time(self, unknown):
        """Views from before 2023 alone would look as if the others had been taken back."""
        total = unknown | {"legacyViewCount": 23, "playtimeMins": 10}
        assert [(row.measure, row.amount) for row in read(TOTALS, total).usage] == [
            (measures.LIFETIME_VIEWING_SECONDS, 600_000)
        ]

    @pytest.mark.parametrize("total", [{"playbackId": "abcd1234"}, {"viewCount": None}])
    def test_a_total_that_tells_nothing_is_no_data_and_said_so(self, total):
        answer = read(TOTALS, total)
        assert list(answer.usage) == []
        assert "nothing was recorded" in answer.remarks[0]

    @pytest.mark.parametrize("total", [{}, {"rows": 3}])
    def test_a_total_without_any_documented_key_fails(self, total):
        with pytest.raises(SchemaError, match=r"^\$: .*documented"):
            read(TOTALS, total)

    @pytest.mark.parametrize("key", ["viewCount", "legacyViewCount"])
    def test_a_fraction_of_a_view_fails_with_its_place(self, key):
        with pytest.raises(SchemaError, match=rf"\$\.{key}"):
            read(TOTALS, {"viewCount": 1, "playtimeMins": 1} | {key: 1.5})

    def test_one_id_that_is_gone_does_not_fail_the_others(self):
        """Its 404 has an empty body; there is nothing more to learn from it."""
        request = next(iter(TOTALS.requests(ASK)))
        assert TOTALS.refused(request, NotFoundError("404")) == ()

    def test_other_errors_stand(self):
        """There is no window that could be halved."""
        request = next(iter(TOTALS.requests(ASK)))
        assert TOTALS.refused(request, ServerError("500")) is None
        assert TOTALS.refused(request, ForbiddenError("403")) is None

    @pytest.mark.parametrize("key", ["viewCount", "legacyViewCount", "playtimeMins"])
    def test_a_negative_number_fails_with_its_place(self, key):
        document = {"viewCount": 1, "legacyViewCount": 1, "playtimeMins": 1}
        with pytest.raises(SchemaError, match=rf"\$\.{key}"):
            read(TOTALS, document | {key: -1})


@pytest.mark.parametrize("feed", [REALTIME, WITH_BROWSERS, USAGE], ids=lambda feed: feed.name)
def test_a_route_that_is_gone_is_a_failure(feed):
    """Nobody named anything there that could be gone by itself."""
    for request in feed.requests(ASK):
        assert feed.refused(request, NotFoundError("404")) is None
