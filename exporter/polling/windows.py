"""Which window to ask for, and in buckets of what width: pure arithmetic on UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from exporter.model import DAY, Resolution, Span, Step, Window

REVISIT_SECONDS = 2 * DAY
"""How far back the look goes that is taken once a day."""

LONGEST_REVISIT_SECONDS = 4 * DAY
"""How far back it goes at most when an outage has put it off."""


@dataclass(frozen=True, slots=True)
class Cover:
    """How a window can be had from a vendor: the spans, oldest first, and what is gone."""

    spans: tuple[Span, ...]
    lost: Window | None = None


def cover(
    window: Window, resolutions: Sequence[Resolution], *, now: int, earliest: int = 0
) -> Cover:
    """Cover `window` with the finest buckets that the vendor still has.

    Where a resolution does not reach, the next coarser one takes over, at one of its own
    boundaries and in closed buckets only; these may begin before the window, because a coarse
    bucket stands in for all the finer ones in it, but not before `earliest`: what came before is
    not counted, and a bucket cannot be taken in part. What no resolution reaches is `lost`.
    """
    segments, lost = _segments(window, resolutions, now=now, earliest=earliest)
    return Cover(tuple(_cut(segments)), lost)


def _segments(
    window: Window, resolutions: Sequence[Resolution], *, now: int, earliest: int
) -> tuple[list[tuple[Window, Resolution]], Window | None]:
    """The windows for which each resolution is the one to ask in, oldest first, and what is gone."""
    segments: list[tuple[Window, Resolution]] = []
    finest = resolutions[0].step
    end = finest.ceil(window.end)
    start = window.start
    for position, resolution in enumerate(resolutions):
        step = resolution.step
        allowed = step.floor(earliest) if step is finest else step.ceil(earliest)
        reached = max(step.floor(start), allowed)
        if resolution.reach is not None:
            # The bucket in which the reach begins may be purged in part: not to be trusted.
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
    """Each window in pieces of whole steps, at most `longest` long (but at least one step)."""
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
class Plan:
    """What one poll of a feed asks for: `window` now, `gap` afterwards, piece by piece."""

    window: Window
    gap: Window | None
    revisit: bool


def plan(
    finest: Step,
    *,
    settling: int,
    began: int | None,
    polled_at: int | None,
    revisited_at: int | None,
    resume: int | None,
    now: int,
    history: int,
    cadence: int,
    newest: int | None = None,
    short: int = 0,
) -> Plan:
    """The window of a feed's next poll, from its cursor (`polled_at`) and not from the cadence.

    The first poll ever reaches back by `history` (seconds). Later ones ask for every bucket that
    is open or closed less than `settling` ago, for those that earlier polls did not see settled,
    and once a day for the last 48 hours. What a long outage left out beyond a day is a gap, to be
    filled after the current data.

    A `short` poll leaves a gap where one is not needed otherwise: at 1 everything but the buckets
    that are open or not settled, above that all but the open one. It is for a vendor that has not
    the time or does not allow the requests for all of it in one poll. A first poll has less
    history each time that it is shorter: where counting begins, nothing can be left for later.
    """
    end = finest.ceil(now + 1)
    current = finest.floor(now - (settling if short <= 1 else 0))
    if polled_at is None:
        return Plan(Window(finest.floor(now - history // 4**short), end), None, revisit=True)
    # What came before the first poll's window is not counted, however late it is told.
    earliest = counted_from(began, newest=newest, now=now, finest=finest)
    end = max(end, finest.after(earliest))
    # A poll that came on its tick has seen the oldest of its buckets settle.
    tolerance = cadence if 2 * cadence <= settling else 0
    unsettled = finest.floor(min(polled_at, now) - settling + tolerance)
    start = max(earliest, min(current, unsettled))
    current = max(earliest, current)
    # A look that lies in the future was taken before the clock was set back.
    fresh = revisited_at is not None and 0 <= now - revisited_at < DAY
    revisit = finest is not Step.MONTH and not fresh
    near = current
    if revisit:
        near = max(earliest, min(current, finest.floor(now - REVISIT_SECONDS)))
        # What was a day old at the last look back is older than two days after an outage.
        seen = now - DAY if revisited_at is None or revisited_at > now else revisited_at
        back = finest.floor(seen - REVISIT_SECONDS + DAY)
        if near - back <= LONGEST_REVISIT_SECONDS - REVISIT_SECONDS:
            near = max(earliest, min(near, start, back))
            start = near
    gap: Window | None = None
    if short and start < current:
        gap = Window(start, current)
        start = current
    elif start < near and current - start > DAY:
        gap = Window(start, near)
        start = near
    else:
        start = min(start, near)
    if resume is not None:
        start = min(start, finest.floor(resume))
    return Plan(Window(start, end), gap, revisit)


def counted_from(began: int | None, *, newest: int | None, now: int, finest: Step) -> int:
    """From when on usage counts: the start of the first window ever asked for.

    One that lies in the future comes of a clock that was wrong: either then, and it says nothing;
    or now, as data shows that is newer than any there could be, and it stands.
    """
    if began is None or (began > now and (newest is None or newest <= finest.ceil(now + 1))):
        return 0
    return began


def next_piece(
    gap: Window,
    resolutions: Sequence[Resolution],
    *,
    now: int,
    earliest: int = 0,
    most: int | None = None,
) -> Cover:
    """The oldest day of `gap`, or the oldest coarse bucket of it, as one piece of work.

    With `most` neither a piece nor a request of it is longer than that many seconds, or than one
    step.

    The cover's spans may be fewer than the gap needs; ask again for the rest. A part that is
    gone comes first, alone.
    """
    if most is not None:
        resolutions = [replace(one, longest=min(one.longest, most)) for one in resolutions]
    segments, lost = _segments(gap, resolutions, now=now, earliest=earliest)
    if lost is not None:
        return Cover((), lost)
    # No further than needed: a gap may be years long, and is cut anew for each of its pieces.
    spans = _cut(segments)
    oldest = next(spans)
    longest = DAY if most is None else most
    until = max(oldest.window.end, oldest.window.start + longest)
    return Cover((oldest, *takewhile(lambda span: span.window.end <= until, spans)))
