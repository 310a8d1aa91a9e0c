"""Harbour: a vendor that does not exist, as small as a provider can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    BearerToken,
    Feed,
    Level,
    Measure,
    Option,
    Options,
    Request,
    Resolution,
    Step,
    Usage,
    measures,
)
from exporter.model.errors import NotFoundError, PollError
from exporter.model.values import Whole, instant, label


class _Hour(msgspec.Struct):
    hour: str
    ship: str | None
    bytes: Whole


class _Log(msgspec.Struct):
    hours: list[_Hour]
    next: str | None = None


class _Deck(msgspec.Struct):
    watching: Whole


@dataclass(frozen=True, slots=True)
class _Ships:
    """Bytes by ship and hour, in pages."""

    name: str = "ships"
    measures: tuple[Measure, ...] = (measures.STREAM_DELIVERED_BYTES,)
    resolutions: tuple[Resolution, ...] = (Resolution(Step.HOUR, reach=30 * DAY, longest=DAY),)
    settling: int = 3 * HOUR
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            window = span.window
            params = (("from", str(window.start)), ("to", str(window.end)))
            yield Request("/log", params, span)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        page = msgspec.json.decode(body, type=_Log)
        usage = []
        for row in page.hours:
            start = instant(row.hour, path="$.hours[…].hour")
            labels = ("all", label(row.ship))
            usage.append(Usage(self.measures[0], labels, start, HOUR, row.bytes))
        more = (*request.params[:2], ("page", page.next or ""))
        following = [Request(request.path, more, request.span)] if page.next else []
        return Answer(usage=usage, follow=following)

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return None


@dataclass(frozen=True, slots=True)
class _Decks:
    """Who is watching now, on the decks that the account names."""

    decks: tuple[str, ...]
    name: str = "decks"
    measures: tuple[Measure, ...] = (measures.VIEWERS,)
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask: Ask) -> Iterable[Request]:
        return [Request(f"/decks/{deck}", subjects=(deck,)) for deck in self.decks]

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        deck = msgspec.json.decode(body, type=_Deck)
        return Answer(levels=[Level(measures.VIEWERS, ("all",), deck.watching)])

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        return () if isinstance(error, NotFoundError) else None


class _Harbour:
    name = "harbour"
    url = "https://api.harbour.example"
    auth_url = None
    authentication = (BearerToken(),)
    headers: Mapping[str, str] = {}
    options = (Option("decks", "strings", "decks to count viewers on", default=("main",)),)
    feed_names = ("ships", "decks")
    default_feeds = ("ships", "decks")

    def feeds(self, names: Iterable[str], options: Options) -> tuple[Feed, ...]:
        decks = options["decks"]
        if not isinstance(decks, tuple):
            raise TypeError("decks is a list of strings")
        every: dict[str, Feed] = {"ships": _Ships(), "decks": _Decks(decks)}
        return tuple(every[name] for name in names)

    def classify(self, status: int, body: bytes) -> str | None:
        return None

    def retries(self, status: int) -> int | None:
        return None


PROVIDER = _Harbour()
