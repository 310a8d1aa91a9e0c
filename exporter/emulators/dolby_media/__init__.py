"""An emulator of the Dolby.io Media API's token, usage and job calls.

Written from the vendor's guides "Realtime Usage" and "Job Management" (read November 2026), its
guide to API authentication, and the requests of its Python client 5.0.0. A token comes from
`POST /v1/auth/token` with Basic authentication; the app key and the app secret are both the
emulator's credential, which also serves as a ready API token. Usage covers whole days, both
ends included, of at most a year; jobs are those of the last 31 days, 100 on a page.

The vendor publishes no schema of the usage answer: its rows here carry the documented fields in
snake case beside `count` and `next_token`, as its job answer has them. *Quirks* switch what is
not settled:

- `capitalised`: usage rows have the documentation's `Path`, `Jobs`, `Succeeded`, `Failed`
- `empty-token`, `null-token`: the last page has a `next_token`, "" or null; otherwise none
- `empty-last-page`: after the last entry comes one more page, an empty one
- `oldest-first`: jobs are listed by submission; otherwise the newest comes first
- `overlapping-pages`: a page of jobs begins with the last three of the page before, as when the
  list shifts while it is read
- `unknown-status`: a pending job has the status `Queued`, which the vendor does not document
- `omits-long-running`: in every second quarter of an hour jobs that have run for over an hour are
  not listed; they come back
- `year-one`: what has not started or ended has the time 0001-01-01T00:00:00Z; otherwise none
- `null-lists`: a list without entries is null; otherwise empty
- `no-path`: usage and jobs of one path do not say which
- `integral-floats`: whole numbers are written as 3.0
- `late-day`: an eighth of a day's jobs enters its usage only when the day ended 24 hours ago
"""

import base64
import binascii
import json
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import Any

from exporter.emulators.calendar import iso_milliseconds, midnight, seconds
from exporter.emulators.dolby_media import jobs
from exporter.emulators.dolby_media.jobs import Display, Job, Jobs
from exporter.emulators.http import JSON, Request, Response, json_answer
from exporter.emulators.mutations import with_numbers
from exporter.emulators.vendor import Amounts, Example, Paging
from exporter.emulators.world import DAY, World

QUIRKS = frozenset(
    (
        "capitalised",
        "empty-token",
        "null-token",
        "empty-last-page",
        "oldest-first",
        "overlapping-pages",
        "unknown-status",
        "omits-long-running",
        "year-one",
        "null-lists",
        "no-path",
        "integral-floats",
        "late-day",
    )
)
TOKEN_PATH = "/v1/auth/token"
DEFAULT_TOKEN_SECONDS = 1800
LONGEST_TOKEN_SECONDS = 86400
LONGEST_USAGE_DAYS = 366
JOB_HISTORY_SECONDS = 31 * DAY
JOBS_ON_PAGE = 100
OVERLAP = 3
YEAR_ONE = "0001-01-01T00:00:00Z"

TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


class Refusal(Exception):
    """The vendor answers 400, with the reason as the error's detail."""


