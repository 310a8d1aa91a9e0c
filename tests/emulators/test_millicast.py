"""The Millicast emulator: the vendor's rules, and answers that agree with the truth."""

import json
from itertools import pairwise

import pytest

from exporter.emulators.calendar import iso, seconds
from exporter.emulators.http import Request
from exporter.emulators.millicast import Millicast, traffic
from exporter.emulators.vendor import Amounts
from exporter.emulators.world import BEGINNING, DAY, HOUR, Stream, World
from tests.emulators.serving import NOW, Clock, app_of, client_of

HOUR_NOW = int(NOW) // HOUR * HOUR
DAY_NOW = int(NOW) // DAY * DAY
YESTERDAY = {"startDate": iso(DAY_NOW - DAY), "stopDate": iso(DAY_NOW)}
SPAN = (DAY_NOW - DAY, DAY_NOW)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world():
    return World()


@pytest.fixture
def ask(world, clock):
    async def get(path, params=None, *, quirks=(), credential="demo"):
        vendor = Millicast(world, clock=clock, quirks=frozenset(quirks))
        app = app_of(vendor, clock)
        async with client_of(app, "millicast", credential=credential) as client:
            return await client.get(f"/api/{path}", params=params)

    return get


@pytest.fixture
def data(ask):
    async def get(path, params=None, **options):
        answer = await ask(path, params, **options)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success"
        return answer.json()["data"]

    return get


@pytest.fixture
def truth(world, clock):
    """A function (metric, labels) → amount over yesterday."""
    found = Millicast(world, clock=clock).truth(*SPAN, now=int(clock()))

    def of(metric, **labels):
        return found.get((metric, tuple(sorted(labels.items()))), 0)

    return of


def names(world):
    return [stream.name for stream in world.streams("millicast", "live", now=int(NOW))]


def added(rows, field):
    return sum(row[field] for row in rows)


@pytest.mark.parametrize("credential", [None, "wrong", "dem"])
async def test_a_bad_secret_is_403(ask, credential):
    """Without the secret every call gets 403 and the vendor's body."""
    answer = await ask("analytics/account/total", YESTERDAY, credential=credential)
    assert answer.status_code == 403
    assert answer.json() == {"data": {"message": "Unauthorized"}, "status": "fail"}


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("analytics/account/series", {**YESTERDAY}, "resolution"),
        ("analytics/account/series", {**YESTERDAY, "resolution": "Week"}, "resolution"),
        ("analytics/account/geo_series", {**YESTERDAY, "resolution": "Month"}, "resolution"),
        ("analytics/account/total", {"startDate": "2023-11-01"}, "stopDate"),
        ("analytics/account/total", {"stopDate": "2023-11-01"}, "startDate"),
        ("analytics/account/total", {**YESTERDAY, "stopDate": "soon"}, "stopDate"),
        ("analytics/account/total", {**YESTERDAY, "stopDate": "2020-01-01"}, "stopDate"),
        ("analytics/streams/series", {**YESTERDAY, "resolution": "Hour"}, "streamNames"),
        (
            "analytics/streams/series",
            {**YESTERDAY, "resolution": "Hour", "streamNames": ["lobby"] * 11},
            "streamNames",
        ),
        (
            "analytics/streams/series",
            {**YESTERDAY, "resolution": "Month", "streamNames": "lobby"},
            "resolution",
        ),
        ("analytics/streams/total", {**YESTERDAY, "streamNames": "x" * 129}, "streamNames"),
        ("monitoring/summary", {"page": "0"}, "page"),
        ("monitoring/summary", {"itemsOnPage": "101"}, "itemsOnPage"),
    ],
)
async def test_a_faulty_parameter_is_400_and_named(ask, path, params, named):
    """Missing, malformed and excessive parameters get 400 with an entry in `errors`."""
    answer = await ask(path, params)
    assert answer.status_code == 400
    assert answer.json()["status"] == "fail"
    assert list(answer.json()["data"]["errors"]) == [named]


