"""What the emulated Wowza account has: resources and, of the world, their amounts and audiences.

Answers and truth both read here, so that they cannot disagree about which number a field carries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exporter.emulators.world import Stream, World
from exporter.emulators.wowza.window import Window

VENDOR = "wowza"
ACCOUNT_ID = "rfp7rdv2"
COUNTRIES = (("US", "United States"), ("DE", "Germany"), ("BR", "Brazil"), ("JP", "Japan"))
RENDITIONS = (1080, 720, 360)
DEVICES = ("Desktop", "Mobile", "Smart TV")

VIEWING = ("viewing_seconds", "viewing_bytes")
EGRESS = ("egress_seconds", "egress_bytes")
ADDITIONAL = "egress_seconds_additional_targets"


@dataclass(frozen=True, slots=True)
class Family:
    """A resource below `/usage`: its names and which amounts each of its answers has."""

    plural: str
    single: str
    kind: str  # value of the label `kind`
    listed: tuple[str, ...]
    detailed: tuple[str, ...]  # what /{id} has beyond the list
    summed: tuple[str, ...]
    trended: bool
    unique_viewers: bool  # versions up to 1.10 also have them
    counted_pages: bool = False


FAMILIES = {
    family.plural: family
    for family in (
        Family("vod_streams", "vod_stream", "vod", VIEWING, EGRESS, VIEWING + EGRESS, True, True),
        Family("stream_targets", "stream_target", "live", VIEWING, (), VIEWING, True, True),
        Family(
            "transcoders",
            "transcoder",
            "transcoder",
            (*EGRESS, ADDITIONAL),
            VIEWING,
            EGRESS,
            trended=True,
            unique_viewers=False,
            counted_pages=True,
        ),
        Family(
            "real_time_streams",
            "real_time_stream",
            "realtime",
            ("bytes_in", "bytes_out"),
            (),
            ("bytes_in", "bytes_out"),
            trended=False,
            unique_viewers=False,
        ),
    )
}


class Account:
    """The account at one moment, `now`."""

    def __init__(self, world: World, now: int) -> None:
        self.world = world
        self.now = now

    def streams(self, family: str, window: Window | None = None) -> tuple[Stream, ...]:
        """A family's resources, oldest first: all, or those born before the window ends."""
        found = self.world.streams(VENDOR, family, now=self.now)
        if window is None:
            return found
        return tuple(stream for stream in found if stream.born < window.end)

    def find(self, family: str, identifier: str) -> Stream | None:
        return next((one for one in self.streams(family) if one.id == identifier), None)

    def amount(self, family: str, stream: Stream, field: str, window: Window) -> int:
        """One field of one resource.

        What a transcoder's viewers saw is what its target delivered: the first transcoder feeds
        the first target, and so on.
        """
        if family == "transcoders" and field in VIEWING:
            position = self.streams("transcoders").index(stream)
            targets = self.streams("stream_targets")
            if position >= len(targets):
                return 0
            family, stream = "stream_targets", targets[position]
        key = (VENDOR, family, stream.id, field)
        return self.world.amount(key, window.start, window.end, now=self.now)

    def sum(self, family: str, field: str, window: Window) -> int:
        """A field over all of a family: exactly the sum of its list."""
        return sum(
            self.amount(family, stream, field, window) for stream in self.streams(family, window)
        )

    def total(self, field: str, window: Window, resources: Sequence[str]) -> int:
        """A field over `resources`: transcoders, with what their viewers saw, and VOD streams."""
        return sum(
            self.sum(family, field, window)
            for family in resources
            if family == "transcoders" or field != ADDITIONAL
        )

    # -- viewers: unique addresses, so a total is a number of its own, never a sum over streams --

    def account_viewers(self, now: int) -> int:
        return self.world.level((VENDOR, "account", ACCOUNT_ID, "viewers"), now=now, top=500)

    def viewers(self, family: str, stream: Stream, now: int) -> int:
        """Viewers of one resource; a deleted one has none."""
        if stream.archived or stream.born > now:
            return 0
        return self.world.level((VENDOR, family, stream.id, "viewers"), now=now)

    def most_viewed(self, family: str, now: int, top: int) -> list[tuple[Stream, int]]:
        """Of a family's streams the `top` with the most viewers, and how many each has.

        Nobody's stream is not among them; of equals the older comes first.
        """
        counts = [(stream, self.viewers(family, stream, now)) for stream in self.streams(family)]
        viewed = [pair for pair in counts if pair[1] > 0]
        return sorted(viewed, key=lambda pair: -pair[1])[:top]

    def share(self, owner: tuple[str, ...], total: int, names: Sequence[Any]) -> dict[Any, int]:
        """`total` divided among `names` in proportions fixed for the owner; nobody's share of 0."""
        weights = [1 + self.world.choose((VENDOR, *owner, str(name)), 9) for name in names]
        shares: dict[Any, int] = {}
        running = passed = 0
        for name, weight in zip(names, weights, strict=True):
            running += weight
            upto = total * running // sum(weights)
            if upto > passed:
                shares[name] = upto - passed
            passed = upto
        return shares


def transcoder_settings(account: Account, stream: Stream) -> dict[str, str]:
    """How a transcoder is billed and what it does: fixed for its life."""
    key = (VENDOR, "transcoders", stream.id)
    return {
        "billing_mode": ("pay_as_you_go", "twentyfour_seven")[
            account.world.choose((*key, "billing"), 2)
        ],
        "transcoder_type": ("transcoded", "passthrough")[account.world.choose((*key, "type"), 2)],
    }
