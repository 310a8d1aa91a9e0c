"""The feeds with levels: current viewers and storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from exporter.model import Answer, Ask, Item, Level, Measure, Request, Resolution, measures
from exporter.model.errors import InvalidRequestError, PollError
from exporter.model.values import label, whole
from exporter.providers.millicast.names import reportable, unreportable
from exporter.providers.millicast.wire import (
    ANY,
    STORED,
    STREAM,
    SUMMARY,
    Documented,
    Stored,
    Stream,
    Success,
    Summary,
)

PAGE_SIZES: Final = (100, 19, 10)
"""Streams on a page, tried in this order. The vendor's reference allows 100, the text of one of its
errors says "less 20", and 10 is the default."""

_STORED = msgspec.json.Decoder(Success[Stored])
_SUMMARY = msgspec.json.Decoder(Success[Summary])


@dataclass(slots=True)
class ViewersFeed:
    """The monitoring summary: streams that are live, or ended less than an hour ago.

    It keeps the page size that the vendor has accepted.
    """

    discovers: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    streams: frozenset[str]
    name: str = "viewers"
    measures: tuple[Measure, ...] = (
        measures.VIEWERS,
        measures.STREAMS_LIVE,
        measures.STREAM_VIEWERS,
    )
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False

    _page_size: int = field(default=PAGE_SIZES[0], init=False)

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [_page(1, self._page_size)]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        summary = _SUMMARY.decode(body).data
        self._page_size = _size(request)
        if summary is None or summary.data is msgspec.UNSET:
            Documented(body).check(SUMMARY, "data")
            return Answer()
        streams = [stream for stream in summary.data or () if stream is not None]
        if any(stream.live is None and stream.stream_name is None for stream in streams):
            Documented(body).check(STREAM, "data", "data", ANY)
        names = dict.fromkeys(stream.stream_name for stream in streams if stream.stream_name)
        wanted = [name for name in names if self._wanted(name)] if self.discovers else []
        found = [(stream.stream_id, self._levels(stream)) for stream in streams]
        return Answer(
            levels=[
                # Without any row there are no viewers.
                Level(measures.VIEWERS, ("live",), 0),
                Level(measures.STREAMS_LIVE, ("live",), 0),
                *(level for stream_id, levels in found if not stream_id for level in levels),
            ],
            items=[Item(stream_id, levels=levels) for stream_id, levels in found if stream_id],
            follow=_next_page(request, summary),
            streams=[name for name in wanted if reportable(name)],
            remarks=unreportable(wanted),
        )

    def _levels(self, stream: Stream) -> tuple[Level, ...]:
        """The levels of a row; none when the stream has ended."""
        if not stream.live:
            return ()
        live = Level(measures.STREAMS_LIVE, ("live",), 1)
        if stream.viewer_count is None:
            return (live,)
        count = whole(stream.viewer_count, path="$.data.data[…].viewerCount")
        viewers = Level(measures.VIEWERS, ("live",), count)
        name = label(stream.stream_name)
        if not self._wanted(name):
            return live, viewers
        return live, viewers, Level(measures.STREAM_VIEWERS, ("live", name), count)

    def _wanted(self, name: str) -> bool:
        if name in self.streams:
            return True
        included = not self.include or any(fnmatchcase(name, each) for each in self.include)
        return included and not any(fnmatchcase(name, each) for each in self.exclude)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Start again at page 1 with a smaller page size, if the vendor refuses this one."""
        if not isinstance(error, InvalidRequestError):
            return None
        smaller = [size for size in PAGE_SIZES if size < _size(request)]
        return [_page(1, smaller[0])] if smaller else None


def _page(number: int, size: int) -> Request:
    # Sorted by id: if the order changed between pages, streams would be missing or listed twice.
    return Request(
        "/api/monitoring/summary",
        (
            ("page", str(number)),
            ("itemsOnPage", str(size)),
            ("sortBy", "StreamId"),
            ("isDescending", "false"),
        ),
    )


def _size(request: Request) -> int:
    return int(dict(request.params)["itemsOnPage"])


def _next_page(request: Request, summary: Summary) -> Sequence[Request]:
    """The next page, unless this one is empty or is the last by the reported number of pages."""
    page = int(dict(request.params)["page"])
    pages = summary.pagination.total_pages if summary.pagination else None
    if not summary.data or (pages is not None and page >= pages):
        return ()
    return [_page(page + 1, _size(request))]


@dataclass(frozen=True, slots=True)
class StorageFeed:
    """Bytes in storage, by kind of object."""

    name: str = "storage"
    measures: tuple[Measure, ...] = (measures.STORED_BYTES,)
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [Request("/api/analytics/media/storage/usage")]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        stored = _STORED.decode(body).data
        sizes = msgspec.structs.asdict(stored) if stored else {}
        given = {kind: size for kind, size in sizes.items() if size is not None}
        if not given:
            Documented(body).check(STORED, "data")
        return Answer(
            levels=[
                Level(measures.STORED_BYTES, (kind,), whole(size, path=f"$.data.{kind}"))
                for kind, size in given.items()
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None
