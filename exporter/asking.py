"""What to ask a feed for now, from what the ledger knows of it; pure but for reading the book."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.ledger import Book, FeedState
from exporter.model import DAY, Ask, Feed, Step, Window
from exporter.schedule import REVISIT_SECONDS, Plan, counted_from, cover, next_piece, plan

MAX_HISTORY_SECONDS = 5 * 366 * DAY
"""What `history: max` asks for where the vendor has months and names no limit of its own."""

MAX_DAYS_SECONDS = 400 * DAY
"""What it asks for where days are the widest: each of them is a request of its own somewhere."""


@dataclass(frozen=True, slots=True)
class Questions:
    """One poll's asks. `lost` is time that had not been asked for and that no vendor has now.

    `planned` is None for feeds that have only levels, `streams` for feeds that need no names.
    `streams_began` is where streams begin that are asked for the first time.
    """

    asks: tuple[Ask, ...]
    planned: Plan | None = None
    lost: Window | None = None
    streams: tuple[str, ...] | None = None
    streams_began: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an old gap, and the asks that fill it; none when there is nothing to ask for.

    `lost` is time that should have been asked for and that no vendor has now.
    """

    asks: tuple[Ask, ...]
    window: Window
    lost: bool = False


def stream_names(
    book: Book, configured: Sequence[str], now: int, *, polled_at: int | None = None
) -> tuple[str, ...]:
    """The configured names, then those that the vendor's listing showed of late.

    Late is before the feed's last poll (`polled_at`), where it had one: what streams did last
    before an outage is still to be asked for after it.
    """
    since = (now if polled_at is None else min(now, polled_at)) - REVISIT_SECONDS
    found = [name for name, seen in list(book.streams.items()) if seen >= since]
    return tuple(dict.fromkeys((*configured, *found)))


def questions(
    feed: Feed,
    state: FeedState,
    *,
    streams: Sequence[str],
    now: int,
    history_seconds: int | None,
    cadence_seconds: int,
    short: bool = False,
) -> Questions:
    """The asks of the feed's next poll.

    Streams in step with the feed share its window. One that is new is asked for with all its
    history, one that had been left for a while from where it was left. A `short` poll leaves what
    is not current for afterwards; not of streams, whose requests are as many for a short window.
    """
    names = tuple(streams) if feed.needs_streams else ()
    asked = names if feed.needs_streams else None
    if not feed.resolutions:
        return Questions((Ask(now, (), names),), streams=asked)

    def planned_from(polled_at: int | None) -> Plan:
        return plan(
            feed.resolutions[0].step,
            settling=feed.settling,
            began=state.began,
            polled_at=polled_at,
            revisited_at=state.revisited_at,
            resume=state.resume,
            now=now,
            history=_most_history(feed) if history_seconds is None else history_seconds,
            cadence=cadence_seconds,
            newest=state.newest,
            short=short and not feed.needs_streams,
        )

    common = planned_from(state.polled_at)
    lost: Window | None = None
    asks: list[Ask] = []
    new: dict[str, int] = {}
    groups = _by_window(state, names, now, common, planned_from) if feed.needs_streams else None
    for window, group in ({common.window: []} if groups is None else groups).items():
        covered = cover(window, feed.resolutions, now=now, earliest=_earliest(feed, state, now))
        # What is lost of a gap is found out, and said, when the gap is filled.
        if window == common.window and common.gap is None and state.polled_at is not None:
            lost = _unasked(covered.lost, state.polled_at)
        asks.append(Ask(now, covered.spans, tuple(group)))
        new.update((name, window.start) for name in group if name not in state.streams)
    return Questions(tuple(asks), common, lost, asked, new)


def _most_history(feed: Feed) -> int:
    """As much history (seconds) as can be asked for within one poll."""
    in_months = feed.resolutions[-1].step is Step.MONTH
    return MAX_HISTORY_SECONDS if in_months else MAX_DAYS_SECONDS


def _by_window(
    state: FeedState,
    names: Sequence[str],
    now: int,
    common: Plan,
    planned_from: Callable[[int | None], Plan],
) -> dict[Window, list[str]]:
    """The window that each stream needs; for almost all it is the common one."""
    groups: dict[Window, list[str]] = {}
    for name in names:
        window = common.window
        if state.polled_at is not None:
            if name not in state.streams:
                window = planned_from(None).window
            elif state.streams[name] is not None:
                own = planned_from(state.streams[name])
                start = own.window.start if own.gap is None else own.gap.start
                window = Window(min(start, window.start), window.end)
        began = state.streams_began.get(name, 0)
        if window.start < began <= now:
            window = Window(began, window.end)
        groups.setdefault(window, []).append(name)
    return groups


def _earliest(feed: Feed, state: FeedState, now: int) -> int:
    """From when on usage counts."""
    return counted_from(state.began, newest=state.newest, now=now, finest=feed.resolutions[0].step)


def _unasked(lost: Window | None, polled_at: int) -> Window | None:
    """The part of `lost` that no earlier poll had asked for."""
    if lost is None or lost.end <= polled_at:
        return None
    return Window(max(lost.start, polled_at), lost.end)


def gap_piece(
    feed: Feed, state: FeedState, *, now: int, most_seconds: int | None = None
) -> Piece | None:
    """The oldest piece of what outages left out, or None when nothing is.

    It is a day long, or as short as `most_seconds`.
    """
    if not state.gaps or not feed.resolutions:
        return None
    gap = state.gaps[0]
    piece = next_piece(
        gap,
        feed.resolutions,
        now=now,
        earliest=_earliest(feed, state, now),
        most=most_seconds,
    )
    # Those that were left before the gap are asked for from there when they come back; those that
    # began later have nothing here that counts.
    names = tuple(
        name
        for name, left_at in state.streams.items()
        if (left_at is None or left_at >= gap.end) and state.streams_began.get(name, 0) <= gap.start
    )
    concerned = bool(names) or not feed.needs_streams
    if piece.lost is not None:
        return Piece((), piece.lost, lost=concerned)
    end = min(gap.end, max(span.window.end for span in piece.spans))
    asks = (Ask(now, piece.spans, names),) if concerned else ()
    return Piece(asks, Window(gap.start, end))


def backlog_seconds(state: FeedState) -> int:
    """How much time is still to be filled in."""
    return sum(gap.end - gap.start for gap in state.gaps)


def listed_from(feed: Feed, now: int) -> int:
    """From when on the vendor still lists what the feed is about; 0 for ever."""
    reach = feed.resolutions[0].reach if feed.resolutions else None
    return 0 if reach is None else now - reach
