"""Computes the window of a poll and the bucket widths to ask for it: pure arithmetic on UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from exporter.model import DAY, Resolution, Span, Step, Window

REVISIT_SECONDS = 2 * DAY
"""How much time the daily revisit asks for again."""

LONGEST_REVISIT_SECONDS = 4 * DAY
"""How much time it asks for at most when an outage has delayed it."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The spans that cover a window, oldest first, and the part that the vendor has deleted."""

    spans: tuple[Span, ...]
    lost: Window | None = None


def cover(
    window: Window, resolutions: Sequence[Resolution], *, now: int, earliest: int = 0
) -> Coverage:
    """Cover `window` with the finest buckets that the vendor still has.

    Before the reach of a resolution, the next coarser one is used, from one of its own boundaries
    on and in closed buckets only. These may begin before the window, because a coarse bucket
    replaces all finer ones in it, but not before `earliest`: earlier usage does not count, and a
    bucket cannot be counted in part. What no resolution reaches is `lost`.
    """
    segments, lost = _segments(window, resolutions, now=now, earliest=earliest)
    return Coverage(tuple(_cut(segments)), lost)


def _segments(
    window: Window, resolutions: Sequence[Resolution], *, now: int, earliest: int
) -> tuple[list[tuple[Window, Resolution]], Window | None]:
    """The windows with the resolution to use for each, oldest first, and the part that is lost."""
    segments: list[tuple[Window, Resolution]] = []
    finest = resolutions[0].step
    end = finest.ceil(window.end)
    start = window.start
    for position, resolution in enumerate(resolutions):
        step = resolution.step
        allowed = step.floor(earliest) if step is finest else step.ceil(earliest)
        reached = max(step.floor(start), allowed)
        if resolution.reach is not None:
            # The bucket in which the reach begins may be deleted in part, so it is not used.
            oldest = now - resolution.reach
            coarser = resolutions[position + 1].step if position + 1 < len(resolutions) else step
            boundary = coarser.ceil(oldest)
            if coarser.floor(oldest) < earliest:
                boundary = step.ceil(oldest)  # the coarser bucket will not be asked for
            reached = max(reached, boundary)
        if reached < end:
            segments.append((Window(reached, step.ceil(end)), resolution))
            end = reached
        if end <= start:
            return segments[::-1], None
    return segments[::-1], Window(start, end)


def _cut(segments: Iterable[tuple[Window, Resolution]]) -> Iterator[Span]:
    """Split each window into spans of whole steps, of at most `longest` (but at least one step)."""
    for window, resolution in segments:
        step = resolution.step
        start = window.start
        while start < window.end:
            end = step.after(start)
            while end < window.end and step.after(end) - start <= resolution.longest:
                end = step.after(end)
            yield Span(Window(start, end), step)
            start = end


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What one poll of a feed asks for: `window` first, then `gap`, in parts."""

    window: Window
    gap: Window | None
    revisit: bool

    @property
    def start(self) -> int:
        """Where all of it begins."""
        return self.window.start if self.gap is None else self.gap.start


def plan_window(
    finest: Step,
    *,
    settling: int,
    began: int | None,
    polled_at: int | None,
    revisited_at: int | None,
    resume: int | None,
    now: int,
    first: int,
    cadence: int,
    newest: int | None = None,
    reduction: int = 0,
) -> WindowPlan:
    """The window of a feed's next poll, computed from its cursor (`polled_at`).

    The first poll ever asks for all since `first`. Later ones ask for every bucket that is open or
    that closed less than `settling` ago, for buckets that no earlier poll requested after they had
    settled, and once a day for the last 48 hours (the revisit). After an outage of more than a day,
    the time between the cursor and the current data becomes a gap, which is filled afterwards.

    A `reduction` is for a vendor that is too slow for the whole window, or does not allow enough
    requests for it. With 1, everything but open and unsettled buckets becomes a gap; with more,
    everything but the open bucket. A first poll is reduced to its last day, or to a quarter of what
    it would ask for where that is less, and to a quarter of that by each further reduction.
    """
    end = finest.ceil(now + 1)
    current = finest.floor(now - (settling if reduction <= 1 else 0))
    if polled_at is None:
        start = first = finest.floor(first)
        if reduction:
            start = finest.floor(now - min(DAY, (now - first) // 4) // 4 ** (reduction - 1))
        rest = Window(first, start) if first < start else None
        return WindowPlan(Window(start, end), rest, revisit=True)
    # Usage before the first poll's window does not count, even when it is reported later.
    earliest = counted_from(began, newest=newest, now=now, finest=finest)
    end = max(end, finest.after(earliest))
    # With polls at every tick, the last poll before a bucket settles is up to a cadence early.
    tolerance = cadence if 2 * cadence <= settling else 0
    unsettled = finest.floor(min(polled_at, now) - settling + tolerance)
    start = max(earliest, min(current, unsettled))
    current = max(earliest, current)
    # A revisit in the future was made before the clock was set back.
    fresh = revisited_at is not None and 0 <= now - revisited_at < DAY
    revisit = finest is not Step.MONTH and not fresh
    near = current
    if revisit:
        near = max(earliest, min(current, finest.floor(now - REVISIT_SECONDS)))
        # After an outage, data that was a day old at the last revisit is older than two days now.
        seen = now - DAY if revisited_at is None or revisited_at > now else revisited_at
        back = finest.floor(seen - REVISIT_SECONDS + DAY)
        if near - back <= LONGEST_REVISIT_SECONDS - REVISIT_SECONDS:
            near = max(earliest, min(near, start, back))
            start = near
    gap: Window | None = None
    if reduction and start < current:
        gap = Window(start, current)
        start = current
    elif start < near and current - start > DAY:
        gap = Window(start, near)
        start = near
    else:
        start = min(start, near)
    if resume is not None:
        start = min(start, finest.floor(resume))
    return WindowPlan(Window(start, end), gap, revisit)


def counted_from(began: int | None, *, newest: int | None, now: int, finest: Step) -> int:
    """The instant from which on usage counts: the start of the first window ever asked for.

    If it lies in the future, the clock was wrong in the first poll or is wrong now. If there is
    data from the future as well, the clock is wrong now, and the start stays valid. Otherwise it is
    ignored.
    """
    if began is None or (began > now and (newest is None or newest <= finest.ceil(now + 1))):
        return 0
    return began


def cover_gap_part(
    gap: Window,
    resolutions: Sequence[Resolution],
    *,
    now: int,
    earliest: int = 0,
    max_seconds: int | None = None,
) -> Coverage:
    """The oldest part of `gap`: a day, or one coarse bucket.

    With `max_seconds`, the part and each of its requests are at most that long, or one step.

    If the oldest time of the gap is lost, that is returned alone. Call again for the rest of the
    gap.
    """
    if max_seconds is not None:
        resolutions = [replace(one, longest=min(one.longest, max_seconds)) for one in resolutions]
    segments, lost = _segments(gap, resolutions, now=now, earliest=earliest)
    if lost is not None:
        return Coverage((), lost)
    # Lazily, since a gap may be years long and is split again for each of its parts.
    spans = _cut(segments)
    oldest = next(spans)
    longest = DAY if max_seconds is None else max_seconds
    until = max(oldest.window.end, oldest.window.start + longest)
    return Coverage((oldest, *takewhile(lambda span: span.window.end <= until, spans)))
