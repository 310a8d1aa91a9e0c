"""The emulated Livepeer Studio behaves as its source does, and its truth is what it answers."""

import json

import pytest

from exporter.emulators.http import Request
from exporter.emulators.livepeer import Livepeer, playback_id_of
from exporter.emulators.livepeer.truth import shown_country
from exporter.emulators.world import World

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_763_700_120  # 2025-11-21 04:42:00
MIDNIGHT = NOW // DAY * DAY
MEASURES = {
    "viewCount",
    "playtimeMins",
    "ttffMs",
    "rebufferRatio",
    "errorRate",
    "exitsBeforeStart",
}
ALL = ("kind", "all")


def request(path, params=(), *, authorization="Bearer demo"):
    headers = (("authorization", authorization),) if authorization else ()
    pairs = [(name, str(value)) for name, value in dict(params).items() if name != "by"]
    pairs += [("breakdownBy[]", field) for field in dict(params).get("by", ())]
    return Request("GET", f"/api/data/{path}", tuple(pairs), headers)


def hours(start, end):
    return {"from": start * 1000, "to": end * 1000, "timeStep": "hour"}


@pytest.fixture
def world():
    return World(seed=3)


@pytest.fixture
def clock():
    class Clock:
        now = NOW

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def vendor(world, clock):
    return Livepeer(world, clock=clock)


@pytest.fixture
def ask(world, clock):
    async def ask(path, params=(), *, quirks=(), authorization="Bearer demo", **limits):
        vendor = Livepeer(world, clock=clock, quirks=frozenset(quirks), **limits)
        response = await vendor.answer(request(path, params, authorization=authorization))
        return response.status, json.loads(response.body) if response.body else None

    return ask


def milliseconds(minutes):
    return round(minutes * 60000)


async def test_truth_is_what_hourly_rows_add_up_to(vendor, ask):
    """Summing hourly rows gives the truth, exact to the millisecond."""
    start, end = MIDNIGHT - 20 * HOUR, MIDNIGHT + 4 * HOUR
    truth = vendor.truth(start, end, now=NOW)
    _, rows = await ask("views/query", hours(start, end))
    assert len(rows) == 24
    assert sum(row["viewCount"] for row in rows) == truth["media_views_total", (ALL,)] > 0
    viewing = sum(milliseconds(row["playtimeMins"]) for row in rows)
    assert viewing == truth["media_viewing_seconds_total", (ALL,)] > 0
    exits = sum(row["exitsBeforeStart"] for row in rows)
    assert exits == truth["media_exits_before_start_total", (ALL,)] > 0
    _, rows = await ask("usage/query", hours(start, end))
    delivered = sum(milliseconds(row["DeliveryUsageMins"]) for row in rows)
    assert delivered == truth["media_usage_delivered_seconds_total", ()] > 0
    transcoded = sum(milliseconds(row["TotalUsageMins"]) for row in rows)
    assert transcoded == truth["media_transcoded_seconds_total", ()] > 0


async def test_truth_by_playback_id_is_what_its_rows_add_up_to(vendor, ask):
    """Every playback id, deleted ones included, has the truth of its own rows."""
    start, end = MIDNIGHT - 3 * HOUR, MIDNIGHT + 4 * HOUR
    truth = vendor.truth(start, end, now=NOW)
    _, rows = await ask("views/query", hours(start, end) | {"by": ["playbackId"]})
    views: dict[str, int] = {}
    viewing: dict[str, int] = {}
    for row in rows:
        identifier = row["playbackId"]
        views[identifier] = views.get(identifier, 0) + row["viewCount"]
        viewing[identifier] = viewing.get(identifier, 0) + milliseconds(row["playtimeMins"])
    assert len(views) == 12
    assert sum(views.values()) == truth["media_views_total", (ALL,)]
    for identifier, count in views.items():
        labels = (ALL, ("stream", identifier))
        assert count == truth["media_stream_views_total", labels]
        assert viewing[identifier] == truth["media_stream_viewing_seconds_total", labels]


