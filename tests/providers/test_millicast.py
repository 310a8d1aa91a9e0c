"""Dolby Millicast: what each answer means, quirk by quirk."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from exporter import measures
from exporter.errors import InvalidRequestError, NotFoundError, SchemaError, ServerError
from exporter.model import DAY, HOUR, Ask, BearerToken, Request, Span, Step, Window
from exporter.providers.millicast import PROVIDER
from exporter.providers.millicast.names import reportable

DEFAULTS = {option.key: option.default for option in PROVIDER.options}


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


START = at("2020-03-01T00:00:00")
FIRST, SECOND = "2020-03-01T00:00:00Z", "2020-03-01T01:00:00Z"
HOURS = Span(Window(START, START + 2 * HOUR), Step.HOUR)
MOVED = {"bytesIn": 5, "bytesOut": 7}


def feed(name, **options):
    (found,) = PROVIDER.feeds([name], DEFAULTS | options)
    return found


def ask(*spans, streams=()):
    return Ask(START + 2 * HOUR, spans or (HOURS,), tuple(streams))


def answer(name, data, *, names=(), span=HOURS, **options):
    """What the feed makes of `data` as the answer to its first request."""
    asked = ask(span, streams=names)
    polled = feed(name, **options)
    request = next(iter(polled.requests(asked)))
    return polled.parse(request, json.dumps({"status": "success", "data": data}).encode(), asked)


def usage(name, data, **more):
    """Rows as {(measure, *labels): {offset in hours: amount}}, with equal rows summed."""
    rows: dict[tuple[str, ...], dict[int, int]] = {}
    for row in answer(name, data, **more).usage:
        buckets = rows.setdefault((row.measure.name, *row.labels), {})
        offset = (row.start - START) // HOUR
        buckets[offset] = buckets.get(offset, 0) + row.amount
    return rows


# --- The account ----------------------------------------------------------------------------------


def test_totals_contain_the_components_and_are_never_their_sum():
    """Quirk 1: the vendor's own total is recorded, even where its components do not add up."""
    moved = {FIRST: MOVED}
    rows = usage(
        "account",
        {
            "bandwidth": {FIRST: {"bytesIn": 100, "bytesOut": 1000}},
            "standardStream": moved,
            "restream": {FIRST: {**MOVED, "secondsUsed": 1.5}},
            "geoCascade": moved,
        },
    )
    assert rows == {
        ("media_received_bytes_total", "live"): {0: 100},
        ("media_delivered_bytes_total", "live"): {0: 1000},
        ("media_component_delivered_bytes_total", "standard"): {0: 7},
        ("media_component_delivered_bytes_total", "restream"): {0: 7},
        ("media_component_delivered_bytes_total", "geo_cascade"): {0: 7},
        ("media_restream_seconds_total",): {0: 1500},
    }


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_a_map_without_buckets_may_be_null_or_empty(nothing):
    """Quirk 4: restream and geoCascade, and whole series, may be null."""
    data = {"bandwidth": {FIRST: MOVED}, "restream": nothing, "geoCascade": nothing}
    assert usage("account", data).keys() == {
        ("media_received_bytes_total", "live"),
        ("media_delivered_bytes_total", "live"),
    }
    assert usage("account", {"bandwidth": nothing}) == {}


def test_absent_buckets_are_not_zero_and_zeros_are():
    """Quirk 8: series may be sparse or filled with zeros; only what is there counts."""
    sparse = usage("account", {"bandwidth": {SECOND: MOVED}})
    assert sparse["media_received_bytes_total", "live"] == {1: 5}
    filled = usage("account", {"bandwidth": {FIRST: {"bytesIn": 0, "bytesOut": 0}, SECOND: MOVED}})
    assert filled["media_received_bytes_total", "live"] == {0: 0, 1: 5}


def test_buckets_outside_the_span_are_ignored():
    outside = {"2020-02-29T23:00:00Z": MOVED, "2020-03-01T02:00:00Z": MOVED}
    assert usage("account", {"bandwidth": outside}) == {}


@pytest.mark.parametrize(
    "spelling", ["2020-03-01T01:00:00.000Z", "2020-03-01T01:00:00+00:00", "2020-03-01T01:00:00"]
)
def test_a_bucket_is_known_by_its_instant_and_not_by_its_spelling(spelling):
    rows = usage("account", {"bandwidth": {spelling: MOVED}})
    assert rows["media_received_bytes_total", "live"] == {1: 5}


def test_days_may_be_spelt_as_dates():
    days = Span(Window(START, START + 2 * DAY), Step.DAY)
    rows = answer("account", {"bandwidth": {"2020-03-02": MOVED}}, span=days).usage
    assert {(row.start, row.width) for row in rows} == {(START + DAY, DAY)}


