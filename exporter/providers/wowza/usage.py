"""The feeds below /usage: totals over exactly the hour or day that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from exporter import measures
from exporter.errors import NotFoundError, PollError, SchemaError
from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    Level,
    Measure,
    Request,
    Resolution,
    Span,
    Step,
    Usage,
    Window,
)
from exporter.providers.wowza.asking import PER_PAGE, between, check, next_page, window
from exporter.providers.wowza.wire import Account, Amounts, Detail, Item, Listing, Summary
from exporter.reading import amount, label

RESOLUTIONS: Final = (
    # So far that the daily look back at 48 hours, which may begin within a day, stays in hours.
    Resolution(Step.HOUR, reach=3 * DAY, longest=HOUR),
    Resolution(Step.DAY, reach=None, longest=DAY),
    # Any window will do for the vendor: for what a whole day would give too much of.
    Resolution(Step.HOUR, reach=None, longest=HOUR),
)
SETTLING: Final = 4 * HOUR

_LISTING = msgspec.json.Decoder(Listing)
_SUMMARY = msgspec.json.Decoder(Summary)
_DETAIL = msgspec.json.Decoder(Detail)
_ACCOUNT = msgspec.json.Decoder(Account)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount: the names of its field, and the measures it becomes."""

    fields: tuple[str, ...]
    total: Measure
    stream: Measure

    def optional(self, amounts: Amounts, path: str) -> int | None:
        for name in self.fields:
            value: int | float | None = getattr(amounts, name)
            if value is not None:
                return amount(value, scale=self.total.resolution, path=f"{path}.{name}")
        return None

    def required(self, amounts: Amounts, path: str) -> int:
        value = self.optional(amounts, path)
        if value is None:
            raise SchemaError(f"{path}.{self.fields[0]}: missing")
        return value


_DELIVERED = Amount(
    ("viewing_bytes", "bytes"), measures.DELIVERED_BYTES, measures.STREAM_DELIVERED_BYTES
)
_WATCHED = Amount(
    ("viewing_seconds", "viewing_time"),
    measures.VIEWING_SECONDS,
    measures.STREAM_VIEWING_SECONDS,
)
_EGRESS_BYTES = Amount(("egress_bytes",), measures.EGRESS_BYTES, measures.STREAM_EGRESS_BYTES)
_EGRESS_SECONDS = Amount(
    ("egress_seconds",), measures.EGRESS_SECONDS, measures.STREAM_EGRESS_SECONDS
)
_RECEIVED = Amount(("bytes_in",), measures.RECEIVED_BYTES, measures.STREAM_RECEIVED_BYTES)
_SENT = Amount(("bytes_out",), measures.DELIVERED_BYTES, measures.STREAM_DELIVERED_BYTES)


@dataclass(frozen=True, slots=True)
class Resource:
    """A list below /usage: its kind, what its items hold, what only its summary may hold."""

    name: str
    kind: str
    amounts: tuple[Amount, ...]
    summary_only: tuple[Amount, ...] = ()


RESOURCES: Final = {
    resource.name: resource
    for resource in (
        Resource("vod_streams", "vod", (_DELIVERED, _WATCHED), (_EGRESS_BYTES, _EGRESS_SECONDS)),
        Resource("stream_targets", "live", (_DELIVERED, _WATCHED)),
        Resource("transcoders", "transcoder", (_EGRESS_BYTES, _EGRESS_SECONDS)),
        Resource("real_time_streams", "realtime", (_RECEIVED, _SENT)),
    )
}


@dataclass(frozen=True, slots=True)
class _WindowFeed:
    """What every feed of totals has in common."""

    root: str
    resolutions: tuple[Resolution, ...] = RESOLUTIONS
    settling: int = SETTLING
    needs_streams: bool = False
    discovers: bool = False

    def _request(self, path: str, span: Span, *more: tuple[str, str]) -> Request:
        return Request(f"{self.root}/usage/{path}", (*between(span), *more), span)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


