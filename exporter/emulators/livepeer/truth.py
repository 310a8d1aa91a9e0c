"""What an exporter of the emulated Livepeer account must have counted, straight from the world."""

from typing import Any

from exporter.emulators.livepeer.library import CREATORS, Cell, Library
from exporter.emulators.livepeer.views import means
from exporter.emulators.vendor import Amounts, Labels
from exporter.emulators.world import HOUR

ALL = ("kind", "all")


def accrued(library: Library, start: int, end: int) -> Amounts:
    """Every counter of every feed, default or not.

    Streams are named by playback id; what the creator query tells, by asset or stream id. Views
    from before 2023 belong to a window that begins no later than the media did.
    """
    found: Amounts = {}
    cells = library.cells()
    found[("media_views_total", (ALL,))] = library.views(cells, start, end)
    found[("media_viewing_seconds_total", (ALL,))] = library.playtime(cells, start, end)
    found[("media_exits_before_start_total", (ALL,))] = library.exits(cells, start, end)
    for media in library.media():
        held = library.cells([media])
        views = library.views(held, start, end)
        viewing = library.playtime(held, start, end)
        names = [media.playback_id]
        if not media.stream.archived:
            names.append(media.stream.id)  # only what exists can be asked for by its own id
            legacy = library.legacy_views(media) if start <= media.stream.born else 0
            alone = (("stream", media.playback_id),)
            found[("media_lifetime_views_total", alone)] = views + legacy
            found[("media_lifetime_viewing_seconds_total", alone)] = viewing
        for name in names:
            labels = (ALL, ("stream", name))
            found[("media_stream_views_total", labels)] = views
            found[("media_stream_viewing_seconds_total", labels)] = viewing
    for metric, quantity in (
        ("media_usage_delivered_seconds_total", "delivered_milliseconds"),
        ("media_transcoded_seconds_total", "transcoded_milliseconds"),
    ):
        found[(metric, ())] = library.usage(CREATORS, quantity, start, end)
    return found


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
            name = cell.value(field) or "unknown"
            counts[name] = counts.get(name, 0) + count
    return counts
