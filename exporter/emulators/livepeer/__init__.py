"""Livepeer Studio, emulated: viewership and usage under `/api/data`.

Written from the vendor's OpenAPI (September 2025) and the source of its data service (March 2026).

Assets and streams are the world's families `assets` and `streams` of vendor `livepeer`, with the
world's ids; `playback_id_of(id)` gives an asset's or stream's playback id.

Quirks, each off unless named:

hollow           viewership without a database behind it: queries find nothing, totals lack playtime
cache            all but `/views/now` answer identical requests alike for 5 minutes
unavailable      every operation answers 501
usage-object     usage is one object for the window, as documented, whatever step is asked for
equal-hours      every hour has the same usage, so that equal windows have equal bodies
integral-floats  whole amounts are written as floats: a viewCount of 7.0
null-amounts     amounts that are 0 are null
null-lists       an answer without rows is null, as a list is written that was never made
"""

from collections.abc import Callable
from dataclasses import replace

from exporter.emulators.http import Request, Response
from exporter.emulators.livepeer import truth
from exporter.emulators.livepeer.library import Library, Media, playback_id_of
from exporter.emulators.livepeer.query import (
    CONTENT_TYPE,
    Query,
    Refusal,
    parse_query,
    refuse,
    rendered,
)
from exporter.emulators.livepeer.usage import Usage, zero_usage
from exporter.emulators.livepeer.views import Views
from exporter.emulators.vendor import Amounts, Example, Paging
from exporter.emulators.world import World

__all__ = ["QUIRKS", "Livepeer", "playback_id_of"]

QUIRKS = frozenset(
    {
        "hollow",
        "cache",
        "unavailable",
        "usage-object",
        "equal-hours",
        "integral-floats",
        "null-amounts",
        "null-lists",
    }
)
ROWS = 10_000
REALTIME_ROWS = 1001
CACHE_SECONDS = 300
ROOT = "/api/data"
TOTAL = "/views/query/total/"
NOW = "/views/now"
BREAKDOWN = "breakdownBy[]"
CACHE_CONTROL = (
    "public, max-age=60, s-maxage=300, stale-while-revalidate=3600, stale-if-error=86400"
)
CREATOR_ERROR = "must provide exactly 1 of assetId or streamId for creator query"
USAGE_ERROR = "only admins can query usage for other users"

MESSAGES = {
    401: "request is not authenticated",
    403: "credential has insufficent privileges",  # codespell:ignore insufficent -- so it is spelt
    404: None,
    429: "Too many requests",
    500: "error authorizing request: context deadline exceeded",
    501: "bigquery is unavailable",
}


