"""What an exporter of the emulated Livepeer account must have counted, straight from the world."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.emulators.livepeer.library import CREATORS, Cell, Library, Media
from exporter.emulators.livepeer.views import means
from exporter.emulators.vendor import Amounts, Labels
from exporter.emulators.world import HOUR

ALL = ("kind", "all")
CODES = {
    "United States": "US",
    "United States of America": "US",
    "Germany": "DE",
    "Côte d'Ivoire": "CI",
}


@dataclass(slots=True)
class Viewing:
    """Sums over cells in a window: views, and viewing in milliseconds."""

    views: int = 0
    viewing: int = 0

    def add(self, other: "Viewing") -> None:
        self.views += other.views
        self.viewing += other.viewing


def accrued(library: Library, start: int, end: int, *, browsers: bool) -> Amounts:
    """Every counter of every feed, default or not; by browser where `browsers` are asked for.

    Streams are named by playback id; what the creator query tells, by asset or stream id. Views
    from before 2023 belong to a window that begins no later than the media did.
    """
    watched = [
        (cell, Viewing(library.views([cell], start, end), library.playtime([cell], start, end)))
        for cell in library.cells()
    ]
    whole = {(ALL,): Viewing()} | summed(watched, lambda cell: (ALL,))
    countries = summed(
        watched, lambda cell: (("country", shown_country(cell.value("country"))), ALL)
    )
    found = counters("media_", whole) | counters("media_country_", countries)
    if browsers:
        known = summed(watched, lambda cell: (("browser", cell.value("browser") or "unknown"), ALL))
        found |= counters("media_browser_", known)
    found |= of_media(library, watched, all_time=lambda media: start <= media.stream.born)
    found[("media_exits_before_start_total", (ALL,))] = library.exits(library.cells(), start, end)
    for metric, quantity in (
        ("media_usage_delivered_seconds_total", "delivered_milliseconds"),
        ("media_transcoded_seconds_total", "transcoded_milliseconds"),
    ):
        found[(metric, ())] = library.usage(CREATORS, quantity, start, end)
    return found


def of_media(
    library: Library, watched: Iterable[tuple[Cell, Viewing]], *, all_time: Callable[[Media], bool]
) -> Amounts:
    """The counters by stream. `all_time`: whether the window begins no later than the media."""
    by_playback_id = summed(watched, lambda cell: (ALL, ("stream", cell.media.playback_id)))
    found = counters("media_stream_", by_playback_id)
    for media in library.media():
        if media.stream.archived:
            continue  # only what exists can be asked for by its own id
        held = by_playback_id[(ALL, ("stream", media.playback_id))]
        found |= counters("media_creator_", {(ALL, ("stream", media.stream.id)): held})
        legacy = library.legacy_views(media) if all_time(media) else 0
        lifetime = Viewing(held.views + legacy, held.viewing)
        found |= counters("media_lifetime_", {(("stream", media.playback_id),): lifetime})
    return found


def summed(
    watched: Iterable[tuple[Cell, Viewing]], labels_of: Callable[[Cell], Labels]
) -> dict[Labels, Viewing]:
    """Sums over the cells with equal labels."""
    found: dict[Labels, Viewing] = {}
    for cell, amounts in watched:
        found.setdefault(labels_of(cell), Viewing()).add(amounts)
    return found


def counters(prefix: str, watched: Mapping[Labels, Viewing]) -> Amounts:
    """Views and viewing time as the metrics of that prefix."""
    found: Amounts = {}
    for labels, amounts in watched.items():
        found[(f"{prefix}views_total", labels)] = amounts.views
        found[(f"{prefix}viewing_seconds_total", labels)] = amounts.viewing
    return found


def shown_country(told: str | None) -> str:
    """A country's label: its code, else the name as it is told; `unknown` for none."""
    if not told:
        return "unknown"
    if told in CODES:
        return CODES[told]
    return told.upper() if len(told) == 2 and told.isascii() and told.isalpha() else told


def levels(library: Library) -> dict[tuple[str, Labels], Any]:
    """Every gauge now: whole numbers, but floats for ratios and means.

    Means and storage are of the newest hour that is published whole; those in seconds are in
    milliseconds. Labels that the vendor leaves empty are `unknown`.
    """
    cells = library.cells()
    sessions = sum(map(library.sessions, cells))
    failing = sum(map(library.failing, cells))
    found: dict[tuple[str, Labels], Any] = {
        ("media_viewers", (ALL,)): sessions,
        ("media_realtime_playback_error_ratio", (ALL,)): failing / sessions if sessions else 0.0,
    }
    for metric, label, field in (
        ("media_stream_viewers", "stream", "playbackId"),
        ("media_country_viewers", "country", "country"),
        ("media_device_viewers", "device", "device"),
    ):
        for name, count in by_field(library, cells, field).items():
            labels = tuple(sorted([(label, name), ALL]))
            found[(metric, labels)] = count
    hour = library.world.edge(library.now) // HOUR * HOUR - HOUR
    mean = means(library, cells, hour, hour + HOUR)
    for metric, value in (
        ("media_time_to_first_frame_seconds", mean.first_frame_ms),
        ("media_rebuffer_ratio", mean.rebuffer_ratio),
        ("media_playback_error_ratio", mean.error_ratio),
    ):
        if value is not None:
            found[(metric, (ALL,))] = value
    found[("media_stored_seconds", ())] = library.stored(CREATORS, hour)
    return found


def by_field(library: Library, cells: list[Cell], field: str) -> dict[str, int]:
    """Active sessions by a field's values, those without any left out."""
    counts: dict[str, int] = {}
    for cell in cells:
        if count := library.sessions(cell):
            told = cell.value(field)
            name = shown_country(told) if field == "country" else told or "unknown"
            counts[name] = counts.get(name, 0) + count
    return counts
