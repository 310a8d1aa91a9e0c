"""Dolby Millicast: what each answer means, quirk by quirk."""

import asyncio
import json
from datetime import UTC, datetime

import msgspec
import pytest

from exporter.client.fetch import PollFetcher
from exporter.client.parse import read_answer
from exporter.model import (
    DAY,
    HOUR,
    Ask,
    BearerToken,
    Request,
    Span,
    Step,
    StreamBreakdown,
    Window,
    measures,
)
from exporter.model.errors import InvalidRequestError, NotFoundError, SchemaError, ServerError
from exporter.providers.millicast import PROVIDER
from exporter.providers.millicast.names import reportable

DEFAULTS = {option.key: option.default for option in PROVIDER.options}


UNREADABLE = (SchemaError, msgspec.ValidationError)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


START = at("2020-03-01T00:00:00")
FIRST, SECOND = "2020-03-01T00:00:00Z", "2020-03-01T01:00:00Z"
HOURS = Span(Window(START, START + 2 * HOUR), Step.HOUR)
DAYS = Span(Window(START, START + 2 * DAY), Step.DAY)
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
        {"bytesIn": True, "bytesOut": 0},
        {"bytesIn": 0, "bytesOut": 1.5},
        {"bytesIn": 0, "bytesOut": -1.0},
        {"bytesIn": 0, "bytesOut": 1e300},
    ],
)
def test_an_impossible_amount_is_refused(moved):
    with pytest.raises(UNREADABLE):
        usage("account", {"bandwidth": {FIRST: moved}})
    with pytest.raises(UNREADABLE):
        usage("streams", {"lobby": {"bandwidth": {FIRST: moved}}}, names=["lobby"])
    with pytest.raises(UNREADABLE):
        usage("countries", {"geo": {FIRST: {"US": moved}}})


def test_an_amount_may_be_written_with_a_fraction_of_nothing():
    """JSON has one kind of number: 22886.0 is the count 22886, and stays an integer."""
    moved = {"bytesIn": 5.0, "bytesOut": 2.2886e4}
    rows = [
        *answer("account", {"bandwidth": {FIRST: moved}, "geoCascade": {FIRST: moved}}).usage,
        *answer("streams", {"lobby": {"bandwidth": {FIRST: moved}}}, names=["lobby"]).usage,
        *answer("countries", {"geo": {FIRST: {"US": {**moved, "views": 5.0}}}}).usage,
    ]
    assert [row.amount for row in rows] == [5, 22886, 22886, 5, 22886, 5, 22886, 5]
    assert {type(row.amount) for row in rows} == {int}


@pytest.mark.parametrize("nothing", [{}, {"bytesIn": None}])
def test_an_amount_that_is_null_or_absent_is_no_row(nothing):
    """Absent is not zero; the other amounts of the bucket count."""
    data = {"bandwidth": {FIRST: {**nothing, "bytesOut": 7}, SECOND: {"bytesIn": 5}}}
    assert usage("account", data) == {
        ("media_received_bytes_total", "live"): {1: 5},
        ("media_delivered_bytes_total", "live"): {0: 7},
    }
    assert usage("account", {"bandwidth": {FIRST: nothing}, "geoCascade": {FIRST: nothing}}) == {}


@pytest.mark.parametrize("series", ["bandwidth", "standardStream", "restream", "geoCascade"])
def test_a_bucket_may_be_null(series):
    assert usage("account", {series: {FIRST: None}}) == {}
    found = usage("account", {series: {FIRST: None, SECOND: MOVED}})
    assert {offset for buckets in found.values() for offset in buckets} == {1}


@pytest.mark.parametrize("seconds", [{}, {"secondsUsed": None}])
def test_restreaming_may_be_told_without_its_seconds(seconds):
    rows = usage("account", {"restream": {FIRST: {**MOVED, **seconds}}})
    assert rows == {("media_component_delivered_bytes_total", "restream"): {0: 7}}


def test_seconds_of_restreaming_may_be_told_without_bytes():
    rows = usage("account", {"restream": {FIRST: {"secondsUsed": 2}}})
    assert rows == {("media_restream_seconds_total",): {0: 2000}}


