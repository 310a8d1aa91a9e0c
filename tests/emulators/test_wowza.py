"""The emulated Wowza Video behaves as its documentation says, and its truth is what it answers."""

import json
from datetime import UTC, datetime

import pytest

from exporter.emulators.http import Request
from exporter.emulators.world import Stream, World
from exporter.emulators.wowza import VERSIONS, Wowza

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_763_700_120  # 2025-11-21 04:42:00
MIDNIGHT = NOW // DAY * DAY
ALL_KEY_PAGED = ("vod_streams", "stream_targets", "real_time_streams")
FAMILIES = (*ALL_KEY_PAGED, "transcoders")


def iso(second):
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def window_of(start):
    return {"from": iso(start), "to": iso(start + HOUR)}


def limits_of(start, end):
    return {
        name: datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for name, second in (("from", start), ("to", end))
    }


def request(path, *, token="demo", version="v1.11", **params):
    headers = (("authorization", f"Bearer {token}"),) if token else ()
    pairs = tuple((name.rstrip("_"), str(value)) for name, value in params.items())
    return Request("GET", f"/api/{version}/{path}", pairs, headers)


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
def ask(world, clock):
    async def ask(path, *, quirks=(), page_size=1000, **params):
        vendor = Wowza(world, clock=clock, quirks=frozenset(quirks), page_size=page_size)
        response = await vendor.answer(request(path, **params))
        return response.status, json.loads(response.body)

    return ask


async def every_row(ask, family, **params):
    """All rows of a list, by whichever way it pages."""
    rows: list[dict] = []
    more: dict[str, object] = {}
    while True:
        _, body = await ask(f"usage/{family}", **params, **more)
        rows += body[family]
        pagination = body["pagination"]
        if pagination.get("next_page_key"):
            more = {"next_page_key": pagination["next_page_key"]}
        elif pagination.get("page", pagination["total_pages"]) < pagination["total_pages"]:
            more = {"page": pagination["page"] + 1}
        else:
            return rows


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("family", FAMILIES)
async def test_pages_of_a_list_hold_every_row_once_and_sum_to_the_summary(ask, family, size):
    """A summary is the sum of its list, however the list is cut."""
    rows = await every_row(ask, family, page_size=size)
    _, whole = await ask(f"usage/{family}/summary")
    assert len(rows) == len({row["id"] for row in rows}) == 6
    for field, total in whole["summary"].items():
        if field in rows[0]:
            assert total == sum(row[field] for row in rows), field


async def test_truth_is_what_hourly_answers_add_up_to(world, clock, ask):
    """Counting hour by hour through the API gives the truth of the day, in milliseconds and bytes."""
    counted: dict[tuple, int] = {}

    def count(metric, labels, amount):
        counted[metric, labels] = counted.get((metric, labels), 0) + amount

    words = {
        "viewing_seconds": ("viewing_seconds", 1000),
        "viewing_bytes": ("delivered_bytes", 1),
        "egress_seconds": ("egress_seconds", 1000),
        "egress_bytes": ("egress_bytes", 1),
        "bytes_in": ("received_bytes", 1),
        "bytes_out": ("delivered_bytes", 1),
    }
    kinds = dict(zip(FAMILIES, ("vod", "live", "realtime", "transcoder"), strict=True))
    for start in range(MIDNIGHT - 6 * HOUR, MIDNIGHT + 5 * HOUR, HOUR):
        window = {"from": iso(start), "to": iso(start + HOUR)}
        for family, kind in kinds.items():
            _, whole = await ask(f"usage/{family}/summary", **window)
            rows = await every_row(ask, family, **window)
            if family == "vod_streams":
                rows = [
                    (await ask(f"usage/{family}/{row['id']}", **window))[1]["vod_stream"]
                    for row in rows
                ]
            for field, (name, units) in words.items():
                if field in whole["summary"]:
                    amount = units * whole["summary"][field]
                    count(f"media_{name}_total", (("kind", kind),), amount)
                for row in rows:
                    if field in row:
                        labels = (("kind", kind), ("stream", row["id"]))
                        count(f"media_stream_{name}_total", labels, units * row[field])
        _, account = await ask("usage/account", **window)
        for field, (name, units) in list(words.items())[:4]:
            count(f"media_account_{name}_total", (), units * account["account"][field])
    vendor = Wowza(world, clock=clock)
    assert counted == vendor.truth(MIDNIGHT - 6 * HOUR, MIDNIGHT + 5 * HOUR, now=NOW)
    assert all(
        counted[f"media_{name}_total", (("kind", "vod"),)] for name, _ in list(words.values())[:4]
    )


