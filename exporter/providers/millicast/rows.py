"""Reads the answers of the series as rows of usage.

A poll may have hundreds of thousands of rows, and nearly all amounts are integers. For speed these
are used unchecked (the decoder has checked their range), and only others are converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from exporter.model import Measure, Usage, measures
from exporter.model.values import Empty, Number, amount, country, whole
from exporter.providers.millicast.buckets import Buckets, filled
from exporter.providers.millicast.wire import (
    ANY,
    GEO,
    MOVED,
    RESTREAMED,
    SERIES,
    TRANSCODED,
    TRANSCODERS,
    WATCHED,
    AccountGeo,
    BandwidthSeries,
    Documented,
    Map,
    Moved,
    StreamBandwidth,
    StreamsGeo,
    Success,
    Transcoders,
    Watched,
)

_ACCOUNT = msgspec.json.Decoder(Success[BandwidthSeries])
_STREAMS = msgspec.json.Decoder(Success[Map[StreamBandwidth | Empty | None]])
_STREAM_COMPONENTS = msgspec.json.Decoder(Success[Map[BandwidthSeries | Empty | None]])
_COUNTRIES = msgspec.json.Decoder(Success[AccountGeo])
_STREAM_COUNTRIES = msgspec.json.Decoder(Success[StreamsGeo])
_TRANSCODERS = msgspec.json.Decoder(Success[Transcoders])

_COUNTRY: Final = "$.data.geo…[…]"

COUNTRY_MEASURES: Final = (
    measures.COUNTRY_RECEIVED_BYTES,
    measures.COUNTRY_DELIVERED_BYTES,
    measures.COUNTRY_VIEWING_SECONDS,
    measures.COUNTRY_VIEWS,
    measures.COUNTRY_PUBLISHES,
)
STREAM_COUNTRY_MEASURES: Final = (
    measures.STREAM_COUNTRY_RECEIVED_BYTES,
    measures.STREAM_COUNTRY_DELIVERED_BYTES,
    measures.STREAM_COUNTRY_VIEWING_SECONDS,
    measures.STREAM_COUNTRY_VIEWS,
    measures.STREAM_COUNTRY_PUBLISHES,
)


def read_account(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    """Received and delivered bytes, components and restreaming, of the whole account."""
    data = _ACCOUNT.decode(body).data
    if data is None:
        return
    documented = Documented(body)
    if data.bandwidth is None:
        documented.check(SERIES, "data")
    of = measures.RECEIVED_BYTES, measures.DELIVERED_BYTES
    yield from _bandwidth(data.bandwidth, buckets, of, ("live",), documented, "data")
    parts = measures.COMPONENT_DELIVERED_BYTES, measures.RESTREAM_SECONDS
    yield from _components(data, buckets, parts, (), documented, "data")


def read_streams(body: bytes, buckets: Buckets, names: Sequence[str]) -> Iterator[Usage]:
    """Received and delivered bytes, by stream."""
    data = _STREAMS.decode(body).data
    if isinstance(data, dict):
        documented = Documented(body)
        for name in names:
            stream = data.get(name)
            if isinstance(stream, StreamBandwidth):
                yield from _stream(stream, buckets, name, documented)


def read_stream_components(body: bytes, buckets: Buckets, names: Sequence[str]) -> Iterator[Usage]:
    """As `read_streams`, with components and restreaming, by stream."""
    data = _STREAM_COMPONENTS.decode(body).data
    if isinstance(data, dict):
        documented = Documented(body)
        parts = measures.STREAM_COMPONENT_DELIVERED_BYTES, measures.STREAM_RESTREAM_SECONDS
        for name in names:
            stream = data.get(name)
            if isinstance(stream, BandwidthSeries):
                yield from _stream(stream, buckets, name, documented)
                labels = "live", name
                yield from _components(stream, buckets, parts, labels, documented, "data", (name,))


def _stream(
    stream: StreamBandwidth, buckets: Buckets, name: str, documented: Documented
) -> Iterator[Usage]:
    where = "data", (name,)
    if stream.bandwidth is None:
        documented.check(SERIES, *where)
    of = measures.STREAM_RECEIVED_BYTES, measures.STREAM_DELIVERED_BYTES
    return _bandwidth(stream.bandwidth, buckets, of, ("live", name), documented, *where)


def _bandwidth(
    series: Map[Moved | None],
    buckets: Buckets,
    of: tuple[Measure, Measure],
    labels: tuple[str, ...],
    documented: Documented,
    *where: str | tuple[str],
) -> Iterator[Usage]:
    received, delivered = of
    blank = False
    for start, width, moved in filled(series, buckets):
        into, out = moved.bytes_in, moved.bytes_out
        if into is not None:
            count = into if type(into) is int else whole(into, path="$.data…bandwidth[…].bytesIn")
            yield Usage(received, labels, start, width, count)
        if out is not None:
            count = out if type(out) is int else whole(out, path="$.data…bandwidth[…].bytesOut")
            yield Usage(delivered, labels, start, width, count)
        elif into is None:
            blank = True
    if blank:
        documented.check(MOVED, *where, "bandwidth", ANY)


def _components(
    data: BandwidthSeries,
    buckets: Buckets,
    of: tuple[Measure, Measure],
    labels: tuple[str, ...],
    documented: Documented,
    *where: str | tuple[str],
) -> Iterator[Usage]:
    delivered, restream_seconds = of
    for component, key, keys, series in (
        ("standard", "standardStream", MOVED, data.standard_stream),
        ("restream", "restream", RESTREAMED, data.restream),
        ("geo_cascade", "geoCascade", MOVED, data.geo_cascade),
    ):
        blank = False
        for start, width, moved in filled(series, buckets):
            out = moved.bytes_out
            if out is None:
                blank = True
                continue
            count = out if type(out) is int else whole(out, path=f"$.data…{key}[…].bytesOut")
            yield Usage(delivered, (*labels, component), start, width, count)
        if blank:
            documented.check(keys, *where, key, ANY)
    for start, width, restreamed in filled(data.restream, buckets):
        if restreamed.seconds_used is not None:
            spent = amount(
                restreamed.seconds_used, scale=1000, path="$.data…restream[…].secondsUsed"
            )
            yield Usage(restream_seconds, labels, start, width, spent)


def read_countries(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    """All measures of the account by country."""
    data = _COUNTRIES.decode(body).data
    if data is None:
        return
    documented = Documented(body)
    if data.geo is None:
        documented.check(GEO, "data")
    of, labels = COUNTRY_MEASURES, ("live",)
    yield from _countries(data.geo, buckets, of, labels, documented, "data", "geo")


def read_stream_countries(body: bytes, buckets: Buckets, names: Sequence[str]) -> Iterator[Usage]:
    """The same measures by stream and country."""
    data = _STREAM_COUNTRIES.decode(body).data
    if data is None:
        return
    documented = Documented(body)
    if data.geo is None:
        documented.check(GEO, "data")
    if isinstance(data.geo, dict):
        for name in names:
            series, of, labels = data.geo.get(name), STREAM_COUNTRY_MEASURES, ("live", name)
            where = "data", "geo", (name,)
            yield from _countries(series, buckets, of, labels, documented, *where)


def _countries(
    series: Map[Map[Watched | None]],
    buckets: Buckets,
    of: tuple[Measure, Measure, Measure, Measure, Measure],
    labels: tuple[str, ...],
    documented: Documented,
    *where: str | tuple[str],
) -> Iterator[Usage]:
    received, delivered, viewing_seconds, viewed, published = of
    places: dict[str, tuple[str, ...]] = {}  # cached: every hour has the same few countries
    blank = False
    for start, width, countries in filled(series, buckets):
        if not isinstance(countries, dict):
            continue
        for name, watched in countries.items():
            if watched is None:
                continue
            at = places.get(name) or places.setdefault(name, (*labels, country(name)))
            into, out, views = watched.bytes_in, watched.bytes_out, watched.views
            publishes, viewing = watched.publishes, _viewing(watched)
            if into is not None:
                count = into if type(into) is int else whole(into, path=f"{_COUNTRY}.bytesIn")
                yield Usage(received, at, start, width, count)
            if out is not None:
                count = out if type(out) is int else whole(out, path=f"{_COUNTRY}.bytesOut")
                yield Usage(delivered, at, start, width, count)
            if viewing is not None:
                spent = amount(viewing, scale=1000, path=f"{_COUNTRY}.duration")
                yield Usage(viewing_seconds, at, start, width, spent)
            if views is not None:
                count = views if type(views) is int else whole(views, path=f"{_COUNTRY}.views")
                yield Usage(viewed, at, start, width, count)
            if publishes is not None:
                count = (
                    publishes
                    if type(publishes) is int
                    else whole(publishes, path=f"{_COUNTRY}.publishes")
                )
                yield Usage(published, at, start, width, count)
            elif into is None and out is None and viewing is None and views is None:
                blank = True
    if blank:
        documented.check(WATCHED, *where, ANY, ANY)


def _viewing(watched: Watched) -> Number | None:
    """Seconds watched. The vendor's specification and its examples have different fields for it.

    `duration` is taken as viewing time. With no delivered bytes and no views, it can only be
    publishing time, and the viewing time is 0.
    """
    if watched.view_duration is not None or watched.duration is None:
        return watched.view_duration
    nobody_watched = watched.bytes_out == 0 and not watched.views
    return 0 if nobody_watched else watched.duration


def read_transcoders(body: bytes, buckets: Buckets, _: Sequence[str]) -> Iterator[Usage]:
    """Transcoded seconds of all transcoders together, by day."""
    data = _TRANSCODERS.decode(body).data
    if data is None:
        return
    documented = Documented(body)
    if data.transcoder is None:
        documented.check(TRANSCODERS, "data")
    blank = False
    for start, width, transcoders in filled(data.transcoder, buckets):
        for transcoded in transcoders:
            if transcoded is None or transcoded.minutes_used is None:
                blank = True
                continue
            spent = amount(
                transcoded.minutes_used, scale=60_000, path="$.data.transcoder[…].minutesUsed"
            )
            yield Usage(measures.TRANSCODED_SECONDS, (), start, width, spent)
    if blank:
        documented.check(TRANSCODED, "data", "transcoder", ANY, ANY)
