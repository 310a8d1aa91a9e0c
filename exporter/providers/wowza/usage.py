"""The feeds below /usage: each answer has the totals of the requested hour or day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    Item,
    Level,
    Measure,
    Request,
    Resolution,
    Span,
    Step,
    Usage,
    Window,
    measures,
)
from exporter.model.errors import NotFoundError, PollError, SchemaError
from exporter.model.values import amount, label, whole
from exporter.providers.wowza.asking import PER_PAGE, between, check, next_page, window
from exporter.providers.wowza.wire import (
    Account,
    Amounts,
    Detail,
    Listing,
    Row,
    Summary,
    Total,
    documented,
    documented_or_empty,
)

RESOLUTIONS: Final = (
    # Far enough that the daily revisit of 48 hours, which may begin within a day, is in hours.
    Resolution(Step.HOUR, reach=3 * DAY, longest=HOUR),
    Resolution(Step.DAY, reach=None, longest=DAY),
    # The vendor accepts hours of any age; used for a part of a day.
    Resolution(Step.HOUR, reach=None, longest=HOUR),
)
SETTLING: Final = 4 * HOUR

_LISTING = msgspec.json.Decoder(Listing)
_SUMMARY = msgspec.json.Decoder(Summary)
_DETAIL = msgspec.json.Decoder(Detail)
_ACCOUNT = msgspec.json.Decoder(Account)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount: the possible names of its field, and its measures."""

    fields: tuple[str, ...]
    total: Measure
    stream: Measure

    def read(self, amounts: Amounts, path: str) -> int | None:
        """The value in `amounts`; None when it is null or absent, which does not mean zero."""
        for name in self.fields:
            value: int | float | UnsetType | None = getattr(amounts, name)
            if value is not None and value is not UNSET:
                return self._parts(value, f"{path}.{name}")
        return None

    def _parts(self, value: int | float, path: str) -> int:
        if self.total.resolution == 1:
            return whole(value, path=path)
        return amount(value, scale=self.total.resolution, path=path)


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


def _keys(*amounts: Amount) -> tuple[str, ...]:
    return tuple(field for amount in amounts for field in amount.fields)


_ACCOUNT_KEYS: Final = ("id", *_keys(_DELIVERED, _WATCHED, _EGRESS_BYTES, _EGRESS_SECONDS))
_STREAM_KEYS: Final = (*_ACCOUNT_KEYS, "name", "archived")


@dataclass(frozen=True, slots=True)
class Resource:
    """A list below /usage: its kind, the amounts of its rows, and those only in its summary."""

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
    """The common base of the feeds of lists."""

    root: str
    resolutions: tuple[Resolution, ...] = RESOLUTIONS
    settling: int = SETTLING
    needs_streams: bool = False
    discovers: bool = False

    def _request(self, path: str, span: Span, *more: tuple[str, str]) -> Request:
        return Request(f"{self.root}/usage/{path}", (*between(span), *more), span)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


