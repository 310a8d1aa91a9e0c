"""Plans what a poll asks a feed for, from the feed's state in the ledger: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from exporter.config import History
from exporter.ledger import FeedState
from exporter.model import DAY, Ask, Configured, Feed, Span, Step, Window
from exporter.polling.windows import (
    REVISIT_SECONDS,
    WindowPlan,
    counted_from,
    cover,
    cover_gap_part,
    plan_window,
)

MAX_HISTORY_SECONDS = 5 * 366 * DAY
"""The history of `history: max` for a feed that has monthly buckets."""

MAX_DAYS_SECONDS = 400 * DAY
"""The same for a feed whose widest buckets are days: some vendors take one request for each."""


@dataclass(frozen=True, slots=True)
class PlannedAsks:
    """The asks of one poll. `lost` is time never requested whose data is deleted.

    `planned` is None for feeds that have only levels, `streams` for feeds that need no names.
    `streams_began` has the window's start for each stream that is asked for the first time;
    `baseline` are those of them whose first totals are their baseline.
    """

    asks: tuple[Ask, ...]
    planned: WindowPlan | None = None
    lost: Window | None = None
    streams: tuple[str, ...] | None = None
    streams_began: Mapping[str, int] = field(default_factory=dict)
    baseline: frozenset[str] = frozenset()

    def with_streams(self, more: PlannedAsks, unchanged: Sequence[str] = ()) -> PlannedAsks:
        """These asks together with `more` of the same poll, which are about other streams.

        `unchanged` streams are known to have no new usage, without a request; they count as asked.
        """
        return replace(
            self,
            asks=(*self.asks, *more.asks),
            streams=(*(self.streams or ()), *(more.streams or ()), *unchanged),
            streams_began={**self.streams_began, **more.streams_began},
            baseline=self.baseline | more.baseline,
        )


@dataclass(frozen=True, slots=True)
class GapPart:
    """A part of a gap, and the asks that fill it; no asks when nothing can be requested.

    `lost` is whether the part should have been requested and the vendor has deleted its data.
    """

    asks: tuple[Ask, ...]
    window: Window
    lost: bool = False


def plan_asks(
    feed: Feed,
    state: FeedState,
    *,
    streams: Sequence[str],
    now: int,
    history: History,
    cadence_seconds: int,
    reduction: int = 0,
    configured: Sequence[str] = (),
    listed: bool = False,
) -> PlannedAsks:
    """The asks of the feed's next poll.

    A stream that the feed's last poll asked for shares the feed's window. A new stream is asked for
    with all its history, and a stream that some polls left out from its own cursor on.

    A poll with a `reduction` asks for current data only and leaves the rest as a gap. Feeds by
    stream are not reduced here, because a shorter window takes them as many requests. The first
    poll of a feed of configured ids is reduced without a gap, because an id counts from where it
    was first asked for. The daily revisit also becomes a gap where it takes more requests than the current data: current data
    comes first, and the gap is filled in parts, each recorded by itself.

    The first total of a name is a baseline, not growth, if the name is newly `configured` or if it
    is in the first listing that succeeded (`listed`).
    """
    subjects = feed.subjects if isinstance(feed, Configured) else None
    names = tuple(streams if subjects is None else subjects) if named(feed) else ()
    asked = names if named(feed) else None
    ours = names if subjects is not None or (listed and not state.listed) else configured
    baseline = frozenset(ours).intersection(names) - state.streams.keys()
    if not feed.resolutions:
        return PlannedAsks((Ask(now, (), names),), streams=asked, baseline=baseline)
    if feed.needs_streams:
        reduction = 0

    @cache
    def planned_from(polled_at: int | None, reduction: int = reduction) -> WindowPlan:
        return plan_window(
            feed.resolutions[0].step,
            settling=feed.settling,
            began=state.began,
            polled_at=polled_at,
            revisited_at=state.revisited_at,
            resume=state.resume,
            now=now,
            first=_first_asked(feed, state, history, now),
            cadence=cadence_seconds,
            newest=state.newest,
            reduction=reduction,
        )

    common = planned_from(state.polled_at)
    if state.polled_at is None and common.gap is not None:
        common = replace(common, gap=_first_gap(feed, common.gap, now))
    # Not in the first poll: what comes with it is where its counters begin, not growth.
    if (
        state.polled_at is not None
        and common.revisit
        and common.gap is None
        and not reduction
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
        # Lost time within a gap is reported when the gap is filled.
        if window == common.window and common.gap is None and state.polled_at is not None:
            lost = _unasked(covered.lost, state.polled_at)
        asks.append(Ask(now, covered.spans, tuple(group)))
        new.update((name, window.start) for name in group if name not in state.streams)
    return PlannedAsks(tuple(asks), common, lost, asked, new, baseline)


def named(feed: Feed) -> bool:
    """Whether the feed's asks have names: of streams, or ids out of the configuration."""
    return feed.needs_streams or isinstance(feed, Configured)


