"""Wowza Video: what each answer means, quirk by quirk."""

import asyncio
import json
from datetime import UTC, datetime

import msgspec
import pytest

from exporter.client.fetch import PollFetcher
from exporter.model import DAY, HOUR, Ask, BearerToken, Span, Step, Window
from exporter.model.errors import ForbiddenError, NotFoundError, SchemaError
from exporter.providers.wowza import PROVIDER, VERSIONS
from exporter.providers.wowza.asking import CLOCK_SKEW_SECONDS

DEFAULTS = {option.key: option.default for option in PROVIDER.options}
START = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp())
SPAN = Span(Window(START, START + HOUR), Step.HOUR)
ASK = Ask(START + 2 * HOUR, (SPAN,))
OPEN = Ask(START + HOUR // 2, (SPAN,))
LIMITS = {"from": "2026-03-01T10:00:00.000Z", "to": "2026-03-01T11:00:00.000Z"}
WATCHED = {"viewing_seconds": 3, "viewing_bytes": 5}


def feed(name, **options):
    (found,) = PROVIDER.feeds([name], DEFAULTS | options)
    return found


def request_to(polled, ending, asked=ASK):
    return next(each for each in polled.requests(asked) if each.path.endswith(ending))


def answer(name, ending, document, *, asked=ASK, **options):
    polled = feed(name, **options)
    request = request_to(polled, ending, asked)
    return polled.parse(request, json.dumps(document).encode(), asked)


def rows(found):
    listed = [row for item in found.items for row in item.usage]
    return {(row.measure.name, *row.labels): row.amount for row in (*found.usage, *listed)}


def told(found):
    listed = [level for item in found.items for level in item.levels]
    return {(level.measure.name, *level.labels): level.value for level in (*found.levels, *listed)}


def poll(name, bodies, *, asked=ASK, **options):
    """All that a poll of one feed comes to; `bodies` are the answers by path and page key."""

    async def get(request, _):
        page = dict(request.params).get("next_page_key") or dict(request.params).get("page")
        path = request.path.removeprefix("/api/v1.11")
        return json.dumps(bodies[f"{path}?{page}" if page else path]).encode()

    return asyncio.run(PollFetcher(get).fetch(feed(name, **options), [asked]))


def paths(polled, asked=ASK):
    return [each.path for each in polled.requests(asked)]


# --- Windows --------------------------------------------------------------------------------------


def test_an_hour_is_asked_for_exactly():
    request = request_to(feed("vod_streams"), "/usage/vod_streams")
    assert request.path == "/api/v1.11/usage/vod_streams"
    assert request.params == (
        ("from", "2026-03-01 10:00:00"),
        ("to", "2026-03-01 11:00:00"),
        ("per_page", "1000"),
    )


def test_every_span_is_a_request_of_its_own_and_a_bucket_of_its_own():
    """A window's answer is one total, so a bucket is a whole window."""
    later = Span(Window(START + DAY, START + 2 * DAY), Step.DAY)
    asked = Ask(START + 3 * DAY, (SPAN, later))
    account = feed("account")
    requests = list(account.requests(asked))
    buckets = [
        {
            (row.start, row.width)
            for row in account.parse(each, json.dumps({"account": WATCHED}).encode(), asked).usage
        }
        for each in requests
    ]
    assert buckets == [{(START, HOUR)}, {(START + DAY, DAY)}]
    assert {each.longest for each in account.resolutions} == {HOUR, DAY}


@pytest.mark.parametrize(
    "limits",
    [
        LIMITS,
        None,
        {},
        {"from": None, "to": None},
        {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T10:59:59.999Z"},
        {"from": "2026-03-01", "to": "2026-03-01T11:00:00Z"} | {"from": "2026-03-01 10:00:00"},
    ],
)
def test_the_window_that_was_asked_for_is_recorded(limits):
    assert rows(answer("account", "/account", {"account": WATCHED, "limits": limits}))


WRONG = [
    {**LIMITS, "from": "2026-03-01T09:00:00.000Z"},
    {**LIMITS, "from": "2026-03-01T10:30:00.000Z"},
    {**LIMITS, "to": "2026-03-01T12:00:00.000Z"},
    {**LIMITS, "to": "2026-03-01T10:59:00.000Z"},
    {**LIMITS, "to": "soon"},
]


@pytest.mark.parametrize("limits", WRONG)
@pytest.mark.parametrize("inside", [False, True])
def test_another_window_is_refused_beside_or_inside(limits, inside):
    document = (
        {"account": {**WATCHED, "limits": limits}}
        if inside
        else {"account": WATCHED, "limits": limits}
    )
    with pytest.raises(SchemaError, match=r"\$\.limits"):
        answer("account", "/account", document)


@pytest.mark.parametrize(
    ("name", "ending", "document"),
    [
        ("vod_streams", "/vod_streams", {"vod_streams": []}),
        ("vod_streams", "/summary", {"summary": WATCHED}),
        ("vod_trends", "/vod_streams", {"vod_streams": []}),
    ],
)
def test_every_usage_answer_has_its_window_checked(name, ending, document):
    assert answer(name, ending, {**document, "limits": LIMITS})
    with pytest.raises(SchemaError):
        answer(name, ending, {**document, "limits": WRONG[0]})


@pytest.mark.parametrize("end", ["10:00:01", "10:30:00", "11:00:00"])
def test_the_end_of_an_open_window_may_be_cut(end):
    limits = {**LIMITS, "to": f"2026-03-01T{end}.000Z"}
    assert rows(answer("account", "/account", {"account": WATCHED, "limits": limits}, asked=OPEN))


@pytest.mark.parametrize("end", ["09:49:59", "11:00:01"])
def test_an_open_window_ends_within_what_was_asked(end):
    limits = {**LIMITS, "to": f"2026-03-01T{end}.000Z"}
    with pytest.raises(SchemaError):
        answer("account", "/account", {"account": WATCHED, "limits": limits}, asked=OPEN)


AFTER_THE_HOUR = Ask(START + 5, (SPAN,))
"""The hour that was asked for began five seconds ago, by our clock."""


@pytest.mark.parametrize(
    ("name", "ending", "document"),
    [
        ("account", "/account", {"account": WATCHED}),
        ("vod_streams", "/vod_streams", {"vod_streams": [{"id": "a", **WATCHED}]}),
        ("vod_streams", "/summary", {"summary": WATCHED}),
        ("vod_trends", "/vod_streams", {"vod_streams": [{"id": "a", **WATCHED}]}),
    ],
)
@pytest.mark.parametrize("end", ["10:00:00", "09:59:58", "09:56:00"])
def test_an_hour_that_has_not_begun_by_the_vendors_clock_has_nothing_yet(
    name, ending, document, end
):
    """It cuts the window's end to its own now, which is before the window's beginning."""
    limits = {**LIMITS, "to": f"2026-03-01T{end}.000Z"}
    found = answer(name, ending, {**document, "limits": limits}, asked=AFTER_THE_HOUR)
    assert (rows(found), list(found.follow)) == ({}, [])


def test_an_open_window_that_is_cut_to_its_own_beginning_has_nothing_yet():
    """A vendor may cut to the hour; what it tells then is about no time at all."""
    limits = {**LIMITS, "to": LIMITS["from"]}
    document = {"account": WATCHED, "limits": limits}
    assert not rows(answer("account", "/account", document, asked=OPEN))


@pytest.mark.parametrize(
    ("inside", "beside"), [("09:59:58", "10:00:01"), ("10:00:01", "09:59:58"), ("09:59:58", None)]
)
def test_limits_inside_the_object_tell_as_much_of_the_vendors_clock_as_those_beside_it(
    inside, beside
):
    inner, outer = (end and {**LIMITS, "to": f"2026-03-01T{end}.000Z"} for end in (inside, beside))
    told = {**WATCHED, "limits": inner}
    for name, ending, key in (
        ("vod_streams", "/summary", "summary"),
        ("account", "/account", "account"),
    ):
        document = {key: told, "limits": outer}
        assert not rows(answer(name, ending, document, asked=AFTER_THE_HOUR))


def test_details_about_no_time_at_all_are_not_counted():
    limits = {**LIMITS, "to": "2026-03-01T09:59:58.000Z"}
    document = {"vod_stream": {"egress_bytes": 5}, "limits": limits}
    assert rows(detail({**document, "limits": None}, asked=AFTER_THE_HOUR))
    assert not rows(detail(document, asked=AFTER_THE_HOUR))


@pytest.mark.parametrize("start", ["09:00:00", "09:59:58", "09:59:59"])
def test_no_clock_excuses_a_window_that_begins_elsewhere(start):
    limits = {"from": f"2026-03-01T{start}.000Z", "to": "2026-03-01T09:59:59.000Z"}
    with pytest.raises(SchemaError, match=r"\$\.limits\.from"):
        answer("account", "/account", {"account": WATCHED, "limits": limits}, asked=AFTER_THE_HOUR)


def test_an_error_about_limits_quotes_none_of_the_vendors_text():
    for name in ("from", "to"):
        limits = {**LIMITS, name: "2026-03-01T03:04:05.678Z"}
        with pytest.raises(SchemaError) as raised:
            answer("account", "/account", {"account": WATCHED, "limits": limits})
        assert "03:04" not in str(raised.value)


def test_an_hour_that_is_not_over_by_the_vendors_clock_is_recorded_so_far():
    limits = {**LIMITS, "to": "2026-03-01T10:59:50.000Z"}
    just_over = Ask(START + HOUR + 5, (SPAN,))
    document = {"account": WATCHED, "limits": limits}
    assert rows(answer("account", "/account", document, asked=just_over))
    last = Ask(START + HOUR + CLOCK_SKEW_SECONDS - 1, (SPAN,))
    assert rows(answer("account", "/account", document, asked=last))
    long_over = Ask(START + HOUR + CLOCK_SKEW_SECONDS, (SPAN,))
    with pytest.raises(SchemaError, match=r"\$\.limits\.to"):
        answer("account", "/account", document, asked=long_over)


def test_a_clock_that_is_further_off_is_not_excused():
    limits = {**LIMITS, "to": "2026-03-01T09:54:00.000Z"}
    with pytest.raises(SchemaError, match=r"\$\.limits\.to"):
        answer("account", "/account", {"account": WATCHED, "limits": limits}, asked=AFTER_THE_HOUR)


@pytest.mark.parametrize("name", ["from", "to"])
def test_a_time_before_the_year_2000_is_no_limit(name):
    limits = {**LIMITS, name: "0001-01-01T00:00:00Z"}
    assert rows(answer("account", "/account", {"account": WATCHED, "limits": limits}))


def test_an_object_without_any_keys_is_of_an_idle_account():
    assert not rows(answer("vod_streams", "/summary", {"summary": {}}))
    for key in ("account", "accounts"):
        assert not rows(answer("account", "/account", {key: {}}))


# --- Lists and summaries --------------------------------------------------------------------------


def test_the_account_is_told_by_the_summary_and_never_by_the_list():
    listed = answer("vod_streams", "/vod_streams", {"vod_streams": [{"id": "a", **WATCHED}]})
    assert rows(listed) == {
        ("media_stream_delivered_bytes_total", "vod", "a"): 5,
        ("media_stream_viewing_seconds_total", "vod", "a"): 3000,
    }
    egress = {"egress_bytes": 7, "egress_seconds": 0.5}
    assert rows(answer("vod_streams", "/summary", {"summary": WATCHED | egress})) == {
        ("media_delivered_bytes_total", "vod"): 5,
        ("media_viewing_seconds_total", "vod"): 3000,
        ("media_egress_bytes_total", "vod"): 7,
        ("media_egress_seconds_total", "vod"): 500,
    }


def test_the_names_before_1_8_are_read_too():
    """Versions: `viewing_time` and `bytes`."""
    old = {"id": "a", "viewing_time": 3, "bytes": 5, "unique_viewers": 1}
    assert rows(answer("vod_streams", "/vod_streams", {"vod_streams": [old]})) == {
        ("media_stream_delivered_bytes_total", "vod", "a"): 5,
        ("media_stream_viewing_seconds_total", "vod", "a"): 3000,
    }


@pytest.mark.parametrize(
    ("name", "kind", "item", "measures"),
    [
        ("stream_targets", "live", WATCHED, {"delivered_bytes", "viewing_seconds"}),
        (
            "transcoders",
            "transcoder",
            {"egress_bytes": 5, "egress_seconds": 3, "egress_seconds_additional_targets": 9},
            {"egress_bytes", "egress_seconds"},
        ),
        (
            "real_time_streams",
            "realtime",
            {"bytes_in": 5, "bytes_out": 3},
            {"received_bytes", "delivered_bytes"},
        ),
    ],
)
def test_the_siblings_have_a_kind_of_their_own(name, kind, item, measures):
    listed = rows(answer(name, f"/{name}", {name: [{"id": 7, **item}]}))
    assert listed.keys() == {(f"media_stream_{each}_total", kind, "7") for each in measures}
    summed = rows(answer(name, "/summary", {"summary": item}))
    assert summed.keys() == {(f"media_{each}_total", kind) for each in measures}


@pytest.mark.parametrize(
    ("archived", "label"),
    [({"archived": True}, "true"), ({"archived": False}, "false"), ({}, "unknown")],
)
def test_a_deleted_stream_that_still_bills_says_so(archived, label):
    item = {"id": "a", "name": "My stream", **WATCHED, **archived}
    found = answer("vod_streams", "/vod_streams", {"vod_streams": [item]})
    assert told(found) == {("media_stream_info", "vod", "a", "My stream", label): 1}
    assert found.items[0].levels[0].merge == "greatest"


def test_a_stream_without_a_name_is_unknown():
    found = answer("vod_streams", "/vod_streams", {"vod_streams": [{"id": "a", **WATCHED}]})
    assert ("media_stream_info", "vod", "a", "unknown", "unknown") in told(found)


def test_the_name_of_a_stream_is_that_of_the_newest_hour_that_lists_it():
    """Whichever answer comes first; an idle hour lists the stream no more."""
    spans = [
        Span(Window(START + hour * HOUR, START + (hour + 1) * HOUR), Step.HOUR) for hour in range(3)
    ]
    names = {"10": "first", "11": "second", "12": None}

    async def get(request, _):
        name = names[dict(request.params)["from"][11:13]]
        if request.path.endswith("/summary"):
            return json.dumps({"summary": WATCHED}).encode()
        listed = [] if name is None else [{"id": "a", "name": name, "archived": name == "first"}]
        return json.dumps({"vod_streams": listed}).encode()

    for order in (spans, spans[::-1]):
        asked = Ask(START + 3 * HOUR, tuple(order))
        found = asyncio.run(PollFetcher(get).fetch(feed("vod_streams"), [asked]))
        assert [level.labels for level in found.levels] == [("vod", "a", "second", "false")]


@pytest.mark.parametrize(
    ("ending", "document"),
    [
        ("/vod_streams", {}),
        ("/vod_streams", {"rows": 3}),
        ("/vod_streams", {"stream_targets": []}),
        ("/vod_streams", {"vod_streams": [WATCHED]}),
        ("/vod_streams", {"vod_streams": [None]}),
        ("/vod_streams", {"vod_streams": [{"id": None, **WATCHED}]}),
        ("/vod_streams", {"vod_streams": [{"id": " ", **WATCHED}]}),
        ("/vod_streams", {"vod_streams": [{"id": "a", **WATCHED, "viewing_bytes": -1}]}),
        ("/vod_streams", {"vod_streams": [{"id": "a", **WATCHED, "viewing_bytes": 0.5}]}),
        ("/vod_streams", {"vod_streams": [{"id": "a", **WATCHED, "viewing_bytes": "5"}]}),
        ("/vod_streams", {"vod_streams": {}}),
        ("/summary", {}),
        ("/summary", {"rows": 3}),
        ("/summary", {"summary": {"rows": 3}}),
        ("/summary", {"summary": {"bytes_in": 3}}),
        ("/summary", {"summary": [WATCHED]}),
        ("/summary", {"summary": {**WATCHED, "viewing_seconds": 2**53 + 1}}),
        ("/summary", {"summary": {**WATCHED, "egress_bytes": 0.5}}),
    ],
)
def test_what_is_missing_or_impossible_is_refused(ending, document):
    with pytest.raises((SchemaError, msgspec.ValidationError)):
        answer("vod_streams", ending, document)


def test_a_fraction_of_a_byte_is_named_by_its_path_and_not_by_its_stream():
    with pytest.raises(SchemaError, match=r"^\$\.vod_streams\[…\]\.viewing_bytes: "):
        answer("vod_streams", "/vod_streams", {"vod_streams": [{"id": "a", "viewing_bytes": 0.5}]})


@pytest.mark.parametrize("name", ["vod_streams", "transcoders"])
def test_a_stream_on_two_pages_counts_once_as_the_later_page_has_it(name):
    """Lists shift while they are read, by key or by number."""
    amount, measure = {
        "vod_streams": ("viewing_bytes", "media_stream_delivered_bytes_total"),
        "transcoders": ("egress_bytes", "media_stream_egress_bytes_total"),
    }[name]
    following = {
        "vod_streams": {"next_page_key": 2},
        "transcoders": {"page": 1.0, "total_pages": 2.0},
    }[name]
    first = [{"id": "a", "name": "A", amount: 3}, {"id": "b", "name": "B", amount: 5}]
    found = poll(
        name,
        {
            f"/usage/{name}": {name: first, "pagination": following},
            f"/usage/{name}?2": {name: [{**first[1], amount: 6}, {"id": "c", amount: 7}]},
            f"/usage/{name}/summary": {"summary": {amount: 16}},
        },
    )
    by_stream = {row.labels[1]: row.amount for row in found.usage if row.measure.name == measure}
    assert by_stream == {"a": 3, "b": 6, "c": 7}
    assert len(found.levels) == 3


def test_details_of_a_stream_on_two_pages_are_asked_for_and_counted_once():
    pages = {
        "/usage/vod_streams": {
            "vod_streams": [{"id": "a"}, {"id": "b"}],
            "pagination": {"next_page_key": "k"},
        },
        "/usage/vod_streams?k": {"vod_streams": [{"id": "b"}]},
        "/usage/vod_streams/a": {"vod_stream": {"egress_bytes": 3}},
        "/usage/vod_streams/b": {"vod_stream": {"egress_bytes": 5}},
    }
    found = poll("vod_trends", pages)
    assert {row.labels: row.amount for row in found.usage} == {("vod", "a"): 3, ("vod", "b"): 5}
    assert found.requests == 4


def test_counts_may_be_written_as_floats_without_a_fraction():
    item = {"id": "a", "viewing_seconds": 3.25, "viewing_bytes": 22886.0}
    found = rows(answer("vod_streams", "/vod_streams", {"vod_streams": [item]}))
    assert found == {
        ("media_stream_delivered_bytes_total", "vod", "a"): 22886,
        ("media_stream_viewing_seconds_total", "vod", "a"): 3250,
    }
    assert all(type(amount) is int for amount in found.values())
    summary = {"summary": {"bytes_in": 5.0, "bytes_out": 3e0}}
    assert rows(answer("real_time_streams", "/summary", summary)) == {
        ("media_received_bytes_total", "realtime"): 5,
        ("media_delivered_bytes_total", "realtime"): 3,
    }


@pytest.mark.parametrize("idle", [{}, {"viewing_seconds": None, "viewing_bytes": None}])
def test_an_idle_stream_without_amounts_is_known_by_name_and_has_no_usage(idle):
    item = {"id": "a", "name": "A", **idle}
    found = answer("vod_streams", "/vod_streams", {"vod_streams": [item, {"id": "b", **WATCHED}]})
    assert {labels[2] for labels in rows(found)} == {"b"}
    assert ("media_stream_info", "vod", "a", "A", "unknown") in told(found)


def test_an_amount_that_is_absent_is_not_zero_beside_one_that_is_told():
    item = {"id": "a", "viewing_seconds": 1, "viewing_bytes": None}
    assert rows(answer("vod_streams", "/vod_streams", {"vod_streams": [item]})) == {
        ("media_stream_viewing_seconds_total", "vod", "a"): 1000
    }


@pytest.mark.parametrize("name", ["vod_streams", "stream_targets", "transcoders"])
def test_a_list_that_is_null_is_empty(name):
    found = answer(name, f"/{name}", {name: None, "pagination": None, "limits": None})
    assert rows(found) == told(found) == {}
    assert not found.follow
    assert not answer("vod_trends", "/vod_streams", {"vod_streams": None}).follow


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (
            {"viewing_seconds": None, "viewing_bytes": 5},
            {("media_delivered_bytes_total", "vod"): 5},
        ),
        ({"egress_bytes": 7}, {("media_egress_bytes_total", "vod"): 7}),
        ({"viewing_seconds": None}, {}),
        (None, {}),
    ],
)
def test_a_summary_tells_only_of_amounts_that_it_holds(summary, expected):
    assert rows(answer("vod_streams", "/summary", {"summary": summary})) == expected


