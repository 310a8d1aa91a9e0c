# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""What Millicast sends, as far as it is read."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from exporter.reading import Empty, Number, Whole

T = TypeVar("T")
Map = dict[str, T] | Empty | None
"""An object, or one of the ways to have none."""


class Success(msgspec.Struct, Generic[T]):
    status: Literal["success"]
    data: T


class Moved(msgspec.Struct, rename="camel"):
    bytes_in: Whole
    bytes_out: Whole


class Restreamed(Moved, rename="camel"):
    seconds_used: Number


class Watched(Moved, rename="camel"):
    duration: Number | None = None
    view_duration: Number | None = None
    publishes: Whole | None = None
    views: Whole | None = None


class StreamSeries(msgspec.Struct):
    bandwidth: Map[Moved] = None


class AccountSeries(msgspec.Struct, rename="camel"):
    bandwidth: Map[Moved]
    standard_stream: Map[Moved] = None
    restream: Map[Restreamed] = None
    geo_cascade: Map[Moved] = None


class AccountGeo(msgspec.Struct):
    geo: Map[Map[Watched]]


class StreamsGeo(msgspec.Struct):
    geo: Map[Map[Map[Watched]]]


class Transcoded(msgspec.Struct, rename="camel"):
    minutes_used: Number


class Transcoders(msgspec.Struct):
    transcoder: Map[list[Transcoded] | None]


class Stored(msgspec.Struct):
    recordings: Whole | None = None
    clips: Whole | None = None
    timelines: Whole | None = None
    vod: Whole | None = None


class Stream(msgspec.Struct, rename="camel"):
    live: bool
    stream_name: str | None = None
    viewer_count: Whole | None = None


class Pagination(msgspec.Struct, rename="camel"):
    total_pages: int | None = None


class Summary(msgspec.Struct):
    data: list[Stream] | None
    pagination: Pagination | None = None
