"""An emulator of Dolby Millicast's analytics and monitoring APIs.

Written from the vendor's API reference (OpenAPI of api.millicast.com, September 2026) and its
page "Analytics APIs" (read November 2026): both dates required, the stop date exclusive, ten
stream names a call, hourly and all per-stream data kept 7 days and daily data 90, fresh figures
on the quarter hour, a missing or unknown secret answered with 403.

Where the vendor's pages leave a question open or contradict each other, a *quirk* switches:

- `split-durations`: geo rows carry `publishDuration` and `viewDuration` (the schema) in place of
  `duration` (the examples; taken for the viewing time)
- `zero-filled`: series have every bucket of the window, also those yet to come; otherwise buckets
  without traffic are left out
- `absent-streams`: a stream without data is no key at all; otherwise it has empty maps
- `null-maps`: `restream` and `geoCascade` without data are null; otherwise empty
- `null-page`: an empty page of the monitoring summary is null; otherwise an empty list
- `unknown-empty`: an unknown stream counts as one without data; otherwise the call gets a 400
- `clipped`: a bucket that the window cuts holds only the part inside; otherwise all of it
- `idle-unlisted`: the summary leaves out streams that ended over an hour ago, as the reference
  says; otherwise it lists every stream, so that discovery finds all of them
- `empty-data`: analytics of a window without anything are `data: {}`; otherwise as ever
- `integral-floats`: numbers are written as 3.0, but for a transcoder's id
- `absent-amounts`, `null-amounts`: an amount of 0 is left out, or null; otherwise 0
- `small-pages`: the summary refuses twenty and more rows on a page, as the words of the
  reference's example of an error have it; otherwise only more than a hundred
- `overlapping-pages`: a page of the summary begins with the last two rows of the page before, as
  when the list shifts while it is read
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from exporter.emulators.calendar import buckets, iso, midnight, seconds
from exporter.emulators.http import JSON, Request, Response, json_answer
from exporter.emulators.millicast import traffic
from exporter.emulators.vendor import Amounts, Example, Paging
from exporter.emulators.world import BEGINNING, DAY, HOUR, Stream, World

QUIRKS = frozenset(
    (
        "split-durations",
        "zero-filled",
        "absent-streams",
        "null-maps",
        "null-page",
        "unknown-empty",
        "clipped",
        "idle-unlisted",
        "empty-data",
        "integral-floats",
        "absent-amounts",
        "null-amounts",
        "small-pages",
        "overlapping-pages",
    )
)
ACCOUNT_ID = "PbyMpY"
RETENTION_DAYS = {"Hour": 7, "Day": 90}
STREAM_RETENTION_DAYS = 7
MOST_NAMES = 10
LONGEST_NAME = 128
OVERLAP = 2
AMOUNTS = frozenset(
    (
        "bytes",
        "bytesIn",
        "bytesOut",
        "secondsUsed",
        "duration",
        "publishDuration",
        "viewDuration",
        "publishes",
        "views",
        "minutesUsed",
        "transcoderMinutesUsed",
    )
)
SORT_KEYS = ("StreamId", "Cluster", "StartTime", "Duration", "Live", "ViewerCount", "Restream")

Sums: TypeAlias = dict[tuple[str, str | None], int]  # by quantity and country


class Refusal(Exception):
    """The vendor answers 400; `data` is that of its answer."""

    def __init__(self, **data: Any) -> None:
        super().__init__(data)
        self.data = data


class Millicast:
    """The emulated account: answers requests from its world, and knows the truth about it."""

    provider = "millicast"
    example = Example("live")
    paging = (Paging("page", ("data", "pagination", "totalPages"), counted=True),)

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float],
        credential: str = "demo",
        quirks: frozenset[str] = frozenset(),
        stream_components: bool = False,
    ) -> None:
        """`clock` returns Unix seconds. `stream_components` adds each stream's components to `truth`."""
        if not quirks <= QUIRKS:
            raise ValueError(f"no such quirk: {', '.join(sorted(quirks - QUIRKS))}")
        self.world = world
        self.clock = clock
        self.credential = credential
        self.quirks = quirks
        self.stream_components = stream_components
        self._sums: dict[tuple[int, int], Sums] = {}
        self._facts: dict[str, tuple[traffic.Fact, ...]] = {}
        self._sums_version = world.version
        self._routes: dict[str, Callable[[Request, int], object]] = {
            "/api/analytics/account/total": self._account_total,
            "/api/analytics/account/series": self._account_series,
            "/api/analytics/account/geo_total": self._account_geo_total,
            "/api/analytics/account/geo_series": self._account_geo_series,
            "/api/analytics/account/geo": self._account_geo,
            "/api/analytics/streams/total": self._streams_total,
            "/api/analytics/streams/series": self._streams_series,
            "/api/analytics/streams/geo_total": self._streams_geo_total,
            "/api/analytics/streams/geo_series": self._streams_geo_series,
            "/api/analytics/streams/geo": self._streams_geo,
            "/api/analytics/transcoder/total": self._transcoder_total,
            "/api/analytics/transcoder/series": self._transcoder_series,
            "/api/analytics/media/storage/usage": self._storage,
            "/api/monitoring/summary": self._summary,
        }

    # -- the vendor protocol ----------------------------------------------------------------

    def accepts(self, request: Request) -> bool:
        return request.bearer == self.credential

    async def answer(self, request: Request) -> Response:
        if not self.accepts(request):
            return Response(403, *self.error(403))
        route = self._routes.get(request.path)
        if route is None or request.method != "GET":
            return Response(404, *self.error(404))
        try:
            data = route(request, int(self.clock()))
        except Refusal as refusal:
            return json_answer({"status": "fail", "data": refusal.data}, 400)
        return self._success(request, data)

    def empty(self, request: Request) -> Response:
        return self._success(request, self._nothing(request))

    def _nothing(self, request: Request) -> object:
        name = request.path.removeprefix("/api/analytics/")
        if name == "/api/monitoring/summary":
            pagination = {"totalItems": 0, "totalPages": 0, "itemsOnPage": 0}
            return {"pagination": pagination, "data": self._page([])}
        if name == "account/series":
            return self._bandwidth([])
        if name.startswith(("account/geo", "streams/geo_")):
            return {"geo": {}}
        if name == "transcoder/series":
            return {"streamAccountId": ACCOUNT_ID, "transcoder": {}}
        return {}

    def _success(self, request: Request, data: object) -> Response:
        """A successful answer, written as the quirks have it."""
        windowed = request.path.startswith("/api/analytics/")
        if "empty-data" in self.quirks and windowed and not any(numbers(data)):
            data = {}
        if "absent-amounts" in self.quirks:
            data = without_zeros(data, absent=True)
        if "null-amounts" in self.quirks:
            data = without_zeros(data, absent=False)
        if "integral-floats" in self.quirks:
            data = with_floats(data)
        return json_answer({"status": "success", "data": data})

    def error(self, status: int) -> tuple[bytes, str]:
        if status >= 500:
            value: dict[str, object] = {
                "status": "error",
                "message": "simple error reason",
                "code": status,
            }
        else:
            words = {401: "Unauthorized", 403: "Unauthorized", 404: "Not Found"}
            message = words.get(status, "request not accepted")
            value = {"data": {"message": message}, "status": "fail"}
        return json_answer(value).body, JSON

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        found = traffic.truth(self.world, start, end, now=now)
        if self.stream_components:
            found |= traffic.stream_components(self.world, start, end, now=now)
        return found

    def levels(self, now: int) -> Amounts:
        return traffic.levels(self.world, now)

    # -- bandwidth --------------------------------------------------------------------------

    def _account_total(self, request: Request, now: int) -> object:
        start, end = window(request)
        return total(self._account_sums(start, end, now))

    def _account_series(self, request: Request, now: int) -> object:
        start, end = window(request)
        resolution = one_of(request, "resolution", ("Hour", "Day", "Month"))
        kept = self._kept(start, end, resolution, now)
        return self._bandwidth((at, self._account_sums(*span, now)) for at, span in kept)

    def _streams_total(self, request: Request, now: int) -> object:
        start, end = window(request)
        start = max(start, midnight(now) - STREAM_RETENTION_DAYS * DAY)
        return {
            name: total({} if stream is None else self._stream_sums(stream, start, end, now))
            for name, stream in self._named(request, now).items()
        }

    def _streams_series(self, request: Request, now: int) -> object:
        start, end = window(request)
        resolution = one_of(request, "resolution", ("Hour", "Day"))
        kept = self._kept(start, end, resolution, now, days=STREAM_RETENTION_DAYS)
        answer = {}
        for name, stream in self._named(request, now).items():
            series = (
                []
                if stream is None
                else ((at, self._stream_sums(stream, *span, now)) for at, span in kept)
            )
            maps = self._bandwidth(series)
            if maps["bandwidth"] or "absent-streams" not in self.quirks:
                answer[name] = maps
        return answer

    def _bandwidth(self, series: Iterable[tuple[int, Sums]]) -> dict[str, Any]:
        """The four maps of a series answer, by bucket start."""
        maps: dict[str, Any] = {
            "bandwidth": {},
            "standardStream": {},
            "restream": {},
            "geoCascade": {},
        }
        for at, sums in series:
            values = total(sums)
            rows = {
                "bandwidth": {name: values[name] for name in ("bytesOut", "bytesIn")},
                **{name: values[name] for name in ("standardStream", "restream", "geoCascade")},
            }
            for name, row in rows.items():
                if any(row.values()) or "zero-filled" in self.quirks:
                    maps[name][iso(at)] = row
        if "null-maps" in self.quirks:
            for name in ("restream", "geoCascade"):
                maps[name] = maps[name] or None
        return maps

    # -- geography --------------------------------------------------------------------------

    def _account_geo_total(self, request: Request, now: int) -> object:
        sums = self._account_sums(*window(request), now)
        return {"geo": self._countries(sums, counts=False)}

    def _account_geo_series(self, request: Request, now: int) -> object:
        start, end = window(request)
        resolution = one_of(request, "resolution", ("Hour", "Day"))
        kept = self._kept(start, end, resolution, now)
        return {"geo": self._geo((at, self._account_sums(*span, now)) for at, span in kept)}

    def _account_geo(self, request: Request, now: int) -> object:
        return {"geo": deprecated(self._account_sums(*window(request), now))}

    def _streams_geo_total(self, request: Request, now: int) -> object:
        return {
            "geo": {
                name: self._countries(sums, counts=False)
                for name, sums in self._recent_sums(request, now)
            }
        }

    def _streams_geo_series(self, request: Request, now: int) -> object:
        start, end = window(request)
        resolution = one_of(request, "resolution", ("Hour", "Day"))
        kept = self._kept(start, end, resolution, now, days=STREAM_RETENTION_DAYS)
        geo = {}
        for name, stream in self._named(request, now).items():
            series = (
                []
                if stream is None
                else ((at, self._stream_sums(stream, *span, now)) for at, span in kept)
            )
            rows = self._geo(series)
            if rows or "absent-streams" not in self.quirks:
                geo[name] = rows
        return {"geo": geo}

    def _streams_geo(self, request: Request, now: int) -> object:
        return {name: {"geo": deprecated(sums)} for name, sums in self._recent_sums(request, now)}

    def _recent_sums(self, request: Request, now: int) -> list[tuple[str, Sums]]:
        start, end = window(request)
        start = max(start, midnight(now) - STREAM_RETENTION_DAYS * DAY)
        return [
            (name, {} if stream is None else self._stream_sums(stream, start, end, now))
            for name, stream in self._named(request, now).items()
        ]

    def _geo(self, series: Iterable[tuple[int, Sums]]) -> dict[str, Any]:
        """By bucket start, then country."""
        rows = ((iso(at), self._countries(sums, counts=True)) for at, sums in series)
        return {at: row for at, row in rows if row or "zero-filled" in self.quirks}

    def _countries(self, sums: Sums, *, counts: bool) -> dict[str, dict[str, int]]:
        """By country, those with traffic; `counts` adds publishes and views."""
        rows = {}
        for country in countries(sums):
            row = {
                "bytesOut": sums.get(("bytes_out", country), 0),
                "bytesIn": sums.get(("bytes_in", country), 0),
            }
            if "split-durations" in self.quirks:
                row["publishDuration"] = sums.get(("publish_seconds", country), 0)
                row["viewDuration"] = sums.get(("view_seconds", country), 0)
            else:
                row["duration"] = sums.get(("view_seconds", country), 0)
            if counts:
                row["publishes"] = sums.get(("publishes", country), 0)
                row["views"] = sums.get(("views", country), 0)
            rows[country] = row
        return rows

    # -- transcoders, storage, monitoring ---------------------------------------------------

    def _transcoder_total(self, request: Request, now: int) -> object:
        start, end = window(request)
        minutes = sum(
            self._minutes(transcoder, day, now)
            for day in traffic.billed_days(start, end, now)
            for transcoder in traffic.TRANSCODERS
        )
        return {
            "streamAccountId": ACCOUNT_ID,
            "startDate": iso(start),
            "endDate": iso(end),
            "transcoderMinutesUsed": minutes,
        }

    def _transcoder_series(self, request: Request, now: int) -> object:
        start, end = window(request)
        return {
            "streamAccountId": ACCOUNT_ID,
            "transcoder": {
                iso(day): [
                    # The reference says text or null, its example shows a number: serve both.
                    {
                        "transcoderId": int(name) if name == traffic.TRANSCODERS[0] else name,
                        "minutesUsed": self._minutes(name, day, now),
                    }
                    for name in traffic.TRANSCODERS
                ]
                for day in traffic.billed_days(start, end, now)
                if day >= BEGINNING
            },
        }

    def _minutes(self, transcoder: str, day: int, now: int) -> int:
        return self.world.amount(traffic.transcoder_key(transcoder), day, day + DAY, now=now)

    def _storage(self, _request: Request, now: int) -> object:
        sizes = traffic.stored(self.world, now)
        return {"totalBytes": sum(sizes.values()), **sizes}

    def _summary(self, request: Request, now: int) -> object:
        page, items = self._page_of(request)
        sort_by = request.first("sortBy") or "Live"
        if sort_by not in SORT_KEYS:
            raise Refusal(errors={"sortBy": f"sortBy must be one of {', '.join(SORT_KEYS)}"})
        rows = [
            self._summary_row(stream, now)
            for stream in traffic.streams(self.world, now)
            if self._listed(stream, now)
        ]
        rows = [row for row in rows if passes_filters(request, row)]
        rows.sort(
            key=lambda row: sort_key(row, sort_by),
            reverse=request.first("isDescending") != "false",
        )
        step = items - self._overlap(items)
        pages = 0 if not rows else 1 + max(0, -(-(len(rows) - items) // step))
        begin = (page - 1) * step
        shown = rows[begin : begin + items] if page <= pages else []
        return {
            "pagination": {
                "totalItems": len(rows),
                "totalPages": pages,
                "itemsOnPage": len(shown),
            },
            "data": self._page(shown),
        }

    def _page_of(self, request: Request) -> tuple[int, int]:
        if "small-pages" in self.quirks:
            return page_of(
                request, most=19, refusal="ItemsOnPage must be greater than 0 and less 20"
            )
        return page_of(request, most=100, refusal="itemsOnPage must be from 1 to 100")

    def _overlap(self, items: int) -> int:
        return min(OVERLAP, items - 1) if "overlapping-pages" in self.quirks else 0

    def _listed(self, stream: Stream, now: int) -> bool:
        hour = now // HOUR * HOUR
        return "idle-unlisted" not in self.quirks or any(
            traffic.busy(self.world, stream, begin) for begin in (hour, hour - HOUR)
        )

    def _summary_row(self, stream: Stream, now: int) -> dict[str, Any]:
        hour = now // HOUR * HOUR
        live = traffic.live(self.world, stream, now)
        row = {
            "streamId": f"{ACCOUNT_ID}/{stream.name}",
            "streamName": stream.name,
            "clusterId": "sgp-1",
            "clusters": ["sgp-1"],
            "secureStream": False,
            "isRecordingAllowed": False,
            "multisource": False,
            "live": live,
            "startTime": iso(hour if live else hour - HOUR),
            "viewerCount": traffic.viewers(self.world, stream, now),
        }
        return row if live else {**row, "endTime": iso(hour)}

    def _page(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        return None if not rows and "null-page" in self.quirks else rows

    # -- sums -------------------------------------------------------------------------------

    def _kept(
        self, start: int, end: int, resolution: str, now: int, *, days: int | None = None
    ) -> list[tuple[int, tuple[int, int]]]:
        """Bucket starts, with the span to sum, of the buckets that the vendor still has."""
        days = RETENTION_DAYS.get(resolution) if days is None else days
        oldest = BEGINNING if days is None else midnight(now) - days * DAY
        newest = end if "zero-filled" in self.quirks else min(end, now)
        kept = [
            (left, (left, right)) for left, right in buckets(max(start, oldest), newest, resolution)
        ]
        if "clipped" in self.quirks:
            return [(left, (max(left, start), min(right, end))) for left, (_, right) in kept]
        return kept

    def _stream_sums(self, stream: Stream, start: int, end: int, now: int) -> Sums:
        facts = self._facts.get(stream.id)
        if facts is None:
            facts = self._facts[stream.id] = tuple(traffic.facts(self.world, stream))
        return {
            (fact.quantity, fact.country): self.world.amount(fact.key, start, end, now=now)
            for fact in facts
        }

    def _account_sums(self, start: int, end: int, now: int) -> Sums:
        """The sum of all streams; cached once a later `now` cannot change it."""
        if self._sums_version != self.world.version or len(self._sums) > 5000:
            self._sums.clear()
            self._sums_version = self.world.version
        found = self._sums.get((start, end))
        if found is not None:
            return found
        sums: Sums = {}
        for stream in traffic.streams(self.world, now):
            for name, value in self._stream_sums(stream, start, end, now).items():
                sums[name] = sums.get(name, 0) + value
        if self.world.final(start, end, now=now):
            self._sums[(start, end)] = sums
        return sums

    def _named(self, request: Request, now: int) -> dict[str, Stream | None]:
        """The streams asked for; None for a name that yields no results."""
        names = request.every("streamNames")
        if not names or not all(names):
            raise Refusal(errors={"streamNames": "streamNames is required"})
        if len(names) > MOST_NAMES:
            raise Refusal(errors={"streamNames": f"streamNames must be at most {MOST_NAMES}"})
        if any(len(name) > LONGEST_NAME for name in names):
            message = f"streamNames must be at most {LONGEST_NAME} characters"
            raise Refusal(errors={"streamNames": message})
        known = {stream.name: stream for stream in traffic.streams(self.world, now)}
        for name in names:
            if name not in known and traffic.reportable(name) and not self._accepts_unknown_names:
                raise Refusal(message=f"Stream name {name} not found")
        return {name: known.get(name) if traffic.reportable(name) else None for name in names}

    @property
    def _accepts_unknown_names(self) -> bool:
        return "unknown-empty" in self.quirks


def numbers(value: object) -> Iterator[int]:
    """Every number in an answer."""
    members: Iterable[object] = ()
    if isinstance(value, dict):
        members = value.values()
    elif isinstance(value, list):
        members = value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
    for member in members:
        yield from numbers(member)


def without_zeros(value: Any, *, absent: bool) -> Any:
    """The same answer with amounts of 0 left out (`absent`), or null."""
    if isinstance(value, list):
        return [without_zeros(member, absent=absent) for member in value]
    if not isinstance(value, dict):
        return value
    zeros = {name for name, member in value.items() if name in AMOUNTS and member == 0}
    return {
        name: None if name in zeros else without_zeros(member, absent=absent)
        for name, member in value.items()
        if not absent or name not in zeros
    }


def with_floats(value: Any) -> Any:
    """The same answer with every number a float, but for a transcoder's id."""
    if isinstance(value, list):
        return [with_floats(member) for member in value]
    if isinstance(value, dict):
        return {
            name: member if name == "transcoderId" else with_floats(member)
            for name, member in value.items()
        }
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def window(request: Request) -> tuple[int, int]:
    """`startDate` and the exclusive `stopDate` in Unix seconds."""
    moments = []
    for name in ("startDate", "stopDate"):
        text = request.first(name)
        if not text:
            raise Refusal(errors={name: f"{name} is required"})
        try:
            moments.append(seconds(text))
        except ValueError:
            raise Refusal(errors={name: f"{name} is not a date"}) from None
    start, end = moments
    if end <= start:
        raise Refusal(errors={"stopDate": "stopDate must be after startDate"})
    return start, end


def one_of(request: Request, name: str, choices: tuple[str, ...]) -> str:
    """A required parameter with few values."""
    value = request.first(name)
    if value not in choices:
        raise Refusal(errors={name: f"{name} must be one of {', '.join(choices)}"})
    return value


def page_of(request: Request, *, most: int, refusal: str) -> tuple[int, int]:
    """Page number and items on a page of the monitoring summary: from 1, and 1 to `most`."""
    page = whole_number(request.first("page") or "1")
    items = whole_number(request.first("itemsOnPage") or "10")
    errors = {}
    if page < 1:
        errors["page"] = "page must be greater than 0"
    if not 1 <= items <= most:
        errors["itemsOnPage"] = refusal
    if errors:
        raise Refusal(errors=errors)
    return page, items


def whole_number(text: str) -> int:
    """The number that digits say; 0 for any other text."""
    return int(text) if text.isascii() and text.isdigit() else 0


def passes_filters(request: Request, row: dict[str, Any]) -> bool:
    """Whether a row passes the summary's filters."""
    active = request.first("isActive")
    text = request.first("searchSubstring") or ""
    clusters = request.every("cluster")
    return (
        (active not in ("true", "false") or row["live"] is (active == "true"))
        and text in row["streamName"]
        and (not clusters or row["clusterId"] in clusters)
    )


def sort_key(row: dict[str, Any], sort_by: str) -> tuple[Any, str]:
    """What the summary sorts a row by; the name settles ties."""
    chosen = {"ViewerCount": "viewerCount", "StartTime": "startTime", "Live": "live"}
    return row[chosen.get(sort_by, "streamId")], row["streamName"]


def total(sums: Sums) -> dict[str, Any]:
    """Bytes in total and by component; the total is the sum of the components."""
    standard = sum(value for (quantity, _), value in sums.items() if quantity == "bytes_out")
    received = sum(value for (quantity, _), value in sums.items() if quantity == "bytes_in")
    restream = sums.get(("restream_bytes_out", None), 0)
    cascade = sums.get(("cascade_bytes_out", None), 0)
    return {
        "bytesOut": standard + restream + cascade,
        "bytesIn": received,
        "standardStream": {"bytesOut": standard, "bytesIn": received},
        "restream": {
            "secondsUsed": sums.get(("restream_seconds", None), 0),
            "bytesOut": restream,
            "bytesIn": 0,
        },
        "geoCascade": {"bytesOut": cascade, "bytesIn": 0},
    }


def countries(sums: Sums) -> list[str]:
    """The countries with any traffic."""
    found = {country for (_, country), value in sums.items() if country is not None and value}
    return sorted(found)


def deprecated(sums: Sums) -> dict[str, dict[str, int]]:
    """By country, in the shape of the deprecated geo calls."""
    return {
        country: {
            "bytes": sums.get(("bytes_out", country), 0),
            "views": sums.get(("views", country), 0),
        }
        for country in countries(sums)
    }


EMULATOR = Millicast
