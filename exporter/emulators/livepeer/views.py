"""Livepeer's viewership: `/views/query`, `/query/creator`, `/query/total/{playbackId}`, `/now`.

From the source of the vendor's data service (March 2026): its SQL decides which rows exist, and a
key is absent when it was not asked for and null when it was asked for and is unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from exporter.emulators.livepeer.library import Cell, Library, Media
from exporter.emulators.livepeer.query import Query, Refusal, buckets, too_many
from exporter.emulators.world import BEGINNING, HOUR

Row: TypeAlias = dict[str, Any]

STEPS = ("hour", "day", "week", "month", "year")

# The breakdown fields, in the order of the vendor's JSON, and the columns behind them.
COLUMNS = {
    "creatorId": "creator_id",
    "viewerId": "viewer_id",
    "playbackId": "playback_id",
    "dStorageUrl": "d_storage_url",
    "device": "device",
    "deviceType": "device_type",
    "cpu": "cpu",
    "os": "os",
    "browser": "browser",
    "browserEngine": "browser_engine",
    "continent": "playback_continent_name",
    "country": "playback_country_name",
    "subdivision": "playback_subdivision_name",
    "timezone": "playback_timezone",
    "geohash": "playback_geo_hash",
}
GROUPED_ONLY = ("deviceType", "cpu", "browserEngine")  # they split rows and are not written
REALTIME = ("playbackId", "device", "browser", "country")
REALTIME_ERROR = (
    "time range params (from, to, timeStep) are not supported for Realtime Viewership API"
)


@dataclass(frozen=True, slots=True)
class Means:
    """Means over the sessions of some cells in a window; None where nothing was measured."""

    first_frame_ms: float | None
    rebuffer_ratio: float | None
    error_ratio: float | None


def means(library: Library, cells: Iterable[Cell], start: int, end: int) -> Means:
    sessions = timed = 0
    first_frames = rebuffering = failing = 0.0
    for cell in cells:
        views = library.views([cell], start, end)
        audience = cell.audience
        sessions += views
        rebuffering += views * audience.rebuffer_ratio
        failing += views * audience.errors_percent / 100
        if audience.first_frame_ms is not None:
            timed += views
            first_frames += views * audience.first_frame_ms
    return Means(
        first_frames / timed if timed else None,
        rebuffering / sessions if sessions else None,
        failing / sessions if sessions else None,
    )


@dataclass(frozen=True, slots=True)
class Views:
    """The operations at one moment. `rows` and `realtime_rows` are the vendor's limits."""

    library: Library
    rows: int
    realtime_rows: int

    def query(self, query: Query, media: Media | None, *, detailed: bool) -> list[Row]:
        """Rows by time step and breakdown; `media` narrows them to one playback id."""
        if query.step and query.step not in STEPS:
            raise build_error("", f"invalid time step: {query.step}")
        for field in query.breakdown:
            if field not in COLUMNS:
                raise build_error("", f"invalid breakdown field: {field}")
        start, end = query.window(self.library.now)
        groups = self._groups(query, media)
        shown = [field for field in COLUMNS if field in query.breakdown]
        written = [field for field in shown if field not in GROUPED_ONLY]
        grouped = bool(media or query.step or query.breakdown)
        if query.step == "hour" and (end - start) // HOUR > self.rows:
            raise too_many(self.rows)  # silent hours count as well, or this would take for ever
        found: list[Row] = []
        steps = buckets(query.step, start, end) if query.step else [(0, start, end)]
        for at, inner_start, inner_end in steps:
            for values, cells in groups:
                row = self._row(cells, inner_start, inner_end, detailed=detailed)
                if grouped and row is None:
                    continue
                timestamp = {"timestamp": at * 1000} if query.step else {}
                labels = {field: values.get(field) for field in written}
                found.append(timestamp | labels | (row or empty_row(detailed=detailed)))
                if len(found) > self.rows:
                    raise too_many(self.rows)
        return found

    def total(self, media: Media) -> Row:
        """Lifetime totals of one playback id."""
        cells = self.library.cells([media])
        start, end = BEGINNING, self.library.now
        playtime = self.library.playtime(cells, start, end)
        return {
            "playbackId": media.playback_id,
            "viewCount": self.library.views(cells, start, end),
            "playtimeMins": playtime / 60000,
            "legacyViewCount": self.library.legacy_views(media),
        }

    def realtime(self, query: Query, media: Media | None) -> list[Row]:
        """Sessions active now. Unknown labels are "" here, and excess rows vanish silently."""
        if query.step or query.start_ms is not None or query.end_ms is not None:
            raise Refusal(400, REALTIME_ERROR)
        for field in query.breakdown:
            if field not in REALTIME:
                raise build_error("realtime ", f"invalid breakdown field: {field}")
        grouped = bool(media or query.breakdown)
        found = []
        for values, cells in self._groups(query, media):
            sessions = sum(map(self.library.sessions, cells))
            failing = sum(map(self.library.failing, cells))
            if grouped and sessions == 0:
                continue
            labels = {
                field: values.get(field) or "" for field in REALTIME if field in query.breakdown
            }
            rate = failing / sessions if sessions else 0
            found.append(labels | {"viewCount": sessions, "errorRate": rate})
        return found[: self.realtime_rows]

    def _groups(
        self, query: Query, media: Media | None
    ) -> list[tuple[dict[str, str | None], list[Cell]]]:
        """The cells that a query is about, by the values of its breakdown."""
        fields = grouping(query, one_playback_id=media is not None)
        cells = self.library.cells(None if media is None else [media])
        if query.creator:
            cells = [cell for cell in cells if cell.media.creator == query.creator]
        groups: dict[tuple[str | None, ...], list[Cell]] = {}
        if not (fields or media):
            groups[()] = []
        for cell in cells:
            groups.setdefault(tuple(cell.value(field) for field in fields), []).append(cell)
        return [(dict(zip(fields, values, strict=True)), held) for values, held in groups.items()]

    def _row(self, cells: Sequence[Cell], start: int, end: int, *, detailed: bool) -> Row | None:
        """The measures of one group; None when nothing happened."""
        views = self.library.views(cells, start, end)
        playtime = self.library.playtime(cells, start, end)
        exits = self.library.exits(cells, start, end)
        if not (views or playtime or exits):
            return None
        row: Row = {"viewCount": views, "playtimeMins": playtime / 60000}
        if detailed:
            mean = means(self.library, cells, start, end)
            row["ttffMs"] = mean.first_frame_ms
            row["rebufferRatio"] = mean.rebuffer_ratio
            row["errorRate"] = mean.error_ratio
            row["exitsBeforeStart"] = float(exits)
        return row


def empty_row(*, detailed: bool) -> Row:
    """The one row of an ungrouped query that found no event: counts of 0, means of nothing."""
    row: Row = {"viewCount": 0, "playtimeMins": 0}
    if detailed:
        row |= dict.fromkeys(("ttffMs", "rebufferRatio", "errorRate", "exitsBeforeStart"))
    return row


def grouping(query: Query, *, one_playback_id: bool) -> tuple[str, ...]:
    """The fields that rows are really grouped by.

    The vendor leaves out a field whose column name occurs anywhere in the SQL so far, to avoid a
    playback id twice. That also hits `device` after `deviceType`, `browser` after `browserEngine`
    and `creatorId` when it filters: asked for, not grouped by, hence null.
    """
    sql = "playback_id" if one_playback_id else ""
    sql += " creator_id" if query.creator else ""
    fields = ["playbackId"] if one_playback_id else []
    for field in query.breakdown:
        if COLUMNS[field] not in sql:
            sql += f" {COLUMNS[field]}"
            fields.append(field)
    return tuple(fields)


def build_error(sort: str, message: str) -> Refusal:
    return Refusal(500, f"error building {sort}viewership events query: {message}")