def test_a_summary_of_parts_alone_tells_nothing():
    """Its parts are documented keys, so that the object is the one asked for."""
    for name, part in (("stream_targets", "zones"), ("transcoders", "configurations")):
        assert not rows(answer(name, "/summary", {"summary": {part: None}}))


# --- Paging ---------------------------------------------------------------------------------------


def page(pagination, items=1):
    streams = [{"id": str(number), **WATCHED} for number in range(items)]
    return {"vod_streams": streams, "pagination": pagination}


@pytest.mark.parametrize(
    "pagination",
    [
        None,
        {},
        {"next_page_key": None},
        {"next_page_key": ""},
        {"payload_version": "2.0", "total_pages": 15},
        {"page": 1, "total_pages": 1},
        {"page": 1, "total_pages": 0},
    ],
)
def test_a_list_ends_without_a_key_or_at_its_last_page(pagination):
    """How the vendor ends a list by key is not documented; `pagination` may be missing."""
    assert not answer("vod_streams", "/vod_streams", page(pagination)).follow


def test_an_empty_page_ends_a_list():
    assert not answer("vod_streams", "/vod_streams", page({"next_page_key": "k"}, items=0)).follow


@pytest.mark.parametrize("payload_version", [2, 2.0, "2.0", None])
def test_a_key_leads_to_the_next_page_until_it_comes_back(payload_version):
    vod = feed("vod_streams")
    first = request_to(vod, "/vod_streams")
    body = json.dumps(page({"payload_version": payload_version, "next_page_key": "k"})).encode()
    (second,) = vod.parse(first, body, ASK).follow
    assert second.params == (*first.params, ("next_page_key", "k"))
    assert second.span == SPAN
    assert not vod.parse(second, body, ASK).follow


