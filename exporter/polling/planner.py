"""What to ask a feed for now, from what the ledger knows of it: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from exporter.ledger import FeedState
from exporter.model import DAY, Ask, Configured, Feed, Span, Step, Window
from exporter.polling.windows import REVISIT_SECONDS, Plan, counted_from, cover, next_piece, plan

MAX_HISTORY_SECONDS = 5 * 366 * DAY
"""What `history: max` asks for where the vendor has months and names no limit of its own."""

MAX_DAYS_SECONDS = 400 * DAY
"""What it asks for where days are the widest: each of them is a request of its own somewhere."""


@dataclass(frozen=True, slots=True)
class Questions:
    """One poll's asks. `lost` is time that had not been asked for and that no vendor has now.

    `planned` is None for feeds that have only levels, `streams` for feeds that need no names.
    `streams_began` is where streams begin that are asked for the first time, `baseline` are those
    of them whose first totals are where counting begins.
    """

    asks: tuple[Ask, ...]
    planned: Plan | None = None
    lost: Window | None = None
    streams: tuple[str, ...] | None = None
    streams_began: Mapping[str, int] = field(default_factory=dict)
    baseline: frozenset[str] = frozenset()

    def with_streams(self, more: Questions, proven: Sequence[str] = ()) -> Questions:
        """These of one poll and `more` of the same poll, about other streams.

        Of `proven` streams it is known without asking that there is nothing new.
        """
        return replace(
            self,
            asks=(*self.asks, *more.asks),
            streams=(*(self.streams or ()), *(more.streams or ()), *proven),
            streams_began={**self.streams_began, **more.streams_began},
            baseline=self.baseline | more.baseline,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an old gap, and the asks that fill it; none when there is nothing to ask for.

    `lost` is time that should have been asked for and that no vendor has now.
    """

    asks: tuple[Ask, ...]
    window: Window
    lost: bool = False


def questions(
    feed: Feed,
    state: FeedState,
    *,
    streams: Sequence[str],
    now: int,
    history_seconds: int | None,
    cadence_seconds: int,
    short: int = 0,
    configured: Sequence[str] = (),
    listed: bool = False,
) -> Questions:
    """The asks of the feed's next poll.

    Streams in step with the feed share its window. One that is new is asked for with all its
    history, one that had been left for a while from where it was left. A `short` poll leaves what
    is not current for afterwards; not of streams, whose requests are as many for a short window.
    So does every poll with the daily look back where that takes further requests: what is current
    comes first, and the rest in pieces, each written down by itself.

    What came before a name was first asked for is no growth: of those newly `configured`, and of
    all those that a feed finds with its first good listing (`listed`).
    """
    subjects = feed.subjects if isinstance(feed, Configured) else None
    names = tuple(streams if subjects is None else subjects) if named(feed) else ()
    asked = names if named(feed) else None
    ours = names if subjects is not None or (listed and not state.listed) else configured
    baseline = frozenset(ours).intersection(names) - state.streams.keys()
    if not feed.resolutions:
        return Questions((Ask(now, (), names),), streams=asked, baseline=baseline)
    if feed.needs_streams:
        short = 0

    @cache
    def planned_from(polled_at: int | None, short: int = short) -> Plan:
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
            short=short,
        )

    common = planned_from(state.polled_at)
    # Not in a first poll, with which counting begins.
    if (
        state.polled_at is not None
        and common.revisit
        and common.gap is None
        and not short
        and not named(feed)
    ):
        current = planned_from(state.polled_at, 1)
        if len(_spans(feed, common.window, now)) > len(_spans(feed, current.window, now)):
            common = current
    lost: Window | None = None
    asks: list[Ask] = []
    new: dict[str, int] = {}
    groups = _by_window(feed, state, names, now, common, planned_from) if named(feed) else None
    for window, group in ({common.window: []} if groups is None else groups).items():
        covered = cover(window, feed.resolutions, now=now, earliest=_earliest(feed, state, now))
        # What is lost of a gap is found out, and said, when the gap is filled.
        if window == common.window and common.gap is None and state.polled_at is not None:
            lost = _unasked(covered.lost, state.polled_at)
        asks.append(Ask(now, covered.spans, tuple(group)))
        new.update((name, window.start) for name in group if name not in state.streams)
    return Questions(tuple(asks), common, lost, asked, new, baseline)


def named(feed: Feed) -> bool:
    """Whether the feed is asked about names: of streams, or of what the configuration names."""
    return feed.needs_streams or isinstance(feed, Configured)


def _spans(feed: Feed, window: Window, now: int) -> tuple[Span, ...]:
    return cover(window, feed.resolutions, now=now).spans


def _most_history(feed: Feed) -> int:
    """As much history (seconds) as can be asked for within one poll."""
    in_months = feed.resolutions[-1].step is Step.MONTH
    return MAX_HISTORY_SECONDS if in_months else MAX_DAYS_SECONDS


def _by_window(
    feed: Feed,
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
                left_at = state.streams[name]
                own = planned_from(left_at)
                start = own.window.start if own.gap is None else own.gap.start
                if left_at is not None and left_at < (state.revisited_at or 0):
                    # It was not asked for when the feed last looked back, so it does so now.
                    back = feed.resolutions[0].step.floor(left_at - REVISIT_SECONDS)
                    start = min(start, max(back, _earliest(feed, state, now)))
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
    concerned = bool(names) or not named(feed)
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


def requests_follow_window(feed: Feed) -> bool:
    """Whether a shorter poll of the feed takes fewer requests."""
    return feed.needs_streams or any(one.longest <= DAY for one in feed.resolutions)
