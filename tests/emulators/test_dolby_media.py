"""The Dolby.io Media emulator: tokens, usage and jobs that agree with each other."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from exporter.emulators.calendar import iso
from exporter.emulators.dolby_media import DolbyMedia, jobs
from exporter.emulators.dolby_media.jobs import PATHS, STATUS_LABELS, UNNAMED_PATH
from exporter.emulators.http import Request
from exporter.emulators.world import DAY, HOUR, World
from tests.emulators.serving import NOW, Clock, app_of, client_of

DAY_NOW = int(NOW) // DAY * DAY
FORM = {"grant_type": "client_credentials"}
PROBLEM = {"type", "title", "status", "detail"}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vendor(clock):
    return DolbyMedia(World(), clock=clock)


@pytest.fixture
def client(vendor, clock):
    return client_of(app_of(vendor, clock), "dolby_media")


def date(moment):
    return iso(int(moment))[:10]


def milliseconds(text):
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


async def pages(client, path, params=None):
    """Every page of a listing, by `next_token` alone from the second on."""
    found = [(await client.get(path, params=params)).json()]
    while found[-1].get("next_token"):
        token = {"next_token": found[-1]["next_token"]}
        found.append((await client.get(path, params={**(params or {}), **token})).json())
        assert len(found) < 1000
    return found


async def listed(client, params=None):
    return [job for page in await pages(client, "/media/jobs", params) for job in page["jobs"]]


async def used(client, first, last):
    found = await pages(client, "/media/usage", {"from": date(first), "to": date(last)})
    return {row.pop("path"): row for page in found for row in page["usage"]}


# -- tokens -----------------------------------------------------------------------------------


async def test_an_issued_token_serves_until_it_expires(vendor, clock):
    """A token works for the 1800 seconds it announces, and not longer."""
    client = client_of(app_of(vendor, clock), "dolby_media", credential=None)
    answer = await client.post("/v1/auth/token", data=FORM, auth=("demo", "demo"))
    token = answer.json()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 1800
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    clock.now += 1799
    assert (await client.get("/media/usage", headers=bearer)).status_code == 200
    clock.now += 1
    expired = await client.get("/media/usage", headers=bearer)
    assert expired.status_code == 401
    assert set(expired.json()) == PROBLEM
    assert vendor.tokens_issued == 1


async def test_a_tokens_life_can_be_asked_for_or_set(clock):
    """`expires_in` is obeyed up to a day; the emulator's own setting overrules it."""
    for lifetime, expected in ((None, 60), (5, 5)):
        vendor = DolbyMedia(World(), clock=clock, token_seconds=lifetime)
        client = client_of(app_of(vendor, clock), "dolby_media", credential=None)
        asked = {**FORM, "expires_in": "60"}
        answer = await client.post("/v1/auth/token", data=asked, auth=("demo", "demo"))
        assert answer.json()["expires_in"] == expected


@pytest.mark.parametrize(
    ("form", "key", "status"),
    [
        (FORM, "wrong", 401),
        ({}, "demo", 400),
        ({**FORM, "expires_in": "86401"}, "demo", 400),
        ({**FORM, "expires_in": "soon"}, "demo", 400),
    ],
)
async def test_a_faulty_token_request_gets_a_problem(client, form, key, status):
    """A wrong key is 401, a wrong form 400, each with the vendor's error body."""
    answer = await client.post("/v1/auth/token", data=form, auth=(key, "demo"))
    assert answer.status_code == status
    assert set(answer.json()) == PROBLEM
    assert answer.json()["status"] == status


async def test_revoked_tokens_are_401(vendor, clock):
    """Tokens that the emulator forgets are bad from then on."""
    client = client_of(app_of(vendor, clock), "dolby_media", credential=None)
    answer = await client.post("/v1/auth/token", data=FORM, auth=("demo", "demo"))
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    vendor.tokens.clear()
    assert (await client.get("/media/jobs", headers=bearer)).status_code == 401


# -- usage ------------------------------------------------------------------------------------