def test_a_page_number_leads_to_the_next_page():
    transcoders = feed("transcoders")
    first = request_to(transcoders, "/transcoders")
    item = {"id": "a", "egress_bytes": 1, "egress_seconds": 1}
    document = {"transcoders": [item], "pagination": {"page": 1, "total_pages": 3}}
    (second,) = transcoders.parse(first, json.dumps(document).encode(), ASK).follow
    (third,) = transcoders.parse(second, json.dumps(document).encode(), ASK).follow
    assert [dict(each.params)["page"] for each in (second, third)] == ["2", "3"]
    assert not transcoders.parse(third, json.dumps(document).encode(), ASK).follow


# --- Trends ---------------------------------------------------------------------------------------


def test_trends_ask_for_the_details_of_every_listed_stream():
    listed = {"vod_streams": [{"id": "a/b", **WATCHED}], "pagination": {"next_page_key": "k"}}
    trends = feed("vod_trends")
    (request,) = trends.requests(ASK)
    detail, following = trends.parse(request, json.dumps(listed).encode(), ASK).follow
    assert detail.path == "/api/v1.11/usage/vod_streams/a%2Fb"
    assert detail.params == request.params[:2]
    assert dict(following.params)["next_page_key"] == "k"
    document = {"vod_stream": {"id": "x", "egress_bytes": 5, "egress_seconds": 3, "trend": []}}
    assert rows(trends.parse(detail, json.dumps(document).encode(), ASK)) == {
        ("media_stream_egress_bytes_total", "vod", "a/b"): 5,
        ("media_stream_egress_seconds_total", "vod", "a/b"): 3000,
    }
    with pytest.raises(SchemaError):
        trends.parse(detail, json.dumps({**document, "limits": WRONG[0]}).encode(), ASK)


