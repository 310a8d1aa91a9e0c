"""The feeds of current viewers. Viewers are unique addresses, so counts must not be summed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from exporter.model import Answer, Ask, Level, Measure, Request, Resolution, measures
from exporter.model.errors import NotFoundError, PollError, SchemaError
from exporter.model.values import country, device, label, whole
from exporter.providers.wowza.wire import Audience, Audiences, Share, TopStreams, documented

_AUDIENCES = msgspec.json.Decoder(Audiences)
_TOP_STREAMS = msgspec.json.Decoder(TopStreams)

KINDS: Final = {"vod_streams": "vod", "live_streams": "live", "stream_targets": "live"}
"""The kind of stream for each resource in a path."""

_SPELLINGS: Final = {"country": country, "device": device}
"""How a label's values are read, where not as they are."""


def _count(of: Audience | Share, path: str) -> int | None:
    """The number of viewers; None when it is null or absent."""
    for name in ("viewers", "unique_viewers"):
        value: int | float | UnsetType | None = getattr(of, name)
        if value is not None and value is not UNSET:
            return whole(value, path=f"{path}.{name}")
    return None


def _total(of: Audience, measure: Measure, *labels: str, path: str) -> Iterator[Level]:
    viewers = _count(of, path)
    if viewers is not None:
        yield Level(measure, labels, viewers, merge="greatest")


def _breakdown(
    shares: Sequence[Share] | UnsetType | None, measure: Measure, *labels: str, path: str
) -> Iterator[Level]:
    """The shares of one answer are disjoint, so those with the same label are summed."""
    counts: dict[str, int] = {}
    for share in shares or ():
        documented(share, Share.__struct_fields__, f"{path}[…]")
        count = _count(share, f"{path}[…]")
        if count is not None:
            key = _label(share, measure)
            counts[key] = counts.get(key, 0) + count
    for key, count in counts.items():
        yield Level(measure, (*labels, key), count, merge="greatest")


def _label(share: Share, measure: Measure) -> str:
    if share.code:
        return country(share.code)
    name = None if share.name is UNSET else share.name
    return _SPELLINGS.get(measure.labels[-1], label)(None if name is None else str(name))


def _audience(body: bytes) -> Audience | None:
    """The object under any of the documented keys; None when it is null."""
    answer = documented(_AUDIENCES.decode(body), Audiences.__struct_fields__, "$")
    for key in Audiences.__struct_fields__:
        found: Audience | UnsetType | None = getattr(answer, key)
        if found:
            return documented(found, Audience.__struct_fields__, f"$.{key}")
    return None


def _top_streams(kind: str, body: bytes) -> Iterator[tuple[str, int | None]]:
    """Ids and viewers of the streams watched most, at most 100."""
    answer = _TOP_STREAMS.decode(body)
    streams = answer.vod_streams if kind == "vod" else answer.live_streams
    if streams is UNSET:
        raise SchemaError(f"$.{kind}_streams: missing")
    for stream in streams or ():
        viewers = stream.viewers
        path = f"$.{kind}_streams[…].viewers"
        yield label(stream.id), None if viewers is None else whole(viewers, path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NowFeed:
    """The common base of both feeds. `analytics` is False before 1.11, which had no /analytics."""

    root: str
    analytics: bool
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False
    discovers: bool = False

    def _lists(self) -> Iterator[Request]:
        for resource in ("live_streams", "vod_streams"):
            yield Request(f"{self.root}/analytics/viewers/{resource}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewersFeed(_NowFeed):
    """The account's viewers with breakdowns, and the viewers of the streams watched most."""

    name: str = "viewers"
    measures: tuple[Measure, ...] = (
        measures.VIEWERS,
        measures.STREAM_VIEWERS,
        measures.COUNTRY_VIEWERS,
        measures.DEVICE_VIEWERS,
        measures.RENDITION_VIEWERS,
    )

    def requests(self, ask: Ask) -> Iterable[Request]:
        if not self.analytics:
            yield Request(f"{self.root}/usage/accounts/live")
            return
        yield Request(
            f"{self.root}/analytics/viewers/account",
            (("include", "countries,renditions,devices"),),
        )
        yield from self._lists()

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        kind = KINDS.get(request.path.rpartition("/")[2])
        if kind is not None:
            return Answer(
                levels=[
                    Level(measures.STREAM_VIEWERS, (kind, stream), viewers, merge="greatest")
                    for stream, viewers in _top_streams(kind, body)
                    if viewers is not None
                ]
            )
        account = _audience(body)
        if account is None:
            return Answer()
        return Answer(
            levels=[
                *_total(account, measures.VIEWERS, "all", path="$.account"),
                *_breakdown(
                    account.countries, measures.COUNTRY_VIEWERS, "all", path="$.account.countries"
                ),
                *_breakdown(
                    account.devices, measures.DEVICE_VIEWERS, "all", path="$.account.devices"
                ),
                *_breakdown(
                    account.renditions,
                    measures.RENDITION_VIEWERS,
                    "all",
                    path="$.account.renditions",
                ),
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamViewersFeed(_NowFeed):
    """Single streams: those in the account's options, else those in the lists of `viewers`.

    It also has a stream's total of viewers where the lists may not have it: for streams in the
    options, since the lists have at most a hundred, and before 1.11, which had no lists.
    """

    streams: tuple[str, ...]
    name: str = "stream_viewers"

    @property
    def measures(self) -> tuple[Measure, ...]:
        shares = (measures.STREAM_COUNTRY_VIEWERS, measures.STREAM_RENDITION_VIEWERS)
        return (measures.STREAM_VIEWERS, *shares) if self._gives_viewers else shares

    @property
    def _gives_viewers(self) -> bool:
        return bool(self.streams) or not self.analytics

    def requests(self, ask: Ask) -> Iterable[Request]:
        if not self.streams:
            return self._lists() if self.analytics else ()
        live = "live_streams" if self.analytics else "stream_targets"
        # The kind of an id is unknown, so both are requested; the vendor answers one of them.
        return [
            self._detail(resource, stream)
            for stream in dict.fromkeys(self.streams)
            for resource in ("vod_streams", live)
        ]

    def _detail(self, resource: str, stream: str) -> Request:
        encoded = quote(stream, safe="")
        if not self.analytics:
            return Request(f"{self.root}/usage/{resource}/{encoded}/live", subjects=(stream,))
        return Request(
            f"{self.root}/analytics/viewers/{resource}/{encoded}",
            (("include", "countries,renditions"),),
            subjects=(stream,),
        )

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        parts = request.path.removeprefix(self.root).split("/")
        resource = next(part for part in parts if part in KINDS)
        if not request.subjects:
            streams = [stream for stream, _ in _top_streams(KINDS[resource], body)]
            return Answer(follow=[self._detail(resource, stream) for stream in streams])
        labels = (KINDS[resource], *request.subjects)
        audience = _audience(body)
        if audience is None:
            return Answer()
        viewers = _total(audience, measures.STREAM_VIEWERS, *labels, path="$")
        return Answer(
            levels=[
                *(viewers if self._gives_viewers else ()),
                *_breakdown(
                    audience.countries,
                    measures.STREAM_COUNTRY_VIEWERS,
                    *labels,
                    path="$.countries",
                ),
                *_breakdown(
                    audience.renditions,
                    measures.STREAM_RENDITION_VIEWERS,
                    *labels,
                    path="$.renditions",
                ),
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Skip an id of the other kind, and a stream that was deleted meanwhile."""
        return () if request.subjects and isinstance(error, NotFoundError) else None