async def test_usage_is_the_truth(client, vendor):
    """Days' usage by path is what truly completed, today's up to now."""
    found = await used(client, DAY_NOW - 2 * DAY, DAY_NOW)
    truth = vendor.truth(DAY_NOW - 2 * DAY, DAY_NOW + DAY, now=int(NOW))
    assert len(found) == 4
    for path, row in found.items():
        for field, metric in (
            ("jobs", "media_jobs_total"),
            ("succeeded", "media_jobs_succeeded_total"),
            ("failed", "media_jobs_failed_total"),
        ):
            assert row[field] == truth.get((metric, (("path", path),)), 0)
        assert row["jobs"] >= row["succeeded"] + row["failed"]
        assert row["jobs"] > 0


async def test_usage_of_days_sums_to_the_whole(client):
    """Both dates are inclusive: two days are the first plus the second."""
    first = await used(client, DAY_NOW - 2 * DAY, DAY_NOW - 2 * DAY)
    second = await used(client, DAY_NOW - DAY, DAY_NOW - DAY)
    both = await used(client, DAY_NOW - 2 * DAY, DAY_NOW - DAY)
    assert {path: row["jobs"] for path, row in both.items()} == {
        path: first[path]["jobs"] + second[path]["jobs"] for path in both
    }


async def test_usage_agrees_with_the_jobs(client):
    """A past day's usage counts the listed jobs that completed on it."""
    day = DAY_NOW - 3 * DAY
    done = [
        job
        for job in await listed(client)
        if "time_completed" in job
        and day * 1000 <= milliseconds(job["time_completed"]) < (day + DAY) * 1000
    ]
    found = await used(client, day, day)
    assert {path: row["jobs"] for path, row in found.items()} == Counter(
        job["path"] for job in done
    )
    assert sum(row["succeeded"] for row in found.values()) == sum(
        job["status"] == "Success" for job in done
    )


async def test_usage_without_dates_is_the_last_day(client):
    """No dates ask for today."""
    rows = (await client.get("/media/usage")).json()["usage"]
    today = await used(client, DAY_NOW, DAY_NOW)
    assert all(today[row["path"]]["jobs"] == row["jobs"] for row in rows)


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2023-11-02", "to": "2023-11-01"},
        {"from": "2022-11-01", "to": "2023-11-02"},
        {"from": "yesterday"},
        {"to": "2023-11-01T00:00:00Z"},
        {"next_token": "invented"},
    ],
)
async def test_a_faulty_usage_query_is_400(client, params):
    """Reversed, too long and malformed ranges and foreign tokens get 400."""
    answer = await client.get("/media/usage", params=params)
    assert answer.status_code == 400
    assert set(answer.json()) == PROBLEM


@pytest.mark.parametrize("quirk", ["none", "empty-token", "null-token", "empty-last-page"])
async def test_the_last_page_ends_the_list(clock, quirk):
    """Whatever the last page's token looks like, every row came once."""
    vendor = DolbyMedia(World(), clock=clock, quirks=frozenset({quirk} - {"none"}))
    client = client_of(app_of(vendor, clock), "dolby_media")
    found = await pages(client, "/media/usage", {"from": date(DAY_NOW - DAY)})
    paths = [row["path"] for page in found for row in page["usage"]]
    assert len(paths) == len(set(paths)) == 4
    assert len(found) == (3 if quirk == "empty-last-page" else 2)
    last = {"none": "absent", "empty-token": "", "null-token": None, "empty-last-page": "absent"}
    assert found[-1].get("next_token", "absent") == last[quirk]


async def test_usage_fields_may_be_capitalised(clock):
    """With the quirk, rows carry the documentation's field names."""
    vendor = DolbyMedia(World(), clock=clock, quirks=frozenset(["capitalised"]))
    rows = (await client_of(app_of(vendor, clock), "dolby_media").get("/media/usage")).json()
    assert set(rows["usage"][0]) == {"Path", "Jobs", "Succeeded", "Failed"}


# -- jobs -------------------------------------------------------------------------------------