def test_months_are_as_long_as_they_are():
    months = Span(Window(START, at("2020-05-01")), Step.MONTH)
    rows = answer("account", {"bandwidth": {"2020-04-01T00:00:00Z": MOVED}}, span=months).usage
    assert {(row.start, row.width) for row in rows} == {(at("2020-04-01"), 30 * DAY)}


@pytest.mark.parametrize("spelling", ["2020-03-01T00:30:00Z", "noon"])
def test_a_key_that_starts_no_bucket_is_refused(spelling):
    with pytest.raises(SchemaError):
        usage("account", {"bandwidth": {spelling: MOVED}})


@pytest.mark.parametrize(
    "moved",
    [
        {"bytesIn": -1, "bytesOut": 0},
        {"bytesIn": 2**53 + 1, "bytesOut": 0},
        {"bytesIn": 1.5, "bytesOut": 0},
        {"bytesIn": "1", "bytesOut": 0},
        {"bytesIn": None, "bytesOut": 0},
        {"bytesOut": 0},
    ],
)
def test_an_impossible_amount_is_refused(moved):
    with pytest.raises(msgspec.ValidationError):
        usage("account", {"bandwidth": {FIRST: moved}})


@pytest.mark.parametrize(
    "body",
    [
        {"status": "fail", "data": {"bandwidth": {}}},
        {"status": "success"},
        {"status": "success", "data": {}},
        [],
    ],
)
def test_an_answer_that_is_no_success_is_refused(body):
    account = feed("account")
    (request,) = account.requests(ask())
    with pytest.raises(msgspec.ValidationError):
        account.parse(request, json.dumps(body).encode(), ask())


def test_hours_are_asked_for_as_times_and_longer_steps_as_dates():
    months = Span(Window(START, at("2020-05-01")), Step.MONTH)
    hourly, monthly = feed("account").requests(ask(HOURS, months))
    assert hourly.params == (
        ("startDate", "2020-03-01T00:00:00Z"),
        ("stopDate", "2020-03-01T02:00:00Z"),
        ("resolution", "Hour"),
    )
    assert monthly.params == (
        ("startDate", "2020-03-01"),
        ("stopDate", "2020-05-01"),
        ("resolution", "Month"),
    )


# --- Streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "streams",
    [{}, [], None, {"lobby": []}, {"lobby": {}}, {"lobby": None}, {"lobby": {"bandwidth": None}}],
)
def test_a_stream_without_data_is_absent_or_empty(streams):
    """Quirk 7."""
    assert usage("streams", streams, names=["lobby"]) == {}


def test_streams_that_were_not_asked_for_are_ignored():
    data = {"lobby": {"bandwidth": {FIRST: MOVED}}, "other": {"bandwidth": {FIRST: MOVED}}}
    assert usage("streams", data, names=["lobby"]) == {
        ("media_stream_received_bytes_total", "live", "lobby"): {0: 5},
        ("media_stream_delivered_bytes_total", "live", "lobby"): {0: 7},
    }


def test_at_most_ten_names_are_asked_for_at_once_and_each_name_once():
    names = [f"stream-{number}" for number in range(21)]
    requests = list(feed("streams").requests(ask(streams=[*names, "stream-0"])))
    asked = [[value for key, value in each.params if key == "streamNames"] for each in requests]
    assert asked == [names[:10], names[10:20], names[20:]]
    assert [list(each.subjects) for each in requests] == asked


def test_no_names_take_no_requests():
    assert not list(feed("streams").requests(ask()))


@pytest.mark.parametrize("name", ["a/b", "a*", "a--b", "", "x" * 129])
def test_names_that_the_vendor_does_not_report_are_left_out_with_a_remark(name):
    asked = ask(streams=["a-b", name])
    streams = feed("streams")
    (request,) = streams.requests(asked)
    assert request.subjects == ("a-b",)
    (remark,) = streams.parse(request, b'{"status":"success","data":{}}', asked).remarks
    assert "left out: 1" in remark
    assert not reportable(name)


def test_the_remark_is_made_by_one_answer_only():
    asked = ask(streams=["a*", *(f"stream-{number}" for number in range(20))])
    streams = feed("streams")
    remarks = [
        streams.parse(request, b'{"status":"success","data":{}}', asked).remarks
        for request in streams.requests(asked)
    ]
    assert [len(each) for each in remarks] == [1, 0]


