"""Dolby.io Media: how many jobs an app ran, how they ended, and how long they took.

One token belongs to one app, so an account here is an app. Two feeds: `usage` counts jobs by
endpoint, day by day; `jobs` lists single jobs of the last 31 days, each with its times.
The vendor describes the fields of the usage answer in words, but documents neither the keys nor the
object around the list: `_rows` finds the list by the keys that its objects must have.

A job is two events, its start and its end, because its queue time is known long before it ends.
Every listing reports both again, and each counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    BearerToken,
    ClientCredentials,
    Event,
    Feed,
    Item,
    Level,
    Measure,
    Option,
    Options,
    Request,
    Resolution,
    Span,
    Step,
    Usage,
    Window,
    measures,
    values,
)
from exporter.model.errors import PollError, SchemaError

_USAGE: Final = "/media/usage"
_JOBS: Final = "/media/jobs"

_COUNTS: Final = {
    "jobs": measures.JOBS,
    "succeeded": measures.JOBS_SUCCEEDED,
    "failed": measures.JOBS_FAILED,
}

_USAGE_KEYS: Final = ("usage", "usagedetails")
"""The keys under which the rows may be, as far as documented; in the form of `_plain_key`."""

_UNFINISHED: Final = ("pending", "running")
_ENDS: Final = ("success", "cancelled", "failed", "internal_error")
"""The statuses in the vendor's two lists. A job of another status has ended if it is completed."""


def _next_page(request: Request, token: object) -> tuple[Request, ...]:
    """The request for the page of `token`; none when the token is absent, null or empty."""
    if token is None or token == "":
        return ()
    if not isinstance(token, str):
        raise SchemaError(f"$.next_token: expected a string, got {type(token).__name__}")
    params = (*(pair for pair in request.params if pair[0] != "next_token"), ("next_token", token))
    return (Request(request.path, params, request.span, request.subjects),)


def _plain_key(key: str) -> str:
    """`key` without case and underscores: next_token, nextToken and Next_Token are the same."""
    return key.replace("_", "").lower()


def _with_plain_keys(row: Mapping[str, object]) -> dict[str, object]:
    return {_plain_key(key): value for key, value in row.items()}


def _token(document: object) -> object:
    """The page token of a usage answer, in the object that holds the list; None when absent."""
    if not isinstance(document, dict):
        return None
    holders = (document, *(value for value in document.values() if isinstance(value, dict)))
    return next(
        (token for holder in holders if (token := _with_plain_keys(holder).get("nexttoken"))), None
    )


def _lists(document: object) -> Iterator[tuple[str, list[object]]]:
    """Every list that may hold the rows, with its path, the outermost first."""
    if isinstance(document, list):
        yield "$", document
    elif isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, list):
                yield f"$.{key}", value
        for key, value in document.items():
            if isinstance(value, dict):
                for inner, rows in value.items():
                    if isinstance(rows, list):
                        yield f"$.{key}.{inner}", rows


def _is_empty_usage(document: object) -> bool:
    """Whether there is an empty list, or null under a key for usage."""
    if any(not items for _, items in _lists(document)):
        return True
    if not isinstance(document, dict):
        return False
    holders = (document, *(value for value in document.values() if isinstance(value, dict)))
    return any(
        value is None and _plain_key(key) in _USAGE_KEYS
        for holder in holders
        for key, value in holder.items()
    )


def _rows(document: object) -> list[tuple[str, dict[str, object]]]:
    """The rows of a usage answer with plain keys, each with its JSON path.

    They are in the first list whose objects have a path, else in the first whose objects have a
    count. Without such a list, an empty list means an app without jobs. Raises SchemaError for
    anything else.
    """
    lists = [
        (path, len(items), [_with_plain_keys(item) for item in items if isinstance(item, dict)])
        for path, items in _lists(document)
    ]
    for sought in (("path",), tuple(_COUNTS)):
        for path, length, rows in lists:
            if any(key in row for row in rows for key in sought):
                if len(rows) < length:
                    raise SchemaError(f"{path}: not a list of objects alone")
                return [(f"{path}[{index}]", row) for index, row in enumerate(rows)]
    if _is_empty_usage(document):
        return []
    raise SchemaError("$: no list of objects with a path or a count of jobs")


def _path(value: object, *, path: str) -> str:
    if not isinstance(value, str | None):
        raise SchemaError(f"{path}: expected a string, got {type(value).__name__}")
    return values.label(value)