@pytest.mark.parametrize(
    "body",
    [
        {"status": "fail", "data": {"bandwidth": {}}},
        {"status": "success"},
        {"data": {"bandwidth": {}}},
        {"status": None, "data": {"bandwidth": {}}},
        {"status": "success", "data": 7},
        {},
        [],
    ],
)
@pytest.mark.parametrize("name", PROVIDER.feed_names)
def test_an_answer_that_is_no_success_is_refused(name, body):
    polled = feed(name)
    asked = ask(DAYS if name == "transcoders" else HOURS, streams=["lobby"])
    (request,) = polled.requests(asked)
    with pytest.raises(msgspec.ValidationError):
        polled.parse(request, json.dumps(body).encode(), asked)


@pytest.mark.parametrize("data", [{}, None])
@pytest.mark.parametrize("name", PROVIDER.feed_names)
def test_a_success_without_data_says_nothing(name, data):
    """Neither rows nor zeros nor a further page."""
    span = DAYS if name == "transcoders" else HOURS
    found = answer(name, data, names=["lobby"], span=span)
    assert not found.usage
    assert not found.levels
    assert not found.items
    assert not found.follow


@pytest.mark.parametrize(
    "data", [{"rows": 3}, {"rows": {}}, {"rows": None, "error": "x"}], ids=["number", "map", "null"]
)
@pytest.mark.parametrize(
    "name", [name for name in PROVIDER.feed_names if name not in ("streams", "stream_countries")]
)
def test_data_with_none_of_the_documented_keys_is_refused(name, data):
    """It is no answer to the call, however much it is called a success."""
    with pytest.raises(SchemaError, match=r"\$\.data: an object with none of: "):
        answer(name, data, span=DAYS if name == "transcoders" else HOURS)


def test_what_a_refusal_says_is_nothing_of_the_vendors():
    account = feed("account")
    (request,) = account.requests(ask())
    body = b'{"status": "success", "data": {"bandwidth": {"2020-03-01T00:00:00Z": {"k3y": 1}}}}'
    with pytest.raises(SchemaError) as refusal:
        read_answer(account, request, body, ask())
    assert str(refusal.value) == (
        "/api/analytics/account/series: $.data.bandwidth[…]: an object with none of:"
        " bytesIn, bytesOut"
    )


@pytest.mark.parametrize("series", ["bandwidth", "standardStream", "restream", "geoCascade"])
def test_a_bucket_with_none_of_the_documented_keys_is_refused(series):
    data = {series: {FIRST: MOVED, SECOND: {"rows": 3}}}
    with pytest.raises(SchemaError, match=rf"\$\.data\.{series}\[…\]: an object with none of: "):
        usage("account", data)


def test_an_empty_bucket_says_nothing():
    data: dict[str, object] = {
        key: {FIRST: {}} for key in ("bandwidth", "standardStream", "restream", "geoCascade")
    }
    assert usage("account", data) == {}


def test_the_accounts_own_total_may_leave_amounts_out_but_not_be_another_thing():
    window = Window(START, START + DAY)
    account = feed("account")
    (request,) = account.totals(window)

    def told(data):
        body = json.dumps({"status": "success", "data": data}).encode()
        rows = account.read_totals(request, body, now=START + 2 * DAY).usage
        return {row.measure.name: row.amount for row in rows}

    assert told({"bytesIn": 5.0, "bytesOut": None}) == {"media_received_bytes_total": 5}
    assert told({"bytesOut": 7}) == {"media_delivered_bytes_total": 7}
    assert told({"restream": MOVED}) == told({}) == told(None) == {}
    with pytest.raises(SchemaError):
        told({"rows": 3})
    with pytest.raises(SchemaError):
        told({"bytesIn": 5.5})


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


@pytest.mark.parametrize("name", ["streams", "stream_countries"])
@pytest.mark.parametrize("data", [{"rows": 3}, {"rows": "x"}, {"lobby": 3}, {"lobby": [3]}])
def test_data_that_is_no_map_of_streams_is_refused(name, data):
    with pytest.raises(msgspec.ValidationError):
        usage(name, {"geo": data} if name == "stream_countries" else data, names=["lobby"])