class Livepeer:
    """The vendor over one world. `clock` gives Unix seconds.

    `rows` and `realtime_rows` are the vendor's limits on rows: an error beyond the first, silent
    loss beyond the second. `browsers` says whether views by browser are part of the truth.
    """

    provider = "livepeer"
    paging: tuple[Paging, ...] = ()

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float],
        credential: str = "demo",
        quirks: frozenset[str] = frozenset(),
        rows: int = ROWS,
        realtime_rows: int = REALTIME_ROWS,
        browsers: bool = False,
    ) -> None:
        if unknown := quirks - QUIRKS:
            raise ValueError(f"unknown quirks: {', '.join(sorted(unknown))}")
        self._world = world
        self._clock = clock
        self._credential = credential
        self._quirks = quirks
        self._rows = rows
        self._realtime_rows = realtime_rows
        self._browsers = browsers
        self._cached: dict[Request, tuple[float, Response]] = {}

    def playback_ids(self) -> tuple[str, ...]:
        """The playback ids of every asset and stream that exists now."""
        return tuple(media.playback_id for media in self._existing())

    def assets(self) -> tuple[str, ...]:
        """The ids of every asset that exists now."""
        return tuple(media.stream.id for media in self._existing() if media.family == "assets")

    def live_streams(self) -> tuple[str, ...]:
        """The ids of every stream that exists now."""
        return tuple(media.stream.id for media in self._existing() if media.family == "streams")

    @property
    def example(self) -> Example:
        """An account with some of what the library holds."""
        return Example(
            "studio",
            path="/api",
            options={
                "assets": self.assets(),
                "live_streams": self.live_streams(),
                "playback_ids": self.playback_ids(),
            },
        )

    def accepts(self, request: Request) -> bool:
        return request.bearer == self._credential

    async def answer(self, request: Request) -> Response:
        now = self._clock()
        try:
            self._authorise(request)
            path = request.path.removeprefix(ROOT)
            if "cache" in self._quirks:
                until, kept = self._cached.get(request, (0.0, None))
                if kept is not None and now < until:
                    return kept
            response = self._rendered(self._body(request, path, int(now)))
        except Refusal as refusal:
            return refuse(refusal.status, refusal.message)
        if path == NOW:
            return response
        vary = () if path.startswith(TOTAL) else (("vary", "Authorization"),)
        response = replace(response, headers=(("cache-control", CACHE_CONTROL), *vary))
        if "cache" in self._quirks:
            self._cached[request] = (now + CACHE_SECONDS, response)
        return response

    def empty(self, request: Request) -> Response:
        """The same answer for an account that nobody has watched or filled."""
        path = request.path.removeprefix(ROOT)
        if path.startswith(TOTAL):
            return self._rendered(hollow_total(path.removeprefix(TOTAL)))
        split = request.first("timeStep") or request.every(BREAKDOWN)
        if path == "/usage/query" and ("usage-object" in self._quirks or not split):
            return self._rendered(zero_usage(parse_query(request)))
        return self._rendered([])

    def error(self, status: int) -> tuple[bytes, str]:
        """An unknown id's 404 has no body at all."""
        if status in MESSAGES:
            response = refuse(status, MESSAGES[status])
        else:
            response = refuse(status, f"emulated error {status}")
        return response.body, CONTENT_TYPE if response.body else response.content_type

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        """What accrued in [start, end). The vendor tells usage only for whole hours."""
        return truth.accrued(self._library(now), start, end, browsers=self._browsers)

    def levels(self, now: int) -> Amounts:
        """The gauges now; ratios and means are floats."""
        return truth.levels(self._library(now))

    def _rendered(self, value: object) -> Response:
        return rendered(value, quirks=self._quirks)

    def _library(self, now: int) -> Library:
        return Library(self._world, now, equal_hours="equal-hours" in self._quirks)

    def _existing(self) -> list[Media]:
        media = self._library(int(self._clock())).media()
        return [one for one in media if not one.stream.archived]

    def _authorise(self, request: Request) -> None:
        header = request.header("authorization")
        if header is None:
            raise Refusal(401, MESSAGES[401])
        if request.bearer is None:
            # Errors that hold the credential are the vendor's, and the reason to emulate them.
            raise Refusal(401, f"no user found from authorization header: {header}")
        if not self.accepts(request):
            raise Refusal(401, f"no token {request.bearer} found")

    def _body(self, request: Request, path: str, now: int) -> object:
        if "unavailable" in self._quirks:
            raise Refusal(501, MESSAGES[501])
        library = self._library(now)
        views = Views(library, self._rows, self._realtime_rows)
        if request.method != "GET" or not request.path.startswith(ROOT):
            raise Refusal(404)
        if path.startswith(TOTAL):
            return self._total(library, views, path.removeprefix(TOTAL))
        named = named_media(request, library)
        query = parse_query(request)
        match path:
            case "/views/now":
                return views.realtime(query, named)
            case "/views/query":
                return self._query(views, query, named, detailed=True)
            case "/views/query/creator":
                if bool(request.first("assetId")) == bool(request.first("streamId")):
                    raise Refusal(400, CREATOR_ERROR)
                # A playback id is dropped here, so the asset or stream alone decides.
                owned = named_media(request.without("playbackId"), library)
                return self._query(views, query, owned, detailed=False)
            case "/usage/query":
                if request.first("userId") is not None:
                    raise Refusal(403, USAGE_ERROR)
                always_object = "usage-object" in self._quirks
                return Usage(library, self._rows, always_object).query(query)
            case _:
                raise Refusal(404)

    def _query(self, views: Views, query: Query, media: Media | None, *, detailed: bool) -> object:
        if "hollow" in self._quirks:
            return []
        return views.query(query, media, detailed=detailed)

    def _total(self, library: Library, views: Views, playback_id: str) -> object:
        media = library.find(playback_id=playback_id)
        if media is None:
            raise Refusal(404)
        return hollow_total(playback_id) if "hollow" in self._quirks else views.total(media)


def hollow_total(playback_id: str) -> dict[str, object]:
    """The vendor's answer for a playback id without its database: the key of the playtime is absent."""
    return {"playbackId": playback_id, "viewCount": 0}


def named_media(request: Request, library: Library) -> Media | None:
    """The media that the parameters name, None when they name none; Refusal 404 when unknown.

    An asset goes before a stream, and either before a playback id, as the vendor resolves them.
    """
    found: Media | None = None
    for parameter, argument in (
        ("playbackId", "playback_id"),
        ("streamId", "stream_id"),
        ("assetId", "asset_id"),
    ):
        if identifier := request.first(parameter):
            found = library.find(**{argument: identifier})
            if found is None:
                raise Refusal(404)
    return found


EMULATOR = Livepeer