def _usage(window: Window, measure: Measure, labels: tuple[str, ...], value: int) -> Usage:
    return Usage(measure, labels, window.start, window.end - window.start, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFeed(_WindowFeed):
    """A list, for each stream, and its summary, for the account: never the list's own sum.

    `summaries` are the routes below the list that a version has.
    """

    resource: Resource
    summaries: tuple[str, ...] = ("summary",)

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def measures(self) -> tuple[Measure, ...]:
        each = self.resource.amounts
        return (
            *(amount.total for amount in (*each, *self.resource.summary_only)),
            *(amount.stream for amount in each),
            measures.STREAM_INFO,
        )

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            yield self._request(self.name, span, PER_PAGE)
            for summary in self.summaries:
                yield self._request(f"{self.name}/{summary}", span)

    def totals(self, window: Window) -> Iterable[Request]:
        for summary in self.summaries:
            yield self._request(f"{self.name}/{summary}", Span(window, Step.HOUR))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        return self._summary(request, body, Ask(now))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        if request.path.endswith("/summary"):
            return self._summary(request, body, ask)
        listing = _LISTING.decode(body)
        check(window(request), listing.limits, now=ask.now)
        items = _items(listing, self.name)
        usage: list[Usage] = []
        infos: list[Level] = []
        for item in items:
            stream = label(item.id)
            path = f"$.{self.name}[{stream}]"
            usage += self._amounts(request, item, path, stream)
            archived = "unknown" if item.archived is None else str(item.archived).lower()
            about = (self.resource.kind, stream, label(item.name), archived)
            infos.append(Level(measures.STREAM_INFO, about, 1, merge="greatest"))
        following = next_page(request, listing.pagination, len(items))
        return Answer(usage=usage, levels=infos, follow=[following] if following else ())

    def _summary(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _SUMMARY.decode(body)
        check(window(request), answer.limits, answer.summary.limits, now=ask.now)
        return Answer(usage=list(self._amounts(request, answer.summary, "$.summary")))

    def _amounts(
        self, request: Request, amounts: Amounts, path: str, *stream: str
    ) -> Iterator[Usage]:
        egress_alone = request.path.endswith("/egress/summary")
        for each in () if egress_alone else self.resource.amounts:
            value = each.required(amounts, path)
            measure = each.stream if stream else each.total
            yield _usage(window(request), measure, (self.resource.kind, *stream), value)
        for each in () if stream else self.resource.summary_only:
            optional = each.optional(amounts, path)
            if optional is not None:
                yield _usage(window(request), each.total, (self.resource.kind,), optional)


def _items(listing: Listing, name: str) -> list[Item]:
    items: list[Item] | None = getattr(listing, name)
    if items is None:
        raise SchemaError(f"$.{name}: missing")
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendsFeed(_WindowFeed):
    """The egress of each VOD stream, from the details of every stream that the list names."""

    name: str = "vod_trends"
    measures: tuple[Measure, ...] = (_EGRESS_BYTES.stream, _EGRESS_SECONDS.stream)

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [self._request("vod_streams", span, PER_PAGE) for span in ask.spans]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        if request.subjects:
            return self._detail(request, body, ask)
        listing = _LISTING.decode(body)
        check(window(request), listing.limits, now=ask.now)
        items = _items(listing, "vod_streams")
        following = next_page(request, listing.pagination, len(items))
        details = [
            Request(
                f"{self.root}/usage/vod_streams/{quote(label(item.id), safe='')}",
                request.params[:2],  # from and to, without the paging
                request.span,
                (label(item.id),),
            )
            for item in items
        ]
        return Answer(follow=[*details, following] if following else details)

    def _detail(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _DETAIL.decode(body)
        check(window(request), answer.limits, answer.vod_stream.limits, now=ask.now)
        labels = ("vod", *request.subjects)
        amounts = (
            (each.stream, each.optional(answer.vod_stream, "$.vod_stream"))
            for each in (_EGRESS_BYTES, _EGRESS_SECONDS)
        )
        return Answer(
            usage=[
                _usage(window(request), measure, labels, value)
                for measure, value in amounts
                if value is not None
            ]
        )

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """A stream may be gone since it was listed."""
        return () if request.subjects and isinstance(error, NotFoundError) else None


_ACCOUNT_AMOUNTS: Final = (
    (_DELIVERED, measures.ACCOUNT_DELIVERED_BYTES),
    (_WATCHED, measures.ACCOUNT_VIEWING_SECONDS),
    (_EGRESS_BYTES, measures.ACCOUNT_EGRESS_BYTES),
    (_EGRESS_SECONDS, measures.ACCOUNT_EGRESS_SECONDS),
)


@dataclass(slots=True, kw_only=True)
class AccountFeed:
    """The whole account, all kinds together; its route is singular or plural, by version.

    `route` is where the vendor answered last, or is expected to.
    """

    root: str
    route: str
    name: str = "account"
    measures: tuple[Measure, ...] = tuple(measure for _, measure in _ACCOUNT_AMOUNTS)
    resolutions: tuple[Resolution, ...] = RESOLUTIONS
    settling: int = SETTLING
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [
            Request(f"{self.root}/usage/{self.route}", between(span), span) for span in ask.spans
        ]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _ACCOUNT.decode(body)
        found = answer.account if answer.account is not None else answer.accounts
        if found is None:
            raise SchemaError("$.account: missing")
        usage: list[Usage] = []
        for account in found if isinstance(found, list) else [found]:
            check(window(request), answer.limits, account.limits, now=ask.now)
            for each, measure in _ACCOUNT_AMOUNTS:
                read = each.required if each in (_DELIVERED, _WATCHED) else each.optional
                value = read(account, "$.account")
                if value is not None:
                    usage.append(_usage(window(request), measure, (), value))
        self.route = request.path.rpartition("/")[2]
        return Answer(usage=usage)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Where the route is not found, the other one is tried, once."""
        if request.subjects or not isinstance(error, NotFoundError):
            return None
        before, _, route = request.path.rpartition("/")
        other = "accounts" if route == "account" else "account"
        return [Request(f"{before}/{other}", request.params, request.span, (route,))]