@pytest.mark.parametrize("thing", [{"rows": 3}, {"bandwidth": None}, {}, [], None])
@pytest.mark.parametrize("name", ["streams", "stream_countries"])
def test_whatever_object_another_stream_is_says_nothing(name, thing):
    data = {"other": {} if name == "stream_countries" and thing else thing}
    assert usage(name, {"geo": data} if "_" in name else data, names=["lobby"]) == {}


@pytest.mark.parametrize("components", [False, True])
def test_a_stream_with_none_of_the_documented_keys_is_refused(components):
    options = {"names": ["lobby"], "stream_components": components}
    with pytest.raises(SchemaError, match=r"\$\.data\[…\]: an object with none of: "):
        usage("streams", {"lobby": {"rows": 3}}, **options)
    with pytest.raises(SchemaError, match=r"\$\.data\[…\]\.bandwidth\[…\]: an object with none"):
        usage("streams", {"lobby": {"bandwidth": {FIRST: {"rows": 3}}}}, **options)
    assert usage("streams", {"lobby": {"restream": {}}}, **options) == {}


def test_a_streams_bucket_and_its_amounts_may_be_null_or_absent():
    data = {"lobby": {"bandwidth": {FIRST: None, SECOND: {"bytesOut": 7, "bytesIn": None}}}}
    assert usage("streams", data, names=["lobby"]) == {
        ("media_stream_delivered_bytes_total", "live", "lobby"): {1: 7}
    }


COMPONENTS = {
    "bandwidth": {FIRST: {"bytesIn": 5, "bytesOut": 100}},
    "standardStream": {FIRST: {"bytesIn": 5, "bytesOut": 70}},
    "restream": {FIRST: {"bytesIn": 0, "bytesOut": 20.0, "secondsUsed": 1.5}, SECOND: {}},
    "geoCascade": {FIRST: {"bytesOut": 10}, SECOND: None},
}


def test_components_of_streams_are_told_when_they_are_asked_for():
    """By default they are not: they are four more series for each stream."""
    whole = {
        ("media_stream_received_bytes_total", "live", "lobby"): {0: 5},
        ("media_stream_delivered_bytes_total", "live", "lobby"): {0: 100},
    }
    delivered = "media_stream_component_delivered_bytes_total"
    data = {"lobby": COMPONENTS}
    assert usage("streams", data, names=["lobby"]) == whole
    assert usage("streams", data, names=["lobby"], stream_components=True) == whole | {
        (delivered, "live", "lobby", "standard"): {0: 70},
        (delivered, "live", "lobby", "restream"): {0: 20},
        (delivered, "live", "lobby", "geo_cascade"): {0: 10},
        ("media_stream_restream_seconds_total", "live", "lobby"): {0: 1500},
    }


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_components_of_a_stream_may_be_absent_null_or_empty(nothing):
    options = {"names": ["lobby"], "stream_components": True}
    for stream in (nothing, {"standardStream": nothing}, {"restream": {FIRST: None}}):
        assert usage("streams", {"lobby": stream}, **options) == {}
    with pytest.raises(SchemaError, match=r"\$\.data\[…\]\.restream\[…\]: an object with none"):
        usage("streams", {"lobby": {"restream": {FIRST: {"rows": 3}}}}, **options)


def test_components_are_promised_only_when_they_are_told():
    more = {measures.STREAM_COMPONENT_DELIVERED_BYTES, measures.STREAM_RESTREAM_SECONDS}
    assert not more & set(feed("streams").measures)
    assert more == set(feed("streams", stream_components=True).measures) - set(
        feed("streams").measures
    )
    assert measures.STREAM_RESTREAM_SECONDS not in feed("account", stream_components=True).measures


