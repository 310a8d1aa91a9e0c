"""What an exporter of the emulated Wowza account must have counted, straight from the world."""

from exporter.emulators.vendor import Amounts
from exporter.emulators.world import Stream
from exporter.emulators.wowza.account import (
    ACCOUNT_ID,
    COUNTRIES,
    DEVICES,
    FAMILIES,
    RENDITIONS,
    Account,
    Family,
)
from exporter.emulators.wowza.usage import RESOURCES
from exporter.emulators.wowza.window import Window

# A vendor's field, the metric's words for it, and its units in the truth: milliseconds, bytes.
FIELDS = (
    ("viewing_seconds", "viewing_seconds", 1000),
    ("viewing_bytes", "delivered_bytes", 1),
    ("egress_seconds", "egress_seconds", 1000),
    ("egress_bytes", "egress_bytes", 1),
    ("bytes_in", "received_bytes", 1),
    ("bytes_out", "delivered_bytes", 1),
)


def accrued(account: Account, window: Window) -> Amounts:
    """Every counter of every feed, default or not, for v1.11 and later.

    Older versions say the same, except that their on-demand summary has no egress.
    """
    found: Amounts = {}
    for family in FAMILIES.values():
        kind = ("kind", family.kind)
        # Per stream, on-demand egress is in /{id}; a transcoder's viewing is its target's.
        by_stream = family.listed + (family.detailed if family.plural == "vod_streams" else ())
        for field, words, units in FIELDS:
            if field in family.summed:
                total = units * account.sum(family.plural, field, window)
                found[(f"media_{words}_total", (kind,))] = total
            if field not in by_stream:
                continue
            for stream in account.streams(family.plural, window):
                amount = units * account.amount(family.plural, stream, field, window)
                found[(f"media_stream_{words}_total", (kind, ("stream", stream.id)))] = amount
    for field, words, units in FIELDS[:4]:
        total = units * account.total(field, window, RESOURCES)
        found[(f"media_account_{words}_total", ())] = total
    return found


def levels(account: Account, *, top: int) -> Amounts:
    """Every gauge now, viewers by stream of the `top` that the lists hold.

    Names are told of what has a name and says whether it is archived, listed now or not.
    """
    now = account.now
    everything = ("kind", "all")
    viewers = account.account_viewers(now)
    found: Amounts = {("media_viewers", (everything,)): viewers}
    codes = [code for code, _ in COUNTRIES]
    for label, names in (("country", codes), ("rendition", RENDITIONS), ("device", DEVICES)):
        for name, count in account.share(("account", ACCOUNT_ID), viewers, names).items():
            pairs = sorted([(label, str(name)), everything])
            found[(f"media_{label}_viewers", tuple(pairs))] = count
    for family, kind in (("live_streams", "live"), ("vod_streams", "vod")):
        for stream, count in account.most_viewed(family, now, top):
            owner = (("kind", kind), ("stream", stream.id))
            found[("media_stream_viewers", owner)] = count
            for label, names in (("country", codes), ("rendition", RENDITIONS)):
                for name, part in account.share((family, stream.id), count, names).items():
                    pairs = sorted([(label, str(name)), *owner])
                    found[(f"media_stream_{label}_viewers", tuple(pairs))] = part
    for family in ("vod_streams", "stream_targets", "transcoders"):
        for stream in account.streams(family):
            info = (
                ("archived", archived(family, stream)),
                ("kind", FAMILIES[family].kind),
                ("name", stream.name),
                ("stream", stream.id),
            )
            found[("media_stream_info", info)] = 1
    return found


def described(
    account: Account, window: Window, *, used_only: bool
) -> dict[tuple[str, str], tuple[str, str]]:
    """(name, archived) by (kind, stream) of the streams that lists of the window hold."""
    return {
        (family.kind, stream.id): (stream.name, archived(family.plural, stream))
        for family in FAMILIES.values()
        for stream in account.streams(family.plural, window)
        if not used_only or used(account, family, stream, window)
    }


def used(account: Account, family: Family, stream: Stream, window: Window) -> bool:
    """Whether a stream's row of the window has an amount that is not 0."""
    return any(account.amount(family.plural, stream, name, window) for name in family.listed)


def archived(family: str, stream: Stream) -> str:
    """`true` or `false`, or `unknown` of streams in real time: their rows do not say."""
    return "unknown" if family == "real_time_streams" else str(stream.archived).lower()