def _count(value: object, *, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError(f"{path}: expected a whole number, got {type(value).__name__}")
    return values.whole(value, path=path)


def _counts(row: Mapping[str, object], *, path: str) -> Iterator[tuple[Measure, int]]:
    """The amounts of a row. A count that is null or absent is unknown, and is left out."""
    if not any(key in row for key in _COUNTS):
        raise SchemaError(f"{path}: none of {', '.join(_COUNTS)}")
    for key, measure in _COUNTS.items():
        value = row.get(key)
        if value is not None:
            yield measure, _count(value, path=f"{path}.{key}")


@dataclass(frozen=True, slots=True)
class _UsageFeed:
    """Jobs by endpoint. An answer is not split by day, so there is one request for each day."""

    name: str = "usage"
    measures: tuple[Measure, ...] = tuple(_COUNTS.values())
    resolutions: tuple[Resolution, ...] = (Resolution(Step.DAY, reach=None, longest=DAY),)
    settling: int = DAY
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            day = datetime.fromtimestamp(span.window.start, UTC).date().isoformat()
            yield Request(_USAGE, (("from", day), ("to", day)), span)  # both ends belong to it

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        document = msgspec.json.decode(body)
        assert request.span is not None  # noqa: S101 - this feed's own request
        start = request.span.window.start
        usage: list[Usage] = []
        for at, row in _rows(document):
            labels = (_path(row.get("path"), path=f"{at}.path"),)
            usage.extend(
                Usage(measure, labels, start, DAY, amount)
                for measure, amount in _counts(row, path=at)
            )
        return Answer(usage=usage, follow=_next_page(request, _token(document)))

    def totals(self, window: Window) -> Iterable[Request]:
        first, last = (
            datetime.fromtimestamp(instant, UTC).date().isoformat()
            for instant in (window.start, window.end - DAY)
        )
        yield Request(_USAGE, (("from", first), ("to", last)), Span(window, Step.DAY))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        return self.parse(request, body, Ask(now))

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


class _Job(msgspec.Struct, frozen=True, gc=False):
    """One entry of `/media/jobs`; `duration` is not read, because its meaning is not documented."""

    job_id: str
    status: str
    time_submitted: str
    path: str | None = None
    time_started: str | None = None
    time_completed: str | None = None


class _Jobs(msgspec.Struct, frozen=True, gc=False):
    jobs: list[_Job] | None
    next_token: str | None = None


_WORD_START: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_JOBS_DECODER: Final = msgspec.json.Decoder(_Jobs)

_KNOWN: Final = {_plain_key(status): status for status in (*_UNFINISHED, *_ENDS)}


_UNDATED: Final = "a job that does not say when it was submitted is not counted"


def _snake(status: str) -> str:
    """`internal_error` for InternalError, Internal-Error, internal error and INTERNALERROR."""
    words = _WORD_START.sub(" ", status).replace("_", " ").replace("-", " ")
    snake = "_".join(words.lower().split()) or values.UNKNOWN
    return _KNOWN.get(_plain_key(snake), snake)


@dataclass(frozen=True, slots=True)
class _JobState:
    """The state of one job; instants in Unix milliseconds, None where there is none."""

    id: str
    path: str
    status: str
    submitted: int
    started: int | None
    completed: int | None

    @property
    def ended(self) -> bool:
        """Whether it has ended: by a known status, else by whether it has a completion time."""
        if self.status in _ENDS:
            return True
        return self.status not in _UNFINISHED and self.completed is not None

    @property
    def instants(self) -> tuple[int, ...]:
        """The instants that are known."""
        return tuple(filter(None, (self.submitted, self.started, self.completed)))


def _job_state(job: _Job, *, path: str) -> _JobState | None:
    """The state of `job`; None when it has no submission time."""
    if not job.job_id:
        raise SchemaError(f"{path}.job_id: empty")
    if not job.time_submitted:
        raise SchemaError(f"{path}.time_submitted: empty")
    submitted = values.moment(job.time_submitted, path=f"{path}.time_submitted")
    started = values.moment(job.time_started, path=f"{path}.time_started")
    completed = values.moment(job.time_completed, path=f"{path}.time_completed")
    if submitted is None:
        return None
    return _JobState(
        job.job_id, values.label(job.path), _snake(job.status), submitted, started, completed
    )


def _start(job: _JobState) -> Iterator[Event]:
    """The start event of `job`, once it has started.

    The vendor truncates the start to whole seconds, so it may lie before the submission; the queue
    time is 0 then.
    """
    if job.started is None or job.status == "pending":
        return
    waited = max(job.started - job.submitted, 0)
    yield Event(
        id=f"{job.id} started",
        since=job.submitted // 1000,
        at=job.started // 1000,
        counts=(),
        timings=((measures.JOB_QUEUE_SECONDS, (job.path,), waited),),
    )


def _end(job: _JobState) -> Event:
    """The end event of `job`, which has ended."""
    labels = job.path, job.status
    timings: tuple[tuple[Measure, tuple[str, ...], int], ...] = ()
    if job.started is not None and job.completed is not None:
        worked = max(job.completed - job.started, 0)
        timings = ((measures.JOB_PROCESSING_SECONDS, labels, worked),)
    return Event(
        id=job.id,
        since=job.submitted // 1000,
        at=(job.submitted if job.completed is None else job.completed) // 1000,
        counts=((measures.JOBS_FINISHED, labels),),
        timings=timings,
    )


def _item(job: _JobState) -> Item:
    """The facts of `job`: its events, and for an unfinished job also its levels."""
    if job.ended:
        return Item(job.id, events=(*_start(job), _end(job)))
    oldest = measures.OLDEST_UNFINISHED_JOB
    return Item(
        job.id,
        levels=(
            Level(measures.JOBS_IN_PROGRESS, (job.path, job.status), 1),
            Level(oldest, (job.path,), job.submitted / 1000, merge="least"),
        ),
        events=tuple(_start(job)),
        unfinished=job.submitted // 1000,
    )


def _newest(jobs: Sequence[_JobState], *, now: int) -> int | None:
    """The end of the hour of the newest known instant of `jobs`.

    Instants more than a day after `now` are ignored: otherwise one in the year 9999 would stay the
    newest for ever.
    """
    known = (instant // 1000 for job in jobs for instant in job.instants)
    newest = max((instant for instant in known if instant <= now + DAY), default=None)
    if newest is None:
        return None
    return Step.HOUR.after(Step.HOUR.floor(newest))


@dataclass(frozen=True, slots=True)
class _JobsFeed:
    """Single jobs, submitted since the start of the window.

    The request has no end, so that jobs submitted while the pages are read are included.
    """

    name: str = "jobs"
    measures: tuple[Measure, ...] = (
        measures.JOBS_FINISHED,
        measures.JOBS_IN_PROGRESS,
        measures.JOB_QUEUE_SECONDS,
        measures.JOB_PROCESSING_SECONDS,
        measures.OLDEST_UNFINISHED_JOB,
    )
    resolutions: tuple[Resolution, ...] = (Resolution(Step.HOUR, reach=31 * DAY, longest=31 * DAY),)
    settling: int = HOUR
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        if not ask.spans:
            return
        span = min(ask.spans, key=lambda span: span.window.start)
        after = datetime.fromtimestamp(span.window.start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield Request(_JOBS, (("submitted_after", after),), span)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        page = _JOBS_DECODER.decode(body)
        assert request.span is not None  # noqa: S101 - this feed's own request
        earliest = request.span.window.start * 1000
        listed = [
            _job_state(job, path=f"$.jobs[{index}]") for index, job in enumerate(page.jobs or ())
        ]
        dated = [job for job in listed if job is not None]
        # Earlier jobs are dropped: the ledger may have deleted their ids and would count them twice.
        jobs = [job for job in dated if job.submitted >= earliest]
        nothing = [
            Level(measures.JOBS_IN_PROGRESS, (path, status), 0)
            for path in dict.fromkeys(job.path for job in jobs)
            for status in _UNFINISHED
        ]
        return Answer(
            levels=nothing,
            items=[_item(job) for job in jobs],
            follow=_next_page(request, page.next_token),
            newest=_newest(dated, now=ask.now),
            remarks=() if len(dated) == len(listed) else (_UNDATED,),
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


_FEEDS: Final[Mapping[str, Feed]] = {feed.name: feed for feed in (_UsageFeed(), _JobsFeed())}


@dataclass(frozen=True, slots=True)
class DolbyMedia:
    """The vendor; its token service is another host."""

    name: str = "dolby_media"
    url: str = "https://api.dolby.com"
    auth_url: str | None = "https://api.dolby.io"
    authentication: tuple[BearerToken | ClientCredentials, ...] = (
        ClientCredentials("/v1/auth/token"),
        BearerToken(),
    )
    options: tuple[Option, ...] = ()
    feed_names: tuple[str, ...] = tuple(_FEEDS)
    default_feeds: tuple[str, ...] = tuple(_FEEDS)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json"}

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        return tuple(_FEEDS[name] for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        return None

    def retries(self, status: int) -> int | None:
        return None


PROVIDER: Final = DolbyMedia()