@pytest.mark.parametrize("field", ["country", "browser"])
async def test_rows_by_country_or_browser_add_up_to_those_in_all_hour_by_hour(ask, field):
    """No view, no millisecond and no exit is in two rows or in none; some viewers are unknown."""
    window = hours(MIDNIGHT - 20 * HOUR, MIDNIGHT + 4 * HOUR)
    _, whole = await ask("views/query", window)
    _, rows = await ask("views/query", window | {"by": [field]})
    assert None in {row[field] for row in rows}
    for total in whole:
        parts = [row for row in rows if row["timestamp"] == total["timestamp"]]
        assert 1 < len(parts) == len({row[field] for row in parts})
        for name in ("viewCount", "exitsBeforeStart"):
            assert sum(row[name] for row in parts) == total[name]
        played = sum(milliseconds(row["playtimeMins"]) for row in parts)
        assert played == milliseconds(total["playtimeMins"])


LABELS = {
    None: "unknown",
    "": "unknown",
    "United States": "US",
    "United States of America": "US",
    "Germany": "DE",
    "Côte d'Ivoire": "CI",
}
"""How what the vendor tells is shown, where not as it is."""


@pytest.mark.parametrize("field", ["country", "browser"])
async def test_truth_by_country_or_browser_is_what_its_rows_add_up_to(world, clock, ask, field):
    """What the vendor does not know is `unknown`, and a country has one label for all its names."""
    vendor = Livepeer(world, clock=clock, browsers=True)
    start, end = MIDNIGHT - 20 * HOUR, MIDNIGHT + 4 * HOUR
    _, rows = await ask("views/query", hours(start, end) | {"by": [field]})
    counted: dict[tuple, int] = {}
    for row in rows:
        labels = tuple(sorted([(field, LABELS.get(row[field], row[field])), ALL]))
        for key, amount in (
            ((f"media_{field}_views_total", labels), row["viewCount"]),
            ((f"media_{field}_viewing_seconds_total", labels), milliseconds(row["playtimeMins"])),
        ):
            counted[key] = counted.get(key, 0) + amount
    truth = vendor.truth(start, end, now=NOW)
    assert counted == {key: value for key, value in truth.items() if f"_{field}_" in key[0]}
    assert all(counted.values())


