"""Faults do to an answer what their names say, to the requests meant and to no others."""

import asyncio
import gzip
import json
import math
from email.utils import parsedate_to_datetime

import httpx
import pytest

from exporter.emulators.app import Emulators
from exporter.emulators.dolby_media import DolbyMedia
from exporter.emulators.faults import KINDS, STATUSES, Faults, bomb, parse
from exporter.emulators.millicast import Millicast
from exporter.emulators.world import World
from tests.emulators.serving import NOW, Clock, app_of, client_of, socket_client

LIMIT = 64 << 20
TOTAL = "/api/analytics/account/total?startDate=2023-11-01&stopDate=2023-11-02"
SUMMARY = "/api/monitoring/summary"
JOBS = "/media/jobs"
PATHS = {
    "millicast": SUMMARY,
    "dolby_media": JOBS,
    "wowza": "/api/v1.11/usage/vod_streams",
    "livepeer": "/api/data/views/now",
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def faults():
    return Faults(drip_seconds=0.0)


@pytest.fixture
def app(clock, faults):
    """Two vendors with different error bodies and paging."""
    world = World()
    vendors = (Millicast(world, clock=clock), DolbyMedia(world, clock=clock))
    by_name = {vendor.provider: vendor for vendor in vendors}
    return Emulators(clock=clock, faults=faults, vendors=by_name)


@pytest.fixture
def millicast(app):
    return client_of(app, "millicast")


@pytest.fixture
def dolby(app):
    return client_of(app, "dolby_media")


def numbers(value):
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return [number for member in members for number in numbers(member)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("kind", STATUSES)
async def test_a_status_comes_with_the_vendors_own_body(millicast, dolby, faults, kind):
    """Status faults answer that status, in the shape of the vendor that is asked."""
    for provider in ("millicast", "dolby_media"):
        faults.set(provider, kind)
    answer = await millicast.get(TOTAL)
    assert answer.status_code == int(kind)
    assert answer.json()["status"] == ("error" if kind.startswith("5") else "fail")
    assert "retry-after" not in answer.headers
    answer = await dolby.get(JOBS)
    assert answer.status_code == answer.json()["status"] == int(kind)


async def test_rate_limits_say_when_to_come_back(millicast, faults):
    """Retry-After is a number, a date one second ahead, or absurd."""
    for kind in ("429-seconds", "429-date", "429-absurd"):
        faults.set("millicast", kind, times=1)
    waits = [(await millicast.get(TOTAL)).headers["retry-after"] for _ in range(3)]
    assert waits[0] == "1"
    assert parsedate_to_datetime(waits[1]).timestamp() == NOW + 1
    assert int(waits[2]) == 999_999_999


async def test_a_fault_with_times_stops(millicast, faults, app):
    """A fault hits as many requests as it was told, then the vendor is well again."""
    faults.set("millicast", "500", times=2)
    statuses = [(await millicast.get(TOTAL)).status_code for _ in range(3)]
    assert statuses == [500, 500, 200] == [entry.status for entry in app.log]


async def test_faults_follow_each_other(millicast, faults):
    """The fault set first goes first."""
    faults.set("millicast", "500", times=1)
    faults.set("millicast", "404", times=1)
    statuses = [(await millicast.get(TOTAL)).status_code for _ in range(3)]
    assert statuses == [500, 404, 200]


async def test_a_fault_hits_its_paths_and_its_provider_only(millicast, dolby, faults):
    """Another path and another provider are served as ever."""
    faults.set("millicast", "500", path_prefix="/api/monitoring")
    assert (await millicast.get(SUMMARY)).status_code == 500
    assert (await millicast.get(TOTAL)).status_code == 200
    assert (await dolby.get(JOBS)).status_code == 200


async def test_cleared_faults_are_gone(millicast, dolby, faults):
    """One provider's faults can be cleared, or everybody's."""
    for provider in ("millicast", "dolby_media"):
        faults.set(provider, "500")
    faults.clear("millicast")
    assert (await millicast.get(TOTAL)).status_code == 200
    assert (await dolby.get(JOBS)).status_code == 500
    faults.clear()
    assert (await dolby.get(JOBS)).status_code == 200


async def test_only_token_faults_hit_the_token_endpoint(dolby, faults):
    """A plain fault spares the token endpoint, a token fault spares all else."""
    form = {"grant_type": "client_credentials"}

    async def statuses():
        token = await dolby.post("/v1/auth/token", data=form, auth=("demo", "demo"))
        return token.status_code, (await dolby.get(JOBS)).status_code

    faults.set("dolby_media", "401")
    assert await statuses() == (200, 401)
    faults.clear()
    faults.set("dolby_media", "token-401")
    assert await statuses() == (401, 200)


async def test_html_is_a_page(millicast, faults):
    """The answer is 200 and a page, not JSON."""
    faults.set("millicast", "html")
    answer = await millicast.get(TOTAL)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


async def test_damaged_json_is_made_from_the_answer(millicast, faults):
    """Each kind of damage keeps the answer's form and spoils what its name says."""
    good = await millicast.get(TOTAL)
    damaged = {}
    for kind in ("truncated", "wrong-types", "nan", "negative", "huge"):
        faults.set("millicast", kind, times=1)
        damaged[kind] = (await millicast.get(TOTAL)).content
    assert good.content.startswith(damaged["truncated"])
    assert len(damaged["truncated"]) < len(good.content)
    assert json.loads(damaged["wrong-types"])["data"]["bytesIn"] == "many"
    assert all(math.isnan(number) for number in numbers(json.loads(damaged["nan"])))
    assert all(number < 0 for number in numbers(json.loads(damaged["negative"])))
    assert all(number >= 10**30 for number in numbers(json.loads(damaged["huge"])))
    for kind in ("wrong-types", "nan", "negative", "huge"):
        assert json.loads(damaged[kind])["data"].keys() == good.json()["data"].keys()


async def test_duplicate_keys_disagree(millicast, faults):
    """Plain members stand twice, with another number the second time."""
    good = (await millicast.get(TOTAL)).json()["data"]["bytesIn"]
    faults.set("millicast", "duplicate-keys")
    pairs: list[list[tuple[str, object]]] = []
    json.loads((await millicast.get(TOTAL)).text, object_pairs_hook=pairs.append)
    values = [[value for name, value in found if name == "bytesIn"] for found in pairs]
    assert [good, 2 * good + 1] in values


@pytest.mark.parametrize("provider", list(PATHS))
async def test_other_keys_hold_nothing_the_vendor_documents(clock, provider):
    """The answer is 200 and an object of one key that no vendor has, whoever asks."""
    app = Emulators(clock=clock)
    app.faults.set(provider, "other-keys")
    for credential in ("demo", "wrong"):
        answer = await client_of(app, provider, credential=credential).get(PATHS[provider])
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.json() == {"rows": 3}


@pytest.mark.parametrize("provider", list(PATHS))
async def test_a_byte_order_mark_stands_before_the_right_answer(clock, provider):
    """The answer is the vendor's own, after the three bytes of the mark."""
    app = Emulators(clock=clock)
    client = client_of(app, provider)
    good = await client.get(PATHS[provider])
    app.faults.set(provider, "bom")
    marked = await client.get(PATHS[provider])
    assert marked.status_code == 200
    assert marked.content == b"\xef\xbb\xbf" + good.content
    assert len(good.content) > 2


@pytest.mark.parametrize("provider", list(PATHS))
async def test_a_quota_allows_so_many_requests_a_window(clock, provider):
    """Of a window's requests so many are served and all others get 429 in the vendor's words and
    without Retry-After; the next window on the app's clock begins anew.
    """
    app = Emulators(clock=clock)
    client = client_of(app, provider)
    app.faults.quota(provider, requests=3, seconds=900)
    other = next(name for name in PATHS if name != provider)
    for start in (NOW // 900 * 900, NOW // 900 * 900 + 900):
        answers = []
        for after in (0, 1, 500, 501, 899):
            clock.now = start + after
            answers.append(await client.get(PATHS[provider]))
            assert (await client_of(app, other).get(PATHS[other])).status_code == 200
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        body, _ = app.vendors[provider].error(429)
        assert answers[-1].content == body
        assert "retry-after" not in answers[-1].headers


async def test_a_quota_spares_the_token_endpoint(dolby, faults):
    """Tokens come from elsewhere: they are issued when the quota is used up, and use none of it."""
    faults.quota("dolby_media", requests=1, seconds=60)
    form = {"grant_type": "client_credentials"}
    statuses = []
    for _ in range(2):
        token = await dolby.post("/v1/auth/token", data=form, auth=("demo", "demo"))
        statuses.append((token.status_code, (await dolby.get(JOBS)).status_code))
    assert statuses == [(200, 200), (200, 429)]


async def test_what_a_quota_refuses_meets_no_other_fault(millicast, faults):
    """A fault that hits one request waits for one that the quota lets through."""
    faults.quota("millicast", requests=1, seconds=60)
    assert (await millicast.get(TOTAL)).status_code == 200
    faults.set("millicast", "500", times=1)
    assert (await millicast.get(TOTAL)).status_code == 429
    faults.quota("millicast", requests=5, seconds=60)
    assert (await millicast.get(TOTAL)).status_code == 500
    assert (await millicast.get(TOTAL)).status_code == 200


async def test_a_cleared_quota_is_gone(millicast, dolby, faults):
    """Clearing faults clears quotas, one provider's or everybody's."""
    for provider in ("millicast", "dolby_media"):
        faults.quota(provider, requests=1, seconds=3600)
    for client, path in ((millicast, TOTAL), (dolby, JOBS)):
        assert [(await client.get(path)).status_code for _ in range(2)] == [200, 429]
    faults.clear("millicast")
    assert (await millicast.get(TOTAL)).status_code == 200
    assert (await dolby.get(JOBS)).status_code == 429
    faults.clear()
    assert (await dolby.get(JOBS)).status_code == 200


@pytest.mark.parametrize(("requests", "seconds"), [(-1, 60), (1, 0)])
def test_a_quota_has_a_number_and_a_window(requests, seconds):
    """Fewer than no requests, or a window of no time, is a mistake."""
    with pytest.raises(ValueError, match="quota"):
        Faults().quota("wowza", requests=requests, seconds=seconds)


@pytest.mark.sockets
@pytest.mark.parametrize("kind", ["big-body", "gzip-bomb"])
async def test_enormous_bodies_pass_64_mebibytes(app, faults, kind):
    """Over a socket more than 64 MiB arrive; the bomb is small on the wire."""
    faults.set("millicast", kind)
    async with (
        socket_client(app, "millicast") as client,
        client.stream("GET", TOTAL, headers={"accept-encoding": "gzip"}) as answer,
    ):
        assert answer.status_code == 200
        size = 0
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
    assert size > LIMIT
    assert (answer.headers.get("content-encoding") == "gzip") is (kind == "gzip-bomb")
    if kind == "gzip-bomb":
        assert len(bomb()) < 1 << 20
        assert len(gzip.decompress(bomb())) > LIMIT


@pytest.mark.sockets
async def test_a_reset_connection_breaks_off(app, millicast, faults):
    """In process and over a socket the client meets a network error in mid-body."""
    faults.set("millicast", "reset")
    with pytest.raises(httpx.ReadError):
        await millicast.get(TOTAL)
    async with socket_client(app, "millicast") as client:
        with pytest.raises(httpx.TransportError):
            await client.get(TOTAL)


@pytest.mark.sockets
@pytest.mark.parametrize("kind", ["stall", "drip"])
async def test_a_stalled_vendor_lets_go_of_a_client_that_leaves(app, faults, kind):
    """Nothing (or a trickle) comes until the client gives up; afterwards all is well."""
    faults.set("millicast", kind, times=1)
    async with socket_client(app, "millicast") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(TOTAL, timeout=None)
        assert (await client.get(TOTAL)).status_code == 200


async def test_a_stall_in_process_can_be_cancelled(millicast, faults):
    """A client in the same process gets out of a stall by its own timeout."""
    faults.set("millicast", "stall")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await millicast.get(TOTAL)


async def test_endless_pages_never_end(dolby, millicast, faults):
    """Each page names a page that was never named before, or counts no end of them."""
    faults.set("dolby_media", "endless-pages")
    tokens = [""]
    for _ in range(5):
        answer = await dolby.get(JOBS, params={"next_token": tokens[-1]})
        assert answer.json()["jobs"]
        tokens.append(answer.json()["next_token"])
    assert len(set(tokens)) == 6
    faults.set("millicast", "endless-pages")
    page = (await millicast.get(SUMMARY, params={"page": 77})).json()["data"]
    assert page["data"]
    assert page["pagination"]["totalPages"] > 10_000


async def test_a_repeated_page_names_itself(dolby, faults):
    """The same page comes with the same token for ever."""
    faults.set("dolby_media", "repeated-page")
    first = (await dolby.get(JOBS)).json()
    second = (await dolby.get(JOBS, params={"next_token": first["next_token"]})).json()
    assert first == second


async def test_a_redirect_points_elsewhere(millicast, faults):
    """A redirect leads to a closed port unless another address is set."""
    faults.set("millicast", "redirect")
    assert (await millicast.get(TOTAL)).headers["location"] == "http://127.0.0.1:9/"
    faults.redirect_to = "http://other.example/"
    answer = await millicast.get(TOTAL)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://other.example/")


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (SUMMARY, {"pagination": {"totalItems": 0, "totalPages": 0, "itemsOnPage": 0}, "data": []}),
        ("/api/analytics/streams/series", {}),
        ("/api/analytics/account/geo_series", {"geo": {}}),
    ],
)
async def test_empty_is_valid_and_holds_nothing(millicast, faults, path, data):
    """The emptiest answer is 200 in the vendor's envelope."""
    faults.set("millicast", "empty")
    answer = await millicast.get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "success", "data": data}