async def test_account_contains_on_demand_and_live_and_can_be_narrowed_to_either(ask):
    """The two resources of the account add up to it, and `limits` names those that are in."""
    _, whole = await ask("usage/account")
    parts = []
    for resource in ("transcoders", "vod_streams"):
        narrowed = {"filter[0][field]": "resource", "filter[0][eq]": resource}
        _, part = await ask("usage/account", **narrowed)
        assert part["limits"]["resources"] == [resource]
        parts.append(part["account"])
    for field in ("viewing_seconds", "viewing_bytes", "egress_seconds", "egress_bytes"):
        assert whole["account"][field] == sum(part[field] for part in parts)


async def test_account_is_the_sum_of_transcoders_and_vod_streams(world, ask):
    """A target that no transcoder feeds and a stream in real time are in neither."""
    for family in ("stream_targets", "real_time_streams"):
        world.add_stream("wowza", family, Stream("extra", "extra", archived=False, born=MIDNIGHT))
    window = window_of(MIDNIGHT)
    _, whole = await ask("usage/account", **window)
    for field in ("viewing_seconds", "viewing_bytes"):
        total = 0
        for family, key in (("transcoders", "transcoder"), ("vod_streams", "vod_stream")):
            for row in await every_row(ask, family, **window):
                _, body = await ask(f"usage/{family}/{row['id']}", **window)
                total += body[key][field]
        assert whole["account"][field] == total


async def test_levels_are_what_viewers_answers_say(world, clock, ask):
    """Gauges of viewers match the live answers, breakdowns included."""
    levels = Wowza(world, clock=clock).levels(NOW)
    _, body = await ask("analytics/viewers/account", include="countries,renditions,devices")
    account = body["account"]
    everything = ("kind", "all")
    assert levels["media_viewers", (everything,)] == account["viewers"]
    for row in account["countries"]:
        labels = (("country", row["code"]), everything)
        assert levels["media_country_viewers", labels] == row["viewers"]
    for row in account["renditions"]:
        labels = (everything, ("rendition", str(row["name"])))
        assert levels["media_rendition_viewers", labels] == row["viewers"]
    _, listed = await ask("analytics/viewers/vod_streams")
    for row in listed["vod_streams"]:
        labels = (("kind", "vod"), ("stream", row["id"]))
        assert levels["media_stream_viewers", labels] == row["viewers"]
    streams = [key for key in levels if key[0] == "media_stream_viewers" and key[1][0][1] == "vod"]
    assert len(streams) == len(listed["vod_streams"])


@pytest.mark.parametrize("family", ["live_streams", "vod_streams"])
async def test_breakdowns_of_one_stream_add_up_to_its_viewers(ask, family):
    """Countries, renditions and devices each share out the same viewers; none comes unasked."""
    _, listed = await ask(f"analytics/viewers/{family}")
    identifier = listed[family][0]["id"]
    path = f"analytics/viewers/{family}/{identifier}"
    _, body = await ask(path, include="countries,renditions,devices,trend")
    row = body[family.removesuffix("s")]
    for name in ("countries", "renditions", "devices"):
        assert sum(part["viewers"] for part in row[name]) == row["viewers"]
    _, bare = await ask(path)
    assert set(bare[family.removesuffix("s")]) == {"id", "viewers", "time_zone"}


@pytest.mark.parametrize("family", ["live_streams", "vod_streams"])
async def test_a_stream_beyond_the_most_viewed_answers_when_asked_by_itself(world, clock, family):
    """The list leaves out streams that have viewers, and says nothing of the loss."""
    vendor = Wowza(world, clock=clock, top=2)

    async def get(path):
        return json.loads((await vendor.answer(request(f"analytics/viewers/{path}"))).body)

    listed = {row["id"]: row["viewers"] for row in (await get(family))[family]}
    told = {}
    for stream in world.streams("wowza", family, now=NOW):
        answer = await get(f"{family}/{stream.id}")
        told[stream.id] = answer[family.removesuffix("s")]["viewers"]
    most = sorted(told.values(), reverse=True)
    assert list(listed.values()) == most[:2]
    assert listed.items() <= told.items()
    assert most[2] > 0