async def test_an_unknown_stream_is_400(ask, data):
    """An unknown stream fails the whole call, unless the quirk takes it for an empty one."""
    asked = {**YESTERDAY, "streamNames": ["lobby", "DoNotExist"]}
    answer = await ask("analytics/streams/total", asked)
    assert answer.status_code == 400
    assert answer.json()["data"] == {"message": "Stream name DoNotExist not found"}
    forgiving = await data("analytics/streams/total", asked, quirks=["unknown-empty"])
    assert forgiving["DoNotExist"]["bytesOut"] == 0 < forgiving["lobby"]["bytesOut"]


async def test_account_total_is_the_truth(data, truth):
    """The account's totals and components are the true ones, and the components sum up."""
    found = await data("analytics/account/total", YESTERDAY)
    component = "media_component_delivered_bytes_total"
    assert found["bytesIn"] == truth("media_received_bytes_total", kind="live") > 0
    assert found["bytesOut"] == truth("media_delivered_bytes_total", kind="live") > 0
    assert found["standardStream"]["bytesOut"] == truth(component, component="standard") > 0
    assert found["restream"]["bytesOut"] == truth(component, component="restream") > 0
    assert found["geoCascade"]["bytesOut"] == truth(component, component="geo_cascade") > 0
    assert found["restream"]["secondsUsed"] * 1000 == truth("media_restream_seconds_total") > 0
    assert found["bytesOut"] == sum(
        found[name]["bytesOut"] for name in ("standardStream", "restream", "geoCascade")
    )


@pytest.mark.parametrize("resolution", ["Hour", "Day", "Month"])
@pytest.mark.parametrize("quirks", [(), ("zero-filled",), ("null-maps",), ("clipped",)])
async def test_account_series_sum_to_the_total(data, resolution, quirks):
    """At every resolution the buckets of a whole month sum to its total."""
    clipped_month = {"startDate": "2023-11-08", "stopDate": "2023-11-14"}
    window = (
        clipped_month
        if resolution != "Month"
        else {
            "startDate": "2023-10-01",
            "stopDate": "2023-11-01",
        }
    )
    total = await data("analytics/account/total", window)
    series = await data(
        "analytics/account/series", {**window, "resolution": resolution}, quirks=quirks
    )
    assert added(series["bandwidth"].values(), "bytesOut") == total["bytesOut"] > 0
    for component in ("standardStream", "restream", "geoCascade"):
        rows = (series[component] or {}).values()
        assert added(rows, "bytesOut") == total[component]["bytesOut"]


async def test_streams_sum_to_the_account(world, data, truth):
    """Each stream's hours are its truth, and the streams sum to the account."""
    asked = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    found = await data("analytics/streams/series", asked)
    for name in names(world):
        delivered = added(found[name]["bandwidth"].values(), "bytesOut")
        labels = {"kind": "live", "stream": name}
        assert delivered == truth("media_stream_delivered_bytes_total", **labels) > 0
        received = added(found[name]["bandwidth"].values(), "bytesIn")
        assert received == truth("media_stream_received_bytes_total", **labels) > 0
    delivered = sum(added(maps["bandwidth"].values(), "bytesOut") for maps in found.values())
    assert delivered == truth("media_delivered_bytes_total", kind="live")


async def test_countries_are_the_truth(data, truth):
    """Hours by country sum to the true amounts of each country."""
    found = (await data("analytics/account/geo_series", {**YESTERDAY, "resolution": "Hour"}))["geo"]
    fields = {
        "bytesIn": "media_country_received_bytes_total",
        "bytesOut": "media_country_delivered_bytes_total",
        "views": "media_country_views_total",
        "publishes": "media_country_publishes_total",
    }
    seen = {country for row in found.values() for country in row}
    assert len(seen) > 2
    for country in seen:
        rows = [row[country] for row in found.values() if country in row]
        for field, metric in fields.items():
            assert added(rows, field) == truth(metric, kind="live", country=country)
        viewed = truth("media_country_viewing_seconds_total", kind="live", country=country)
        assert added(rows, "duration") * 1000 == viewed > 0