async def test_the_log_redacts_credentials(app):
    """The log tells good, bad and missing credentials apart and keeps none of them."""
    for credential in ("demo", "s3cret", None):
        await client_of(app, "millicast", credential=credential).get(TOTAL)
    assert [entry.credential for entry in app.log] == ["ok", "bad", "none"]
    assert [entry.status for entry in app.log] == [200, 403, 403]
    assert app.log[0].path == TOTAL.partition("?")[0]
    assert app.log[0].params == (("startDate", "2023-11-01"), ("stopDate", "2023-11-02"))
    assert app.log[0].at == NOW
    assert "s3cret" not in repr(app.log)


async def test_an_unknown_provider_is_404(app):
    """A path of no vendor says which there are, and is not logged."""
    answer = await client_of(app, "nobody").get("/x")
    assert answer.status_code == 404
    assert "/millicast" in answer.text
    assert app.log == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wowza:500", ("wowza", "500", None)),
        ("millicast:429-seconds:3", ("millicast", "429-seconds", 3)),
        ("dolby_media:token-stall", ("dolby_media", "token-stall", None)),
    ],
)
def test_fault_text_is_parsed(text, expected):
    """PROVIDER:KIND[:TIMES] in, its parts out."""
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "wowza", ":500", "wowza:500:1:2", "wowza:teapot"])
def test_a_wrong_fault_text_lists_the_kinds(text):
    """What cannot be parsed is a ValueError that names every valid kind."""
    with pytest.raises(ValueError, match="valid kinds") as caught:
        parse(text)
    assert all(kind in str(caught.value) for kind in KINDS)