@pytest.mark.parametrize("components", [False, True])
def test_what_streams_add_up_to_is_the_accounts(components):
    """By what the pairs say, idle streams need not be asked for."""
    assert feed("streams", stream_components=components).measure_pairs == (
        (measures.RECEIVED_BYTES, measures.STREAM_RECEIVED_BYTES),
        (measures.DELIVERED_BYTES, measures.STREAM_DELIVERED_BYTES),
    )
    assert feed("stream_countries").measure_pairs == (
        (measures.COUNTRY_RECEIVED_BYTES, measures.STREAM_COUNTRY_RECEIVED_BYTES),
        (measures.COUNTRY_DELIVERED_BYTES, measures.STREAM_COUNTRY_DELIVERED_BYTES),
        (measures.COUNTRY_VIEWING_SECONDS, measures.STREAM_COUNTRY_VIEWING_SECONDS),
        (measures.COUNTRY_VIEWS, measures.STREAM_COUNTRY_VIEWS),
        (measures.COUNTRY_PUBLISHES, measures.STREAM_COUNTRY_PUBLISHES),
    )


@pytest.mark.parametrize("name", PROVIDER.feed_names)
def test_only_a_breakdown_by_stream_has_parts(name):
    assert isinstance(feed(name), StreamBreakdown) == feed(name).needs_streams


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


@pytest.mark.parametrize("nothing", [None, "absent"])
def test_a_countrys_amounts_may_be_null_or_absent(nothing):
    """No row for what is not told: a country without `bytesIn` has what it has."""
    full = {"bytesIn": 5, "bytesOut": 7, "duration": 1, "views": 2, "publishes": 3}
    family = {
        "bytesIn": "received_bytes",
        "bytesOut": "delivered_bytes",
        "duration": "viewing_seconds",
        "views": "views",
        "publishes": "publishes",
    }
    for field, measure in family.items():
        told: dict[str, int | None] = {name: value for name, value in full.items() if name != field}
        if nothing is None:
            told[field] = None
        rows = usage("countries", {"geo": {FIRST: {"US": told, "MX": None}}})
        gone = (f"media_country_{measure}_total", "live", "US")
        assert gone not in rows
        assert len(rows) == len(full) - 1
        by_stream = {"geo": {"lobby": {FIRST: {"US": told, "MX": None}}}}
        assert len(usage("stream_countries", by_stream, names=["lobby"])) == len(full) - 1


def test_a_country_with_none_of_the_documented_keys_is_refused():
    """An empty one, or one of which only publishing is told, is not."""
    data = {FIRST: {"US": MOVED, "MX": {"rows": 3}}}
    with pytest.raises(SchemaError, match=r"\$\.data\.geo\[…\]\[…\]: an object with none of: "):
        usage("countries", {"geo": data})
    with pytest.raises(SchemaError, match=r"\$\.data\.geo\[…\]\[…\]\[…\]: an object with none"):
        usage("stream_countries", {"geo": {"lobby": data}}, names=["lobby"])
    assert usage("countries", {"geo": {FIRST: {"MX": {}, "US": {"publishDuration": 3}}}}) == {}


def test_streams_by_country_are_told_under_geo():
    with pytest.raises(SchemaError, match=r"\$\.data: an object with none of: geo"):
        usage("stream_countries", {"lobby": {FIRST: {"US": MOVED}}}, names=["lobby"])


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


@pytest.mark.parametrize("day", [[], None, [None], [{}], [{"transcoderId": "a"}]])
def test_a_day_without_transcoding_is_not_told(day):
    assert usage("transcoders", {"transcoder": {FIRST: day}}, span=DAYS) == {}
    assert usage("transcoders", {"transcoder": None}, span=DAYS) == {}


def test_a_transcoder_with_none_of_the_documented_keys_is_refused():
    data = {"transcoder": {FIRST: [{"minutesUsed": 1}, {"rows": 3}]}}
    with pytest.raises(SchemaError, match=r"\$\.data\.transcoder\[…\]\[…\]: an object with none"):
        usage("transcoders", data, span=DAYS)


def test_transcoding_without_its_days_is_refused():
    """The vendor's answer has the account's id beside them, of which nothing can be told."""
    with pytest.raises(SchemaError):
        usage("transcoders", {"streamAccountId": "PbyMpY"}, span=DAYS)


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


