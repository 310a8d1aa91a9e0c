"""Livepeer Studio: viewers, views, and billed time.

The vendor's server is open source; what is said here about its answers is read from it.
A key that is absent was not asked for, null means unknown, and an empty list means no data,
never nobody: the vendor can switch its viewership off and answers `[]` from then on.
Windows are asked for by whole hours, which the vendor stores anyway, so that polls within an
hour send the same address and its five-minute cache is of use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from exporter import measures, reading
from exporter.errors import (
    InvalidRequestError,
    NotFoundError,
    PollError,
    SchemaError,
    TooLargeError,
)
from exporter.model import (
    DAY,
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Answer,
    Ask,
    BearerToken,
    ClientCredentials,
    Feed,
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

_NOW: Final = "/data/views/now"
_VIEWS: Final = "/data/views/query"
_CREATOR: Final = "/data/views/query/creator"
_TOTAL: Final = "/data/views/query/total/"
_USAGE: Final = "/data/usage/query"

_BREAKDOWN: Final = "breakdownBy[]"  # the brackets are part of the name
_ALL: Final = "all"
_MINUTE: Final = 60 * measures.MILLISECONDS
_TOO_MUCH: Final = b"consider decreasing your timeframe"

_NOW_ROWS: Final = 1001
"""Where the vendor cuts a realtime answer off without a word."""


def _hourly(path: str, span: Span, *params: tuple[str, str], subject: str = "") -> Request:
    """Ask `path` for the hours of `span`; `from` belongs to the window, `to` does not."""
    window = span.window
    return Request(
        path,
        (
            *params,
            ("from", str(window.start * 1000)),
            ("to", str(window.end * 1000)),
            ("timeStep", "hour"),
        ),
        span,
        (subject,) if subject else (),
    )


def _halves(request: Request) -> tuple[Request, ...]:
    """`request` for the first and the second half of its hours; () for a single hour."""
    span = request.span
    assert span is not None  # noqa: S101 - only requests with a window are split
    window = span.window
    middle = window.start + (window.end - window.start) // HOUR // 2 * HOUR
    if middle == window.start:
        return ()
    kept = [pair for pair in request.params if pair[0] not in {"from", "to", "timeStep"}]
    subject = "".join(request.subjects)
    return tuple(
        _hourly(request.path, Span(Window(start, end), span.step), *kept, subject=subject)
        for start, end in ((window.start, middle), (middle, window.end))
    )


def _hour(milliseconds: int | float, request: Request, *, path: str) -> int | None:
    """The start of the hour that a row is about; None when it was not asked for."""
    start = Step.HOUR.floor(reading.instant(milliseconds, path=path))
    span = request.span
    assert span is not None  # noqa: S101 - only requests with a window have such rows
    return start if span.window.start <= start < span.window.end else None


class _Now(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: int
    error_rate: int | float | None = None
    playback_id: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    device: str | UnsetType | None = UNSET


class _Views(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    timestamp: int | float
    view_count: int
    playtime_mins: int | float | None = None
    ttff_ms: int | float | None = None
    rebuffer_ratio: int | float | None = None
    error_rate: int | float | None = None
    exits_before_start: int | float | None = None
    playback_id: str | UnsetType | None = UNSET


class _Total(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: int
    legacy_view_count: int | None = None
    playtime_mins: int | float | None = None


class _Billed(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    time_interval: int | float | None = None
    delivery_usage_mins: int | float | None = None
    total_usage_mins: int | float | None = None
    storage_usage_mins: int | float | None = None


_NOW_DECODER: Final = msgspec.json.Decoder(list[_Now])
_VIEWS_DECODER: Final = msgspec.json.Decoder(list[_Views])
_TOTAL_DECODER: Final = msgspec.json.Decoder(_Total)
_BILLED_DECODER: Final = msgspec.json.Decoder(list[_Billed] | _Billed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breakdown:
    """One way to break realtime viewers down: the vendor's key and the metric it becomes."""

    key: str
    measure: Measure
    subject: Callable[[_Now], str | UnsetType | None]
    label: Callable[[str | None], str]