@pytest.mark.parametrize("error", [InvalidRequestError(), NotFoundError()])
def test_a_refused_batch_is_asked_for_name_by_name(error):
    """One unknown stream is a 400 for all ten; alone, it is done without."""
    streams = feed("streams")
    (request,) = streams.requests(ask(streams=["lobby", "stage 2"]))
    singles = streams.refused(request, error)
    assert [single.subjects for single in singles] == [("lobby",), ("stage 2",)]
    assert [single.params[-1] for single in singles] == [
        ("streamNames", "lobby"),
        ("streamNames", "stage 2"),
    ]
    assert {single.span for single in singles} == {HOURS}
    assert streams.refused(singles[0], error) == ()


def test_other_errors_stand():
    streams = feed("streams")
    (request,) = streams.requests(ask(streams=["lobby"]))
    assert streams.refused(request, ServerError()) is None
    account = feed("account")
    (request,) = account.requests(ask())
    assert account.refused(request, InvalidRequestError()) is None


# --- Countries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "milliseconds"),
    [
        ({"duration": 135}, 135_000),
        ({"viewDuration": 100, "publishDuration": 35}, 100_000),
        ({"viewDuration": 0, "duration": 135}, 0),
        ({"publishDuration": 35}, None),
        ({}, None),
    ],
)
def test_viewing_is_told_by_either_of_two_fields_and_publishing_is_not_viewing(
    fields, milliseconds
):
    """Quirk 2: examples have `duration`, the schema `viewDuration` and `publishDuration`."""
    rows = usage("countries", {"geo": {FIRST: {"US": {**MOVED, **fields}}}})
    viewing = rows.get(("media_country_viewing_seconds_total", "live", "US"))
    assert viewing == (None if milliseconds is None else {0: milliseconds})


@pytest.mark.parametrize(
    ("views", "milliseconds"), [({"views": 0}, 0), ({}, 0), ({"views": 1}, 135_000)]
)
def test_a_country_that_only_publishes_has_no_viewing(views, milliseconds):
    """Where nothing was delivered and nobody began to watch, `duration` is publishing."""
    publishing = {"bytesIn": 9, "bytesOut": 0, "duration": 135, "publishes": 1, **views}
    rows = usage("countries", {"geo": {FIRST: {"US": publishing}}})
    assert rows["media_country_viewing_seconds_total", "live", "US"] == {0: milliseconds}


def test_countries_give_all_that_the_vendor_tells_and_no_more():
    full = {**MOVED, "duration": 1, "views": 2, "publishes": 3}
    rows = usage("countries", {"geo": {FIRST: {"us": full, "": MOVED}}})
    assert rows == {
        ("media_country_received_bytes_total", "live", "US"): {0: 5},
        ("media_country_delivered_bytes_total", "live", "US"): {0: 7},
        ("media_country_viewing_seconds_total", "live", "US"): {0: 1000},
        ("media_country_views_total", "live", "US"): {0: 2},
        ("media_country_publishes_total", "live", "US"): {0: 3},
        ("media_country_received_bytes_total", "live", "unknown"): {0: 5},
        ("media_country_delivered_bytes_total", "live", "unknown"): {0: 7},
    }


def test_streams_by_country_are_nested_stream_then_time():
    """Quirk 3: the deprecated route nests the other way round."""
    data = {"geo": {"lobby": {FIRST: {"US": MOVED}}, "other": {FIRST: {"US": MOVED}}}}
    assert usage("stream_countries", data, names=["lobby"]) == {
        ("media_stream_country_received_bytes_total", "live", "lobby", "US"): {0: 5},
        ("media_stream_country_delivered_bytes_total", "live", "lobby", "US"): {0: 7},
    }


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_countries_may_be_empty_at_every_level(nothing):
    """Quirks 4 and 7."""
    assert usage("countries", {"geo": nothing}) == {}
    assert usage("countries", {"geo": {FIRST: nothing}}) == {}
    assert usage("stream_countries", {"geo": {"lobby": nothing}}, names=["lobby"]) == {}
    assert usage("stream_countries", {"geo": {"lobby": {FIRST: nothing}}}, names=["lobby"]) == {}


# --- Transcoders and storage ----------------------------------------------------------------------

DAYS = Span(Window(START, START + 2 * DAY), Step.DAY)


def test_transcoders_are_summed_by_day_whatever_their_ids():
    """Quirk 6: an id may be a string, an integer or null."""
    data = {
        "transcoder": {
            FIRST: [
                {"transcoderId": "a", "minutesUsed": 1.5},
                {"transcoderId": 7, "minutesUsed": 2},
                {"transcoderId": None, "minutesUsed": 0},
            ]
        }
    }
    rows = usage("transcoders", data, span=DAYS)
    assert rows == {("media_transcoded_seconds_total",): {0: 210_000}}
    assert {row.width for row in answer("transcoders", data, span=DAYS).usage} == {DAY}


