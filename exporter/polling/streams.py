"""Which of the known streams a poll asks for: those that live at once, the others in turn.

Requests follow what lives, not what exists. A stream that the vendor's listing showed within the
settling time is asked for at every poll; any other that is known at least once an hour, so many at
each poll. Where the account's own total equals the sum of its streams, the others had nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.ledger import Book, FeedState
from exporter.model import HOUR, Measure, Usage
from exporter.polling.windows import REVISIT_SECONDS

SEEN_AGAIN_SECONDS = 900
"""The ledger's note of when a stream was last listed may lag behind by so much."""

Amounts: TypeAlias = Mapping[tuple[Measure, tuple[str, ...], int], int]
"""Amounts by measure, labels and the start of the hour."""


def stream_names(
    book: Book, configured: Sequence[str], now: int, *, polled_at: int | None = None
) -> tuple[str, ...]:
    """The configured names, then those that the vendor's listing showed of late.

    Late is within 48 hours before the feed's last poll (`polled_at`), where it had one, and before
    the last listing that succeeded: what streams did last before an outage is still to be asked
    for after it, and a listing that fails says nothing about them.
    """
    latest = [instant for instant in (polled_at, book.listed_at) if instant is not None]
    since = min([now, *latest]) - REVISIT_SECONDS
    found = [name for name, seen in list(book.streams.items()) if seen >= since]
    return tuple(dict.fromkeys((*configured, *found)))


@dataclass(frozen=True, slots=True)
class Streams:
    """The names of one poll: `live` are asked for in any case, `idle` in turn.

    `idle` come in the order in which they were asked for last; the first `due` of them are to be
    asked for now.
    """

    live: tuple[str, ...]
    idle: tuple[str, ...] = ()
    due: int = 0


def divided(
    names: Sequence[str],
    state: FeedState,
    book: Book,
    *,
    now: int,
    settling: int,
    cadence_seconds: int,
    short: int = 0,
) -> Streams:
    """Tell the names that live from those that are idle.

    Nobody knows which live where the account has no listing: then all are asked for. So is every
    name that the feed has not asked for before. A `short` poll, for a vendor that does not allow
    the requests for all of them, takes each time a quarter as many names, in turn.
    """
    idle: list[str] = []
    if book.listed_at is None:
        live = list(names)
    else:
        since = min(now, book.listed_at) - settling - SEEN_AGAIN_SECONDS
        live = []
        for name in names:
            lives = name not in state.streams or book.streams.get(name, 0) >= since
            (live if lives else idle).append(name)
    due = _due(idle, state, now, cadence_seconds)
    if short:
        idle = [*live, *idle]
        due = -(-len(idle) // 4**short)
        live = []
    idle.sort(key=lambda name: _asked_at(name, state))
    return Streams(tuple(live), tuple(idle), due)


def _asked_at(name: str, state: FeedState) -> int:
    """When the feed last asked for the stream, 0 for never."""
    if name not in state.streams:
        return 0
    left_at = state.streams[name]
    return (state.polled_at or 0) if left_at is None else left_at


def _due(idle: Collection[str], state: FeedState, now: int, cadence_seconds: int) -> int:
    """So many that each has its turn within an hour, and all whose hour is over."""
    share = -(-len(idle) * min(cadence_seconds, HOUR) // HOUR)
    over = now - HOUR + cadence_seconds // 2
    return max(share, sum(_asked_at(name, state) <= over for name in idle))


def proven_from(
    pairs: Iterable[tuple[Measure, Measure]],
    totals: Amounts,
    known: Amounts,
    asked: Iterable[Usage],
    *,
    start: int,
    end: int,
) -> int:
    """From which hour on, up to `end`, the account's total is the sum of its streams.

    `totals` are the account's hours, `known` those of its streams as the ledger has them, `asked`
    what this poll has brought of those that it asked for. `pairs` are measures of the account,
    each with that of the streams. `end` where not even the last hour is proven.
    """
    streams = dict(known)
    streams.update(
        ((row.measure, row.labels, row.start), row.amount) for row in asked if row.width == HOUR
    )
    of_account = {part: total for total, part in pairs}
    differences: dict[tuple[Measure, int], int] = {}
    for (measure, _, hour), amount in streams.items():
        if measure in of_account:
            key = of_account[measure], hour
            differences[key] = differences.get(key, 0) - amount
    for (measure, _, hour), amount in totals.items():
        key = measure, hour
        differences[key] = differences.get(key, 0) + amount
    unequal = [hour for (_, hour), difference in differences.items() if difference]
    return max([start, *(hour + HOUR for hour in unequal if hour < end)])