_BREAKDOWNS: Final = {
    breakdown.key: breakdown
    for breakdown in (
        _Breakdown(
            key="playbackId",
            measure=measures.STREAM_VIEWERS,
            subject=lambda row: row.playback_id,
            label=reading.label,
        ),
        _Breakdown(
            key="country",
            measure=measures.COUNTRY_VIEWERS,
            subject=lambda row: row.country,
            label=reading.country,
        ),
        _Breakdown(
            key="device",
            measure=measures.DEVICE_VIEWERS,
            subject=lambda row: row.device,
            label=reading.label,
        ),
    )
}


class _LivepeerFeed(ABC):
    """What the feeds have in common; a feed of hours unless it says otherwise."""

    name: ClassVar[str]
    measures: ClassVar[tuple[Measure, ...]]
    resolutions: ClassVar[tuple[Resolution, ...]] = (
        Resolution(Step.HOUR, reach=None, longest=7 * DAY),
    )
    settling: ClassVar[int] = 3 * HOUR
    needs_streams: ClassVar[bool] = False
    discovers: ClassVar[bool] = False

    def __init__(self, options: Options) -> None:
        self._options = options

    def _ids(self, key: str) -> tuple[str, ...]:
        ids = self._options[key]
        assert isinstance(ids, tuple)  # noqa: S101 - as OPTIONS declares it
        return ids

    @abstractmethod
    def requests(self, ask: Ask) -> Iterable[Request]:
        """See `Feed`."""

    @abstractmethod
    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        """See `Feed`."""

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Ask for half as many hours at a time, where that is the remedy; an hour stands."""
        if isinstance(error, InvalidRequestError | TooLargeError) and request.span is not None:
            return _halves(request) or None
        return None


class _Realtime(_LivepeerFeed):
    """Viewers now: in all, and broken down three ways."""

    name = "realtime"
    measures = (
        measures.VIEWERS,
        measures.REALTIME_PLAYBACK_ERROR_RATIO,
        *(breakdown.measure for breakdown in _BREAKDOWNS.values()),
    )
    resolutions = ()
    settling = 0

    def requests(self, ask: Ask) -> Iterable[Request]:
        yield Request(_NOW)
        for key in _BREAKDOWNS:
            yield Request(_NOW, ((_BREAKDOWN, key),))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _NOW_DECODER.decode(body)
        key = dict(request.params).get(_BREAKDOWN)
        if key is None:
            return Answer(levels=self._whole(rows))
        return Answer(levels=self._parts(rows, _BREAKDOWNS[key]), remarks=self._cut_off(rows, key))

    @staticmethod
    def _whole(rows: list[_Now]) -> list[Level]:
        levels: list[Level] = []
        for index, row in enumerate(rows):
            viewers = reading.amount(row.view_count, path=f"$[{index}].viewCount")
            levels.append(Level(measures.VIEWERS, (_ALL,), viewers))
            if row.error_rate is not None:
                ratio = reading.level(row.error_rate, path=f"$[{index}].errorRate")
                levels.append(
                    Level(measures.REALTIME_PLAYBACK_ERROR_RATIO, (_ALL,), ratio, merge="greatest")
                )
        return levels

    @staticmethod
    def _parts(rows: list[_Now], breakdown: _Breakdown) -> list[Level]:
        """One level for each row; sessions of rows with equal labels are disjoint and add up."""
        levels: list[Level] = []
        for index, row in enumerate(rows):
            subject = breakdown.subject(row)
            if subject is UNSET:
                raise SchemaError(
                    f"$[{index}]: no {breakdown.key!r} in an answer broken down by it"
                )
            viewers = reading.amount(row.view_count, path=f"$[{index}].viewCount")
            levels.append(Level(breakdown.measure, (_ALL, breakdown.label(subject)), viewers))
        return levels

    @staticmethod
    def _cut_off(rows: list[_Now], key: str) -> tuple[str, ...]:
        if len(rows) < _NOW_ROWS:
            return ()
        return (
            f"viewers now by {key}: the vendor lists no more than {_NOW_ROWS} rows and has"
            " reached that; what lies beyond them is missing",
        )


class _Viewership(_LivepeerFeed):
    """Views and their quality by the hour: in all, and by playback id."""

    name = "viewership"
    measures = (
        measures.VIEWS,
        measures.VIEWING_SECONDS,
        measures.EXITS_BEFORE_START,
        measures.TIME_TO_FIRST_FRAME,
        measures.REBUFFER_RATIO,
        measures.PLAYBACK_ERROR_RATIO,
        measures.STREAM_VIEWS,
        measures.STREAM_VIEWING_SECONDS,
    )

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            yield _hourly(_VIEWS, span)
            yield _hourly(_VIEWS, span, (_BREAKDOWN, "playbackId"))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _VIEWS_DECODER.decode(body)
        if _BREAKDOWN in dict(request.params):
            return Answer(usage=self._by_stream(rows, request), remarks=_hollow(rows, request))
        newest_complete = Step.HOUR.floor(ask.now) - HOUR
        usage: list[Usage] = []
        levels: list[Level] = []
        for index, row in enumerate(rows):
            path = f"$[{index}]"
            start = _hour(row.timestamp, request, path=f"{path}.timestamp")
            if start is None:
                continue
            usage += _viewed(
                row, start, path, measures.VIEWS, measures.VIEWING_SECONDS, labels=(_ALL,)
            )
            if row.exits_before_start is not None:
                exits = reading.amount(
                    row.exits_before_start,
                    path=f"{path}.exitsBeforeStart",
                    scale=measures.EXITS_BEFORE_START.resolution,
                )
                usage.append(Usage(measures.EXITS_BEFORE_START, (_ALL,), start, HOUR, exits))
            quality = self._quality(row, path)
            if start == newest_complete:
                levels += quality
        return Answer(usage=usage, levels=levels, remarks=_hollow(rows, request))

    @staticmethod
    def _by_stream(rows: list[_Views], request: Request) -> list[Usage]:
        usage: list[Usage] = []
        for index, row in enumerate(rows):
            path = f"$[{index}]"
            if row.playback_id is UNSET:
                raise SchemaError(f"{path}: no 'playbackId' in an answer broken down by it")
            start = _hour(row.timestamp, request, path=f"{path}.timestamp")
            if start is not None:
                labels = (_ALL, reading.label(row.playback_id))
                usage += _viewed(
                    row,
                    start,
                    path,
                    measures.STREAM_VIEWS,
                    measures.STREAM_VIEWING_SECONDS,
                    labels=labels,
                )
        return usage

    @staticmethod
    def _quality(row: _Views, path: str) -> list[Level]:
        """Means over the row's hour; null where the vendor saw too little to tell."""
        found = (
            (measures.TIME_TO_FIRST_FRAME, row.ttff_ms, "ttffMs", 1000),
            (measures.REBUFFER_RATIO, row.rebuffer_ratio, "rebufferRatio", 1),
            (measures.PLAYBACK_ERROR_RATIO, row.error_rate, "errorRate", 1),
        )
        return [
            Level(
                measure,
                (_ALL,),
                reading.level(value, path=f"{path}.{key}") / parts,
                merge="greatest",
            )
            for measure, value, key, parts in found
            if value is not None
        ]


