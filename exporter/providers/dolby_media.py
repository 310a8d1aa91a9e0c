"""Dolby.io Media: how many jobs an app ran, how they ended, and how long they took.

One token belongs to one app, so an account here is an app. Two feeds: `usage` counts jobs by
endpoint, day by day; `jobs` lists single jobs of the last 31 days, each with its times.
The vendor describes the usage answer's fields in words, but publishes neither the keys nor the
wrapper: `_rows` finds them by what they must contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from exporter import measures, reading
from exporter.errors import PollError, SchemaError
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
)

_USAGE: Final = "/media/usage"
_JOBS: Final = "/media/jobs"

_COUNTS: Final = {
    "jobs": measures.JOBS,
    "succeeded": measures.JOBS_SUCCEEDED,
    "failed": measures.JOBS_FAILED,
}

_USAGE_KEYS: Final = ("usage", "usagedetails")
"""Where the rows may be, as far as anybody has written down; keys bared."""

_UNFINISHED: Final = ("pending", "running")
"""Any other status ends a job, including those the vendor has yet to invent."""


def _next_page(request: Request, token: object) -> tuple[Request, ...]:
    """The request for the page that `token` stands for; none when it is absent, null or empty."""
    if token is None or token == "":
        return ()
    if not isinstance(token, str):
        raise SchemaError(f"$.next_token: expected a string, got {type(token).__name__}")
    params = (*(pair for pair in request.params if pair[0] != "next_token"), ("next_token", token))
    return (Request(request.path, params, request.span, request.subjects),)


def _bare(key: str) -> str:
    """`key` without case and underscores: next_token, nextToken and Next_Token are the same."""
    return key.replace("_", "").lower()


def _bared(row: Mapping[str, object]) -> dict[str, object]:
    return {_bare(key): value for key, value in row.items()}


def _token(document: object) -> object:
    """The token of a usage answer, beside its list wherever that is; None when there is none."""
    if not isinstance(document, dict):
        return None
    holders = (document, *(value for value in document.values() if isinstance(value, dict)))
    return next((token for holder in holders if (token := _bared(holder).get("nexttoken"))), None)


def _lists(document: object) -> Iterator[tuple[str, list[object]]]:
    """Every list that can be the wrapper's, with its path: the outermost first."""
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


def _nothing(document: object) -> bool:
    """Whether there is an empty list, or a null where usage belongs."""
    if any(not values for _, values in _lists(document)):
        return True
    if not isinstance(document, dict):
        return False
    holders = (document, *(value for value in document.values() if isinstance(value, dict)))
    return any(
        value is None and _bare(key) in _USAGE_KEYS
        for holder in holders
        for key, value in holder.items()
    )


def _rows(document: object) -> list[tuple[str, dict[str, object]]]:
    """The rows of a usage answer, keys bared, each with its path.

    They are the first list whose objects have a path, else the first whose objects have a count.
    Where there is neither, an empty list will do: an app without jobs. Anything else is not a
    usage answer.
    """
    lists = [
        (path, values, [_bared(value) for value in values if isinstance(value, dict)])
        for path, values in _lists(document)
    ]
    for sought in (("path",), tuple(_COUNTS)):
        for path, values, rows in lists:
            if any(key in row for row in rows for key in sought):
                if len(rows) < len(values):
                    raise SchemaError(f"{path}: not a list of objects alone")
                return [(f"{path}[{index}]", row) for index, row in enumerate(rows)]
    if _nothing(document):
        return []
    raise SchemaError("$: no list of objects with a path or a count of jobs")


def _path(value: object, *, path: str) -> str:
    if not isinstance(value, str | None):
        raise SchemaError(f"{path}: expected a string, got {type(value).__name__}")
    return reading.label(value)


