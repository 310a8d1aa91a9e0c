"""The feeds whose answers are levels: viewers and storage now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from exporter import measures
from exporter.errors import PollError
from exporter.model import Answer, Ask, Level, Measure, Request, Resolution
from exporter.providers.millicast.names import reportable, unreportable
from exporter.providers.millicast.wire import Stored, Success, Summary
from exporter.reading import label

ITEMS_PER_PAGE: Final = 100

_STORED = msgspec.json.Decoder(Success[Stored])
_SUMMARY = msgspec.json.Decoder(Success[Summary])


@dataclass(frozen=True, slots=True)
class ViewersFeed:
    """The monitoring summary: streams that are live, or ended less than an hour ago."""

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

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [self._page(1)]

    def _page(self, number: int) -> Request:
        # By name, because the pages of an order that changes meanwhile overlap and leave gaps.
        return Request(
            "/api/monitoring/summary",
            (
                ("page", str(number)),
                ("itemsOnPage", str(ITEMS_PER_PAGE)),
                ("sortBy", "StreamId"),
                ("isDescending", "false"),
            ),
        )

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        summary = _SUMMARY.decode(body).data
        streams = summary.data or []
        viewers: dict[str, int] = {}
        for stream in streams:
            if stream.live and stream.viewer_count is not None:
                name = label(stream.stream_name)
                viewers[name] = viewers.get(name, 0) + stream.viewer_count
        levels = [
            Level(measures.VIEWERS, ("live",), sum(viewers.values())),
            Level(measures.STREAMS_LIVE, ("live",), sum(stream.live for stream in streams)),
            *(
                Level(measures.STREAM_VIEWERS, ("live", name), count)
                for name, count in viewers.items()
                if self._wanted(name)
            ),
        ]
        found = {stream.stream_name: None for stream in streams if stream.stream_name}
        wanted = [name for name in found if self._wanted(name)] if self.discovers else []
        page = int(dict(request.params)["page"])
        pages = summary.pagination.total_pages if summary.pagination else None
        more = bool(streams) and (pages is None or page < pages)
        return Answer(
            levels=levels,
            follow=[self._page(page + 1)] if more else (),
            streams=[name for name in wanted if reportable(name)],
            remarks=unreportable(wanted),
        )

    def _wanted(self, name: str) -> bool:
        if name in self.streams:
            return True
        included = not self.include or any(fnmatchcase(name, each) for each in self.include)
        return included and not any(fnmatchcase(name, each) for each in self.exclude)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


@dataclass(frozen=True, slots=True)
class StorageFeed:
    """Bytes stored now."""

    name: str = "storage"
    measures: tuple[Measure, ...] = (measures.STORED_BYTES,)
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [Request("/api/analytics/media/storage/usage")]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        stored = msgspec.structs.asdict(_STORED.decode(body).data)
        return Answer(
            levels=[
                Level(measures.STORED_BYTES, (kind,), size)
                for kind, size in stored.items()
                if size is not None
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None