def test_browsers_are_in_the_truth_only_where_they_are_asked_for(world, clock, vendor):
    """Countries always are."""
    truth = vendor.truth(MIDNIGHT, NOW, now=NOW)
    browsers = Livepeer(world, clock=clock, browsers=True).truth(MIDNIGHT, NOW, now=NOW)
    assert truth.items() < browsers.items()
    assert {name for name, _ in browsers.keys() - truth.keys()} == {
        "media_browser_views_total",
        "media_browser_viewing_seconds_total",
    }
    assert ("media_country_views_total", (("country", "DE"), ALL)) in truth


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("de", "DE"),
        ("US", "US"),
        ("Côte d'Ivoire", "CI"),
        ("United States of America", "US"),
        ("Atlantis", "Atlantis"),
        ("éu", "éu"),
        ("g2", "g2"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_country_is_shown_by_its_code_or_the_vendors_name(told, shown):
    """Codes are in capitals; other names are as they are."""
    assert shown_country(told) == shown


async def test_creator_queries_tell_views_and_playtime_only_of_what_exists(vendor, ask):
    """A creator row has two measures, no means and no name, and is the asset's truth."""
    start, end = MIDNIGHT - DAY, MIDNIGHT
    truth = vendor.truth(start, end, now=NOW)
    for parameter, names in (("assetId", vendor.assets()), ("streamId", vendor.live_streams())):
        assert len(names) == 5  # one of six is deleted
        for name in names:
            window = {"from": start * 1000, "to": end * 1000, parameter: name}
            _, (row,) = await ask("views/query/creator", window)
            assert set(row) == {"viewCount", "playtimeMins"}
            labels = (ALL, ("stream", name))
            assert row["viewCount"] == truth["media_creator_views_total", labels]


async def test_lifetime_totals_are_all_views_since_birth(vendor, ask):
    """A total is the truth from the beginning, earlier views counted apart."""
    truth = vendor.truth(0, NOW, now=NOW)
    assert len(vendor.playback_ids()) == 10
    for identifier in vendor.playback_ids():
        _, total = await ask(f"views/query/total/{identifier}")
        labels = (("stream", identifier),)
        views = total["viewCount"] + total["legacyViewCount"]
        assert views == truth["media_lifetime_views_total", labels]
        viewing = milliseconds(total["playtimeMins"])
        assert viewing == truth["media_lifetime_viewing_seconds_total", labels]


async def test_levels_are_what_the_answers_say(vendor, ask):
    """Gauges match the realtime rows, the newest whole hour and its storage."""
    levels = vendor.levels(NOW)
    _, (whole,) = await ask("views/now")
    assert levels["media_viewers", (ALL,)] == whole["viewCount"]
    assert levels["media_realtime_playback_error_ratio", (ALL,)] == whole["errorRate"]
    for field, label, metric in (
        ("playbackId", "stream", "media_stream_viewers"),
        ("country", "country", "media_country_viewers"),
        ("device", "device", "media_device_viewers"),
    ):
        _, rows = await ask("views/now", {"by": [field]})
        told: dict[str, int] = {}
        for row in rows:
            shown = LABELS.get(row[field], row[field])
            told[shown] = told.get(shown, 0) + row["viewCount"]
        known = {
            dict(labels)[label]: value for (name, labels), value in levels.items() if name == metric
        }
        assert told == known
    newest = hours(MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR)
    _, (row,) = await ask("views/query", newest)
    assert levels["media_time_to_first_frame_seconds", (ALL,)] == row["ttffMs"]
    assert levels["media_rebuffer_ratio", (ALL,)] == row["rebufferRatio"]
    assert levels["media_playback_error_ratio", (ALL,)] == row["errorRate"]
    _, (row,) = await ask("usage/query", newest)
    assert levels["media_stored_seconds", ()] == milliseconds(row["StorageUsageMins"])


async def test_a_key_is_absent_null_or_a_value(ask):
    """Not asked for: absent. Asked for and unknown: null. Countries are English names."""
    window = {"from": (MIDNIGHT - DAY) * 1000, "to": MIDNIGHT * 1000}
    _, (row,) = await ask("views/query", window)
    assert set(row) == MEASURES
    _, rows = await ask("views/query", window | {"by": ["country"]})
    assert {row["country"] for row in rows} == {
        "United States",
        "United States of America",
        "Germany",
        "Côte d'Ivoire",
        None,
    }
    (unknown,) = [row for row in rows if row["country"] is None]
    assert unknown["ttffMs"] is None
    assert unknown["rebufferRatio"] > 0


@pytest.mark.parametrize("field", ["deviceType", "cpu", "browserEngine"])
async def test_some_breakdowns_split_rows_without_naming_them(ask, field):
    """Several rows have identical labels, and only their sum is right."""
    window = {"from": (MIDNIGHT - DAY) * 1000, "to": MIDNIGHT * 1000}
    _, rows = await ask("views/query", window | {"by": [field]})
    _, (whole,) = await ask("views/query", window)
    assert len(rows) == 3
    assert {frozenset(row) for row in rows} == {frozenset(MEASURES)}
    assert sum(row["viewCount"] for row in rows) == whole["viewCount"]


async def test_device_after_device_type_is_asked_for_but_unknown(ask):
    """The vendor mistakes the second column for the first, and leaves it null."""
    _, rows = await ask("views/query", {"by": ["deviceType", "device"], "from": MIDNIGHT * 1000})
    assert {row["device"] for row in rows} == {None}
    _, rows = await ask("views/query", {"by": ["device", "deviceType"], "from": MIDNIGHT * 1000})
    assert "iPhone" in {row["device"] for row in rows}


async def test_a_filter_does_not_name_what_it_filters_by(vendor, ask):
    """A playback id is in the rows only when it is a breakdown as well."""
    chosen = {"playbackId": vendor.playback_ids()[0]}
    _, (row,) = await ask("views/query", chosen)
    assert set(row) == MEASURES
    _, (row,) = await ask("views/query", chosen | {"by": ["playbackId"]})
    assert row["playbackId"] == chosen["playbackId"]


async def test_nothing_found_is_one_row_of_zeros_or_no_row(vendor, ask):
    """Without grouping SQL gives one row, counts 0 and means null; with grouping none."""
    future = {"from": (NOW + DAY) * 1000}
    _, rows = await ask("views/query", future)
    counts = {"viewCount": 0, "playtimeMins": 0}
    assert rows == [counts | dict.fromkeys(MEASURES - set(counts))]
    for grouping in ({"timeStep": "hour"}, {"playbackId": vendor.playback_ids()[0]}):
        assert await ask("views/query", future | grouping) == (200, [])


async def test_nobody_watching_is_one_row_of_zeros_or_no_row(clock):
    """The same holds for realtime viewers."""
    vendor = Livepeer(World(streams=0), clock=clock)
    whole = await vendor.answer(request("views/now"))
    assert json.loads(whole.body) == [{"viewCount": 0, "errorRate": 0}]
    split = await vendor.answer(request("views/now", {"by": ["country"]}))
    assert json.loads(split.body) == []


async def test_realtime_labels_that_are_unknown_are_empty(ask):
    """Where queries say null, realtime rows say the empty text."""
    _, rows = await ask("views/now", {"by": ["device", "country"]})
    assert {"device": "", "country": ""}.items() <= rows[-1].items()


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        ("day", [1763596800]),
        ("week", [1763251200]),  # Sunday, 16 November
        ("month", [1761955200]),
        ("year", [1735689600]),
    ],
)
async def test_steps_begin_on_their_own_boundaries(ask, step, starts):
    """A row's timestamp is its step's start in milliseconds, UTC, weeks from Sunday."""
    window = {"from": (MIDNIGHT - DAY) * 1000, "to": MIDNIGHT * 1000, "timeStep": step}
    _, rows = await ask("views/query", window)
    assert [row["timestamp"] for row in rows] == [1000 * start for start in starts]