class DolbyMedia:
    """The emulated app. `tokens` maps issued tokens to their expiry; clear it to revoke them."""

    provider = "dolby_media"
    example = Example("processing", credentials=("app_key_file", "app_secret_file"), signs_in=True)
    paging = (Paging("next_token", ("next_token",)),)

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float],
        credential: str = "demo",
        quirks: frozenset[str] = frozenset(),
        token_seconds: int | None = None,
        usage_on_page: int = 2,
        jobs_on_page: int = JOBS_ON_PAGE,
    ) -> None:
        """`token_seconds`, when given, is every token's life, whatever is asked for."""
        if not quirks <= QUIRKS:
            raise ValueError(f"no such quirk: {', '.join(sorted(quirks - QUIRKS))}")
        self.jobs = Jobs(world)
        self.clock = clock
        self.credential = credential
        self.quirks = quirks
        self.display = Display(quirks)
        self.token_seconds = token_seconds
        self.usage_on_page = usage_on_page
        self.jobs_on_page = jobs_on_page
        self.tokens: dict[str, float] = {}
        self.tokens_issued = 0

    # -- the vendor protocol ----------------------------------------------------------------

    def accepts(self, request: Request) -> bool:
        if request.path == TOKEN_PATH:
            return request.basic == (self.credential, self.credential)
        token = request.bearer
        return token is not None and (
            token == self.credential or self.clock() < self.tokens.get(token, 0.0)
        )

    async def answer(self, request: Request) -> Response:
        calls: dict[tuple[str, str], Callable[[Request], object]] = {
            ("POST", TOKEN_PATH): self._token,
            ("GET", "/media/usage"): self._usage,
            ("GET", "/media/jobs"): self._jobs,
        }
        call = calls.get((request.method, request.path))
        if call is None:
            return Response(404, *self.error(404))
        if not self.accepts(request):
            return Response(401, *self.error(401))
        try:
            value = call(request)
        except Refusal as refusal:
            return json_answer(problem(400, str(refusal)), 400)
        if "integral-floats" in self.quirks and request.path != TOKEN_PATH:
            value = with_numbers(value, float)
        return json_answer(value)

    def empty(self, request: Request) -> Response:
        if request.path == TOKEN_PATH:
            return json_answer({})
        return json_answer(self._page(request.path.rpartition("/")[2], []))

    def error(self, status: int) -> tuple[bytes, str]:
        return json_answer(problem(status, "the request was not served")).body, JSON

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        return jobs.truth(self.jobs, start, end, now=now, display=self.display)

    def levels(self, now: int) -> Amounts:
        return jobs.levels(self.jobs, now, display=self.display)

    # -- the calls --------------------------------------------------------------------------

    def _token(self, request: Request) -> object:
        form = request.form
        if form.get("grant_type") != "client_credentials":
            raise Refusal("grant_type must be client_credentials")
        asked = form.get("expires_in", str(DEFAULT_TOKEN_SECONDS))
        if not asked.isdecimal() or not 0 < int(asked) <= LONGEST_TOKEN_SECONDS:
            raise Refusal(f"expires_in must be from 1 to {LONGEST_TOKEN_SECONDS}")
        life = int(asked) if self.token_seconds is None else self.token_seconds
        self.tokens_issued += 1
        name = f"{self.credential}/{self.tokens_issued}".encode()
        token = blake2b(name, digest_size=24).hexdigest()
        self.tokens[token] = self.clock() + life
        return {"token_type": "Bearer", "access_token": token, "expires_in": life}

    def _usage(self, request: Request) -> object:
        now = int(self.clock())
        first, last = days(request, today=midnight(now))
        done = self.jobs.completed(first, last + DAY, now=now)
        rows = jobs.usage(job for job in done if self.display.uses(job, now))
        listed = [self._usage_row(path, rows[path]) for path in sorted(rows)]
        token = request.first("next_token")
        offset = read_token(token, "usage").get("offset", 0) if token else 0
        page = listed[offset : offset + self.usage_on_page]
        following = offset + len(page)
        more = following < len(listed) or (bool(page) and "empty-last-page" in self.quirks)
        answer = self._page("usage", page)
        return self._paged(answer, write_token("usage", offset=following) if more else None)

    def _usage_row(self, path: str, counts: dict[str, int]) -> dict[str, Any]:
        named = "no-path" not in self.quirks or path != jobs.UNNAMED_PATH
        row: dict[str, Any] = {"path": path, **counts} if named else dict(counts)
        if "capitalised" in self.quirks:
            return {name.title(): value for name, value in row.items()}
        return row

    def _jobs(self, request: Request) -> object:
        now = int(self.clock())
        token = request.first("next_token")
        asked = read_token(token, "jobs") if token else job_filter(request)
        found = [
            job
            for job in self._listed(asked, now)
            if matches(job, asked, status=self.display.status(job, now))
        ]
        newest_first = "oldest-first" not in self.quirks
        found.sort(key=position, reverse=newest_first)
        if "after" in asked:
            after = (int(asked["after"][0]), str(asked["after"][1]))
            found = [
                job
                for job in found
                if (position(job) < after if newest_first else position(job) > after)
            ]
        page = list(islice(found, self.jobs_on_page))
        more = len(found) > len(page) or (bool(page) and "empty-last-page" in self.quirks)
        answer = self._page("jobs", [self._shown(job, now) for job in page])
        following = {**asked, "after": self._last_told(page, found)} if more else None
        return self._paged(answer, write_token("jobs", **following) if following else None)

    def _listed(self, asked: dict[str, Any], now: int) -> list[Job]:
        """The jobs the vendor still lists; no hour that was not asked for is looked at."""
        first = max(now - JOB_HISTORY_SECONDS, asked.get("submitted_after", 0) // 1000)
        end = min(now, asked.get("submitted_before", now * 1000) // 1000) + 1
        kept = self.jobs.submitted(first, end, now=now)
        return [job for job in kept if self.display.lists(job, now)]

    def _last_told(self, page: list[Job], found: list[Job]) -> tuple[int, str]:
        """Where the job stands after which the next page begins."""
        if "overlapping-pages" in self.quirks and len(found) > len(page) > OVERLAP:
            return position(page[-1 - OVERLAP])
        return position(page[-1])

    def _shown(self, job: Job, now: int) -> dict[str, object]:
        row = shown(job, now * 1000)
        row["status"] = self.display.status(job, now)
        if not self.display.names_path(job):
            del row["path"]
        if "year-one" in self.quirks:
            row = {"time_started": YEAR_ONE, "time_completed": YEAR_ONE, **row}
        return row

    def _page(self, name: str, rows: list[dict[str, Any]]) -> dict[str, object]:
        nothing = not rows and "null-lists" in self.quirks
        return {"count": len(rows), name: None if nothing else rows}

    def _paged(self, answer: dict[str, object], token: str | None) -> dict[str, object]:
        if token is not None:
            answer["next_token"] = token
        elif "empty-token" in self.quirks:
            answer["next_token"] = ""
        elif "null-token" in self.quirks:
            answer["next_token"] = None
        return answer


def problem(status: int, detail: str) -> dict[str, object]:
    """An error body with the fields that the vendor's client reads."""
    title = TITLES.get(status, "Server Error" if status >= 500 else "Error")
    return {"type": title.replace(" ", ""), "title": title, "status": status, "detail": detail}


def days(request: Request, *, today: int) -> tuple[int, int]:
    """The first and the last day asked for, as their starts; neither given is today alone."""
    moments = {}
    for name in ("from", "to"):
        text = request.first(name)
        if text is None:
            continue
        try:
            moments[name] = seconds(text)
        except ValueError:
            raise Refusal(f"{name} must be a date as YYYY-MM-DD") from None
        if len(text) != len("YYYY-MM-DD"):
            raise Refusal(f"{name} must be a date as YYYY-MM-DD")
    last = moments.get("to", today)
    first = moments.get("from", last)
    if last < first:
        raise Refusal("to must not be before from")
    if (last - first) // DAY >= LONGEST_USAGE_DAYS:
        raise Refusal("at most one year of usage per call")
    return first, last


def job_filter(request: Request) -> dict[str, Any]:
    """The filters of a job query, times in Unix milliseconds; both ends are inclusive."""
    asked: dict[str, Any] = {}
    for name in ("submitted_after", "submitted_before"):
        text = request.first(name)
        if text is not None:
            asked[name] = milliseconds(name, text)
    if asked.get("submitted_before", 1 << 60) < asked.get("submitted_after", 0):
        raise Refusal("submitted_before must not be before submitted_after")
    status = request.first("status")
    return asked if status is None else {**asked, "status": status}


def milliseconds(name: str, text: str) -> int:
    """Unix milliseconds of an ISO 8601 time."""
    whole, dot, fraction = text.partition(".")
    zone = fraction.lstrip("0123456789")
    digits = fraction.removesuffix(zone) if zone else fraction
    try:
        thousandths = int(digits[:3].ljust(3, "0")) if dot else 0
        return seconds(whole + zone) * 1000 + thousandths
    except ValueError:
        raise Refusal(f"{name} must be an ISO 8601 time") from None


def matches(job: Job, asked: dict[str, Any], *, status: str) -> bool:
    """Whether a job that is shown with that status passes the filters."""
    earliest: int = asked.get("submitted_after", 0)
    latest: int = asked.get("submitted_before", 1 << 60)
    return earliest <= job.submitted <= latest and asked.get("status", status) == status


def position(job: Job) -> tuple[int, str]:
    """Where a job stands in a listing: it keeps its place while others arrive."""
    return job.submitted, job.id


def shown(job: Job, now: int) -> dict[str, object]:
    """A job as the vendor shows it at `now` (milliseconds); what is not known yet is absent."""
    status = job.status(now)
    row: dict[str, object] = {
        "job_id": job.id,
        "api_version": "v1.1.1",
        "path": job.path,
        "status": status,
        "progress": 0 if status == "Pending" else 50 if status == "Running" else 100,
        "time_submitted": iso_milliseconds(job.submitted),
    }
    if job.shown_start is not None and status != "Pending":
        row["time_started"] = iso_milliseconds(job.shown_start)
    if now >= job.completed:
        row["time_completed"] = iso_milliseconds(job.completed)
        row["expiry"] = iso_milliseconds(job.completed + JOB_HISTORY_SECONDS * 1000)
    if status == "Success":
        row["duration"] = (job.completed - job.submitted) // 3 / 1000
    return row


def write_token(kind: str, **content: object) -> str:
    """An opaque page token."""
    text = json.dumps([kind, content], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str, kind: str) -> dict[str, Any]:
    """What `write_token` put in; Refusal for any other text."""
    try:
        found, content = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise Refusal("next_token is not valid") from None
    if found != kind or not isinstance(content, dict):
        raise Refusal("next_token is not valid")
    return content


EMULATOR = DolbyMedia