async def test_every_job_of_31_days_is_listed_once(client):
    """Pages of at most 100 hold each job of the history exactly once, newest first."""
    found = await pages(client, "/media/jobs")
    assert all(page["count"] == len(page["jobs"]) <= 100 for page in found)
    jobs = [job for page in found for job in page["jobs"]]
    assert len(jobs) == len({job["job_id"] for job in jobs}) > 1000
    submitted = [milliseconds(job["time_submitted"]) for job in jobs]
    assert submitted == sorted(submitted, reverse=True)
    assert (NOW - 31 * DAY) * 1000 <= submitted[-1] < (NOW - 30 * DAY) * 1000
    assert submitted[0] <= NOW * 1000


async def test_the_finished_jobs_are_the_truth(client, vendor):
    """Listed jobs by path and status, and their times, are the true ones."""
    start = DAY_NOW - 2 * DAY
    truth = vendor.truth(start, int(NOW) + 1, now=int(NOW))
    finished: Counter[tuple[str, str]] = Counter()
    queued: Counter[str] = Counter()
    for job in await listed(client, {"submitted_after": iso(start - DAY)}):
        if "time_started" in job and start * 1000 <= milliseconds(job["time_started"]):
            wait = milliseconds(job["time_started"]) - milliseconds(job["time_submitted"])
            queued[job["path"]] += max(0, wait)
        if "time_completed" in job and start * 1000 <= milliseconds(job["time_completed"]):
            finished[job["path"], STATUS_LABELS[job["status"]]] += 1
    assert {status for _, status in finished} == set(STATUS_LABELS.values())
    for (path, status), count in finished.items():
        labels = (("path", path), ("status", status))
        assert truth[("media_jobs_finished_total", labels)] == count
    for path, total in queued.items():
        assert truth[("media_job_queue_seconds_sum", (("path", path),))] == total


async def test_waiting_counts_when_a_job_starts_and_work_when_it_ends(vendor):
    """A window's queue times are those of the jobs that start in it, whether or not they end in
    it; its processing times those of the jobs that end in it; jobs that never start have neither.
    """
    now, start = DAY_NOW, DAY_NOW - 5 * DAY
    waited: Counter[str] = Counter()
    milliseconds_waited: Counter[str] = Counter()
    still_running = 0
    for job in vendor.jobs.submitted(start - HOUR, now, now=now):
        if job.shown_start is not None and start * 1000 <= job.shown_start < now * 1000:
            waited[job.path] += 1
            milliseconds_waited[job.path] += max(0, job.shown_start - job.submitted)
            still_running += job.completed > now * 1000
    ended = list(vendor.jobs.completed(start, now, now=now))
    assert still_running
    assert any(job.started is None for job in ended)
    truth = vendor.truth(start, now, now=now)
    for path in PATHS:
        labels = (("path", path),)
        assert truth[("media_job_queue_seconds_count", labels)] == waited[path] > 0
        assert truth[("media_job_queue_seconds_sum", labels)] == milliseconds_waited[path]
    worked = sum(
        count
        for (metric, _), count in truth.items()
        if metric == "media_job_processing_seconds_count"
    )
    assert worked == sum(job.started is not None for job in ended)


async def test_a_start_before_the_submission_is_no_wait(vendor):
    """A job whose start, cut to the second, comes before its submission waited 0."""
    job = next(
        job
        for job in vendor.jobs.submitted(DAY_NOW - DAY, DAY_NOW, now=DAY_NOW)
        if job.shown_start is not None and job.shown_start < job.submitted
    )
    second = job.shown_start // 1000
    at_once = vendor.truth(second, second + 1, now=int(NOW))
    labels = (("path", job.path),)
    assert at_once[("media_job_queue_seconds_count", labels)] == 1
    assert at_once[("media_job_queue_seconds_sum", labels)] == 0