def _viewed(
    row: _Views,
    start: int,
    path: str,
    views: Measure,
    viewing_seconds: Measure,
    *,
    labels: tuple[str, ...],
) -> list[Usage]:
    """The views of `row` and, where the vendor knows it, how long they lasted."""
    count = reading.amount(row.view_count, path=f"{path}.viewCount")
    usage = [Usage(views, labels, start, HOUR, count)]
    if row.playtime_mins is not None:
        time = reading.amount(row.playtime_mins, path=f"{path}.playtimeMins", scale=_MINUTE)
        usage.append(Usage(viewing_seconds, labels, start, HOUR, time))
    return usage


def _hollow(rows: list[_Views], request: Request) -> tuple[str, ...]:
    """What to say of an empty list: it may be all that the vendor will ever answer."""
    if rows:
        return ()
    return (
        f"{request.path} answered with an empty list: no views in the window, or the vendor has"
        " switched viewership off; nothing was recorded",
    )


class _Usage(_LivepeerFeed):
    """Delivered, transcoded and stored time by the hour, as billed."""

    name = "usage"
    measures = (
        measures.USAGE_DELIVERED_SECONDS,
        measures.TRANSCODED_SECONDS,
        measures.STORED_SECONDS,
    )

    def requests(self, ask: Ask) -> Iterable[Request]:
        return (_hourly(_USAGE, span) for span in ask.spans)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _BILLED_DECODER.decode(body)
        span = request.span
        assert span is not None  # noqa: S101 - this feed's own request
        listed = isinstance(answer, list)
        rows = answer if isinstance(answer, list) else [answer]
        usage: list[Usage] = []
        stored: dict[int, int] = {}
        for index, row in enumerate(rows):
            path = f"$[{index}]" if listed else "$"
            if row.time_interval is not None:
                start = _hour(row.time_interval, request, path=f"{path}.TimeInterval")
            elif listed:
                raise SchemaError(f"{path}: no 'TimeInterval' in an answer by the hour")
            elif halves := _halves(request):
                return Answer(follow=halves)  # one sum over the window: down to single hours
            else:
                start = span.window.start
            if start is None:
                continue
            for measure, value, key in (
                (measures.USAGE_DELIVERED_SECONDS, row.delivery_usage_mins, "DeliveryUsageMins"),
                # The vendor's total is of transcoding alone.
                (measures.TRANSCODED_SECONDS, row.total_usage_mins, "TotalUsageMins"),
            ):
                if value is not None:
                    time = reading.amount(value, path=f"{path}.{key}", scale=_MINUTE)
                    usage.append(Usage(measure, (), start, HOUR, time))
            if row.storage_usage_mins is not None:
                time = reading.amount(
                    row.storage_usage_mins, path=f"{path}.StorageUsageMins", scale=_MINUTE
                )
                stored[start] = stored.get(start, 0) + time
        return Answer(usage=usage, levels=self._stored(stored, span, ask))

    def totals(self, window: Window) -> Iterable[Request]:
        params = (("from", str(window.start * 1000)), ("to", str(window.end * 1000)))
        yield Request(_USAGE, params, Span(window, Step.HOUR))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        row = _BILLED_DECODER.decode(body)
        if isinstance(row, list) or request.span is None:
            raise SchemaError("$: a list where one total was asked for")
        window = request.span.window
        return Answer(
            usage=[
                Usage(
                    measure,
                    (),
                    window.start,
                    window.end - window.start,
                    reading.amount(value, path=path, scale=_MINUTE),
                )
                for measure, value, path in (
                    (
                        measures.USAGE_DELIVERED_SECONDS,
                        row.delivery_usage_mins,
                        "$.DeliveryUsageMins",
                    ),
                    (measures.TRANSCODED_SECONDS, row.total_usage_mins, "$.TotalUsageMins"),
                )
                if value is not None
            ]
        )

    @staticmethod
    def _stored(by_hour: Mapping[int, int], span: Span, ask: Ask) -> list[Level]:
        """What the newest complete hour says is in storage: a mean, so hours are never added up.

        Only the answer that reaches up to now has that hour.
        """
        current = Step.HOUR.floor(ask.now)
        complete = [hour for hour in by_hour if hour < current]
        if not complete or span.window.end < max(asked.window.end for asked in ask.spans):
            return []
        value = by_hour[max(complete)] / measures.MILLISECONDS
        return [Level(measures.STORED_SECONDS, (), value, merge="greatest")]