def _usage(
    window: Window,
    amounts: Amounts,
    measures: Iterable[tuple[Amount, Measure]],
    labels: tuple[str, ...],
    path: str,
) -> list[Usage]:
    """The usage of the window in `amounts`, without amounts that are null or absent."""
    width = window.end - window.start
    return [
        Usage(measure, labels, window.start, width, value)
        for each, measure in measures
        if (value := each.read(amounts, path)) is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFeed(_WindowFeed):
    """A list, with single streams, and its summary, with the account's amounts.

    The account's amounts are never summed from the list. `summaries` are the routes below the list
    that the API version has.
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
        begun = check(window(request), listing.limits, now=ask.now)
        rows = _rows(listing, self.name) if begun else []
        following = next_page(request, listing.pagination, len(rows))
        return Answer(
            items=[self._item(window(request), row) for row in rows],
            follow=[following] if following else (),
        )

    def _item(self, asked: Window, row: Row) -> Item:
        """One stream, which may be on two pages if the list changes while it is read."""
        kind, stream = self.resource.kind, label(row.id)
        archived = "unknown" if row.archived is None else str(row.archived).lower()
        about = (kind, stream, label(row.name), archived)
        streams = ((each, each.stream) for each in self.resource.amounts)
        usage = _usage(asked, row, streams, (kind, stream), f"$.{self.name}[…]")
        info = Level(measures.STREAM_INFO, about, 1, merge="greatest")
        return Item(stream, usage=tuple(usage), levels=(info,))

    def _summary(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _SUMMARY.decode(body)
        amounts, summary = self._summary_amounts(request), answer.summary
        if summary is None:
            return Answer()
        keys = (*_keys(*amounts), "zones", "configurations")
        begun = check(window(request), answer.limits, summary.limits, now=ask.now)
        if (
            documented_or_empty(summary, keys, "$.summary", body=body, key="summary") is None
            or not begun
        ):
            return Answer()
        totals = ((each, each.total) for each in amounts)
        labels = (self.resource.kind,)
        return Answer(usage=_usage(window(request), summary, totals, labels, "$.summary"))

    def _summary_amounts(self, request: Request) -> tuple[Amount, ...]:
        """The amounts in the requested summary."""
        if request.path.endswith("/egress/summary"):
            return self.resource.summary_only
        return (*self.resource.amounts, *self.resource.summary_only)


def _rows(listing: Listing, name: str) -> list[Row]:
    """The list of this name; null is an empty list."""
    rows: list[Row] | UnsetType | None = getattr(listing, name)
    if rows is UNSET:
        raise SchemaError(f"$.{name}: missing")
    return rows or []


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendsFeed(_WindowFeed):
    """The egress of each VOD stream, from the details of every stream in the list."""

    name: str = "vod_trends"
    measures: tuple[Measure, ...] = (_EGRESS_BYTES.stream, _EGRESS_SECONDS.stream)

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [self._request("vod_streams", span, PER_PAGE) for span in ask.spans]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        if request.subjects:
            return self._detail(request, body, ask)
        listing = _LISTING.decode(body)
        begun = check(window(request), listing.limits, now=ask.now)
        rows = _rows(listing, "vod_streams") if begun else []
        following = next_page(request, listing.pagination, len(rows))
        details = [
            Request(
                f"{self.root}/usage/vod_streams/{quote(label(row.id), safe='')}",
                request.params[:2],  # `from` and `to`, without the parameters for paging
                request.span,
                (label(row.id),),
            )
            for row in rows
        ]
        return Answer(follow=[*details, following] if following else details)

    def _detail(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _DETAIL.decode(body)
        stream = answer.vod_stream
        if stream is None:
            return Answer()
        documented(stream, _STREAM_KEYS, "$.vod_stream")
        if not check(window(request), answer.limits, stream.limits, now=ask.now):
            return Answer()
        egress = ((each, each.stream) for each in (_EGRESS_BYTES, _EGRESS_SECONDS))
        labels = ("vod", *request.subjects)
        return Answer(usage=_usage(window(request), stream, egress, labels, "$.vod_stream"))

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Skip a stream that was deleted after it was listed."""
        return () if request.subjects and isinstance(error, NotFoundError) else None


_ACCOUNT_AMOUNTS: Final = (
    (_DELIVERED, measures.ACCOUNT_DELIVERED_BYTES),
    (_WATCHED, measures.ACCOUNT_VIEWING_SECONDS),
    (_EGRESS_BYTES, measures.ACCOUNT_EGRESS_BYTES),
    (_EGRESS_SECONDS, measures.ACCOUNT_EGRESS_SECONDS),
)


@dataclass(slots=True, kw_only=True)
class AccountFeed:
    """The vendor's total of transcoders and VOD streams. The route is singular or plural, by API version.

    `route` is the one that the vendor answered last, or the expected one.
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
        usage: list[Usage] = []
        for account in _accounts(answer):
            key = "accounts" if answer.account is UNSET or answer.account is None else "account"
            begun = check(window(request), answer.limits, account.limits, now=ask.now)
            if (
                documented_or_empty(account, _ACCOUNT_KEYS, f"$.{key}", body=body, key=key)
                and begun
            ):
                usage += _usage(window(request), account, _ACCOUNT_AMOUNTS, (), f"$.{key}")
        self.route = request.path.rpartition("/")[2]
        return Answer(usage=usage)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """If the route is not found, try the other one, once."""
        if request.subjects or not isinstance(error, NotFoundError):
            return None
        before, _, route = request.path.rpartition("/")
        other = "accounts" if route == "account" else "account"
        return [Request(f"{before}/{other}", request.params, request.span, (route,))]


def _accounts(answer: Account) -> Sequence[Total]:
    """The objects under `account` or `accounts`; none when that is null."""
    if answer.account is UNSET and answer.accounts is UNSET:
        raise SchemaError("$.account: missing")
    for found in (answer.account, answer.accounts):
        if isinstance(found, Total):
            return [found]
        if isinstance(found, list):
            return found
    return []