def test_trends_share_their_list_with_the_feed_of_streams():
    vod, trends = PROVIDER.feeds(["vod_streams", "vod_trends"], DEFAULTS)
    identities = {each.identity for each in vod.requests(ASK)}
    assert {each.identity for each in trends.requests(ASK)} <= identities


def test_a_stream_that_is_gone_is_done_without():
    trends = feed("vod_trends")
    (request,) = trends.requests(ASK)
    listed = json.dumps({"vod_streams": [{"id": "a"}]}).encode()
    (detail,) = trends.parse(request, listed, ASK).follow
    assert trends.refused(detail, NotFoundError()) == ()
    assert trends.refused(detail, ForbiddenError()) is None
    assert trends.refused(request, NotFoundError()) is None


def detail(document, *, asked=ASK):
    trends = feed("vod_trends")
    (request,) = trends.requests(asked)
    listed = json.dumps({"vod_streams": [{"id": "a"}]}).encode()
    (one,) = trends.parse(request, listed, asked).follow
    return trends.parse(one, json.dumps(document).encode(), asked)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({"egress_bytes": 5.0, "egress_seconds": None}, {"egress_bytes": 5}),
        ({"id": "a", "name": "A", "archived": None}, {}),
        ({"viewing_seconds": None}, {}),
        (None, {}),
    ],
)
def test_the_details_of_an_idle_stream_may_lack_its_amounts(stream, expected):
    assert rows(detail({"vod_stream": stream})) == {
        (f"media_stream_{name}_total", "vod", "a"): amount for name, amount in expected.items()
    }