async def test_levels_are_of_the_streams_that_the_lists_hold(world, clock):
    """What the lists leave out has no gauge, and no breakdown either."""
    vendor = Wowza(world, clock=clock, top=2)
    told: dict[str, set[str]] = {"live": set(), "vod": set()}
    for family, kind in (("live_streams", "live"), ("vod_streams", "vod")):
        body = json.loads((await vendor.answer(request(f"analytics/viewers/{family}"))).body)
        told[kind] |= {row["id"] for row in body[family]}
    for metric in ("viewers", "country_viewers", "rendition_viewers"):
        found: dict[str, set[str]] = {"live": set(), "vod": set()}
        for name, labels in vendor.levels(NOW):
            if name == f"media_stream_{metric}":
                found[dict(labels)["kind"]].add(dict(labels)["stream"])
        assert found == told, metric


async def test_viewers_lists_stop_at_the_top_hundred(clock):
    """A list of viewers never has a hundred and first stream, and says nothing of the loss."""
    vendor = Wowza(World(streams=130), clock=clock)
    body = json.loads((await vendor.answer(request("analytics/viewers/live_streams"))).body)
    counts = [row["viewers"] for row in body["live_streams"]]
    assert len(counts) == 100
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ({}, "2025-11-01T00:00:00.000Z", "2025-11-22T00:00:00.000Z"),
        ({"from": "2025-11-20 10:15:00"}, "2025-11-20T11:00:00.000Z", "2025-11-22T00:00:00.000Z"),
        ({"from": "2025-01-01"}, "2025-01-01T00:00:00.000Z", "2025-04-01T00:00:00.000Z"),
        ({"to": "2025-11-20"}, "2025-11-01T00:00:00.000Z", "2025-11-20T00:00:00.000Z"),
        ({"to": "2025-10-20"}, "2025-07-22T00:00:00.000Z", "2025-10-20T00:00:00.000Z"),
        (
            {"from": "last_bill_date", "to": "2025-11-20T09:00:00.001Z"},
            "2025-11-01T00:00:00.000Z",
            "2025-11-20T10:00:00.000Z",
        ),
    ],
)
async def test_usage_windows_follow_the_documented_defaults_and_rounding(ask, asked, start, end):
    """`limits` tells the window used: whole hours, rounded up, billing date by default."""
    _, body = await ask("usage/vod_streams/summary", **asked)
    assert body["limits"] == {"from": start, "to": end}


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2025-01-01 00:00:00", "to": "2025-04-01 01:00:00"},
        {"from": "2025-11-20", "to": "2025-11-19"},
        {"from": "yesterday"},
        {"per_page": "0"},
        {"next_page_key": "never-given"},
    ],
)
async def test_a_request_that_breaks_a_rule_is_unprocessable(ask, asked):
    """More than 90 days, reversed, no date, no page: 422 in the vendor's shape."""
    status, body = await ask("usage/vod_streams", **asked)
    assert (status, body["meta"]["code"]) == (422, "ERR-422-RecordInvalid")


@pytest.mark.parametrize(
    ("token", "code"), [("wrong", "ERR-401-InvalidToken"), ("", "ERR-401-NoApiKey")]
)
async def test_only_the_account_s_token_is_let_in(ask, token, code):
    """A wrong token and none at all are both 401, told apart by code."""
    status, body = await ask("usage/account", token=token)
    assert (status, body["meta"]["status"], body["meta"]["code"]) == (401, 401, code)


@pytest.mark.parametrize("version", ["v1.7", "v1.12", "v3.0", "2.0", "beta"])
async def test_a_version_that_is_not_served_is_not_found(ask, version):
    """The path names the version, and only some exist."""
    status, body = await ask("usage/vod_streams", version=version)
    assert (status, body["meta"]["code"]) == (404, "ERR-404-RecordNotFound")