async def test_a_start_that_is_yet_to_come_is_no_wait(vendor):
    """What starts after now is not in the truth, though the window goes on."""
    job = next(
        job
        for job in vendor.jobs.submitted(DAY_NOW - DAY, DAY_NOW, now=DAY_NOW)
        if job.started is not None and job.started - job.submitted > 300_000
    )
    before = vendor.truth(job.submitted // 1000, DAY_NOW, now=job.started // 1000)
    after = vendor.truth(job.submitted // 1000, DAY_NOW, now=job.started // 1000 + 1)
    key = ("media_job_queue_seconds_count", (("path", job.path),))
    assert after[key] == before.get(key, 0) + 1


async def test_unfinished_jobs_are_the_levels(client, vendor, clock):
    """Jobs pending or running now are the level, by the status filter and without it."""
    seen = set()
    for hour in range(0, 72, 6):
        clock.now = NOW + hour * HOUR
        jobs = await listed(client, {"submitted_after": iso(int(clock.now) - DAY)})
        open_jobs = [job for job in jobs if job["status"] in ("Pending", "Running")]
        assert all("time_completed" not in job and "expiry" not in job for job in open_jobs)
        expected = Counter((job["path"], job["status"].lower()) for job in open_jobs)
        levels = vendor.levels(int(clock.now))
        assert expected == {
            tuple(value for _, value in labels): count
            for (metric, labels), count in levels.items()
            if metric == "media_jobs_in_progress"
        }
        running = await listed(client, {"status": "Running"})
        assert {job["job_id"] for job in running} == {
            job["job_id"] for job in open_jobs if job["status"] == "Running"
        }
        seen |= {status for _, status in expected}
    assert seen == {"pending", "running"}


async def test_some_jobs_start_before_they_are_submitted(client):
    """The start is cut to the second, so it may come first; a pending job has none."""
    jobs = await listed(client)
    starts = [
        (milliseconds(job["time_started"]), milliseconds(job["time_submitted"]))
        for job in jobs
        if "time_started" in job
    ]
    assert all(start % 1000 == 0 for start, _ in starts)
    assert any(start < submitted for start, submitted in starts)
    assert any("time_started" not in job for job in jobs if job["status"] == "Cancelled")
    assert all("duration" in job for job in jobs if job["status"] == "Success")


async def test_both_ends_of_the_submission_range_are_inclusive(client):
    """A range from a job's own instant to the same instant holds it."""
    job = (await listed(client))[50]
    instant = job["time_submitted"]
    found = await listed(client, {"submitted_after": instant, "submitted_before": instant})
    assert job["job_id"] in {other["job_id"] for other in found}


async def test_paging_survives_new_jobs(client, clock):
    """Jobs that arrive between two pages neither repeat nor hide an older one."""
    first = (await client.get("/media/jobs")).json()
    known = await listed(client)
    clock.now += HOUR
    token = {"next_token": first["next_token"]}
    second = (await client.get("/media/jobs", params=token)).json()
    assert [job["job_id"] for job in second["jobs"]] == [job["job_id"] for job in known[100:200]]


@pytest.mark.parametrize(
    "params",
    [
        {"submitted_after": "yesterday"},
        {"submitted_after": "2023-11-02", "submitted_before": "2023-11-01"},
        {"next_token": "AAAA"},
    ],
)
async def test_a_faulty_job_query_is_400(client, params):
    """Malformed and reversed times and foreign tokens get 400."""
    assert (await client.get("/media/jobs", params=params)).status_code == 400


async def test_a_token_serves_the_call_that_gave_it(client):
    """A usage page's token is no token for jobs."""
    usage = (await client.get("/media/usage", params={"from": date(DAY_NOW - DAY)})).json()
    answer = await client.get("/media/jobs", params={"next_token": usage["next_token"]})
    assert answer.status_code == 400


async def test_oldest_first_reverses_the_listing(clock):
    """With the quirk the pages run the other way, over the same jobs."""
    plain = DolbyMedia(World(), clock=clock)
    reverse = DolbyMedia(World(), clock=clock, quirks=frozenset(["oldest-first"]))
    after = {"submitted_after": iso(DAY_NOW - 3 * DAY)}
    newest = await listed(client_of(app_of(plain, clock), "dolby_media"), after)
    oldest = await listed(client_of(app_of(reverse, clock), "dolby_media"), after)
    assert newest == oldest[::-1]
    assert len(newest) > 200


# -- what is not settled ----------------------------------------------------------------------

YEAR_ONE = "0001-01-01T00:00:00Z"


@pytest.fixture
def served(clock):
    """A vendor with these quirks and a client of it."""

    def serve(*quirks, **options):
        vendor = DolbyMedia(World(), clock=clock, quirks=frozenset(quirks), **options)
        return vendor, client_of(app_of(vendor, clock), "dolby_media")

    return serve


async def test_a_pending_job_may_be_shown_as_queued(served, clock):
    """The quirk gives pending jobs a status that the vendor does not document; the filter and the
    levels know it by that name.
    """
    vendor, client = served("unknown-status")
    seen = 0
    for hour in range(12):
        clock.now = NOW + hour * HOUR
        jobs = await listed(client, {"submitted_after": iso(int(clock.now) - HOUR)})
        assert "Pending" not in {job["status"] for job in jobs}
        queued = [job for job in jobs if job["status"] == "Queued"]
        assert await listed(client, {"status": "Queued"}) == queued
        assert await listed(client, {"status": "Pending"}) == []
        levels = vendor.levels(int(clock.now))
        assert len(queued) == sum(
            count for (_, labels), count in levels.items() if ("status", "queued") in labels
        )
        seen += len(queued)
    assert seen


async def test_long_running_jobs_are_left_out_now_and_then(served, clock):
    """With the quirk, every second quarter of an hour shows no job that has run for over an hour;
    the quarters between show them all, and the levels are what is listed.
    """
    vendor, client = served("omits-long-running")
    _, plain = served()
    omitted = 0
    for quarter in range(12):
        clock.now = NOW // 900 * 900 + 900 * quarter
        after = {"submitted_after": iso(int(clock.now) - 9 * HOUR)}
        whole = await listed(plain, after)
        started_long_ago = {
            job["job_id"]
            for job in whole
            if job["status"] == "Running"
            and milliseconds(job["time_started"]) < (clock.now - HOUR) * 1000
        }
        shown = await listed(client, after)
        hidden = clock.now // 900 % 2 == 1
        expected = [job for job in whole if not hidden or job["job_id"] not in started_long_ago]
        assert shown == expected
        omitted += len(whole) - len(shown)
        running = sum(
            count
            for (_, labels), count in vendor.levels(int(clock.now)).items()
            if ("status", "running") in labels
        )
        assert running == sum(job["status"] == "Running" for job in shown)
    assert omitted


@pytest.mark.parametrize("other", [(), ("oldest-first",), ("empty-last-page",)])
async def test_a_page_may_begin_with_the_last_rows_of_the_one_before(served, other):
    """With the quirk every later page repeats rows; all jobs are there all the same."""
    after = {"submitted_after": iso(DAY_NOW - DAY)}
    _, plain = served(*other)
    _, client = served("overlapping-pages", *other, jobs_on_page=20)
    found = await pages(client, "/media/jobs", after)
    filled = [page["jobs"] for page in found if page["jobs"]]
    assert len(filled) > 5
    for before, page in pairwise(filled):
        assert page[:3] == before[-3:]
        assert len(page) > 3
    once = {job["job_id"]: job for page in filled for job in page}
    assert list(once.values()) == await listed(plain, after)


async def test_what_has_not_happened_may_be_of_the_year_one(served):
    """With the quirk a job that has not started or ended has the times of the year 1."""
    _, client = served("year-one")
    _, plain = served()
    after = {"submitted_after": iso(int(NOW) - 3 * DAY)}
    seen = set()
    for job, usual in zip(await listed(client, after), await listed(plain, after), strict=True):
        for name in ("time_started", "time_completed"):
            assert job[name] == usual.get(name, YEAR_ONE)
            seen.add((name, job[name] == YEAR_ONE))
    assert len(seen) == 4


async def test_an_empty_list_may_be_null(served):
    """With the quirk a list without entries is null, also as the emptiest answer."""
    vendor, client = served("null-lists")
    future = {"from": date(DAY_NOW + DAY), "to": date(DAY_NOW + DAY)}
    usage = await client.get("/media/usage", params=future)
    assert usage.json() == {"count": 0, "usage": None}
    jobs = await client.get("/media/jobs", params={"status": "Lost"})
    assert jobs.json() == {"count": 0, "jobs": None}
    assert (await client.get("/media/usage")).json()["usage"]
    for name in ("usage", "jobs"):
        empty = vendor.empty(Request("GET", f"/media/{name}"))
        assert json.loads(empty.body) == {"count": 0, name: None}


@pytest.mark.parametrize("capitalised", [False, True])
async def test_one_path_may_be_unsaid(served, capitalised):
    """With the quirk one path's usage and jobs lack it, and its truth is that of `unknown`."""
    vendor, client = served("no-path", *(["capitalised"] if capitalised else []))
    plain, _ = served()
    found = await pages(client, "/media/usage", {"from": date(DAY_NOW), "to": date(DAY_NOW)})
    rows = [row for page in found for row in page["usage"]]
    assert sorted(len(row) for row in rows) == [3, 4, 4, 4]
    jobs = await listed(client, {"submitted_after": iso(DAY_NOW)})
    assert {job.get("path") for job in jobs} == {*PATHS, None} - {UNNAMED_PATH}

    def renamed(amounts):
        return {
            (metric, tuple((k, "unknown" if v == UNNAMED_PATH else v) for k, v in labels)): amount
            for (metric, labels), amount in amounts.items()
        }

    span = (DAY_NOW - DAY, DAY_NOW)
    assert vendor.truth(*span, now=int(NOW)) == renamed(plain.truth(*span, now=int(NOW)))
    assert vendor.levels(int(NOW)) == renamed(plain.levels(int(NOW)))


async def test_counts_may_be_written_with_a_point(served):
    """With the quirk every count is a float of the same value; a token's life stays whole."""
    _, client = served("integral-floats")
    _, plain = served()
    for path in ("/media/usage", "/media/jobs"):
        floats, usual = await client.get(path), await plain.get(path)
        assert floats.json()["count"] == usual.json()["count"]
        assert isinstance(floats.json()["count"], float)
    usage = (await client.get("/media/usage")).json()["usage"]
    assert all(isinstance(row["jobs"], float) for row in usage)
    assert usage == (await plain.get("/media/usage")).json()["usage"]
    token = await client.post("/v1/auth/token", data=FORM, auth=("demo", "demo"))
    assert isinstance(token.json()["expires_in"], int)


async def test_a_day_may_grow_a_day_after_its_end(served, clock):
    """With the quirk a day's usage is short of some jobs until 24 hours after its end; the truth
    is what is published then, and the jobs themselves are there all along.
    """
    vendor, client = served("late-day")
    plain, _ = served()
    day = DAY_NOW - DAY
    whole = jobs.usage(plain.jobs.completed(day, DAY_NOW, now=int(NOW)))
    for moment in (DAY_NOW, DAY_NOW + DAY - 1, DAY_NOW + DAY, DAY_NOW + 3 * DAY):
        clock.now = float(moment)
        found = await used(client, day, day)
        truth = vendor.truth(day, DAY_NOW, now=moment)
        for path, row in found.items():
            assert row["jobs"] == truth[("media_jobs_total", (("path", path),))]
        if moment < DAY_NOW + DAY:
            assert all(0 < found[path]["jobs"] < whole[path]["jobs"] for path in PATHS)
        else:
            assert found == whole
        finished = {key: value for key, value in truth.items() if "finished" in key[0]}
        expected = plain.truth(day, DAY_NOW, now=moment)
        assert finished == {key: value for key, value in expected.items() if "finished" in key[0]}


def test_an_unknown_quirk_is_refused(clock):
    """A misspelt quirk is an error, not a no-op."""
    with pytest.raises(ValueError, match="null-list"):
        DolbyMedia(World(), clock=clock, quirks=frozenset(["null-list"]))
