"""How a poll moves its feed on: cursors, gaps, unfinished jobs and the streams it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.ledger.book import Book, Described, FeedState, Labels
from exporter.ledger.poll import Poll
from exporter.model import Measure, Step, Window

STREAM_SEEN_RESOLUTION_SECONDS = 900
"""When a stream was seen is written anew only after so long, to spare writes."""

Cursor = tuple[str, int | None, int | None]
"""A stream's name, where it began, and when it was left."""


def advanced(feed: FeedState, poll: Poll, unfinished: Mapping[str, int]) -> FeedState:
    """The feed once the poll is recorded, but for its widths and its streams.

    `unfinished` are the jobs that have not ended then: their submission by id.
    """
    after = replace(feed, resume=min(unfinished.values(), default=None))
    if poll.advances:
        # Also when the clock was set back: to ask again from there changes nothing.
        after = replace(
            after,
            polled_at=poll.at,
            began=poll.began if feed.polled_at is None else feed.began,
            revisited_at=poll.at if poll.revisited else feed.revisited_at,
        )
    if poll.newest is not None and poll.newest > (feed.newest or 0):
        after = replace(after, newest=poll.newest)
    if poll.gap is not None:
        seen = feed.polled_at or 0
        after = replace(
            after,
            gaps_seen=min(feed.gaps_seen, seen) if feed.gaps else seen,
            gaps=merged([*feed.gaps, poll.gap]),
        )
    if poll.filled is not None:
        after = replace(after, gaps=without(after.gaps, poll.filled))
    return after


def still_unfinished(poll: Poll, known: Mapping[str, int]) -> dict[str, int]:
    """The submission by id of the jobs that have not ended; `known` are those of earlier polls.

    One that a listing leaves out is still remembered, until it has ended or is too old to be
    listed.
    """
    left = {**poll.unfinished, **known}
    for event in poll.events:
        if event.id not in poll.unfinished:
            left.pop(event.id, None)
    return {identity: since for identity, since in left.items() if since >= poll.listed_from}


def update_streams(feed: FeedState, after: FeedState, poll: Poll) -> tuple[FeedState, list[Cursor]]:
    """`after` with the streams that the feed asks for from now on; and the rows that change.

    Others are left where they were last asked for.
    """
    if poll.streams is None or not poll.advances:
        return after, []
    asked = dict.fromkeys(poll.streams)
    streams: dict[str, int | None] = dict(feed.streams)
    changed: list[Cursor] = []
    for name in asked:
        if name not in streams or streams[name] is not None:
            streams[name] = None
            changed.append((name, poll.streams_began.get(name), None))
    for name, left_at in feed.streams.items():
        if left_at is None and name not in asked:
            # The feed's last poll before this one was the last that asked for it.
            streams[name] = feed.polled_at if feed.polled_at is not None else poll.at
            changed.append((name, None, streams[name]))
    began = {
        name: began
        for name, began in poll.streams_began.items()
        if name in asked and name not in feed.streams
    }
    after = replace(
        after,
        streams=streams,
        streams_began={**feed.streams_began, **began},
        listed=feed.listed or poll.listed,
    )
    return after, changed


def seen(book: Book, poll: Poll) -> dict[str, int]:
    """When the vendor's listing showed streams, as far as that is to be written anew."""
    # One seen in the future was seen before the clock was set back.
    fresh = range(poll.at - STREAM_SEEN_RESOLUTION_SECONDS, poll.at + 1)
    return {name: poll.at for name in poll.discovered if book.streams.get(name) not in fresh}


def described(book: Book, poll: Poll) -> Described:
    """What the poll describes anew.

    The answer for a part of an old gap says nothing of what has been described since.
    """
    changed: dict[Measure, dict[Labels, Labels]] = {}
    for level in poll.described:
        measure = level.measure
        identity = level.labels[: measure.identity]
        known = book.described.get((poll.feed, measure), {}).get(identity)
        if known != level.labels and (known is None or poll.advances):
            changed.setdefault(measure, {})[identity] = level.labels
    return changed


def given_up(feed: FeedState, lost: Window) -> FeedState:
    """The feed without that part of its gaps."""
    return replace(feed, gaps=without(feed.gaps, lost))


def compacted(feed: FeedState, before: int) -> FeedState | None:
    """The feed once its buckets that end by `before` are compacted; None when there is nothing.

    Only whole days are, and nothing from the beginning of a gap on: what fills it is yet to be
    counted.
    """
    until = Step.DAY.floor(min([before, *(gap.start for gap in feed.gaps)]))
    return replace(feed, compacted_until=until) if until > feed.compacted_until else None


def reappeared(feed: FeedState, *, now: float, after: float | None, until: float) -> FeedState:
    """The feed as it is opened at `now`.

    When it was last polled more than `after` seconds ago, its counters that grow are held until
    `until`.
    """
    if after is None or feed.polled_at is None or now - feed.polled_at <= after:
        return feed
    return replace(feed, reappeared_until=until)


def merged(windows: Iterable[Window]) -> list[Window]:
    """The same time in as few windows as possible, oldest first."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def without(windows: Iterable[Window], done: Window) -> list[Window]:
    """What is left of `windows` once `done` is."""
    left: list[Window] = []
    for window in windows:
        if window.start < done.start:
            left.append(Window(window.start, min(window.end, done.start)))
        if window.end > done.end:
            left.append(Window(max(window.start, done.end), window.end))
    return left