def _count(value: object, *, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError(f"{path}: expected a whole number, got {type(value).__name__}")
    return reading.whole(value, path=path)


def _counts(row: Mapping[str, object], *, path: str) -> Iterator[tuple[Measure, int]]:
    """The amounts that a row has; one that is null or absent is not known, which is not 0."""
    if not any(key in row for key in _COUNTS):
        raise SchemaError(f"{path}: none of {', '.join(_COUNTS)}")
    for key, measure in _COUNTS.items():
        value = row.get(key)
        if value is not None:
            yield measure, _count(value, path=f"{path}.{key}")


@dataclass(frozen=True, slots=True)
class _UsageFeed:
    """Jobs by endpoint. An answer has no split by day, so every day is asked for by itself."""

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
    """One entry of `/media/jobs`; `duration` is left out, as nobody says what it measures."""

    job_id: str
    path: str | None
    status: str
    time_submitted: str
    time_started: str | None = None
    time_completed: str | None = None


class _Jobs(msgspec.Struct, frozen=True, gc=False):
    jobs: list[_Job]
    next_token: str | None = None


_WORD_START: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_JOBS_DECODER: Final = msgspec.json.Decoder(_Jobs)


def _snake(status: str) -> str:
    """`internal_error` for InternalError, Internal-Error and internal error."""
    words = _WORD_START.sub(" ", status).replace("_", " ").replace("-", " ")
    return "_".join(words.lower().split()) or reading.UNKNOWN


def _moment(value: str | None, *, path: str) -> int | None:
    """Unix milliseconds of a time that may not have come yet: absent, null or empty."""
    return reading.milliseconds(value, path=path) if value else None


def _event(
    job: _Job, *, labels: tuple[str, str], submitted: int, started: int | None, ended: int | None
) -> Event:
    """The end of `job`; all instants in Unix milliseconds.

    A start is cut to whole seconds by the vendor, so that it may lie before the submission:
    such a job did not wait.
    """
    path, _ = labels
    timings: list[tuple[Measure, tuple[str, ...], int]] = []
    if started is not None:
        timings.append((measures.JOB_QUEUE_SECONDS, (path,), max(started - submitted, 0)))
        if ended is not None:
            timings.append((measures.JOB_PROCESSING_SECONDS, labels, max(ended - started, 0)))
    return Event(
        id=job.job_id,
        since=submitted // 1000,
        at=(submitted if ended is None else ended) // 1000,
        counts=((measures.JOBS_FINISHED, labels),),
        timings=tuple(timings),
    )


def _unfinished(job_id: str, path: str, status: str, submitted: int) -> Item:
    """A job that has not ended; `submitted` in Unix milliseconds."""
    return Item(
        job_id,
        levels=(
            Level(measures.JOBS_IN_PROGRESS, (path, status), 1),
            Level(measures.OLDEST_UNFINISHED_JOB, (path,), submitted / 1000, merge="least"),
        ),
        unfinished=submitted // 1000,
    )


@dataclass(frozen=True, slots=True)
class _JobsFeed:
    """Single jobs, from the oldest that is still of interest to now.

    The window has no end in the request: a job submitted while the pages are read belongs in.
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
        earliest = request.span.window.start
        items: list[Item] = []
        paths: dict[str, None] = {}
        for index, job in enumerate(page.jobs):
            at = f"$.jobs[{index}]"
            submitted = reading.milliseconds(job.time_submitted, path=f"{at}.time_submitted")
            started = _moment(job.time_started, path=f"{at}.time_started")
            ended = _moment(job.time_completed, path=f"{at}.time_completed")
            if not job.job_id:
                raise SchemaError(f"{at}.job_id: empty")
            if submitted < earliest * 1000:
                continue  # asked for or not: its id may be forgotten, it would count twice
            path, status = reading.label(job.path), _snake(job.status)
            paths[path] = None
            if status in _UNFINISHED:
                items.append(_unfinished(job.job_id, path, status, submitted))
            else:
                event = _event(
                    job, labels=(path, status), submitted=submitted, started=started, ended=ended
                )
                items.append(Item(job.job_id, events=(event,)))
        nothing = [
            Level(measures.JOBS_IN_PROGRESS, (path, status), 0)
            for path in paths
            for status in _UNFINISHED
        ]
        return Answer(levels=nothing, items=items, follow=_next_page(request, page.next_token))

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