@pytest.mark.parametrize(
    "document",
    [{}, {"rows": 3}, {"vod_stream": {}}, {"vod_stream": {"rows": 3}}, {"vod_stream": []}],
)
def test_details_with_none_of_their_keys_are_refused(document):
    with pytest.raises((SchemaError, msgspec.ValidationError)):
        detail(document)


# --- The account ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["account", "accounts"])
@pytest.mark.parametrize("wrap", [lambda account: account, lambda account: [account]])
def test_the_account_is_an_object_or_a_list_under_either_key(key, wrap):
    """Versions: the vendor's guide mixes the singular and the plural."""
    account = {**WATCHED, "egress_bytes": 7, "egress_seconds": 1}
    assert rows(answer("account", "/account", {key: wrap(account)})) == {
        ("media_account_delivered_bytes_total",): 5,
        ("media_account_viewing_seconds_total",): 3000,
        ("media_account_egress_bytes_total",): 7,
        ("media_account_egress_seconds_total",): 1000,
    }


@pytest.mark.parametrize("document", [{"limits": LIMITS}, {"rows": 3}, {}])
def test_an_answer_without_an_account_is_refused(document):
    with pytest.raises(SchemaError, match=r"\$\.account: missing"):
        answer("account", "/account", document)


@pytest.mark.parametrize("key", ["account", "accounts"])
@pytest.mark.parametrize("account", [{"rows": 3}, [{"rows": 3}], {"bytes_in": 3}])
def test_an_account_with_none_of_its_keys_is_refused(key, account):
    with pytest.raises(SchemaError, match=r"^\$\.accounts?: none of the documented keys"):
        answer("account", "/account", {key: account})


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"viewing_seconds": 3.5, "viewing_bytes": None}, {"viewing_seconds": 3500}),
        ({"egress_bytes": 7.0}, {"egress_bytes": 7}),
        ({"id": "x", "viewing_seconds": None}, {}),
        ({"id": "x"}, {}),
        ([], {}),
        (None, {}),
    ],
)
def test_an_amount_that_the_account_does_not_tell_is_no_row(account, expected):
    assert rows(answer("account", "/account", {"account": account})) == {
        (f"media_account_{name}_total",): amount for name, amount in expected.items()
    }


