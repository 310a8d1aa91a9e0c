"""The feeds with series of buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    Measure,
    Request,
    Resolution,
    Span,
    Step,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import InvalidRequestError, NotFoundError, PollError
from exporter.model.values import whole
from exporter.providers.millicast.buckets import Buckets, buckets_of
from exporter.providers.millicast.names import reportable, unreportable
from exporter.providers.millicast.rows import (
    COUNTRY_MEASURES,
    STREAM_COUNTRY_MEASURES,
    read_account,
    read_countries,
    read_stream_components,
    read_stream_countries,
    read_streams,
    read_transcoders,
)
from exporter.providers.millicast.wire import TOTAL, Documented, Moved, Success

NAMES_PER_REQUEST: Final = 10

_TOTAL = msgspec.json.Decoder(Success[Moved])


@dataclass(frozen=True, slots=True)
class SeriesFeed:
    """A `…/series` endpoint: one request for each span, or for each span and ten stream names."""

    name: str
    path: str
    measures: tuple[Measure, ...]
    resolutions: tuple[Resolution, ...]
    read: Callable[[bytes, Buckets, Sequence[str]], Iterator[Usage]]
    needs_streams: bool = False
    settling: int = 3 * HOUR
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        if not self.needs_streams:
            return [self._request(span) for span in ask.spans]
        names = tuple(dict.fromkeys(filter(reportable, ask.streams)))
        # One by one: there may be thousands.
        return (
            self._request(span, names[first : first + NAMES_PER_REQUEST])
            for span in ask.spans
            for first in range(0, len(names), NAMES_PER_REQUEST)
        )

    def _request(self, span: Span, names: tuple[str, ...] = ()) -> Request:
        form = "%Y-%m-%dT%H:%M:%SZ" if span.step is Step.HOUR else "%Y-%m-%d"
        start, stop = (
            datetime.fromtimestamp(end, UTC).strftime(form)
            for end in (span.window.start, span.window.end)
        )
        params = [("startDate", start), ("stopDate", stop)]
        if self.read is not read_transcoders:  # this series is always by day
            params.append(("resolution", span.step.name.capitalize()))
        params += (("streamNames", name) for name in names)
        return Request(self.path, tuple(params), span, names)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        if request.span is None:
            raise ValueError(f"{self.name}: a request without a span")
        usage = list(self.read(body, buckets_of(request.span), request.subjects))
        first = next((name for name in ask.streams if reportable(name)), None)
        first_request = self.needs_streams and first is not None and first in request.subjects
        return Answer(usage=usage, remarks=unreportable(ask.streams) if first_request else ())

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Ask for each stream by itself: an unknown one makes the vendor refuse all ten (400)."""
        if not request.subjects or not isinstance(error, InvalidRequestError | NotFoundError):
            return None
        if len(request.subjects) == 1 or request.span is None:
            return ()
        return [self._request(request.span, (name,)) for name in request.subjects]


class AccountFeed(SeriesFeed):
    """The whole account. The vendor also has a total for any window of it."""

    def totals(self, window: Window) -> Iterable[Request]:
        start, stop = (
            datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for end in (window.start, window.end)
        )
        params = (("startDate", start), ("stopDate", stop))
        yield Request("/api/analytics/account/total", params, Span(window, Step.HOUR))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        moved = _TOTAL.decode(body).data or Moved()
        if moved.bytes_in is None and moved.bytes_out is None:
            Documented(body).check(TOTAL, "data")
        if request.span is None:
            raise ValueError(f"{self.name}: a request without a span")
        window = request.span.window
        return Answer(
            usage=[
                Usage(
                    measure,
                    ("live",),
                    window.start,
                    window.end - window.start,
                    whole(count, path=f"$.data.{field}"),
                )
                for measure, count, field in (
                    (measures.RECEIVED_BYTES, moved.bytes_in, "bytesIn"),
                    (measures.DELIVERED_BYTES, moved.bytes_out, "bytesOut"),
                )
                if count is not None
            ]
        )


@dataclass(frozen=True, slots=True)
class StreamsFeed(SeriesFeed):
    """A breakdown by stream; another feed has the account's amounts of the same measures."""

    needs_streams: bool = True
    measure_pairs: tuple[tuple[Measure, Measure], ...] = ()


_HOURS = Resolution(Step.HOUR, reach=7 * DAY, longest=7 * DAY)
_DAYS = Resolution(Step.DAY, reach=90 * DAY, longest=90 * DAY)
_MONTHS = Resolution(Step.MONTH, reach=None, longest=5 * 366 * DAY)

_ACCOUNT = AccountFeed(
    "account",
    "/api/analytics/account/series",
    (
        measures.RECEIVED_BYTES,
        measures.DELIVERED_BYTES,
        measures.COMPONENT_DELIVERED_BYTES,
        measures.RESTREAM_SECONDS,
    ),
    (_HOURS, _DAYS, _MONTHS),
    read_account,
)
_STREAMS = StreamsFeed(
    "streams",
    "/api/analytics/streams/series",
    (measures.STREAM_RECEIVED_BYTES, measures.STREAM_DELIVERED_BYTES),
    (_HOURS,),
    read_streams,
    measure_pairs=(
        (measures.RECEIVED_BYTES, measures.STREAM_RECEIVED_BYTES),
        (measures.DELIVERED_BYTES, measures.STREAM_DELIVERED_BYTES),
    ),
)
_STREAM_COMPONENTS = replace(
    _STREAMS,
    measures=(
        *_STREAMS.measures,
        measures.STREAM_COMPONENT_DELIVERED_BYTES,
        measures.STREAM_RESTREAM_SECONDS,
    ),
    read=read_stream_components,
)
_COUNTRIES = SeriesFeed(
    "countries",
    "/api/analytics/account/geo_series",
    COUNTRY_MEASURES,
    (_HOURS, _DAYS),
    read_countries,
)
_STREAM_COUNTRIES = StreamsFeed(
    "stream_countries",
    "/api/analytics/streams/geo_series",
    STREAM_COUNTRY_MEASURES,
    (_HOURS,),
    read_stream_countries,
    measure_pairs=tuple(zip(COUNTRY_MEASURES, STREAM_COUNTRY_MEASURES, strict=True)),
)
_TRANSCODERS = SeriesFeed(
    "transcoders",
    "/api/analytics/transcoder/series",
    (measures.TRANSCODED_SECONDS,),
    (_DAYS,),
    read_transcoders,
    settling=2 * DAY,  # the vendor computes a day in the course of the next
)


def series(*, stream_components: bool) -> tuple[SeriesFeed, ...]:
    """All feeds of series; `stream_components` adds the delivery components to `streams`."""
    streams = _STREAM_COMPONENTS if stream_components else _STREAMS
    return _ACCOUNT, streams, _COUNTRIES, _STREAM_COUNTRIES, _TRANSCODERS
