"""What the emulated Millicast account carried: its facts, their truth, their present state.

A stream is published from its home country and watched from two to four countries. Delivery is
made of standard viewing (by country), restreaming and geo cascading; the last two only on some
streams. The account is the sum of its streams.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.emulators.calendar import midnight
from exporter.emulators.vendor import Amounts
from exporter.emulators.world import DAY, HOUR, Key, Stream, World

VENDOR, FAMILY = "millicast", "live"
COUNTRIES = ("US", "DE", "JP", "BR", "IN", "GB", "FR", "AU")
TRANSCODERS = ("1001", "1002")
STORED = ("recordings", "clips", "timelines", "vod")
UNREPORTABLE = ("/", "*", "--")  # stream names that contain one yield no per-stream results


@dataclass(frozen=True, slots=True)
class Fact:
    """One quantity of a stream; `country` is None for what has no place."""

    quantity: str
    country: str | None
    key: Key


def streams(world: World, now: int) -> tuple[Stream, ...]:
    """The account's streams; Millicast knows them by name."""
    return world.streams(VENDOR, FAMILY, now=now)


def reportable(name: str) -> bool:
    """Whether per-stream analytics give results for a name (Analytics APIs, troubleshooting)."""
    return not any(part in name for part in UNREPORTABLE)


def facts(world: World, stream: Stream) -> Iterator[Fact]:
    """Every quantity of a stream."""
    root = (VENDOR, FAMILY, stream.id)
    first = world.choose((*root, "home"), len(COUNTRIES))
    audience = 2 + world.choose((*root, "audience"), 3)
    for step in range(audience):
        country = COUNTRIES[(first + step) % len(COUNTRIES)]
        for quantity in ("bytes_out", "view_seconds", "views"):
            yield Fact(quantity, country, (*root, country, quantity))
    home = COUNTRIES[first]
    for quantity in ("bytes_in", "publish_seconds", "publishes"):
        yield Fact(quantity, home, (*root, home, quantity))
    if world.choose((*root, "is restreamed"), 2):
        for quantity in ("restream_bytes_out", "restream_seconds"):
            yield Fact(quantity, None, (*root, quantity))
    if world.choose((*root, "is cascaded"), 2):
        yield Fact("cascade_bytes_out", None, (*root, "cascade_bytes_out"))


def transcoder_key(transcoder: str) -> Key:
    """The key of a transcoder's minutes."""
    return (VENDOR, "transcoder", transcoder, "minutes")


def billed_days(start: int, end: int, now: int) -> range:
    """Starts, in [start, end), of the days whose transcoder minutes are out: not today's."""
    return range(-(-start // DAY) * DAY, min(end, midnight(now)), DAY)


def live(world: World, stream: Stream, now: int) -> bool:
    """Whether a stream publishes in the hour of `now`."""
    return busy(world, stream, now // HOUR * HOUR)


def busy(world: World, stream: Stream, hour: int) -> bool:
    """Whether a stream publishes at all in the hour that starts at `hour`."""
    end = hour + HOUR
    return any(
        world.amount(fact.key, hour, end, now=end) > 0
        for fact in facts(world, stream)
        if fact.quantity == "bytes_in"
    )


def viewers(world: World, stream: Stream, now: int) -> int:
    """Viewers of a stream at `now`; none while it is not live."""
    if not live(world, stream, now):
        return 0
    return world.level((VENDOR, FAMILY, stream.id, "viewers"), now=now, top=500)


def stored(world: World, now: int) -> dict[str, int]:
    """Stored bytes by kind of object."""
    return {
        kind: world.level((VENDOR, "storage", kind, "bytes"), now=now, top=10**12)
        for kind in STORED
    }


DELIVERED = {
    "bytes_out": "standard",
    "restream_bytes_out": "restream",
    "cascade_bytes_out": "geo_cascade",
}
BY_COUNTRY = {
    "bytes_in": "received_bytes",
    "bytes_out": "delivered_bytes",
    "view_seconds": "viewing_seconds",
    "views": "views",
    "publishes": "publishes",
}


def truth(world: World, start: int, end: int, *, now: int) -> Amounts:
    """The counters of every Millicast feed over [start, end); what is zero is left out.

    Transcoded time counts the whole days that start in the window and are billed.
    """
    totals: Amounts = {}

    def add(metric: str, value: int, **labels: str) -> None:
        if value:
            key = (metric, tuple(sorted(labels.items())))
            totals[key] = totals.get(key, 0) + value

    for stream in streams(world, now):
        named = reportable(stream.name)
        for fact in facts(world, stream):
            value = world.amount(fact.key, start, end, now=now)
            if fact.quantity.endswith("seconds"):
                value *= 1000
            if fact.quantity == "restream_seconds":
                add("media_restream_seconds_total", value)
            if fact.quantity == "bytes_in":
                add("media_received_bytes_total", value, kind="live")
            if fact.quantity in DELIVERED:
                add("media_delivered_bytes_total", value, kind="live")
                component = DELIVERED[fact.quantity]
                add("media_component_delivered_bytes_total", value, component=component)
            if named and fact.quantity == "bytes_in":
                labels = {"kind": "live", "stream": stream.name}
                add("media_stream_received_bytes_total", value, **labels)
            if named and fact.quantity in DELIVERED:
                labels = {"kind": "live", "stream": stream.name}
                add("media_stream_delivered_bytes_total", value, **labels)
            if fact.country is not None and fact.quantity in BY_COUNTRY:
                noun = BY_COUNTRY[fact.quantity]
                labels = {"kind": "live", "country": fact.country}
                add(f"media_country_{noun}_total", value, **labels)
                if named:
                    labels["stream"] = stream.name
                    add(f"media_stream_country_{noun}_total", value, **labels)
    for day in billed_days(start, end, now):
        for transcoder in TRANSCODERS:
            minutes = world.amount(transcoder_key(transcoder), day, day + DAY, now=now)
            add("media_transcoded_seconds_total", minutes * 60_000)
    return totals


def stream_components(world: World, start: int, end: int, *, now: int) -> Amounts:
    """What each reportable stream delivered by component, and its restreaming (milliseconds).

    Over [start, end); what is zero is left out.
    """
    totals: Amounts = {}

    def add(metric: str, value: int, **labels: str) -> None:
        if value:
            key = (metric, tuple(sorted(labels.items())))
            totals[key] = totals.get(key, 0) + value

    for stream in streams(world, now):
        if not reportable(stream.name):
            continue
        labels = {"kind": "live", "stream": stream.name}
        for fact in facts(world, stream):
            value = world.amount(fact.key, start, end, now=now)
            if fact.quantity in DELIVERED:
                component = DELIVERED[fact.quantity]
                metric = "media_stream_component_delivered_bytes_total"
                add(metric, value, component=component, **labels)
            if fact.quantity == "restream_seconds":
                add("media_stream_restream_seconds_total", value * 1000, **labels)
    return totals


def levels(world: World, now: int) -> Amounts:
    """The gauges of every Millicast feed at `now`."""
    watching = {stream.name: viewers(world, stream, now) for stream in streams(world, now)}
    on_air = sum(live(world, stream, now) for stream in streams(world, now))
    kind = ("kind", "live")
    return {
        ("media_viewers", (kind,)): sum(watching.values()),
        ("media_streams_live", (kind,)): on_air,
        **{
            ("media_stream_viewers", (kind, ("stream", name))): count
            for name, count in watching.items()
        },
        **{
            ("media_stored_bytes", (("object", object_kind),)): size
            for object_kind, size in stored(world, now).items()
        },
    }