def test_stored_sizes_may_be_whole_floats_null_or_absent():
    levels = answer("storage", {"recordings": 4.0, "clips": None}).levels
    assert [(level.labels, level.value) for level in levels] == [(("recordings",), 4)]
    assert type(levels[0].value) is int
    assert not answer("storage", {"totalBytes": 10}).levels
    with pytest.raises(SchemaError):
        answer("storage", {"recordings": 4.5})


# --- Viewers and discovery ------------------------------------------------------------------------


def stream(name, viewers=0, *, live=True, stream_id=None):
    row = {"streamName": name, "live": live, "viewerCount": viewers}
    return row | {"streamId": f"x/{name}" if stream_id is None else stream_id}


def summary(data):
    return json.dumps({"status": "success", "data": data}).encode()


def fetched(polled, get):
    """What a poll of the feed brings from a vendor whose answer to a request `get` gives."""

    async def answered(request, _feed):
        return get(request)

    return asyncio.run(PollFetcher(answered).fetch(polled, [ask()]))


def levels(*pages, **options):
    """The levels that come of these pages of the summary."""

    def get(request):
        return summary(pages[int(dict(request.params)["page"]) - 1])

    return {
        (level.measure.name, *level.labels): level.value
        for level in fetched(feed("viewers", **options), get).levels
    }


def listing(*rows, pages=1):
    return {"data": list(rows), "pagination": {"totalPages": pages}}


def test_viewers_are_those_of_live_streams_summed_by_name():
    """Two streams may have one name; what has no name is `unknown`."""
    rows = (
        stream("a", 2),
        stream("a", 3.0, stream_id="y/a"),
        stream("b", 9, live=False),
        stream(None, 1),
    )
    assert levels(listing(*rows)) == {
        ("media_viewers", "live"): 6,
        ("media_streams_live", "live"): 3,
        ("media_stream_viewers", "live", "a"): 5,
        ("media_stream_viewers", "live", "unknown"): 1,
    }


def test_a_stream_on_two_pages_counts_once_as_it_was_listed_last():
    """The list shifts while its pages are read."""
    first = listing(stream("a", 2), stream("b", 3), stream("c", 4), pages=2)
    second = listing(stream("b", 5), stream("c", 4, live=False), stream("d", 1), pages=2)
    assert levels(first, second) == {
        ("media_viewers", "live"): 8,
        ("media_streams_live", "live"): 3,
        ("media_stream_viewers", "live", "a"): 2,
        ("media_stream_viewers", "live", "b"): 5,
        ("media_stream_viewers", "live", "d"): 1,
    }


@pytest.mark.parametrize("nothing", ["", None])
def test_rows_without_an_id_add_up(nothing):
    rows = [stream("a", 2) | {"streamId": nothing}, stream("a", 3) | {"streamId": nothing}]
    assert levels(listing(rows[0], pages=2), listing(rows[1], pages=2)) == {
        ("media_viewers", "live"): 5,
        ("media_streams_live", "live"): 2,
        ("media_stream_viewers", "live", "a"): 5,
    }


def test_a_row_may_be_null_or_leave_its_fields_out():
    """Whether a stream is live that does not say so is unknown; its name is known all the same."""
    rows: tuple[object, ...] = (
        None,
        {"streamId": "x/a", "streamName": "a", "viewerCount": 2},
        {"live": True},
        {},
    )
    assert levels(listing(*rows)) == {
        ("media_viewers", "live"): 0,
        ("media_streams_live", "live"): 1,
    }
    assert answer("viewers", listing(*rows)).streams == ["a"]


def test_a_row_with_none_of_the_documented_keys_is_refused():
    with pytest.raises(SchemaError, match=r"\$\.data\.data\[…\]: an object with none of: "):
        answer("viewers", listing(stream("a"), {"rows": 3}))


def test_a_page_of_which_only_the_number_is_told_says_nothing():
    """Absent is not zero."""
    assert levels({"pagination": {"totalPages": 1}}) == {}