@pytest.mark.parametrize("times", ["0", "-1", "x", "1.5", ""])
def test_times_is_a_whole_number_from_one(times):
    """A fault happens once at least."""
    with pytest.raises(ValueError, match="whole number"):
        parse(f"wowza:500:{times}")


def test_no_kind_but_the_known_is_set():
    """Setting refuses what parsing refuses."""
    with pytest.raises(ValueError, match="valid kinds"):
        Faults().set("wowza", "teapot")
    with pytest.raises(ValueError, match="at least once"):
        Faults().set("wowza", "500", times=0)


@pytest.mark.parametrize("provider", ["millicast", "dolby_media", "wowza", "livepeer"])
async def test_every_vendor_can_have_every_fault(clock, provider):
    """All four are served by default, and each can be made to answer in every faulty way."""
    app = Emulators(clock=clock)
    client = client_of(app, provider)
    for kind in set(KINDS) - {"reset", "stall", "drip", "big-body", "gzip-bomb"}:
        app.faults.set(provider, kind, times=1)
        answer = await client.get(PATHS[provider])
        expected = 302 if kind == "redirect" else int(kind[:3]) if kind[0] in "45" else 200
        assert answer.status_code == expected, kind
    assert (await client.get(PATHS[provider])).status_code == 200


async def test_one_vendor_can_be_served_alone(clock):
    """An app of one vendor serves that vendor."""
    app = app_of(Millicast(World(), clock=clock), clock)
    assert list(app.vendors) == ["millicast"]
    assert (await client_of(app, "millicast").get(TOTAL)).status_code == 200