async def test_the_list_of_versions_needs_no_token(world, clock):
    """Each version served is listed with its state and base."""
    response = await Wowza(world, clock=clock).answer(Request("GET", "/api/versions"))
    listed = json.loads(response.body)
    assert listed["2.0"] == {"status": "current", "base_uri": "/api/v2.0"}
    assert len(listed) == len(VERSIONS)


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("usage/vod_streams", (200, 200, 200, 200, 200)),
        ("usage/accounts", (200, 200, 200, 404, 404)),
        ("usage/account", (404, 404, 404, 200, 200)),
        ("usage/real_time_streams/summary", (404, 404, 404, 200, 200)),
        ("usage/vod_streams/egress", (200, 200, 200, 410, 410)),
        ("usage/vod_streams/egress/summary", (200, 200, 200, 410, 410)),
        ("usage/vod_streams/ID/live", (200, 200, 200, 410, 410)),
        ("usage/vod_streams/ID/trend", (200, 200, 200, 410, 410)),
        ("usage/vod_streams/ID/countries", (200, 200, 200, 410, 410)),
        ("usage/vod_streams/ID/renditions", (200, 200, 200, 410, 410)),
        ("usage/storage/current", (404, 404, 404, 404, 200)),
        ("analytics/viewers/account", (404, 404, 404, 200, 200)),
        ("analytics/viewers/account/total", (404, 404, 404, 404, 200)),
        ("usage/vod_streams/no-such-id", (404, 404, 404, 404, 404)),
        ("usage/network/transcoders", (404, 404, 404, 404, 404)),
    ],
)
async def test_each_version_has_its_own_operations(world, ask, path, statuses):
    """Operations come and go with versions; what was retired answers 410."""
    identifier = world.streams("wowza", "vod_streams", now=NOW)[0].id
    found = [
        (await ask(path.replace("ID", identifier), version=f"v{major}.{minor}"))[0]
        for major, minor in VERSIONS
    ]
    assert tuple(found) == statuses


async def test_older_versions_tell_unique_viewers_and_keep_egress_apart(ask):
    """Up to 1.10 rows have viewers and averages, and the on-demand summary has no egress."""
    _, old = await ask("usage/vod_streams", version="v1.10")
    _, new = await ask("usage/vod_streams", version="v1.11")
    extra = set(old["vod_streams"][0]) - set(new["vod_streams"][0])
    assert extra == {"unique_viewers", "avg_viewing_seconds"}
    _, old = await ask("usage/vod_streams/summary", version="v1.10")
    _, new = await ask("usage/vod_streams/summary", version="v1.11")
    assert set(new["summary"]) - set(old["summary"]) == {"egress_seconds", "egress_bytes"}


async def test_a_deleted_stream_still_bills(ask):
    """What is archived stays in the list with its usage, and nobody watches it."""
    _, body = await ask("usage/vod_streams")
    (deleted,) = [row for row in body["vod_streams"] if row["archived"]]
    assert deleted["viewing_bytes"] > 0
    _, viewers = await ask("analytics/viewers/vod_streams")
    assert deleted["id"] not in {row["id"] for row in viewers["vod_streams"]}


async def test_names_come_as_they_are_spelled(ask):
    """Quotes and letters outside ASCII survive."""
    _, body = await ask("usage/vod_streams")
    assert {'the "green" room', "東京"} <= {row["name"] for row in body["vod_streams"]}


async def test_a_stream_is_listed_from_its_birth(world, ask):
    """A window that ends before a stream was born does not list it."""
    world.add_stream("wowza", "vod_streams", Stream("newborn", "new", False, MIDNIGHT))
    _, before = await ask("usage/vod_streams", to=iso(MIDNIGHT))
    _, after = await ask("usage/vod_streams")
    assert len(after["vod_streams"]) == len(before["vod_streams"]) + 1