async def test_countries_of_streams_nest_stream_time_country(world, data, truth):
    """Per-stream geography nests stream, time, country, and is the truth."""
    asked = {**YESTERDAY, "resolution": "Day", "streamNames": names(world)}
    found = (await data("analytics/streams/geo_series", asked))["geo"]
    assert list(found) == names(world)
    for name, days in found.items():
        assert list(days) == [iso(DAY_NOW - DAY)]
        for country, row in days[iso(DAY_NOW - DAY)].items():
            labels = {"kind": "live", "stream": name, "country": country}
            assert row["views"] == truth("media_stream_country_views_total", **labels)
            delivered = truth("media_stream_country_delivered_bytes_total", **labels)
            assert row["bytesOut"] == delivered > 0


async def test_split_durations_replace_duration(data):
    """The quirk serves the schema's two durations in place of the examples' one."""
    asked = {**YESTERDAY, "resolution": "Day"}
    plain = await data("analytics/account/geo_series", asked)
    split = await data("analytics/account/geo_series", asked, quirks=["split-durations"])
    for country, row in plain["geo"][iso(DAY_NOW - DAY)].items():
        other = split["geo"][iso(DAY_NOW - DAY)][country]
        assert "duration" not in other
        assert other["viewDuration"] == row["duration"]
        assert other["publishDuration"] >= 0


async def test_deprecated_geography_nests_the_other_way(data):
    """The deprecated calls put the stream above `geo`, and know bytes and views only."""
    account = await data("analytics/account/geo", YESTERDAY)
    streams = await data("analytics/streams/geo", {**YESTERDAY, "streamNames": "lobby"})
    assert set(next(iter(account["geo"].values()))) == {"bytes", "views"}
    assert set(next(iter(streams["lobby"]["geo"].values()))) == {"bytes", "views"}


async def test_hours_and_days_expire(world, data):
    """Hours are kept 7 days, days 90, per-stream data 7 days; months as long as the account."""
    long_ago = {"startDate": "2023-01-01", "stopDate": iso(DAY_NOW)}
    for resolution, kept in (("Hour", 7 * 24), ("Day", 90), ("Month", 11)):
        asked = {**long_ago, "resolution": resolution}
        series = await data("analytics/account/series", asked, quirks=["zero-filled"])
        assert len(series["bandwidth"]) == kept
    asked = {**long_ago, "resolution": "Day", "streamNames": names(world)[0]}
    series = await data("analytics/streams/series", asked)
    assert len(series[names(world)[0]]["bandwidth"]) == 7


async def test_the_stop_date_is_exclusive_and_the_future_empty(data):
    """A window up to a bucket's start leaves it out, and no bucket lies in the future."""
    series = await data(
        "analytics/account/series", {**YESTERDAY, "resolution": "Hour"}, quirks=["zero-filled"]
    )
    assert len(series["bandwidth"]) == 24
    assert max(series["bandwidth"]) == iso(DAY_NOW - HOUR)
    future = {"startDate": iso(DAY_NOW), "stopDate": iso(DAY_NOW + 3 * DAY), "resolution": "Hour"}
    series = await data("analytics/account/series", future)
    assert max(series["bandwidth"]) <= iso(HOUR_NOW)


async def test_hours_yet_to_come_are_filled_with_zeros_if_told(world, data, clock):
    """With the quirk every hour of the window has a bucket, those to come one of zeros."""
    clock.now = HOUR_NOW + 1800.0
    hours = [iso(hour) for hour in range(DAY_NOW, DAY_NOW + 2 * DAY, HOUR)]
    window = {"startDate": iso(DAY_NOW), "stopDate": iso(DAY_NOW + 2 * DAY), "resolution": "Hour"}
    quirks = ["zero-filled"]
    account = await data("analytics/account/series", window, quirks=quirks)
    named = {**window, "streamNames": names(world)}
    streams = await data("analytics/streams/series", named, quirks=quirks)
    for maps in (account, *streams.values()):
        for rows in maps.values():
            assert list(rows) == hours
            assert not any(any(row.values()) for at, row in rows.items() if at > iso(HOUR_NOW))
    assert any(account["bandwidth"][iso(HOUR_NOW)].values())
    places = (await data("analytics/account/geo_series", window, quirks=quirks))["geo"]
    assert list(places) == hours
    assert not any(row for at, row in places.items() if at > iso(HOUR_NOW))