def test_an_account_that_is_null_leaves_the_other_key_to_be_read():
    found = answer("account", "/account", {"account": None, "accounts": [WATCHED]})
    assert len(rows(found)) == 2


@pytest.mark.parametrize(
    ("version", "route"), [("v1.8", "accounts"), ("v1.10", "accounts"), ("v1.11", "account")]
)
def test_the_route_of_the_account_is_tried_by_version_then_the_other_way(version, route):
    other = {"account": "accounts", "accounts": "account"}[route]
    account = feed("account", api_version=version)
    (request,) = account.requests(ASK)
    assert request.path == f"/api/{version}/usage/{route}"
    (second,) = account.refused(request, NotFoundError())
    assert second.path == f"/api/{version}/usage/{other}"
    assert second.params == request.params
    account.parse(second, json.dumps({"account": WATCHED}).encode(), ASK)
    assert paths(account) == [second.path], "the route that answered is remembered"


def test_an_account_found_nowhere_is_a_failure():
    account = feed("account")
    (request,) = account.requests(ASK)
    (second,) = account.refused(request, NotFoundError())
    assert account.refused(second, NotFoundError()) is None
    assert account.refused(request, ForbiddenError()) is None


def test_a_route_learnt_meanwhile_does_not_confuse_another_request():
    """Several hours are asked for at once; each finds its own way."""
    account = feed("account")
    (request,) = account.requests(ASK)
    (second,) = account.refused(request, NotFoundError())
    account.parse(second, json.dumps({"account": WATCHED}).encode(), ASK)
    assert account.refused(request, NotFoundError()) == [second]


# --- Versions -------------------------------------------------------------------------------------


def test_before_1_11_egress_has_a_summary_of_its_own():
    """Route changes: `/usage/vod_streams/egress` went away with 1.11."""
    root = "/api/v1.10/usage/vod_streams"
    assert paths(feed("vod_streams", api_version="v1.10")) == [
        root,
        f"{root}/summary",
        f"{root}/egress/summary",
    ]
    egress = {"summary": {"egress_bytes": 7}, "limits": LIMITS}
    assert rows(answer("vod_streams", "/egress/summary", egress, api_version="v1.10")) == {
        ("media_egress_bytes_total", "vod"): 7
    }


def test_before_1_11_real_time_streams_have_no_summary():
    root = "/api/v1.10/usage/real_time_streams"
    assert paths(feed("real_time_streams", api_version="v1.10")) == [root]
    assert len(paths(feed("real_time_streams"))) == 2


def test_before_1_11_viewers_are_told_for_the_account_alone():
    """Route changes: there was no /analytics."""
    assert paths(feed("viewers", api_version="v1.10")) == ["/api/v1.10/usage/accounts/live"]
    live = {"account": {"unique_viewers": 7, "countries": [{"code": "US", "unique_viewers": 4}]}}
    assert told(answer("viewers", "/live", live, api_version="v1.10")) == {
        ("media_viewers", "all"): 7,
        ("media_country_viewers", "all", "US"): 4,
    }


