"""Selects the streams that a poll asks for: live ones always, idle ones in rotation.

So the number of requests depends on the live streams. A stream is live if the vendor's listing had
it within the settling time, and is asked for at every poll. Idle streams are the others; each is
asked for at least once an hour, and each poll takes a share of them. In hours in which the amount
of the account equals the sum of its streams, idle streams had no usage and need no request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.ledger import Book, FeedState
from exporter.model import HOUR, Measure, Usage
from exporter.polling.windows import REVISIT_SECONDS

LISTED_AT_LAG_SECONDS = 900
"""How far the ledger's time of a stream's last listing may lag behind."""

HourlyAmounts: TypeAlias = Mapping[tuple[Measure, tuple[str, ...], int], int]
"""Amounts by measure, labels and the start of the hour."""


def stream_names(
    book: Book, configured: Sequence[str], now: int, *, polled_at: int | None = None
) -> tuple[str, ...]:
    """The configured names, then those that were recently in the vendor's listing.

    Recently is within 48 hours before the feed's last poll (`polled_at`, if there was one) and
    before the last listing that succeeded, whichever is earlier. So an outage or a failing listing
    drops no stream whose last usage is still to be asked for.
    """
    latest = [instant for instant in (polled_at, book.listed_at) if instant is not None]
    since = min([now, *latest]) - REVISIT_SECONDS
    found = [name for name, seen in list(book.streams.items()) if seen >= since]
    return tuple(dict.fromkeys((*configured, *found)))


@dataclass(frozen=True, slots=True)
class StreamSelection:
    """The names of one poll: `live` are all asked for, `idle` in rotation.

    `idle` are sorted by when they were last asked for, the oldest first; the first `due` of them
    are asked for in this poll.
    """

    live: tuple[str, ...]
    idle: tuple[str, ...] = ()
    due: int = 0


def select_streams(
    names: Sequence[str],
    state: FeedState,
    book: Book,
    *,
    now: int,
    settling: int,
    cadence_seconds: int,
    reduction: int = 0,
) -> StreamSelection:
    """Divide the names into live and idle ones.

    Without a listing it is unknown which streams are live, and all count as live. So does every
    name that the feed has never asked for. With a `reduction`, for a vendor that does not allow the
    requests for all names, all of them are in rotation; each step of it divides the number of names
    in a poll by four.
    """
    idle: list[str] = []
    if book.listed_at is None:
        live = list(names)
    else:
        since = min(now, book.listed_at) - settling - LISTED_AT_LAG_SECONDS
        live = []
        for name in names:
            lives = name not in state.streams or book.streams.get(name, 0) >= since
            (live if lives else idle).append(name)
    due = _due(idle, state, now, cadence_seconds)
    if reduction:
        idle = [*live, *idle]
        due = -(-len(idle) // 4**reduction)
        live = []
    idle.sort(key=lambda name: _asked_at(name, state))
    return StreamSelection(tuple(live), tuple(idle), due)


def _asked_at(name: str, state: FeedState) -> int:
    """When the feed last asked for the stream, 0 for never."""
    if name not in state.streams:
        return 0
    left_at = state.streams[name]
    return (state.polled_at or 0) if left_at is None else left_at


def _due(idle: Collection[str], state: FeedState, now: int, cadence_seconds: int) -> int:
    """How many to ask for now: enough for each once an hour, and all that are overdue."""
    share = -(-len(idle) * min(cadence_seconds, HOUR) // HOUR)
    over = now - HOUR + cadence_seconds // 2
    return max(share, sum(_asked_at(name, state) <= over for name in idle))


def sums_match_from(
    pairs: Iterable[tuple[Measure, Measure]],
    totals: HourlyAmounts,
    known: HourlyAmounts,
    asked: Iterable[Usage],
    *,
    start: int,
    end: int,
) -> int:
    """The hour from which on, up to `end`, the account's amounts equal the sums of its streams.

    `totals` are the account's hourly amounts, `known` those of its streams in the ledger, `asked`
    the usage that this poll has fetched, which replaces `known`. `pairs` are measures of the
    account, each with the measure by stream. Returns `end` when the last hour is not equal.
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
