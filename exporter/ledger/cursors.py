"""How a poll moves its feed on: cursors, gaps, and the streams it asks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from exporter.ledger.book import Book, FeedState
from exporter.ledger.poll import Poll
from exporter.model import Window

STREAM_SEEN_RESOLUTION_SECONDS = 900
"""`seen_at` of a stream is written anew only after so long, to spare writes."""


def advance(connection: sqlite3.Connection, feed: FeedState, poll: Poll) -> dict[str, object]:
    """Write the feed's new state; returns the fields of FeedState that change."""
    state: dict[str, object] = {}
    if poll.advances:
        # Also when the clock was set back: to ask again from there changes nothing.
        state["polled_at"] = poll.at
        if feed.polled_at is None:
            state["began"] = poll.began
        if poll.revisited:
            state["revisited_at"] = poll.at
    if poll.unfinished or feed.resume is not None:
        state["resume"] = _remember(connection, feed, poll)
    if poll.newest is not None and poll.newest > (feed.newest or 0):
        state["newest"] = poll.newest
    if state:
        row = {
            "began": feed.began,
            "polled_at": feed.polled_at,
            "resume": feed.resume,
            "revisited_at": feed.revisited_at,
            "newest": feed.newest,
            **state,
            "id": feed.id,
        }
        connection.execute(
            "UPDATE feed SET began = :began, polled_at = :polled_at, resume = :resume,"
            " revisited_at = :revisited_at, newest = :newest WHERE id = :id",
            row,
        )
    if poll.gap is not None:
        seen = feed.polled_at or 0
        state["gaps_seen"] = min(feed.gaps_seen, seen) if feed.gaps else seen
        connection.execute(
            "UPDATE feed SET gaps_seen = ? WHERE id = ?", (state["gaps_seen"], feed.id)
        )
    if poll.gap is not None or poll.filled is not None:
        gaps = feed.gaps if poll.gap is None else merged([*feed.gaps, poll.gap])
        gaps = gaps if poll.filled is None else without(gaps, poll.filled)
        state["gaps"] = leave(connection, feed, gaps)
    if poll.streams is not None and poll.advances:
        if poll.listed and not feed.listed:
            state["listed"] = True
            connection.execute("UPDATE feed SET listed = 1 WHERE id = ?", (feed.id,))
        state["streams"] = _step(connection, feed, poll)
        state["streams_began"] = feed.streams_began | {
            name: began
            for name, began in poll.streams_began.items()
            if name in poll.streams and name not in feed.streams
        }
    return state


def _remember(connection: sqlite3.Connection, feed: FeedState, poll: Poll) -> int | None:
    """Note which jobs have not ended; returns from when on they have to be listed again.

    One that a listing leaves out is still remembered, until it has ended or is too old to be
    listed.
    """
    connection.executemany(
        "INSERT OR IGNORE INTO unfinished (feed, id, since) VALUES (?, ?, ?)",
        [(feed.id, identity, since) for identity, since in poll.unfinished.items()],
    )
    connection.executemany(
        "DELETE FROM unfinished WHERE feed = ? AND id = ?",
        [(feed.id, event.id) for event in poll.events if event.id not in poll.unfinished],
    )
    connection.execute(
        "DELETE FROM unfinished WHERE feed = ? AND since < ?", (feed.id, poll.listed_from)
    )
    (resume,) = connection.execute(
        "SELECT min(since) FROM unfinished WHERE feed = ?", (feed.id,)
    ).fetchone()
    return None if resume is None else int(resume)


def leave(connection: sqlite3.Connection, feed: FeedState, gaps: list[Window]) -> list[Window]:
    """Write down that these are the gaps left."""
    connection.execute("DELETE FROM gap WHERE feed = ?", (feed.id,))
    connection.executemany(
        'INSERT INTO gap (feed, "from", "until") VALUES (?, ?, ?)',
        [(feed.id, gap.start, gap.end) for gap in gaps],
    )
    return gaps


def _step(connection: sqlite3.Connection, feed: FeedState, poll: Poll) -> dict[str, int | None]:
    """Note which streams the feed asks for from now on, and since when others are left."""
    asked = dict.fromkeys(poll.streams or ())
    streams: dict[str, int | None] = dict(feed.streams)
    changes: list[tuple[int, str, int | None, int | None]] = []
    for name in asked:
        if name not in streams or streams[name] is not None:
            streams[name] = None
            changes.append((feed.id, name, poll.streams_began.get(name), None))
    for name, left_at in feed.streams.items():
        if left_at is None and name not in asked:
            # The feed's last poll before this one was the last that asked for it.
            streams[name] = feed.polled_at if feed.polled_at is not None else poll.at
            changes.append((feed.id, name, None, streams[name]))
    connection.executemany(
        "INSERT INTO feed_stream (feed, name, began, left_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET left_at = excluded.left_at",
        changes,
    )
    return streams


def see(connection: sqlite3.Connection, book: Book, poll: Poll) -> dict[str, int]:
    """Note when the vendor's listing showed a stream; returns what changes of it."""
    if poll.listed:
        connection.execute("UPDATE account SET listed_at = ? WHERE id = ?", (poll.at, book.id))
    # One seen in the future was seen before the clock was set back.
    fresh = range(poll.at - STREAM_SEEN_RESOLUTION_SECONDS, poll.at + 1)
    seen = {name: poll.at for name in poll.discovered if book.streams.get(name) not in fresh}
    connection.executemany(
        "INSERT INTO stream (account, name, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
        [(book.id, name, at) for name, at in seen.items()],
    )
    return seen


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