def _spans(feed: Feed, window: Window, now: int) -> tuple[Span, ...]:
    return cover(window, feed.resolutions, now=now).spans


def _first_asked(feed: Feed, state: FeedState, history: History, now: int) -> int:
    """The instant from which on a feed or a stream is asked for that was not polled before."""
    if history == "max":
        in_months = feed.resolutions[-1].step is Step.MONTH
        return now - (MAX_HISTORY_SECONDS if in_months else MAX_DAYS_SECONDS)
    if history == "month":
        month = Step.MONTH.floor(now)
        # A stream that is found just after the month's end may have begun before it.
        return month if state.polled_at is None else min(month, now - DAY)
    return now - history


def _first_gap(feed: Feed, gap: Window, now: int) -> Window | None:
    """What a reduced first poll leaves for later of all that it did not ask for."""
    # A day later the vendor keeps less; what it never promised is not to be reported as lost.
    kept = cover(gap, feed.resolutions, now=now + DAY).spans
    if named(feed) or not kept:
        return None
    return Window(max(gap.start, kept[0].window.start), gap.end)


def _by_window(
    feed: Feed,
    state: FeedState,
    names: Sequence[str],
    now: int,
    common: WindowPlan,
    planned_from: Callable[[int | None], WindowPlan],
) -> dict[Window, list[str]]:
    """The streams by the window that each needs; for most of them it is the feed's window."""
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
                    # It was not asked for in the feed's last revisit: include that now.
                    back = feed.resolutions[0].step.floor(left_at - REVISIT_SECONDS)
                    start = min(start, max(back, _earliest(feed, state, now)))
                window = Window(min(start, window.start), window.end)
        began = state.streams_began.get(name, 0)
        if window.start < began <= now:
            window = Window(began, window.end)
        groups.setdefault(window, []).append(name)
    return groups


def _earliest(feed: Feed, state: FeedState, now: int) -> int:
    """The instant from which on usage counts."""
    return counted_from(state.began, newest=state.newest, now=now, finest=feed.resolutions[0].step)


def _unasked(lost: Window | None, polled_at: int) -> Window | None:
    """The part of `lost` that no earlier poll had asked for."""
    if lost is None or lost.end <= polled_at:
        return None
    return Window(max(lost.start, polled_at), lost.end)


def next_gap_part(
    feed: Feed, state: FeedState, *, now: int, max_part_seconds: int | None = None
) -> GapPart | None:
    """The oldest part of the feed's oldest gap, or None when there is no gap.

    It is a day long, or at most `max_part_seconds`.
    """
    if not state.gaps or not feed.resolutions:
        return None
    gap = state.gaps[0]
    part = cover_gap_part(
        gap,
        feed.resolutions,
        now=now,
        earliest=_earliest(feed, state, now),
        max_seconds=max_part_seconds,
    )
    # A stream whose cursor lies before the gap's end is asked for from its cursor when it is polled
    # again. A stream that began after the gap's start has no usage in it that counts.
    names = tuple(
        name
        for name, left_at in state.streams.items()
        if (left_at is None or left_at >= gap.end) and state.streams_began.get(name, 0) <= gap.start
    )
    concerned = bool(names) or not named(feed)
    if part.lost is not None:
        return GapPart((), part.lost, lost=concerned)
    end = min(gap.end, max(span.window.end for span in part.spans))
    asks = (Ask(now, part.spans, names),) if concerned else ()
    return GapPart(asks, Window(gap.start, end))


def backlog_seconds(state: FeedState) -> int:
    """The total length of the feed's gaps."""
    return sum(gap.end - gap.start for gap in state.gaps)


def listed_from(feed: Feed, now: int) -> int:
    """The instant from which on the vendor still has the feed's entries; 0 for no limit."""
    reach = feed.resolutions[0].reach if feed.resolutions else None
    return 0 if reach is None else now - reach


def requests_follow_window(feed: Feed) -> bool:
    """Whether a reduced poll of the feed takes fewer requests."""
    return feed.needs_streams or any(one.longest <= DAY for one in feed.resolutions)
