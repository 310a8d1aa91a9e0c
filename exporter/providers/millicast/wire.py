# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""The parts of Millicast's answers that are read.

The vendor's schemas require no field of `data`: an amount may be null or absent. `Documented`
refuses an object whose keys are all undocumented.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from exporter.model.errors import SchemaError
from exporter.model.values import Count, Empty, Number

T = TypeVar("T")
Map = dict[str, T] | Empty | None
"""An object, or one of the vendor's ways to write that there is none."""


class Success(msgspec.Struct, Generic[T]):
    status: Literal["success"]
    data: T | None


class Moved(msgspec.Struct, rename="camel", gc=False):
    bytes_in: Count | None = None
    bytes_out: Count | None = None


class Restreamed(Moved, rename="camel", gc=False):
    seconds_used: Number | None = None


class Watched(Moved, rename="camel", gc=False):
    duration: Number | None = None
    view_duration: Number | None = None
    publishes: Count | None = None
    views: Count | None = None


class StreamBandwidth(msgspec.Struct):
    bandwidth: Map[Moved | None] = None


class BandwidthSeries(StreamBandwidth, rename="camel"):
    standard_stream: Map[Moved | None] = None
    restream: Map[Restreamed | None] = None
    geo_cascade: Map[Moved | None] = None


class AccountGeo(msgspec.Struct):
    geo: Map[Map[Watched | None]] = None


class StreamsGeo(msgspec.Struct):
    geo: Map[Map[Map[Watched | None]]] = None


class Transcoded(msgspec.Struct, rename="camel"):
    minutes_used: Number | None = None


class Transcoders(msgspec.Struct):
    transcoder: Map[list[Transcoded | None] | None] = None


class Stored(msgspec.Struct):
    recordings: Count | None = None
    clips: Count | None = None
    timelines: Count | None = None
    vod: Count | None = None


class Stream(msgspec.Struct, rename="camel"):
    live: bool | None = None
    stream_id: str | None = None
    stream_name: str | None = None
    viewer_count: Count | None = None


class Pagination(msgspec.Struct, rename="camel"):
    total_pages: Count | None = None


class Summary(msgspec.Struct):
    data: list[Stream | None] | msgspec.UnsetType | None = msgspec.UNSET
    pagination: Pagination | None = None


MOVED: Final = frozenset({"bytesIn", "bytesOut"})
RESTREAMED: Final = MOVED | {"secondsUsed"}
WATCHED: Final = MOVED | {"duration", "viewDuration", "publishDuration", "views", "publishes"}
SERIES: Final = frozenset({"bandwidth", "standardStream", "restream", "geoCascade"})
TOTAL: Final = MOVED | {"standardStream", "restream", "geoCascade"}
GEO: Final = frozenset({"geo"})
TRANSCODERS: Final = frozenset({"transcoder"})
TRANSCODED: Final = frozenset({"transcoderId", "minutesUsed"})
STORED: Final = frozenset({"totalBytes", "recordings", "clips", "timelines", "vod"})
SUMMARY: Final = frozenset({"data", "pagination"})
STREAM: Final = frozenset(
    {
        "streamId",
        "streamName",
        "clusterId",
        "clusters",
        "secureStream",
        "isRecordingAllowed",
        "multisource",
        "live",
        "startTime",
        "endTime",
        "viewerCount",
    }
)

ANY: Final = None
Where: TypeAlias = Sequence[str | Collection[str] | None]
"""A path from the top of an answer, of documented keys, names in a map, or ANY member."""


class Documented:
    """Checks that an object without any value that is read has a documented key or no key at all.

    The typed decoder drops unknown keys. So the body is decoded here without types, once, and only
    when a reader found an object without any amount.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def _answer(self) -> object:
        return msgspec.json.decode(self._body)

    def check(self, keys: frozenset[str], *where: str | Collection[str] | None) -> None:
        """Raise SchemaError when an object at `where` has keys, but none of `keys`."""
        for found in _at(self._answer, where):
            if isinstance(found, dict) and found and keys.isdisjoint(found):
                steps = ("." + step if isinstance(step, str) else "[…]" for step in where)
                expected = ", ".join(sorted(keys))
                raise SchemaError(f"${''.join(steps)}: an object with none of: {expected}")


def _at(value: object, where: Where) -> Iterator[object]:
    """All values at the path `where` below `value`."""
    if not where:
        yield value
        return
    step, *rest = where
    if isinstance(value, dict):
        names = value if step is ANY else {step} if isinstance(step, str) else step
        members = [value[name] for name in names if name in value]
    else:
        members = value if isinstance(value, list) and step is ANY else []
    for member in members:
        yield from _at(member, rest)