def test_a_year_of_five_digits_lies_outside_every_span():
    """Quirk 6: one of the vendor's examples has such a key."""
    data = {"transcoder": {"20240-03-04T00:00:00Z": [{"minutesUsed": 1}]}}
    assert usage("transcoders", data, span=DAYS) == {}


@pytest.mark.parametrize("data", [{"transcoder": None}, {"transcoder": {FIRST: []}}])
def test_a_day_without_transcoding_is_not_told(data):
    assert usage("transcoders", data, span=DAYS) == {}


def test_transcoders_are_always_asked_for_by_day_and_take_no_resolution():
    (request,) = feed("transcoders").requests(ask(DAYS))
    assert request.params == (("startDate", "2020-03-01"), ("stopDate", "2020-03-03"))
    assert feed("transcoders").settling >= 2 * DAY


def test_storage_is_told_by_kind_and_without_its_total():
    data = {"totalBytes": 10, "recordings": 4, "clips": 0, "vod": 6}
    levels = answer("storage", data).levels
    assert {(level.measure.name, *level.labels): level.value for level in levels} == {
        ("media_stored_bytes", "recordings"): 4,
        ("media_stored_bytes", "clips"): 0,
        ("media_stored_bytes", "vod"): 6,
    }


# --- Viewers and discovery ------------------------------------------------------------------------


def stream(name, viewers=0, *, live=True):
    return {"streamId": f"x/{name}", "streamName": name, "live": live, "viewerCount": viewers}


def levels(data, **options):
    return {
        (level.measure.name, *level.labels): level.value
        for level in answer("viewers", data, **options).levels
    }


def test_viewers_are_those_of_live_streams_summed_by_name():
    data = {"data": [stream("a", 2), stream("a", 3), stream("b", 9, live=False), stream(None, 1)]}
    assert levels(data) == {
        ("media_viewers", "live"): 6,
        ("media_streams_live", "live"): 3,
        ("media_stream_viewers", "live", "a"): 5,
        ("media_stream_viewers", "live", "unknown"): 1,
    }


def test_streams_that_ended_within_the_hour_are_discovered():
    """They are in the list, and may have moved bytes in this hour."""
    data = {"data": [stream("a"), stream("b", live=False), stream("a"), stream(None)]}
    assert answer("viewers", data).streams == ["a", "b"]


def test_unreportable_names_are_not_discovered_but_remarked_on():
    found = answer("viewers", {"data": [stream("a/b", 4), stream("ok", 1)]})
    assert found.streams == ["ok"]
    assert len(found.remarks) == 1


@pytest.mark.parametrize("empty", [None, []])
def test_an_empty_list_is_nobody_watching_and_the_end(empty):
    """`data.data` may be null; an empty page ends the list, whatever the number of pages."""
    data = {"data": empty, "pagination": {"totalPages": 9}}
    assert levels(data) == {("media_viewers", "live"): 0, ("media_streams_live", "live"): 0}
    assert not answer("viewers", data).follow


@pytest.mark.parametrize(
    ("pagination", "following"),
    [
        ({"totalPages": 1}, []),
        ({"totalPages": 2}, ["2"]),
        ({"totalPages": 0}, []),
        ({"totalPages": None}, ["2"]),
        (None, ["2"]),
    ],
)
def test_pages_are_followed_to_the_last_or_to_an_empty_one(pagination, following):
    found = answer("viewers", {"data": [stream("a")], "pagination": pagination})
    assert [dict(request.params)["page"] for request in found.follow] == following


def test_pages_are_in_an_order_that_does_not_change_between_them():
    (request,) = feed("viewers").requests(ask())
    assert dict(request.params) == {
        "page": "1",
        "itemsOnPage": "100",
        "sortBy": "StreamId",
        "isDescending": "false",
    }


def test_levels_of_several_pages_are_to_be_summed():
    found = answer("viewers", {"data": [stream("a", 1)]})
    assert {level.merge for level in found.levels} == {"sum"}


def test_an_unknown_number_of_viewers_is_no_sample():
    data = {"data": [{"streamName": "a", "live": True, "viewerCount": None}]}
    assert ("media_stream_viewers", "live", "a") not in levels(data)
    assert levels(data)["media_streams_live", "live"] == 1