async def test_a_cut_bucket_is_whole_unless_clipped(data):
    """A window that cuts a bucket gets all of it; with the quirk, the part inside."""
    cut = {"startDate": iso(HOUR_NOW - 5400), "stopDate": iso(HOUR_NOW), "resolution": "Hour"}
    whole = await data("analytics/account/series", cut)
    part = await data("analytics/account/series", cut, quirks=["clipped"])
    first = iso(HOUR_NOW - 2 * HOUR)
    assert 0 < part["bandwidth"][first]["bytesIn"] < whole["bandwidth"][first]["bytesIn"]


async def test_the_current_hour_grows_each_quarter(data, clock):
    """The open bucket changes when the vendor publishes, and not before."""
    asked = {"startDate": iso(HOUR_NOW), "stopDate": iso(HOUR_NOW + HOUR), "resolution": "Hour"}
    seen = []
    for moment in (HOUR_NOW + 900, HOUR_NOW + 1799, HOUR_NOW + 1800):
        clock.now = moment
        series = await data("analytics/account/series", asked)
        seen.append(series["bandwidth"][iso(HOUR_NOW)]["bytesOut"])
    assert seen[0] == seen[1] < seen[2]


async def test_idle_buckets_are_absent_or_zero(world, data):
    """Hours without traffic are left out; the quirk fills them with zeros."""
    asked = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    sparse = await data("analytics/streams/series", asked)
    filled = await data("analytics/streams/series", asked, quirks=["zero-filled"])
    assert any(len(maps["bandwidth"]) < 24 for maps in sparse.values())
    assert all(len(maps["bandwidth"]) == 24 for maps in filled.values())


async def test_a_name_with_reserved_characters_yields_nothing(world, data, clock):
    """Such a stream counts for the account, but its own figures stay away."""
    for name in ("a/b", "a*", "a--b"):
        world.add_stream("millicast", "live", Stream(name, name, archived=False, born=BEGINNING))
    asked = {**YESTERDAY, "resolution": "Hour", "streamNames": ["a/b", "a*", "a--b", "lobby"]}
    found = await data("analytics/streams/series", asked)
    assert [name for name, maps in found.items() if maps["bandwidth"]] == ["lobby"]
    absent = await data("analytics/streams/series", asked, quirks=["absent-streams"])
    assert list(absent) == ["lobby"]
    truth = Millicast(world, clock=clock).truth(*SPAN, now=int(NOW))
    labelled = {dict(labels).get("stream") for _, labels in truth}
    assert not labelled & {"a/b", "a*", "a--b"}
    total = await data("analytics/account/total", YESTERDAY)
    assert total["bytesIn"] == truth[("media_received_bytes_total", (("kind", "live"),))]


async def test_empty_component_maps_may_be_null(world, data):
    """With the quirk, maps of what a stream never did are null in place of empty."""
    asked = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    plain = await data("analytics/streams/series", asked)
    nulls = await data("analytics/streams/series", asked, quirks=["null-maps"])
    empty = [name for name, maps in plain.items() if maps["restream"] == {}]
    assert empty
    assert {name for name, maps in nulls.items() if maps["restream"] is None} == set(empty)


async def test_transcoder_minutes_come_a_day_later(data, clock, world):
    """Whole days that are over have minutes by transcoder, today has none."""
    asked = {"startDate": iso(DAY_NOW - 2 * DAY), "stopDate": iso(DAY_NOW + DAY)}
    found = (await data("analytics/transcoder/series", asked))["transcoder"]
    assert list(found) == [iso(DAY_NOW - 2 * DAY), iso(DAY_NOW - DAY)]
    minutes = sum(row["minutesUsed"] for rows in found.values() for row in rows)
    truth = Millicast(world, clock=clock).truth(DAY_NOW - 2 * DAY, DAY_NOW + DAY, now=int(NOW))
    assert truth[("media_transcoded_seconds_total", ())] == minutes * 60_000 > 0
    total = await data("analytics/transcoder/total", asked)
    assert total["transcoderMinutesUsed"] == minutes