def test_before_1_11_single_streams_have_to_be_named():
    assert not paths(feed("stream_viewers", api_version="v1.10"))
    named = feed("stream_viewers", api_version="v1.10", streams=("a",))
    assert paths(named) == [
        "/api/v1.10/usage/vod_streams/a/live",
        "/api/v1.10/usage/stream_targets/a/live",
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_in_every_path(version):
    for name in PROVIDER.feed_names:
        every = paths(feed(name, api_version=version, streams=("a",)))
        assert every
        assert all(path.startswith(f"/api/{version}/") for path in every)


# --- Viewers --------------------------------------------------------------------------------------


def test_viewers_of_the_account_are_broken_down():
    account = {
        "viewers": 9,
        "countries": [{"code": "us", "viewers": 4}, {"code": None, "viewers": 1}, {"viewers": 2}],
        "renditions": [{"name": 720, "viewers": 5}, {"name": "720", "viewers": 1}],
        "devices": [{"name": "desktop", "viewers": 7}, {"name": None, "viewers": 1}],
    }
    found = answer("viewers", "/account", {"account": account})
    assert told(found) == {
        ("media_viewers", "all"): 9,
        ("media_country_viewers", "all", "US"): 4,
        ("media_country_viewers", "all", "unknown"): 3,
        ("media_rendition_viewers", "all", "720"): 6,
        ("media_device_viewers", "all", "Desktop"): 7,
        ("media_device_viewers", "all", "unknown"): 1,
    }
    assert {level.merge for level in found.levels} == {"greatest"}, "unique viewers never add up"


def test_a_breakdown_that_was_not_given_is_no_sample():
    found = answer("viewers", "/account", {"account": {"viewers": 0, "countries": None}})
    assert told(found) == {("media_viewers", "all"): 0}


def test_the_account_is_asked_for_its_breakdowns():
    """Breakdowns are absent unless they are asked for; without from and to it is now."""
    request = request_to(feed("viewers"), "/account")
    assert request.params == (("include", "countries,renditions,devices"),)


@pytest.mark.parametrize(("resource", "kind"), [("live_streams", "live"), ("vod_streams", "vod")])
def test_lists_of_viewers_tell_the_kind_of_their_streams(resource, kind):
    found = answer("viewers", f"/{resource}", {resource: [{"id": "a", "viewers": 3}]})
    assert told(found) == {("media_stream_viewers", kind, "a"): 3}
    assert {level.merge for level in found.levels} == {"greatest"}


@pytest.mark.parametrize(
    ("ending", "document"),
    [
        ("/account", {}),
        ("/account", {"rows": 3}),
        ("/account", {"account": {}}),
        ("/account", {"account": {"rows": 3}}),
        ("/account", {"account": []}),
        ("/account", {"account": {"viewers": -1}}),
        ("/account", {"account": {"viewers": 1.5}}),
        ("/account", {"account": {"viewers": 1, "countries": [{"rows": 3}]}}),
        ("/account", {"account": {"viewers": 1, "countries": [{"code": "US", "viewers": 0.5}]}}),
        ("/live_streams", {"rows": 3}),
        ("/live_streams", {"vod_streams": []}),
        ("/vod_streams", {"vod_streams": [{"viewers": 1}]}),
        ("/vod_streams", {"vod_streams": [{"id": "a", "viewers": 1.5}]}),
    ],
)
def test_viewers_that_are_missing_are_refused(ending, document):
    with pytest.raises((SchemaError, msgspec.ValidationError)):
        answer("viewers", ending, document)


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"viewers": None}, {}),
        ({"viewers": None, "unique_viewers": 3}, {("media_viewers", "all"): 3}),
        ({"viewers": 3.0, "renditions": None}, {("media_viewers", "all"): 3}),
        (
            {"countries": [{"code": "US", "viewers": 4.0}]},
            {("media_country_viewers", "all", "US"): 4},
        ),
        (
            {"viewers": 1, "devices": [{"name": "TV"}, {"name": "PC", "viewers": None}]},
            {("media_viewers", "all"): 1},
        ),
        ({"id": "x"}, {}),
        (None, {}),
    ],
)
def test_viewers_that_are_not_told_are_no_sample(account, expected):
    found = told(answer("viewers", "/account", {"account": account}))
    assert found == expected
    assert all(type(viewers) is int for viewers in found.values())


@pytest.mark.parametrize(("resource", "kind"), [("live_streams", "live"), ("vod_streams", "vod")])
def test_lists_of_viewers_may_be_null_or_lack_a_count(resource, kind):
    assert not told(answer("viewers", f"/{resource}", {resource: None, "limits": None}))
    listed = [{"id": "a", "viewers": None}, {"id": "b"}, {"id": "c", "viewers": 2.0}]
    found = answer("viewers", f"/{resource}", {resource: listed})
    assert told(found) == {("media_stream_viewers", kind, "c"): 2}
    details = answer("stream_viewers", f"/{resource}", {resource: listed}).follow
    assert [each.subjects for each in details] == [("a",), ("b",), ("c",)]


def test_a_stream_of_which_nothing_is_told_has_no_viewers():
    assert not told(answer("stream_viewers", "/a", {"vod_stream": None}, streams=("a",)))


def test_streams_that_are_not_named_come_from_the_lists_of_viewers():
    viewers, streams = PROVIDER.feeds(["viewers", "stream_viewers"], DEFAULTS)
    asked = list(streams.requests(ASK))
    assert {each.identity for each in asked} <= {each.identity for each in viewers.requests(ASK)}
    listed = json.dumps({"live_streams": [{"id": "a", "viewers": 3}]}).encode()
    found = streams.parse(request_to(streams, "/live_streams"), listed, ASK)
    assert not found.levels
    (detail,) = found.follow
    assert detail.path == "/api/v1.11/analytics/viewers/live_streams/a"
    assert detail.params == (("include", "countries,renditions"),)


def test_named_streams_are_asked_for_as_both_kinds_and_unknown_ones_are_done_without():
    named = feed("stream_viewers", streams=("a b", "a b"))
    requests = list(named.requests(ASK))
    root = "/api/v1.11/analytics/viewers"
    assert [each.path for each in requests] == [
        f"{root}/vod_streams/a%20b",
        f"{root}/live_streams/a%20b",
    ]
    assert named.refused(requests[0], NotFoundError()) == ()
    assert named.refused(requests[0], ForbiddenError()) is None
    assert (
        feed("stream_viewers").refused(
            request_to(feed("stream_viewers"), "/vod_streams"), NotFoundError()
        )
        is None
    )