@pytest.mark.parametrize(
    ("hours", "samples"), [(3, 180), (24, 24), (48, 2)], ids=["minutes", "hours", "days"]
)
async def test_a_trend_adds_up_to_its_stream(world, ask, hours, samples):
    """Trend steps widen with the window and lose nothing; unasked there is none."""
    identifier = world.streams("wowza", "vod_streams", now=NOW)[1].id
    window = {"from": iso(MIDNIGHT - hours * HOUR), "to": iso(MIDNIGHT)}
    path = f"usage/vod_streams/{identifier}"
    _, body = await ask(path, include="trend", **window)
    row = body["vod_stream"]
    assert len(row["trend"]) == samples
    assert sum(step["viewing_bytes"] for step in row["trend"]) == row["viewing_bytes"]
    _, bare = await ask(path, **window)
    assert "trend" not in bare["vod_stream"]


async def last_page(ask, quirk):
    _, first = await ask("usage/vod_streams", quirks=[quirk], page_size=4)
    key = first["pagination"]["next_page_key"]
    _, last = await ask("usage/vod_streams", quirks=[quirk], page_size=4, next_page_key=key)
    assert len(last["vod_streams"]) == 2
    return key, last["pagination"]


@pytest.mark.parametrize(("quirk", "end"), [("page-key-null", None), ("page-key-empty", "")])
async def test_the_last_page_can_say_so_in_other_ways(ask, quirk, end):
    """The key of the last page is null or empty where a quirk asks for it."""
    _, pagination = await last_page(ask, quirk)
    assert pagination["next_page_key"] == end


async def test_the_last_page_can_name_itself(ask):
    """A client that does not watch for a repeated key would never stop here."""
    key, pagination = await last_page(ask, "page-key-repeats")
    assert pagination["next_page_key"] == key


@pytest.mark.parametrize("family", ["vod_streams", "transcoders"])
async def test_pages_can_begin_with_the_last_rows_of_the_page_before(ask, family):
    """The rows that two pages share differ in nothing, none is lost, and the last page ends."""
    _, whole = await ask(f"usage/{family}")
    rows = await every_row(ask, family, page_size=3, quirks=["overlapping-pages"])
    places = [whole[family].index(row) for row in rows]
    assert places == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5]
    _, first = await ask(f"usage/{family}", page_size=3, quirks=["overlapping-pages"])
    assert first["pagination"]["total_records"] == 6
    assert first["pagination"]["total_pages"] == 4


async def test_pages_that_begin_with_earlier_rows_end_all_the_same(ask):
    """A counted page past the last is empty, and pages of one row have nothing to share."""
    overlapping = {"quirks": ["overlapping-pages"]}
    _, past = await ask("usage/transcoders", page_size=3, page=5, **overlapping)
    assert past["transcoders"] == []
    for family in ("vod_streams", "transcoders"):
        assert len(await every_row(ask, family, page_size=1, **overlapping)) == 6
        assert len(await every_row(ask, family, page_size=6, **overlapping)) == 6


async def test_quirks_change_the_shape_and_nothing_else(ask):
    """Each quirk moves, renames or drops what it says."""
    _, plain = await ask("usage/account")
    _, inside = await ask("usage/account", quirks=["limits-inside"])
    assert inside == {"account": plain["account"] | {"limits": plain["limits"]}}
    _, other = await ask("usage/account", quirks=["accounts-key"])
    assert other["accounts"] == plain["account"]
    _, routed = await ask("usage/accounts", quirks=["accounts-route"])
    assert routed == plain
    _, whole = await ask("usage/vod_streams", quirks=["pagination-missing"], page_size=2)
    assert (len(whole["vod_streams"]), "pagination" in whole) == (6, False)
    _, number = await ask("usage/vod_streams", quirks=["payload-version-number"])
    assert number["pagination"]["payload_version"] == 2.0
    _, old = await ask("usage/vod_streams", quirks=["names-of-1.7"])
    assert old["vod_streams"][0].keys() >= {"viewing_time", "bytes"}
    assert old["vod_streams"][0]["bytes"] == whole["vod_streams"][0]["viewing_bytes"]


IDLE = window_of(NOW + HOUR)
"""Nothing has happened in it yet."""
SPELLED = [
    ("usage/vod_streams", {}),
    ("usage/transcoders/summary", {}),
    ("usage/account", {"include": "trend"}),
    ("usage/vod_streams/summary", {"version": "v1.10"}),
    ("analytics/viewers/account", {"include": "countries,renditions,devices"}),
    ("analytics/viewers/vod_streams", {}),
]