async def test_storage_adds_up(data, world, clock):
    """Stored bytes by kind are the levels, and sum to the total."""
    found = await data("analytics/media/storage/usage")
    total = found.pop("totalBytes")
    assert sum(found.values()) == total
    levels = Millicast(world, clock=clock).levels(int(NOW))
    assert found == {
        dict(labels)["object"]: size
        for (metric, labels), size in levels.items()
        if metric == "media_stored_bytes"
    }


async def test_the_summary_pages_through_every_stream(data, world, clock):
    """The pages hold every stream once; viewers and live streams are the levels."""
    rows = []
    for page in (1, 2, 3):
        found = await data("monitoring/summary", {"page": page, "itemsOnPage": 4})
        assert found["pagination"]["totalItems"] == 6
        assert found["pagination"]["totalPages"] == 2
        rows += found["data"]
    assert sorted(row["streamName"] for row in rows) == sorted(names(world))
    levels = Millicast(world, clock=clock).levels(int(NOW))
    kind = ("kind", "live")
    assert sum(row["viewerCount"] for row in rows) == levels[("media_viewers", (kind,))] > 0
    assert sum(row["live"] for row in rows) == levels[("media_streams_live", (kind,))] > 0


async def test_the_summary_shows_ten_unless_asked(data, clock):
    """A page has ten rows by default."""
    many = Millicast(World(streams=25), clock=clock)
    async with client_of(app_of(many, clock), "millicast") as client:
        found = (await client.get("/api/monitoring/summary")).json()["data"]
    assert len(found["data"]) == 10
    assert found["pagination"] == {"totalItems": 25, "totalPages": 3, "itemsOnPage": 10}


async def test_the_summary_leaves_out_long_idle_streams_if_told(world, data, clock):
    """With the quirk, exactly the streams with traffic in this hour or the last are listed."""
    sizes = set()
    for hour in range(24):
        begin = HOUR_NOW + hour * HOUR
        clock.now = begin + 3599.0
        rows = (await data("monitoring/summary", quirks=["idle-unlisted"]))["data"]
        asked = {"startDate": iso(begin - HOUR), "stopDate": iso(begin + HOUR)}
        asked |= {"resolution": "Hour", "streamNames": names(world)}
        series = await data("analytics/streams/series", asked)
        busy = {name for name, maps in series.items() if maps["bandwidth"]}
        assert {row["streamName"] for row in rows} == busy
        sizes.add(len(rows))
    assert min(sizes) < 6


@pytest.mark.parametrize(("quirks", "end"), [((), []), (("null-page",), None)])
async def test_a_page_beyond_the_last_is_empty_or_null(data, quirks, end):
    """Past the last page the list is empty, or null with the quirk."""
    assert (await data("monitoring/summary", {"page": 9}, quirks=quirks))["data"] == end


async def test_the_summary_filters_by_activity(data):
    """`isActive` keeps the live streams, or the others."""
    for asked, live in (("true", True), ("false", False)):
        rows = (await data("monitoring/summary", {"isActive": asked}))["data"]
        assert all(row["live"] is live for row in rows)


async def test_revisions_reach_the_account(world, data):
    """A revised hour of one stream lowers the account's hour, though it was asked before."""
    asked = {**YESTERDAY, "resolution": "Hour"}
    before = (await data("analytics/account/series", asked))["bandwidth"]
    vendor_hour = seconds(max(before))
    world.revise(("millicast", "live"), vendor_hour, 1, 2)
    after = (await data("analytics/account/series", asked))["bandwidth"]
    assert after[iso(vendor_hour)]["bytesOut"] < before[iso(vendor_hour)]["bytesOut"]


async def test_a_remembered_sum_follows_the_worlds_knobs(world, clock):
    """One emulator that has summed an hour sums it anew after a revision."""
    vendor = Millicast(world, clock=clock)
    async with client_of(app_of(vendor, clock), "millicast") as client:
        first = (await client.get("/api/analytics/account/total", params=YESTERDAY)).json()
        world.revise((), DAY_NOW - 3 * HOUR, 0, 1)
        second = (await client.get("/api/analytics/account/total", params=YESTERDAY)).json()
    assert second["data"]["bytesOut"] < first["data"]["bytesOut"]


