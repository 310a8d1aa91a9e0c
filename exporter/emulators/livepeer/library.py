"""What the emulated Livepeer account has: assets, streams, their creators, and who watches them.

Viewership is kept by *cell*, one playback id and one audience, the finest that any query can
group by. Every answer and the truth are sums over cells, so all breakdowns add up to the same.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.emulators.world import BEGINNING, Stream, World

VENDOR = "livepeer"
USER_ID = "1bde4o2i6xycudoy"
CREATORS = ("ada@example.org", "studio one", None)
MOST_USAGE_A_SECOND = 10_000  # milliseconds, with `equal_hours`
PLAYS_PER_EXIT = 10  # the world makes as many of `plays` as of `exits`


@dataclass(frozen=True, slots=True)
class Audience:
    """Viewers of one sort. `known` is by the API's breakdown names; what is not there is null."""

    known: dict[str, str]
    first_frame_ms: int | None  # mean time to first frame; None where players do not report it
    rebuffer_ratio: float
    errors_percent: int


AUDIENCES = (
    Audience(
        {
            "device": "iPhone",
            "deviceType": "mobile",
            "cpu": "ARM",
            "os": "iOS",
            "browser": "Safari",
            "browserEngine": "WebKit",
            "continent": "North America",
            "country": "United States",
            "subdivision": "California",
            "timezone": "America/Los_Angeles",
            "geohash": "9q8",
            "viewerId": "viewer-1",
        },
        420,
        0.0125,
        2,
    ),
    Audience(
        {
            "device": "Pixel 8",
            "deviceType": "mobile",
            "cpu": "ARM",
            "os": "Android",
            "browser": "Chrome",
            "browserEngine": "Blink",
            "continent": "Europe",
            "country": "Germany",
            "subdivision": "Land Berlin",
            "timezone": "Europe/Berlin",
            "geohash": "u33",
            "viewerId": "viewer-2",
        },
        810,
        0.03,
        10,
    ),
    Audience(
        {
            "device": "Macintosh",
            "deviceType": "desktop",
            "cpu": "amd64",
            "os": "Mac OS",
            "browser": "Safari",
            "browserEngine": "WebKit",
            "continent": "North America",
            "country": "United States of America",
            "subdivision": "New York",
            "timezone": "America/New_York",
            "geohash": "dr5",
        },
        250,
        0.005,
        0,
    ),
    Audience(
        {
            # Desktop browsers on Windows do not tell the device.
            "deviceType": "desktop",
            "cpu": "amd64",
            "os": "Windows",
            "browser": "Chrome",
            "browserEngine": "Blink",
            "continent": "Africa",
            "country": "Côte d'Ivoire",
            "timezone": "Africa/Abidjan",
            "geohash": "ec2",
        },
        1900,
        0.08,
        25,
    ),
    Audience({}, None, 0.02, 5),  # players that tell nothing
)


@dataclass(frozen=True, slots=True)
class Media:
    """An asset or a stream; `family` is `assets` or `streams`."""

    family: str
    stream: Stream
    playback_id: str
    creator: str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One media seen by one audience."""

    media: Media
    number: int  # of the audience

    @property
    def audience(self) -> Audience:
        return AUDIENCES[self.number]

    def key(self, quantity: str) -> tuple[str, ...]:
        media = self.media
        return (VENDOR, media.family, media.stream.id, str(self.number), quantity)

    def value(self, field: str) -> str | None:
        """The cell's value of a breakdown field; None where the vendor knows none."""
        if field == "playbackId":
            return self.media.playback_id
        if field == "creatorId":
            return self.media.creator
        return self.audience.known.get(field)


def playback_id_of(identifier: str) -> str:
    """The playback id of the asset or stream with that id: 16 hexadecimal digits."""
    return hashlib.blake2b(f"playback {identifier}".encode(), digest_size=8).hexdigest()


class Library:
    """The account at one moment, `now`.

    With `equal_hours` each creator has the same usage in every hour, evenly within it, whatever
    the world says of hours that are late or revised.
    """

    def __init__(self, world: World, now: int, *, equal_hours: bool = False) -> None:
        self.world = world
        self.now = now
        self.equal_hours = equal_hours

    def media(self) -> tuple[Media, ...]:
        """Every asset, then every stream, deleted ones included: their views stay counted."""
        return tuple(
            Media(
                family,
                stream,
                playback_id_of(stream.id),
                CREATORS[self.world.choose((VENDOR, family, stream.id, "creator"), len(CREATORS))],
            )
            for family in ("assets", "streams")
            for stream in self.world.streams(VENDOR, family, now=self.now)
        )

    def find(
        self, *, playback_id: str = "", asset_id: str = "", stream_id: str = ""
    ) -> Media | None:
        """The one media with that id; None when unknown or deleted."""
        for media in self.media():
            if media.stream.archived:
                continue
            if playback_id and media.playback_id == playback_id:
                return media
            if asset_id and media.family == "assets" and media.stream.id == asset_id:
                return media
            if stream_id and media.family == "streams" and media.stream.id == stream_id:
                return media
        return None

    def cells(self, media: Iterable[Media] | None = None) -> list[Cell]:
        """The cells of these media, or of all."""
        chosen = self.media() if media is None else media
        return [Cell(one, number) for one in chosen for number in range(len(AUDIENCES))]

    def playtime(self, cells: Iterable[Cell], start: int, end: int) -> int:
        """Milliseconds played in [start, end)."""
        return self._amount(cells, "playtime_milliseconds", start, end)

    def exits(self, cells: Iterable[Cell], start: int, end: int) -> int:
        """Viewers who left before the first frame."""
        return self._amount(cells, "exits", start, end)

    def views(self, cells: Sequence[Cell], start: int, end: int) -> int:
        """Intents to play, those that ended before the first frame included."""
        plays = self._amount(cells, "plays", start, end)
        return PLAYS_PER_EXIT * plays + self.exits(cells, start, end)

    def _amount(self, cells: Iterable[Cell], quantity: str, start: int, end: int) -> int:
        return sum(
            self.world.amount(cell.key(quantity), start, end, now=self.now) for cell in cells
        )

    def sessions(self, cell: Cell) -> int:
        """Sessions that are active now; what is deleted has none."""
        if cell.media.stream.archived:
            return 0
        return self.world.level(cell.key("viewers"), now=self.now, top=20)

    def failing(self, cell: Cell) -> int:
        """How many of the active sessions met an error."""
        return self.sessions(cell) * cell.audience.errors_percent // 100

    def legacy_views(self, media: Media) -> int:
        """Views from before 2023, which `viewCount` does not include."""
        return self.world.choose((VENDOR, media.family, media.stream.id, "legacy"), 1000)

    def usage(self, creators: Iterable[str | None], quantity: str, start: int, end: int) -> int:
        """`delivered_milliseconds` or `transcoded_milliseconds` of these creators' media."""
        keys = [(VENDOR, "usage", creator or "nobody", quantity) for creator in creators]
        if self.equal_hours:
            seconds = max(0, min(end, self.world.edge(self.now)) - max(start, BEGINNING))
            return seconds * sum(1 + self.world.choose(key, MOST_USAGE_A_SECOND) for key in keys)
        return sum(self.world.amount(key, start, end, now=self.now) for key in keys)

    def stored(self, creators: Iterable[str | None], hour: int) -> int:
        """Milliseconds of these creators' media in storage during the hour that begins then."""
        if self.equal_hours:
            hour = BEGINNING
        return sum(
            self.world.level((VENDOR, "usage", creator or "nobody", "stored"), now=hour, top=10**9)
            for creator in creators
        )
