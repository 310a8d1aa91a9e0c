"""The feeds whose answers are series of buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from exporter import measures
from exporter.errors import InvalidRequestError, NotFoundError, PollError
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
)
from exporter.providers.millicast.buckets import Buckets, buckets_of, filled
from exporter.providers.millicast.names import reportable, unreportable
from exporter.providers.millicast.wire import (
    AccountGeo,
    AccountSeries,
    Map,
    Moved,
    StreamSeries,
    StreamsGeo,
    Success,
    Transcoders,
    Watched,
)
from exporter.reading import Empty, Number, amount, country

NAMES_PER_REQUEST: Final = 10

_ACCOUNT = msgspec.json.Decoder(Success[AccountSeries])
_TOTAL = msgspec.json.Decoder(Success[Moved])
_STREAMS = msgspec.json.Decoder(Success[Map[StreamSeries | Empty | None]])
_COUNTRIES = msgspec.json.Decoder(Success[AccountGeo])
_STREAM_COUNTRIES = msgspec.json.Decoder(Success[StreamsGeo])
_TRANSCODERS = msgspec.json.Decoder(Success[Transcoders])


def _read_account(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    data = _ACCOUNT.decode(body).data
    for start, width, moved in filled(data.bandwidth, buckets):
        yield Usage(measures.RECEIVED_BYTES, ("live",), start, width, moved.bytes_in)
        yield Usage(measures.DELIVERED_BYTES, ("live",), start, width, moved.bytes_out)
    components: tuple[tuple[str, Mapping[str, Moved] | Empty | None], ...] = (
        ("standard", data.standard_stream),
        ("restream", data.restream),
        ("geo_cascade", data.geo_cascade),
    )
    for component, series in components:
        labels = (component,)
        for start, width, moved in filled(series, buckets):
            yield Usage(measures.COMPONENT_DELIVERED_BYTES, labels, start, width, moved.bytes_out)
    for start, width, restreamed in filled(data.restream, buckets):
        spent = amount(restreamed.seconds_used, scale=1000, path="$.data.restream[…].secondsUsed")
        yield Usage(measures.RESTREAM_SECONDS, (), start, width, spent)


def _read_streams(body: bytes, buckets: Buckets, names: Sequence[str]) -> Iterator[Usage]:
    data = _STREAMS.decode(body).data
    if not isinstance(data, dict):
        return
    for name in names:
        stream = data.get(name)
        if isinstance(stream, StreamSeries):
            labels = ("live", name)
            for start, width, moved in filled(stream.bandwidth, buckets):
                yield Usage(measures.STREAM_RECEIVED_BYTES, labels, start, width, moved.bytes_in)
                yield Usage(measures.STREAM_DELIVERED_BYTES, labels, start, width, moved.bytes_out)


def _viewing(watched: Watched) -> Number | None:
    """Seconds watched, of which the specification and its examples name different fields.

    `duration` is taken to be viewing. Where nothing was delivered and nobody began to watch,
    it can only be publishing, and none of it was viewing.
    """
    if watched.view_duration is not None or watched.duration is None:
        return watched.view_duration
    nobody_watched = watched.bytes_out == 0 and (watched.views is None or watched.views == 0)
    return 0 if nobody_watched else watched.duration


def _read_geo(
    series: Map[Map[Watched]],
    buckets: Buckets,
    of: tuple[Measure, Measure, Measure, Measure, Measure],
    *labels: str,
) -> Iterator[Usage]:
    received, delivered, viewing_seconds, views, publishes = of
    for start, width, countries in filled(series, buckets):
        if not isinstance(countries, dict):
            continue
        for name, watched in countries.items():
            where = ("live", *labels, country(name))
            yield Usage(received, where, start, width, watched.bytes_in)
            yield Usage(delivered, where, start, width, watched.bytes_out)
            viewing = _viewing(watched)
            if viewing is not None:
                spent = amount(viewing, scale=1000, path="$.data.geo[…].duration")
                yield Usage(viewing_seconds, where, start, width, spent)
            if watched.views is not None:
                yield Usage(views, where, start, width, watched.views)
            if watched.publishes is not None:
                yield Usage(publishes, where, start, width, watched.publishes)


_COUNTRY_MEASURES: Final = (
    measures.COUNTRY_RECEIVED_BYTES,
    measures.COUNTRY_DELIVERED_BYTES,
    measures.COUNTRY_VIEWING_SECONDS,
    measures.COUNTRY_VIEWS,
    measures.COUNTRY_PUBLISHES,
)
_STREAM_COUNTRY_MEASURES: Final = (
    measures.STREAM_COUNTRY_RECEIVED_BYTES,
    measures.STREAM_COUNTRY_DELIVERED_BYTES,
    measures.STREAM_COUNTRY_VIEWING_SECONDS,
    measures.STREAM_COUNTRY_VIEWS,
    measures.STREAM_COUNTRY_PUBLISHES,
)


def _read_countries(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    return _read_geo(_COUNTRIES.decode(body).data.geo, buckets, _COUNTRY_MEASURES)


def _read_stream_countries(body: bytes, buckets: Buckets, names: Sequence[str]) -> Iterator[Usage]:
    streams = _STREAM_COUNTRIES.decode(body).data.geo
    if isinstance(streams, dict):
        for name in names:
            yield from _read_geo(streams.get(name), buckets, _STREAM_COUNTRY_MEASURES, name)


def _read_transcoders(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    for start, width, transcoders in filled(_TRANSCODERS.decode(body).data.transcoder, buckets):
        for transcoded in transcoders or ():
            spent = amount(
                transcoded.minutes_used, scale=60_000, path="$.data.transcoder[…].minutesUsed"
            )
            yield Usage(measures.TRANSCODED_SECONDS, (), start, width, spent)


@dataclass(frozen=True, slots=True)
class SeriesFeed:
    """A `…/series` endpoint: one request for a span, or one for each ten stream names of it."""

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
        return [
            self._request(span, names[first : first + NAMES_PER_REQUEST])
            for span in ask.spans
            for first in range(0, len(names), NAMES_PER_REQUEST)
        ]

    def _request(self, span: Span, names: tuple[str, ...] = ()) -> Request:
        form = "%Y-%m-%dT%H:%M:%SZ" if span.step is Step.HOUR else "%Y-%m-%d"
        start, stop = (
            datetime.fromtimestamp(end, UTC).strftime(form)
            for end in (span.window.start, span.window.end)
        )
        params = [("startDate", start), ("stopDate", stop)]
        if self.read is not _read_transcoders:  # the one series that is always by day
            params.append(("resolution", span.step.name.capitalize()))
        params += (("streamNames", name) for name in names)
        return Request(self.path, tuple(params), span, names)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        if request.span is None:
            raise ValueError(f"{self.name}: a request without a span")
        usage = list(self.read(body, buckets_of(request.span), request.subjects))
        first = next((name for name in ask.streams if reportable(name)), None)
        told = self.needs_streams and first is not None and first in request.subjects
        return Answer(usage=usage, remarks=unreportable(ask.streams) if told else ())

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """One stream that the vendor does not know makes it refuse all ten with a 400."""
        if not request.subjects or not isinstance(error, InvalidRequestError | NotFoundError):
            return None
        if len(request.subjects) == 1 or request.span is None:
            return ()
        return [self._request(request.span, (name,)) for name in request.subjects]


class AccountFeed(SeriesFeed):
    """The whole account, of which the vendor gives a total of any window, too."""

    def totals(self, window: Window) -> Iterable[Request]:
        start, stop = (
            datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for end in (window.start, window.end)
        )
        params = (("startDate", start), ("stopDate", stop))
        yield Request("/api/analytics/account/total", params, Span(window, Step.HOUR))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        moved = _TOTAL.decode(body).data
        if request.span is None:
            raise ValueError(f"{self.name}: a request without a span")
        window = request.span.window
        return Answer(
            usage=[
                Usage(measure, ("live",), window.start, window.end - window.start, amount)
                for measure, amount in (
                    (measures.RECEIVED_BYTES, moved.bytes_in),
                    (measures.DELIVERED_BYTES, moved.bytes_out),
                )
            ]
        )


_HOURS = Resolution(Step.HOUR, reach=7 * DAY, longest=7 * DAY)
_DAYS = Resolution(Step.DAY, reach=90 * DAY, longest=90 * DAY)
_MONTHS = Resolution(Step.MONTH, reach=None, longest=5 * 366 * DAY)

SERIES: Final = (
    AccountFeed(
        "account",
        "/api/analytics/account/series",
        (
            measures.RECEIVED_BYTES,
            measures.DELIVERED_BYTES,
            measures.COMPONENT_DELIVERED_BYTES,
            measures.RESTREAM_SECONDS,
        ),
        (_HOURS, _DAYS, _MONTHS),
        _read_account,
    ),
    SeriesFeed(
        "streams",
        "/api/analytics/streams/series",
        (measures.STREAM_RECEIVED_BYTES, measures.STREAM_DELIVERED_BYTES),
        (_HOURS,),
        _read_streams,
        needs_streams=True,
    ),
    SeriesFeed(
        "countries",
        "/api/analytics/account/geo_series",
        _COUNTRY_MEASURES,
        (_HOURS, _DAYS),
        _read_countries,
    ),
    SeriesFeed(
        "stream_countries",
        "/api/analytics/streams/geo_series",
        _STREAM_COUNTRY_MEASURES,
        (_HOURS,),
        _read_stream_countries,
        needs_streams=True,
    ),
    SeriesFeed(
        "transcoders",
        "/api/analytics/transcoder/series",
        (measures.TRANSCODED_SECONDS,),
        (_DAYS,),
        _read_transcoders,
        settling=2 * DAY,  # a day is billed in the course of the next
    ),
)