class _Creators(_LivepeerFeed):
    """Views of the assets and live streams that the account's settings name."""

    name = "creators"
    measures = (measures.STREAM_VIEWS, measures.STREAM_VIEWING_SECONDS)

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            for option, key in (("assets", "assetId"), ("live_streams", "streamId")):
                for subject in self._ids(option):
                    yield _hourly(_CREATOR, span, (key, subject), subject=subject)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _VIEWS_DECODER.decode(body)
        (subject,) = request.subjects
        usage: list[Usage] = []
        for index, row in enumerate(rows):
            path = f"$[{index}]"
            start = _hour(row.timestamp, request, path=f"{path}.timestamp")
            if start is not None:
                usage += _viewed(
                    row,
                    start,
                    path,
                    measures.STREAM_VIEWS,
                    measures.STREAM_VIEWING_SECONDS,
                    labels=(_ALL, subject),
                )
        return Answer(usage=usage, remarks=_hollow(rows, request))

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """An asset or stream that is gone says nothing about the others."""
        return () if isinstance(error, NotFoundError) else super().refused(request, error)


class _PublicTotals(_LivepeerFeed):
    """Views since ever of the playback ids that the account's settings name."""

    name = "public_totals"
    measures = (measures.LIFETIME_VIEWS, measures.LIFETIME_VIEWING_SECONDS)
    resolutions = ()
    settling = 0

    def requests(self, ask: Ask) -> Iterable[Request]:
        for subject in self._ids("playback_ids"):
            yield Request(_TOTAL + quote(subject, safe=""), subjects=(subject,))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        total = _TOTAL_DECODER.decode(body)
        if not total.view_count and not total.legacy_view_count and total.playtime_mins is None:
            return Answer(
                remarks=(
                    f"{_TOTAL}… answered with no playing time and no views: the vendor may have"
                    " switched viewership off; nothing was recorded",
                )
            )
        views = reading.amount(total.view_count, path="$.viewCount")
        if total.legacy_view_count is not None:  # before 2023, not part of viewCount
            views += reading.amount(total.legacy_view_count, path="$.legacyViewCount")
            reading.amount(views, path="$.viewCount + $.legacyViewCount")  # not too many, either
        found = [(measures.LIFETIME_VIEWS, views)]
        if total.playtime_mins is not None:
            time = reading.amount(total.playtime_mins, path="$.playtimeMins", scale=_MINUTE)
            found.append((measures.LIFETIME_VIEWING_SECONDS, time))
        return Answer(
            usage=[
                Usage(measure, request.subjects, LIFETIME_START, LIFETIME_WIDTH, amount)
                for measure, amount in found
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """A playback id that is gone says nothing about the others."""
        return () if isinstance(error, NotFoundError) else super().refused(request, error)


_FEEDS: Final = {
    feed.name: feed for feed in (_Realtime, _Viewership, _Usage, _Creators, _PublicTotals)
}


@dataclass(frozen=True, slots=True)
class Livepeer:
    """The vendor; an API key that is not restricted to CORS use is all it takes."""

    name: str = "livepeer"
    url: str = "https://livepeer.studio/api"
    auth_url: str | None = None
    authentication: tuple[BearerToken | ClientCredentials, ...] = (BearerToken(),)
    options: tuple[Option, ...] = (
        Option("assets", "strings", "Asset ids for the creators feed.", ()),
        Option("live_streams", "strings", "Stream ids for the creators feed.", ()),
        Option("playback_ids", "strings", "Playback ids for the public_totals feed.", ()),
    )
    feed_names: tuple[str, ...] = tuple(_FEEDS)
    default_feeds: tuple[str, ...] = ("realtime", "viewership", "usage")

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json"}

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        return tuple(_FEEDS[name](options) for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        """A question that is too large for the vendor is a 500, told from a failure by its text.

        That is more than 10,000 rows, or too many bytes to scan.
        """
        return InvalidRequestError.reason if status == 500 and _TOO_MUCH in body else None

    def retries(self, status: int) -> int | None:
        """A 500 is often the question's fault: worth one more try, not more."""
        return 1 if status == 500 else None


PROVIDER: Final = Livepeer()