async def test_times_are_rfc3339_or_milliseconds_and_mean_the_same(ask):
    """Both notations name the same instant, and the end is exclusive."""
    _, one = await ask("views/query", {"from": "1763596800000", "to": "1763600400000"})
    written = {"from": "2025-11-20T00:00:00Z", "to": "2025-11-20T02:00:00.000000+01:00"}
    _, other = await ask("views/query", written)
    assert one == other
    _, rows = await ask("views/query", written | {"timeStep": "hour"})
    assert len(rows) == 1


async def test_usage_is_an_object_until_it_is_split(ask):
    """A step or a breakdown turns the object into an array."""
    window = {"from": (MIDNIGHT - 2 * HOUR) * 1000, "to": MIDNIGHT * 1000}
    _, whole = await ask("usage/query", window)
    measures = {"DeliveryUsageMins", "TotalUsageMins", "StorageUsageMins"}
    assert set(whole) == measures | {"UserID"}
    _, steps = await ask("usage/query", window | {"timeStep": "hour"})
    assert [row["TimeInterval"] for row in steps] == [
        (MIDNIGHT - 2 * HOUR) * 1000,
        (MIDNIGHT - HOUR) * 1000,
    ]
    stored = sum(row["StorageUsageMins"] for row in steps) / 2
    assert whole["StorageUsageMins"] == pytest.approx(stored)
    _, split = await ask("usage/query", window | {"by": ["creatorId"]})
    assert {row["CreatorID"] for row in split} == {"ada@example.org", "studio one", None}
    for name in ("DeliveryUsageMins", "TotalUsageMins", "StorageUsageMins"):
        assert whole[name] == pytest.approx(sum(row[name] for row in split))


async def test_usage_of_nothing_is_zeros_or_an_empty_array(ask):
    """A window without hours is an object of zeros, or no rows."""
    future = {"from": (NOW + DAY) * 1000}
    _, whole = await ask("usage/query", future)
    assert whole["DeliveryUsageMins"] == whole["StorageUsageMins"] == 0
    assert await ask("usage/query", future | {"timeStep": "day"}) == (200, [])


@pytest.mark.parametrize(
    "split", [{"timeStep": "hour"}, {"timeStep": "day"}, {"by": ["creatorId"]}]
)
async def test_usage_can_be_an_object_whatever_is_asked(ask, split):
    """The documented shape: one object for the window, without the time it is of."""
    window = {"from": (MIDNIGHT - 2 * HOUR) * 1000, "to": MIDNIGHT * 1000}
    _, whole = await ask("usage/query", window)
    assert await ask("usage/query", window | split, quirks=["usage-object"]) == (200, whole)
    assert "TimeInterval" not in whole
    _, future = await ask(
        "usage/query", split | {"from": (NOW + DAY) * 1000}, quirks=["usage-object"]
    )
    assert future["DeliveryUsageMins"] == 0
    status, _ = await ask("usage/query", {"timeStep": "week"}, quirks=["usage-object"])
    assert status == 500


def test_the_empty_usage_object_stays_one_whatever_is_asked(world, clock):
    """By the quirk, an account without usage is an object of zeros even with a step."""
    vendor = Livepeer(world, clock=clock, quirks=frozenset({"usage-object"}))
    body = json.loads(vendor.empty(request("usage/query", {"timeStep": "hour"})).body)
    assert body["TotalUsageMins"] == 0