def numbers(value, *, but=()):
    """Every number of a JSON value with the key or position it is under, in order."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in pairs:
        if isinstance(member, dict | list):
            if name not in but:
                yield from numbers(member, but=but)
        elif isinstance(member, int | float) and not isinstance(member, bool):
            yield name, member


@pytest.mark.parametrize(("path", "params"), SPELLED)
async def test_amounts_can_be_integral_floats(ask, path, params):
    """22886 is 22886.0, and means the same; what is no amount stays as it is."""
    _, plain = await ask(path, **params)
    _, floats = await ask(path, quirks=["integral-floats"], **params)
    assert floats == plain
    amounts = {name: type(value) for name, value in numbers(floats, but=["pagination"])}
    assert amounts.pop("name", int) is int  # a rendition
    assert set(amounts.values()) == {float}
    assert {type(value) for _, value in numbers(floats.get("pagination", {}))} <= {int}


@pytest.mark.parametrize("family", FAMILIES)
async def test_amounts_of_nothing_can_be_null_or_absent(ask, family):
    """An idle row has its name and no amount; a row with usage is whole."""
    _, zeros = await ask(f"usage/{family}", **IDLE)
    _, nulls = await ask(f"usage/{family}", quirks=["null-amounts"], **IDLE)
    _, absent = await ask(f"usage/{family}", quirks=["absent-amounts"], **IDLE)
    amounts = {
        name for name, value in zeros[family][0].items() if value == 0 and value is not False
    }
    assert len(amounts) in (2, 3)
    assert nulls[family] == [row | dict.fromkeys(amounts) for row in zeros[family]]
    assert [row.keys() for row in absent[family]] == [row.keys() - amounts for row in zeros[family]]
    assert nulls["pagination"] == absent["pagination"] == zeros["pagination"]
    _, busy = await ask(f"usage/{family}")
    assert all(
        row[name]
        for row in busy[family]
        for name in amounts - {"egress_seconds_additional_targets"}
    )
    _, whole = await ask(f"usage/{family}", quirks=["null-amounts"])
    assert whole == busy


@pytest.mark.parametrize("path", ["vod_streams/summary", "account"])
async def test_totals_of_nothing_can_be_null_or_absent(ask, path):
    """A summary that has nothing to tell is empty, and an account only an id."""
    _, zeros = await ask(f"usage/{path}", **IDLE)
    key = path.removeprefix("vod_streams/")
    _, nulls = await ask(f"usage/{path}", quirks=["null-amounts"], **IDLE)
    _, absent = await ask(f"usage/{path}", quirks=["absent-amounts"], **IDLE)
    assert nulls[key] == {name: value or None for name, value in zeros[key].items()}
    assert absent[key].keys() == zeros[key].keys() & {"id"}
    assert absent["limits"] == zeros["limits"]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("usage/vod_streams", "vod_streams"),
        ("usage/transcoders", "transcoders"),
        ("analytics/viewers/live_streams", "live_streams"),
    ],
)
async def test_lists_of_nothing_can_be_null(clock, path, key):
    """Where there is no row there is no list."""
    vendor = Wowza(World(streams=0), clock=clock, quirks=frozenset({"null-lists"}))
    body = json.loads((await vendor.answer(request(path))).body)
    assert body[key] is None
    assert "limits" in body


async def test_a_list_with_rows_is_never_null(ask):
    """The quirk leaves an answer without empty lists as it is."""
    _, plain = await ask("usage/vod_streams")
    assert await ask("usage/vod_streams", quirks=["null-lists"]) == (200, plain)


async def test_the_empty_answer_is_spelled_like_any_other(world, clock):
    """It has no list and no amount where quirks take them out of answers."""
    vendor = Wowza(world, clock=clock, quirks=frozenset({"null-lists", "absent-amounts"}))
    listed = json.loads(vendor.empty(request("usage/vod_streams")).body)
    assert listed["vod_streams"] is None
    assert json.loads(vendor.empty(request("usage/vod_streams/summary")).body)["summary"] == {}


async def test_limits_can_differ_from_what_was_asked(ask):
    """With whole days, the amounts are those of `limits`, not of the hour asked for."""
    hour = {"from": iso(MIDNIGHT - 2 * HOUR), "to": iso(MIDNIGHT - HOUR)}
    _, widened = await ask("usage/vod_streams/summary", quirks=["limits-whole-days"], **hour)
    day = {"from": iso(MIDNIGHT - DAY), "to": iso(MIDNIGHT)}
    _, asked = await ask("usage/vod_streams/summary", **day)
    assert widened == asked


@pytest.mark.parametrize("path", ["vod_streams", "stream_targets/summary", "account"])
async def test_an_open_window_can_end_now(ask, path):
    """Only `limits` says so: nothing has happened after now, and a closed hour stays whole."""
    open_hour, closed = window_of(MIDNIGHT + 4 * HOUR), window_of(MIDNIGHT + 3 * HOUR)
    _, plain = await ask(f"usage/{path}", **open_hour)
    _, cut = await ask(f"usage/{path}", quirks=["cuts-open-window"], **open_hour)
    limits = cut.pop("limits")
    assert limits == plain.pop("limits") | limits_of(MIDNIGHT + 4 * HOUR, NOW)
    assert cut == plain
    _, plain = await ask(f"usage/{path}", **closed)
    assert await ask(f"usage/{path}", quirks=["cuts-open-window"], **closed) == (200, plain)


async def test_the_vendors_clock_can_be_behind(clock, ask):
    """A window ends at the vendor's now, with what the vendor has by then."""
    start = MIDNIGHT + 4 * HOUR
    clock.now = start + 15 * 60 + 20  # the vendor has only just published the first quarter
    _, plain = await ask("usage/vod_streams", **window_of(start))
    assert any(row["viewing_bytes"] for row in plain["vod_streams"])
    _, behind = await ask("usage/vod_streams", quirks=["clock-behind"], **window_of(start))
    assert behind == plain | {"limits": limits_of(start, clock.now - 20)}
    clock.now -= 1
    _, behind = await ask("usage/vod_streams", quirks=["clock-behind"], **window_of(start))
    assert not any(row["viewing_bytes"] for row in behind["vod_streams"])