def test_a_single_stream_is_told_by_country_and_rendition():
    audience = {
        "id": "other",
        "viewers": 5,
        "countries": [{"code": "US", "viewers": 4}],
        "renditions": [{"name": 720, "viewers": 5}],
    }
    found = answer("stream_viewers", "/a", {"live_stream": audience}, streams=("a",))
    assert told(found) == {
        ("media_stream_viewers", "vod", "a"): 5,
        ("media_stream_country_viewers", "vod", "a", "US"): 4,
        ("media_stream_rendition_viewers", "vod", "a", "720"): 5,
    }
    assert {level.merge for level in found.levels} == {"greatest"}


def test_configured_streams_have_their_viewers_in_all_whether_the_lists_hold_them_or_not():
    """The lists of the other feed hold the 100 watched most."""
    document = {"vod_stream": {"viewers": 2}}
    found = [
        answer("stream_viewers", f"vod_streams/{stream}", document, streams=("a", "b"))
        for stream in ("a", "b")
    ]
    assert [told(each) for each in found] == [
        {("media_stream_viewers", "vod", "a"): 2},
        {("media_stream_viewers", "vod", "b"): 2},
    ]
    assert {level.merge for each in found for level in each.levels} == {"greatest"}


def test_a_stream_that_the_lists_name_has_its_viewers_in_all_from_the_lists_alone():
    """One answer a series: of the lists' streams the other feed tells the viewers."""
    streams = feed("stream_viewers")
    listed = json.dumps({"live_streams": [{"id": "a", "viewers": 3}]}).encode()
    (one,) = streams.parse(request_to(streams, "/live_streams"), listed, ASK).follow
    body = {"live_stream": {"viewers": 3, "countries": [{"code": "US", "viewers": 3}]}}
    found = streams.parse(one, json.dumps(body).encode(), ASK)
    assert told(found) == {("media_stream_country_viewers", "live", "a", "US"): 3}


@pytest.mark.parametrize(
    ("version", "streams", "totals"),
    [("v1.11", (), False), ("v1.11", ("a",), True), ("v1.10", ("a",), True)],
)
def test_single_streams_give_what_their_measures_say(version, streams, totals):
    names = {
        each.name for each in feed("stream_viewers", api_version=version, streams=streams).measures
    }
    shares = {"media_stream_country_viewers", "media_stream_rendition_viewers"}
    assert names == shares | ({"media_stream_viewers"} if totals else set())


# --- The provider ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "ERR-401-FeatureNotEnabled", "forbidden"),
        (401, "ERR-401-BadAccountStatus", "forbidden"),
        (401, "ERR-401-TrialExceeded", "forbidden"),
        (401, "ERR-401-ExpiredToken", None),
        (401, "ERR-401-InvalidToken", None),
        (401, None, None),
        (403, "ERR-401-TrialExceeded", None),
    ],
)
def test_a_401_is_not_always_about_the_token(status, code, reason):
    body = json.dumps({"meta": {"status": status, "code": code, "title": "…"}}).encode()
    assert PROVIDER.classify(status, body) == reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"meta":null}'])
def test_a_401_that_cannot_be_read_is_about_the_token(body):
    assert PROVIDER.classify(401, body) is None


def test_the_provider_signs_in_with_its_token_and_says_that_it_speaks_json():
    assert PROVIDER.url == "https://api.video.wowza.com"
    assert PROVIDER.authentication == (BearerToken(),)
    assert PROVIDER.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", PROVIDER.feed_names)
def test_equal_asks_give_equal_requests(name):
    polled = feed(name)
    assert polled.name == name
    assert list(polled.requests(ASK)) == list(polled.requests(ASK))
    assert bool(polled.resolutions) == any(each.type == "counter" for each in polled.measures)


# --- What else the vendor's pages leave open ------------------------------------------------------


def test_no_window_is_longer_than_90_days_or_left_to_the_vendor():
    """What a longer window gets is not stated, and without one totals fall to 0 at each bill."""
    for name in PROVIDER.feed_names:
        for resolution in feed(name).resolutions:
            assert resolution.longest <= 90 * DAY
        for request in feed(name).requests(ASK):
            if "/usage/" in request.path:
                assert {"from", "to"} <= dict(request.params).keys()


def test_the_last_three_hours_are_provisional():
    """Reports may be three hours late, so what closed since is asked for again at each poll."""
    for name in ("vod_streams", "vod_trends", "stream_targets", "account"):
        assert feed(name).settling > 3 * HOUR


def test_viewers_are_unique_and_never_summed():
    """Unique addresses add up over neither streams nor time: of two counts the greater stands."""
    levels = [
        level
        for request in feed("viewers").requests(ASK)
        for level in feed("viewers")
        .parse(request, VIEWERS[request.path.rpartition("/")[2]], ASK)
        .levels
    ]
    assert levels
    assert {level.merge for level in levels} == {"greatest"}


VIEWERS = {
    "account": b'{"account": {"viewers": 3, "countries": [{"code": "US", "viewers": 3}]}}',
    "live_streams": b'{"live_streams": [{"id": "a", "viewers": 2}]}',
    "vod_streams": b'{"vod_streams": [{"id": "b", "viewers": 1}]}',
}


@pytest.mark.parametrize("sort", ["fastly", "wowza_cdn", None])
def test_the_type_of_a_stream_may_be_anything(sort):
    """The reference knows one type, one of its examples has another: it is not read."""
    item = {"id": "a", "name": "A", "type": sort, "viewing_seconds": 1, "viewing_bytes": 2}
    assert rows(answer("vod_streams", "/vod_streams", {"vod_streams": [item]}))