async def test_every_hour_of_usage_can_be_the_same(ask):
    """Equal windows then have equal bodies; the hour that is not over yet has less."""
    quirks = ["equal-hours", "usage-object"]
    first = await ask("usage/query", hours(MIDNIGHT - HOUR, MIDNIGHT), quirks=quirks)
    for start in range(MIDNIGHT - 30 * HOUR, MIDNIGHT + 4 * HOUR, HOUR):
        again = await ask("usage/query", hours(start, start + HOUR), quirks=quirks)
        assert again == first
    _, hour = first
    assert min(hour["DeliveryUsageMins"], hour["TotalUsageMins"], hour["StorageUsageMins"]) > 0
    _, open_hour = await ask(
        "usage/query", hours(MIDNIGHT + 4 * HOUR, MIDNIGHT + 5 * HOUR), quirks=quirks
    )
    half = {name: hour[name] / 2 for name in ("DeliveryUsageMins", "TotalUsageMins")}
    assert open_hour == hour | half  # published up to the half hour


async def test_the_truth_of_equal_hours_is_what_they_add_up_to(world, clock, ask):
    """Counters and the level of storage are those of the answers."""
    vendor = Livepeer(world, clock=clock, quirks=frozenset({"equal-hours"}))
    start, end = MIDNIGHT - 20 * HOUR, MIDNIGHT + 5 * HOUR
    truth = vendor.truth(start, end, now=NOW)
    _, rows = await ask("usage/query", hours(start, end), quirks=["equal-hours"])
    assert len(rows) == 25
    delivered = sum(milliseconds(row["DeliveryUsageMins"]) for row in rows)
    assert delivered == truth["media_usage_delivered_seconds_total", ()] > 0
    transcoded = sum(milliseconds(row["TotalUsageMins"]) for row in rows)
    assert transcoded == truth["media_transcoded_seconds_total", ()] > 0
    stored = vendor.levels(NOW)["media_stored_seconds", ()]
    assert {milliseconds(row["StorageUsageMins"]) for row in rows} == {stored}
    assert vendor.truth(NOW, NOW + HOUR, now=NOW)["media_transcoded_seconds_total", ()] == 0


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("", "request is not authenticated"),
        ("Bearer s3cret-key", "no token s3cret-key found"),
        ("Digest s3cret-key", "no user found from authorization header: Digest s3cret-key"),
    ],
)
async def test_a_bad_key_is_echoed(ask, authorization, message):
    """The vendor's 401 repeats the credential, which clients must not log."""
    answer = await ask("usage/query", authorization=authorization)
    assert answer == (401, {"errors": [message]})


@pytest.mark.parametrize(
    "path", ["views/query?playbackId", "views/now?playbackId", "views/query/creator?assetId"]
)
async def test_an_unknown_id_is_a_404_without_a_body(ask, path):
    """The body is empty, not JSON; the same goes for totals and deleted assets."""
    path, parameter = path.split("?")
    assert await ask(path, {parameter: "unknown"}) == (404, None)
    assert await ask("views/query/total/unknown") == (404, None)


async def test_a_deleted_asset_can_no_longer_be_asked_for(world, ask):
    """Its id is unknown now, although its views stay in the account's."""
    (deleted,) = [s for s in world.streams("livepeer", "assets", now=NOW) if s.archived]
    assert await ask("views/query/creator", {"assetId": deleted.id}) == (404, None)
    identifier = playback_id_of(deleted.id)
    assert await ask(f"views/query/total/{identifier}") == (404, None)
    _, rows = await ask("views/query", {"by": ["playbackId"], "from": MIDNIGHT * 1000})
    assert identifier in {row["playbackId"] for row in rows}
    _, watched = await ask("views/now", {"by": ["playbackId"]})
    assert identifier not in {row["playbackId"] for row in watched}