async def test_a_clock_behind_has_not_begun_the_hour_that_others_are_in(world, clock, ask):
    """Its `limits` end before they begin, and each stream is there with nothing."""
    start = MIDNIGHT + 4 * HOUR
    clock.now = start + 12
    vendor = Wowza(world, clock=clock, quirks=frozenset({"clock-behind"}), behind=300)
    response = await vendor.answer(request("usage/vod_streams", **window_of(start)))
    body = json.loads(response.body)
    assert body["limits"] == limits_of(start, clock.now - 300)
    assert len(body["vod_streams"]) == 6
    assert {row["viewing_seconds"] for row in body["vod_streams"]} == {0}


async def test_the_truth_of_a_clock_behind_is_what_the_vendor_has_by_it(world, clock):
    """Counters and gauges are those of the vendor's own now."""
    plain = Wowza(world, clock=clock)
    behind = Wowza(world, clock=clock, quirks=frozenset({"clock-behind"}), behind=121)
    window = (MIDNIGHT, MIDNIGHT + 5 * HOUR)
    now = MIDNIGHT + 4 * HOUR + 100
    assert behind.truth(*window, now=now) == plain.truth(*window, now=now - 121)
    assert behind.truth(*window, now=now) != plain.truth(*window, now=now)
    assert behind.levels(now) == plain.levels(now - 121) != plain.levels(now)


async def test_unused_rows_can_be_left_out(ask):
    """A stream without usage in the window is a row of zeros, or no row."""
    window = {"from": iso(NOW + HOUR), "to": iso(NOW + 2 * HOUR)}
    _, zeros = await ask("usage/vod_streams", **window)
    _, none = await ask("usage/vod_streams", quirks=["unused-left-out"], **window)
    assert (len(zeros["vod_streams"]), none["vod_streams"]) == (6, [])