class Picky:
    """A vendor that refuses pages of more than `most` streams, or from `page` on."""

    def __init__(self, most, page=1):
        self.most = most
        self.page = page
        self.asked = []

    def __call__(self, request):
        params = dict(request.params)
        page, size = int(params["page"]), int(params["itemsOnPage"])
        self.asked.append((page, size))
        if size > self.most and page >= self.page:
            raise InvalidRequestError("400")
        return summary(listing(stream(f"s{page}", 1), pages=2))


@pytest.mark.parametrize(
    ("most", "asked"),
    [
        (100, [(1, 100), (2, 100)]),
        (19, [(1, 100), (1, 19), (2, 19)]),
        (10, [(1, 100), (1, 19), (1, 10), (2, 10)]),
    ],
)
def test_a_refused_size_of_page_leads_to_a_smaller_one_that_is_remembered(most, asked):
    polled = feed("viewers")
    vendor = Picky(most)
    found = fetched(polled, vendor)
    assert vendor.asked == asked
    assert len(found.levels) == 4
    assert not found.remarks
    vendor.asked.clear()
    fetched(polled, vendor)
    assert vendor.asked == asked[-2:]


def test_a_smaller_page_begins_at_the_first_and_no_stream_counts_twice():
    vendor = Picky(19, page=2)
    found = fetched(feed("viewers"), vendor)
    assert vendor.asked == [(1, 100), (2, 100), (1, 19), (2, 19)]
    assert {level.measure.name: level.value for level in found.levels}["media_viewers"] == 2


def test_when_the_smallest_page_is_refused_the_error_stands():
    polled = feed("viewers")
    vendor = Picky(9)
    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            fetched(polled, vendor)
    assert vendor.asked == 2 * [(1, 100), (1, 19), (1, 10)]


@pytest.mark.parametrize("error", [NotFoundError(), ServerError()])
def test_other_errors_of_the_summary_stand(error):
    polled = feed("viewers")
    (request,) = polled.requests(ask())
    assert polled.refused(request, error) is None


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
        ({"totalPages": 2.0}, ["2"]),
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
    found = answer("viewers", {"data": [stream("a", 1), stream("b", 1) | {"streamId": None}]})
    told = [*found.levels, *(level for item in found.items for level in item.levels)]
    assert {level.merge for level in told} == {"sum"}


def test_an_unknown_number_of_viewers_is_no_sample():
    data = {"data": [{"streamName": "a", "live": True, "viewerCount": None}]}
    assert levels(data | {"pagination": {"totalPages": 1}}) == {
        ("media_viewers", "live"): 0,
        ("media_streams_live", "live"): 1,
    }


def test_patterns_choose_what_is_discovered_and_configured_names_are_exempt():
    data = listing(stream("lobby", 1), stream("test-1", 2), stream("test-2", 4), stream("x", 8))
    options = {"include": ("test-*", "x"), "exclude": ("*-2", "lobby"), "streams": ("lobby",)}
    assert answer("viewers", data, **options).streams == ["lobby", "test-1", "x"]
    told = levels(data, **options)
    assert ("media_stream_viewers", "live", "test-2") not in told
    assert told["media_viewers", "live"] == 15


def test_discovery_can_be_switched_off():
    off = feed("viewers", discover=False)
    assert feed("viewers").discovers
    assert not off.discovers
    assert not answer("viewers", listing(stream("a", 1)), discover=False).streams
    assert levels(listing(stream("a", 1)), discover=False) == levels(listing(stream("a", 1)))


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


@pytest.mark.parametrize(("key", "told"), [("secondsUsed", [2000]), ("duration", [])])
def test_restreaming_is_told_in_seconds_used_and_by_no_other_name(key, told):
    """Tracking calls name it `duration`; in the series that is no field, and not recorded."""
    moved = {"bytesIn": 0, "bytesOut": 1}
    data = {"bandwidth": {FIRST: moved}, "restream": {FIRST: {**moved, key: 2}}}
    rows = answer("account", data).usage
    assert [row.amount for row in rows if row.measure is measures.RESTREAM_SECONDS] == told


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