async def test_a_growing_hour_is_not_remembered(world, clock):
    """One emulator that has summed the open hour sums it anew when more is published."""
    client = client_of(app_of(Millicast(world, clock=clock), clock), "millicast")
    window = {"startDate": iso(HOUR_NOW), "stopDate": iso(HOUR_NOW + HOUR)}
    seen = []
    for moment in (HOUR_NOW + 900, HOUR_NOW + HOUR, HOUR_NOW + DAY):
        clock.now = float(moment)
        answer = await client.get("/api/analytics/account/total", params=window)
        seen.append(answer.json()["data"]["bytesOut"])
    assert 0 < seen[0] < seen[1] == seen[2]


async def test_an_unknown_path_is_404(ask):
    """There is no such route as the page name that the vendor's text links to."""
    assert (await ask("analytics/streams/geo/series", YESTERDAY)).status_code == 404


def test_an_unknown_quirk_is_refused(world, clock):
    """A misspelt quirk is an error, not a no-op."""
    with pytest.raises(ValueError, match="zero-fill"):
        Millicast(world, clock=clock, quirks=frozenset(["zero-fill"]))


# -- what the account comes to ------------------------------------------------------------------

AMOUNTS = ("bytesIn", "bytesOut", "duration", "publishes", "views")


@pytest.mark.parametrize("moment", [HOUR_NOW, HOUR_NOW + 1, HOUR_NOW + 900, HOUR_NOW + 3599])
@pytest.mark.parametrize("change", ["none", "late", "revised", "grown"])
async def test_every_hour_of_the_account_is_the_sum_of_its_streams(world, clock, moment, change):
    """Whenever it is asked, each hour's bytes and components, and of each country all amounts,
    are those of the streams added up; under every change of the world, too.
    """
    first = world.streams("millicast", "live", now=int(NOW))[0]
    if change == "late":
        world.late(("millicast", "live", first.id), HOUR_NOW - DAY, HOUR_NOW, HOUR_NOW + 900)
    if change == "revised":
        world.revise(("millicast", "live", first.id), HOUR_NOW - 5 * HOUR, 2, 7)
    if change == "grown":
        growth = ("millicast", "live", first.id)
        world.grow(growth, HOUR_NOW - 7000, HOUR_NOW - 1000, units=1_000_003, since=HOUR_NOW + 900)
    vendor = Millicast(world, clock=clock)
    client = client_of(app_of(vendor, clock), "millicast")

    async def got(path, **more):
        window = {"startDate": iso(HOUR_NOW - DAY), "stopDate": iso(HOUR_NOW + HOUR)}
        asked = {**window, "resolution": "Hour", **more}
        return (await client.get(f"/api/analytics/{path}", params=asked)).json()["data"]

    clock.now = HOUR_NOW - 600.0
    await got("account/series")  # what was asked before does not matter
    clock.now = float(moment)
    account = await got("account/series")
    streams = await got("streams/series", streamNames=names(world))
    places = (await got("account/geo_series"))["geo"]
    of_streams = (await got("streams/geo_series", streamNames=names(world)))["geo"]
    assert account["bandwidth"]
    for name, rows in account.items():
        for at, row in rows.items():
            for amount, value in row.items():
                shares = (maps[name].get(at, {}).get(amount, 0) for maps in streams.values())
                assert value == sum(shares)
        assert set(rows) == {at for maps in streams.values() for at in maps[name]}
    assert places
    for at, countries in places.items():
        for country, row in countries.items():
            assert set(row) == set(AMOUNTS)
            for amount, value in row.items():
                shares = (
                    hours.get(at, {}).get(country, {}).get(amount, 0)
                    for hours in of_streams.values()
                )
                assert value == sum(shares)