def test_patterns_choose_what_is_discovered_and_configured_names_are_exempt():
    data = {"data": [stream("lobby", 1), stream("test-1", 2), stream("test-2", 4), stream("x", 8)]}
    options = {"include": ("test-*", "x"), "exclude": ("*-2", "lobby"), "streams": ("lobby",)}
    assert answer("viewers", data, **options).streams == ["lobby", "test-1", "x"]
    told = levels(data, **options)
    assert ("media_stream_viewers", "live", "test-2") not in told
    assert told["media_viewers", "live"] == 15


def test_discovery_can_be_switched_off():
    off = feed("viewers", discover=False)
    assert feed("viewers").discovers
    assert not off.discovers
    found = answer("viewers", {"data": [stream("a", 1)]}, discover=False)
    assert not found.streams
    assert measures.STREAM_VIEWERS in {level.measure for level in found.levels}


# --- The provider ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, b'{"data":{"message":"Unauthorized"},"status":"fail"}', "auth"),
        (403, b'{"data":{"message":"unauthorized "},"status":"fail"}', "auth"),
        (403, b"", "auth"),
        (403, b"<html>", "auth"),
        (403, b"\xff\xfe", "auth"),
        (403, b'{"status":"fail","data":null}', "auth"),
        (403, b'{"data":{"message":"LiveMonitoring is not enabled"},"status":"fail"}', "forbidden"),
        (400, b'{"data":{"message":"Unauthorized"}}', None),
        (401, b"", None),
        (500, b"", None),
    ],
)
def test_a_403_is_a_bad_secret_unless_it_says_something_else(status, body, reason):
    assert PROVIDER.classify(status, body) == reason


def test_the_provider_signs_in_with_its_secret_as_it_is():
    assert PROVIDER.url == "https://api.millicast.com"
    assert PROVIDER.authentication == (BearerToken(),)


@pytest.mark.parametrize("name", PROVIDER.feed_names)
def test_a_feed_tells_only_what_it_promises(name):
    asked = ask(DAYS if name == "transcoders" else HOURS, streams=["lobby"])
    polled = feed(name)
    assert polled.name == name
    for request in polled.requests(asked):
        assert isinstance(request, Request)
        assert request.path.startswith("/api/")
    assert list(polled.requests(asked)) == list(polled.requests(asked))
    assert bool(polled.resolutions) == bool(
        [measure for measure in polled.measures if measure.type == "counter"]
    )


# --- What else the vendor's pages leave open ------------------------------------------------------


@pytest.mark.parametrize("key", ["secondsUsed", "duration"])
def test_restreaming_is_told_in_seconds_used_and_by_no_other_name(key):
    """Tracking calls name it `duration`; in the series it is `secondsUsed`, or it is refused."""
    moved = {"bytesIn": 0, "bytesOut": 1}
    data = {"bandwidth": {FIRST: moved}, "restream": {FIRST: {**moved, key: 2}}}
    if key == "duration":
        with pytest.raises(msgspec.ValidationError):
            answer("account", data)
    else:
        (row,) = [
            row
            for row in answer("account", data).usage
            if row.measure.name == "media_restream_seconds_total"
        ]
        assert row.amount == 2000


def test_parts_that_do_not_add_up_are_recorded_as_they_are():
    """One of the vendor's examples does not add up; neither side is corrected by the other."""
    data = {
        "bandwidth": {FIRST: {"bytesIn": 1, "bytesOut": 100}},
        "standardStream": {FIRST: {"bytesIn": 1, "bytesOut": 70}},
        "geoCascade": {FIRST: {"bytesIn": 0, "bytesOut": 7}},
    }
    found = {row: sum(amounts.values()) for row, amounts in usage("account", data).items()}
    assert found["media_delivered_bytes_total", "live"] == 100
    assert found["media_component_delivered_bytes_total", "standard"] == 70
    assert found["media_component_delivered_bytes_total", "geo_cascade"] == 7


def test_zero_filled_and_sparse_series_come_to_the_same():
    """Whether idle hours are zeros or left out is not stated; totals do not depend on it."""
    busy = {SECOND: {"bytesIn": 5, "bytesOut": 9}}
    idle = {FIRST: {"bytesIn": 0, "bytesOut": 0}}
    sparse = usage("account", {"bandwidth": busy})
    filled = usage("account", {"bandwidth": idle | busy})
    assert {key: sum(hours.values()) for key, hours in sparse.items()} == {
        key: sum(hours.values()) for key, hours in filled.items()
    }


def test_deprecated_calls_with_their_other_nesting_are_not_used():
    """`…/geo` nests stream, then geo; its successors geo, then stream. Only those are asked."""
    for name in ("countries", "stream_countries"):
        asked = ask(HOURS, streams=("lobby",))
        assert all(one.path.endswith("/geo_series") for one in feed(name).requests(asked))