@pytest.mark.parametrize(
    ("path", "params", "status", "message"),
    [
        ("views/query", {"timeStep": "minute"}, 500, "invalid time step: minute"),
        ("views/query", {"by": ["planet"]}, 500, "invalid breakdown field: planet"),
        ("views/query", {"from": "yesterday"}, 400, 'bad time "yesterday"'),
        ("views/query", {"from": "2025-11-20T00:00:00"}, 400, "bad time"),
        ("views/now", {"timeStep": "hour"}, 400, "not supported for Realtime"),
        ("views/now", {"from": "1"}, 400, "not supported for Realtime"),
        ("views/now", {"by": ["os"]}, 500, "realtime viewership events query: invalid breakdown"),
        ("views/query/creator", {}, 400, "exactly 1 of assetId or streamId"),
        ("usage/query", {"timeStep": "week"}, 500, "invalid time step: week"),
        ("usage/query", {"by": ["country"]}, 500, "invalid breakdown field: country"),
        ("usage/query", {"userId": "other"}, 403, "only admins"),
        ("views/query", {"timeStep": "hour"}, 500, "less than 10000 datapoints"),
        ("usage/query", {"timeStep": "hour"}, 500, "less than 10000 datapoints"),
    ],
)
async def test_bad_requests_get_the_vendor_s_status_and_words(ask, path, params, status, message):
    """Many mistakes of the client are 500 here, which a client must not retry for ever."""
    found, body = await ask(path, params)
    assert found == status
    assert message in body["errors"][0]


async def test_a_creator_query_takes_exactly_one_id(vendor, ask):
    """An asset and a stream together are one too many."""
    both = {"assetId": vendor.assets()[0], "streamId": vendor.live_streams()[0]}
    status, _ = await ask("views/query/creator", both)
    assert status == 400


async def test_too_many_rows_are_an_error_for_queries_and_vanish_from_realtime(ask):
    """At the limit all is well; one row more is a 500, or silently gone."""
    day = {"from": (MIDNIGHT - DAY) * 1000, "to": MIDNIGHT * 1000, "by": ["playbackId"]}
    status, rows = await ask("views/query", day, rows=12)
    assert (status, len(rows)) == (200, 12)
    status, body = await ask("views/query", day, rows=11)
    assert status == 500
    assert "less than 11 datapoints" in body["errors"][0]
    status, rows = await ask("views/now", {"by": ["playbackId"]}, realtime_rows=3)
    assert (status, len(rows)) == (200, 3)


async def test_hollow_viewership_finds_nothing_and_says_200(vendor, ask):
    """Queries are empty whatever they ask; totals lack playtime; the rest is untouched."""
    identifier = vendor.playback_ids()[0]
    asset = {"assetId": vendor.assets()[0]}
    assert await ask("views/query", {"timeStep": "nonsense"}, quirks=["hollow"]) == (200, [])
    assert await ask("views/query/creator", asset, quirks=["hollow"]) == (200, [])
    total = await ask(f"views/query/total/{identifier}", quirks=["hollow"])
    assert total == (200, {"playbackId": identifier, "viewCount": 0})
    assert await ask("views/now", quirks=["hollow"]) == await ask("views/now")


DAY_SO_FAR = {"from": MIDNIGHT * 1000, "timeStep": "hour"}
AMOUNTS = {"viewCount", "legacyViewCount", "playtimeMins", "exitsBeforeStart"} | {
    f"{what}UsageMins" for what in ("Delivery", "Total", "Storage")
}


def types_of(rows, names=AMOUNTS):
    return {type(value) for row in rows for name, value in row.items() if name in names}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("views/query", DAY_SO_FAR | {"by": ["country"]}),
        ("views/now", {"by": ["device"]}),
        ("usage/query", DAY_SO_FAR),
        ("views/query/total/ID", {}),
    ],
)
async def test_amounts_can_be_integral_floats(vendor, ask, path, params):
    """7 is 7.0, and means the same; when a row is of stays a whole number."""
    path = path.replace("ID", vendor.playback_ids()[0])
    _, plain = await ask(path, params)
    _, floats = await ask(path, params, quirks=["integral-floats"])
    assert floats == plain
    rows = floats if isinstance(floats, list) else [floats]
    assert types_of(rows) == {float}
    assert types_of(rows, {"timestamp", "TimeInterval"}) <= {int}