async def test_the_parts_of_streams_are_in_the_truth_if_asked_for(world, data, clock):
    """With the switch, the truth has each stream's components and seconds of restreaming, which
    its own series add up to; without it the truth has neither.
    """
    asked = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    found = await data("analytics/streams/series", asked)
    vendor = Millicast(world, clock=clock, stream_components=True)
    truth = vendor.truth(*SPAN, now=int(NOW))
    plain = Millicast(world, clock=clock).truth(*SPAN, now=int(NOW))
    expected: Amounts = {}
    for name, maps in found.items():
        for field, component in (
            ("standardStream", "standard"),
            ("restream", "restream"),
            ("geoCascade", "geo_cascade"),
        ):
            labels = (("component", component), ("kind", "live"), ("stream", name))
            expected[("media_stream_component_delivered_bytes_total", labels)] = added(
                maps[field].values(), "bytesOut"
            )
        pairs = (("kind", "live"), ("stream", name))
        expected[("media_stream_restream_seconds_total", pairs)] = 1000 * added(
            maps["restream"].values(), "secondsUsed"
        )
    shown = {key: value for key, value in expected.items() if value}
    assert {key: value for key, value in truth.items() if key not in plain} == shown
    assert {dict(labels).get("component", "restreaming") for _, labels in shown} == {
        "standard",
        "restream",
        "geo_cascade",
        "restreaming",
    }
    assert truth == {**plain, **shown}


async def test_an_idle_stream_can_grow_late(world, data, clock):
    """Growth of an idle stream's hour shows in its series and the account's when it is due, and
    in the truth; the stream was not live for that.
    """
    stream, hour = next(
        (stream, hour)
        for stream in world.streams("millicast", "live", now=int(NOW))
        for hour in range(HOUR_NOW - DAY, HOUR_NOW, HOUR)
        if not traffic.busy(world, stream, hour)
    )
    window = {"startDate": iso(hour), "stopDate": iso(hour + HOUR), "resolution": "Hour"}
    before = (await data("analytics/account/series", window))["bandwidth"].get(iso(hour), {})
    due = int(NOW) + 900
    world.grow(("millicast", "live", stream.id), hour, hour + HOUR, units=600, since=due)
    vendor = Millicast(world, clock=clock)
    received = ("media_stream_received_bytes_total", (("kind", "live"), ("stream", stream.name)))
    for moment, units in ((due - 1, 0), (due, 600)):
        clock.now = float(moment)
        series = await data("analytics/streams/series", {**window, "streamNames": stream.name})
        assert added(series[stream.name]["bandwidth"].values(), "bytesIn") == units
        account = (await data("analytics/account/series", window))["bandwidth"].get(iso(hour), {})
        assert account.get("bytesIn", 0) == before.get("bytesIn", 0) + units
        assert vendor.truth(hour, hour + HOUR, now=moment).get(received, 0) == units
        assert not traffic.busy(world, stream, hour)


# -- what is not settled ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "account/total",
        "account/series",
        "account/geo_total",
        "account/geo_series",
        "streams/total",
        "streams/series",
        "streams/geo_series",
        "transcoder/series",
    ],
)
async def test_a_window_without_anything_may_have_no_data_at_all(data, path):
    """With the quirk `data` is `{}` where there is nothing in the window, and as ever elsewhere;
    zeros that fill a window are nothing, too.
    """
    asked = {"resolution": "Day", "streamNames": "lobby"}
    tomorrow = {"startDate": iso(DAY_NOW + DAY), "stopDate": iso(DAY_NOW + 2 * DAY), **asked}
    assert await data(f"analytics/{path}", tomorrow) != {}
    for others in ((), ("zero-filled",)):
        quirks = ["empty-data", *others]
        assert await data(f"analytics/{path}", tomorrow, quirks=quirks) == {}
    something = {**YESTERDAY, **asked}
    plain = await data(f"analytics/{path}", something)
    assert await data(f"analytics/{path}", something, quirks=["empty-data"]) == plain