async def names_listed(ask, family, hours, **params):
    """Name and archived of each stream that the hours' lists hold, by id."""
    found = {}
    for start in hours:
        for row in await every_row(ask, family, **window_of(start), **params):
            archived = str(row["archived"]).lower() if "archived" in row else "unknown"
            found[row["id"]] = (row["name"], archived)
    return found


@pytest.mark.parametrize("quirks", [(), ("unused-left-out",)], ids=["all", "used"])
async def test_what_is_described_is_what_any_hour_listed(world, clock, ask, quirks):
    """Of idle streams that lists leave out the names are known from the hours they were used in."""
    since = MIDNIGHT - 3 * HOUR
    vendor = Wowza(world, clock=clock, quirks=frozenset(quirks))
    kinds = dict(zip(FAMILIES, ("vod", "live", "realtime", "transcoder"), strict=True))
    expected: dict[tuple[str, str], tuple[str, str]] = {}
    for family, kind in kinds.items():
        hours = range(since, NOW, HOUR)
        listed = await names_listed(ask, family, hours, quirks=quirks)
        expected |= {(kind, identifier): told for identifier, told in listed.items()}
    described = vendor.described(since, NOW)
    assert described == expected
    assert {kind for kind, _ in described} == set(kinds.values())
    assert len(described) < 24 if quirks else len(described) == 24


def test_the_hour_that_has_just_begun_lists_what_was_born_with_it(world, clock):
    """A stream is described from its first second on."""
    world.add_stream("wowza", "vod_streams", Stream("newborn", "new", False, MIDNIGHT))
    vendor = Wowza(world, clock=clock)
    assert vendor.described(MIDNIGHT - HOUR, MIDNIGHT)["vod", "newborn"] == ("new", "false")
    assert ("vod", "newborn") not in vendor.described(MIDNIGHT - HOUR, MIDNIGHT - 1)


def test_what_is_described_grows_with_the_time_revisited_at_over(world, clock):
    """A stream that is idle now was used some hours ago, and its name is known from then."""
    vendor = Wowza(world, clock=clock, quirks=frozenset({"unused-left-out"}))
    lately = vendor.described(MIDNIGHT + 4 * HOUR + 1, NOW)
    assert lately == vendor.described(MIDNIGHT + 4 * HOUR, NOW)
    today = vendor.described(NOW - DAY, NOW)
    assert lately.items() < today.items()
    assert len(today) == 24


@pytest.mark.parametrize(
    ("path", "seconds"), [("usage/account", 60), ("analytics/viewers/account", 10)]
)
async def test_the_cache_repeats_an_answer_for_its_time(world, clock, path, seconds):
    """With the cache on, new data shows only once the old answer has expired."""
    vendor = Wowza(world, clock=clock, quirks=frozenset({"cache"}))
    clock.now = MIDNIGHT + 5 * HOUR - 1  # one second before the quarter hour, and the minute
    first = await vendor.answer(request(path))
    clock.now += seconds - 1
    assert (await vendor.answer(request(path))).body == first.body
    clock.now += 1
    assert (await vendor.answer(request(path))).body != first.body


@pytest.mark.parametrize(
    "path", ["usage/vod_streams", "usage/vod_streams/summary", "analytics/viewers/account"]
)
async def test_the_empty_answer_keeps_the_shape(world, clock, path):
    """Nothing to tell is the same keys with no rows and zeros, and the same window."""
    vendor = Wowza(world, clock=clock)
    full = json.loads((await vendor.answer(request(path))).body)
    empty = json.loads(vendor.empty(request(path)).body)
    assert empty.keys() == full.keys()
    assert empty["limits"] == full["limits"]
    assert empty != full


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422, 429, 500, 502, 503, 504])
def test_errors_are_in_the_vendor_s_shape(world, clock, status):
    """Every error body is a `meta` object that repeats the status."""
    body, content_type = Wowza(world, clock=clock).error(status)
    meta = json.loads(body)["meta"]
    assert content_type.startswith("application/json")
    assert meta["status"] == status
    assert meta["code"].startswith(f"ERR-{status}-")


def test_an_unknown_quirk_is_refused(world, clock):
    """A misspelt quirk must not silently test nothing."""
    with pytest.raises(ValueError, match="limits-outside"):
        Wowza(world, clock=clock, quirks=frozenset({"limits-outside"}))