async def test_amounts_of_nothing_can_be_null(clock, ask):
    """A count or a sum of 0 is null; one that is not 0 stays."""
    quirks = frozenset({"null-amounts"})
    vendor = Livepeer(World(streams=0), clock=clock, quirks=quirks)
    now = await vendor.answer(request("views/now"))
    assert json.loads(now.body) == [{"viewCount": None, "errorRate": 0}]
    future = {"from": (NOW + DAY) * 1000}
    _, (row,) = await ask("views/query", future, quirks=quirks)
    assert row == dict.fromkeys(MEASURES)
    _, usage = await ask("usage/query", future, quirks=quirks)
    assert types_of([usage]) == {type(None)}
    fine = DAY_SO_FAR | {"by": ["playbackId", "country"]}
    _, plain = await ask("views/query", fine)
    _, nulls = await ask("views/query", fine, quirks=quirks)
    assert any(row["exitsBeforeStart"] == 0 for row in plain)
    assert nulls == [
        {name: None if name in AMOUNTS and value == 0 else value for name, value in row.items()}
        for row in plain
    ]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("views/query", {"from": (NOW + DAY) * 1000, "timeStep": "hour"}),
        ("views/query", {"from": (NOW + DAY) * 1000, "by": ["country"]}),
        ("usage/query", {"from": (NOW + DAY) * 1000, "timeStep": "hour"}),
    ],
)
async def test_an_answer_without_rows_can_be_null(vendor, ask, path, params):
    """A list that was never made is written as null; one with rows is not."""
    assert await ask(path, params) == (200, [])
    assert await ask(path, params, quirks=["null-lists"]) == (200, None)
    assert await ask(path, params, quirks=["null-lists", "hollow"]) == (200, None)
    assert await ask(path, DAY_SO_FAR, quirks=["null-lists"]) == await ask(path, DAY_SO_FAR)


async def test_an_account_without_viewers_can_be_null(world, clock):
    """The emptiest answers are written like any other."""
    vendor = Livepeer(world, clock=clock, quirks=frozenset({"null-lists", "null-amounts"}))
    empty = vendor.empty(request("views/now", {"by": ["country"]}))
    assert json.loads(empty.body) is None
    assert json.loads(vendor.empty(request("usage/query")).body)["TotalUsageMins"] is None
    assert json.loads(vendor.empty(request("views/query/total/abc")).body)["viewCount"] is None


async def test_the_cache_repeats_an_answer_for_five_minutes(world, clock):
    """New data shows once the old answer has expired; realtime viewers are never kept."""
    vendor = Livepeer(world, clock=clock, quirks=frozenset({"cache"}))
    clock.now = MIDNIGHT + 5 * HOUR - 1  # one second before the quarter hour, and the minute
    first = await vendor.answer(request("usage/query", {"from": MIDNIGHT * 1000}))
    now = await vendor.answer(request("views/now"))
    clock.now += 299
    again = await vendor.answer(request("usage/query", {"from": MIDNIGHT * 1000}))
    assert again.body == first.body
    assert (await vendor.answer(request("views/now"))).body != now.body
    clock.now += 1
    later = await vendor.answer(request("usage/query", {"from": MIDNIGHT * 1000}))
    assert later.body != first.body


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("views/query", {"timeStep": "hour"}, []),
        ("views/now", {"by": ["country"]}, []),
        ("usage/query", {"timeStep": "hour"}, []),
        ("views/query/total/abc", {}, {"playbackId": "abc", "viewCount": 0}),
    ],
)
def test_the_empty_answer_keeps_the_shape(vendor, path, params, expected):
    """Nothing to tell is an empty array where rows were."""
    assert json.loads(vendor.empty(request(path, params)).body) == expected


def test_the_empty_usage_object_is_zeros(vendor):
    """An unsplit usage query stays an object."""
    assert json.loads(vendor.empty(request("usage/query")).body)["TotalUsageMins"] == 0


@pytest.mark.parametrize("status", [401, 403, 429, 500, 501, 503])
def test_errors_are_in_the_vendor_s_shape(vendor, status):
    """An error is a list of texts."""
    body, content_type = vendor.error(status)
    assert content_type == "application/json; charset=utf-8"
    assert len(json.loads(body)["errors"]) == 1


def test_a_404_has_no_body(vendor):
    """The data service drops the body of the service that it asks for permission."""
    assert vendor.error(404)[0] == b""


async def test_everything_can_be_unavailable(ask):
    """A family that is switched off answers 501."""
    answer = await ask("views/now", quirks=["unavailable"])
    assert answer == (501, {"errors": ["bigquery is unavailable"]})


def test_an_unknown_quirk_is_refused(world, clock):
    """A misspelt quirk must not silently test nothing."""
    with pytest.raises(ValueError, match="hollw"):
        Livepeer(world, clock=clock, quirks=frozenset({"hollw"}))