def test_the_emptiest_answer_may_have_no_data_at_all(world, clock):
    """With the quirk the emptiest answer of a series is `data: {}`; the summary has its pages."""
    vendor = Millicast(world, clock=clock, quirks=frozenset(["empty-data"]))
    for path, found in (("analytics/account/series", False), ("monitoring/summary", True)):
        answer = vendor.empty(Request("GET", f"/api/{path}"))
        assert bool(json.loads(answer.body)["data"]) is found


async def test_amounts_may_be_written_with_a_point(world, data):
    """With the quirk every number is a float of the same value, but for a transcoder's id."""
    hourly = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    for path in ("account/series", "streams/series", "account/geo_series", "transcoder/series"):
        plain = await data(f"analytics/{path}", hourly)
        floats = await data(f"analytics/{path}", hourly, quirks=["integral-floats"])
        assert floats == plain
        kinds = {type(value) for name, value in amounts(floats) if name != "transcoderId"}
        assert kinds == {float}
        assert {type(value) for name, value in amounts(floats) if name == "transcoderId"} <= {int}
    summary = await data("monitoring/summary", quirks=["integral-floats"])
    assert all(isinstance(row["viewerCount"], float) for row in summary["data"])


@pytest.mark.parametrize(("quirk", "shown"), [("absent-amounts", False), ("null-amounts", True)])
@pytest.mark.parametrize("path", ["account/series", "streams/series", "account/geo_series"])
async def test_amounts_of_zero_may_be_absent_or_null(world, data, quirk, shown, path):
    """With either quirk no amount is 0: what was is left out or null, and all else stands."""
    hourly = {**YESTERDAY, "resolution": "Hour", "streamNames": names(world)}
    plain = list(amounts(await data(f"analytics/{path}", hourly)))
    found = list(amounts(await data(f"analytics/{path}", hourly, quirks=[quirk])))
    assert ("bytesIn", 0) in plain
    expected = [(name, value or None) for name, value in plain if value or shown]
    assert found == expected
    filled = await data(f"analytics/{path}", hourly, quirks=[quirk, "zero-filled"])
    assert all(value != 0 for _, value in amounts(filled))


def amounts(value):
    """Every number, or null, in an answer, with its name."""
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(member, dict | list):
            yield from amounts(member)
        elif not isinstance(member, str | bool):
            yield name, member


async def test_large_pages_may_be_refused(ask, data):
    """With the quirk twenty and more rows on a page are 400, in the words of the reference."""
    for items, quirks in (
        ("20", ["small-pages"]),
        ("100", ["small-pages"]),
        ("0", ["small-pages"]),
    ):
        answer = await ask("monitoring/summary", {"itemsOnPage": items}, quirks=quirks)
        assert answer.status_code == 400
        errors = {"itemsOnPage": "ItemsOnPage must be greater than 0 and less 20"}
        assert answer.json() == {"status": "fail", "data": {"errors": errors}}
    assert await data("monitoring/summary", {"itemsOnPage": "19"}, quirks=["small-pages"])
    assert await data("monitoring/summary", {"itemsOnPage": "100"})


@pytest.mark.parametrize("items", [1, 2, 3, 4, 7, 23, 25, 30])
async def test_pages_of_the_summary_may_overlap(clock, items):
    """With the quirk a page begins with the last rows of the page before; as many pages as are
    announced hold every stream, and a page beyond them is empty.
    """
    quirks = frozenset(["overlapping-pages"])
    many = Millicast(World(streams=25), clock=clock, quirks=quirks)
    client = client_of(app_of(many, clock), "millicast")
    pages: list[list[str]] = []
    announced: set[tuple[int, int]] = set()
    while not pages or pages[-1]:
        asked = {"page": len(pages) + 1, "itemsOnPage": items}
        found = (await client.get("/api/monitoring/summary", params=asked)).json()["data"]
        pages.append([row["streamName"] for row in found["data"]])
        announced.add((found["pagination"]["totalItems"], found["pagination"]["totalPages"]))
    assert announced == {(25, len(pages) - 1)}
    overlap = min(2, items - 1)
    for before, page in pairwise(pages[:-1]):
        assert len(before) == items
        assert len(page) > overlap
        assert page[:overlap] == before[items - overlap :]
    assert len({name for page in pages for name in page}) == 25
