"""Reads what the ledger holds of one account into memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Series, limited_labels, other_labels
from exporter.ledger.file import DAMAGED
from exporter.ledger.recording import stored
from exporter.model import Window
from exporter.model.errors import LedgerError
from exporter.model.measures import BY_NAME


def load_feed(connection: sqlite3.Connection, account: int, name: str) -> FeedState:
    """How far a feed has come."""
    row = connection.execute(
        "SELECT id, name, began, polled_at, revisited_at, resume, newest, finest, coarse_until,"
        " folded_until, listed, gaps_seen FROM feed WHERE account = ? AND name = ?",
        (account, name),
    ).fetchone()
    feed = FeedState(*row)
    feed.listed = bool(feed.listed)
    feed.gaps = [
        Window(start, end)
        for start, end in connection.execute(
            'SELECT "from", "until" FROM gap WHERE feed = ? ORDER BY 1', (feed.id,)
        )
    ]
    for name, began, left_at in connection.execute(
        "SELECT name, began, left_at FROM feed_stream WHERE feed = ?", (feed.id,)
    ):
        feed.streams[name] = left_at
        if began is not None:
            feed.streams_began[name] = began
    return feed


def load_series(connection: sqlite3.Connection, book: Book, *, now: float, path: Path) -> None:
    """The series of the book's feeds, and what they are held at; LedgerError when one is missing."""
    decode = msgspec.json.Decoder(tuple[str, ...]).decode
    folded: list[Series] = []
    for feed in book.feeds.values():
        rows = connection.execute(
            "SELECT id, measure, labels, truth, exposed, created, folded"
            " FROM series WHERE feed = ?",
            (feed.id,),
        )
        for identity, name, text, truth, exposed, created, is_folded in rows:
            measure = BY_NAME.get(name)
            if measure is None:
                continue
            series = Series(
                id=identity,
                measure=measure,
                labels=decode(text),
                truth=truth,
                exposed=exposed,
                created=created,
            )
            book.series.setdefault(measure, {})[series.labels] = series
            if is_folded:
                folded.append(series)
            elif measure.limited and OTHER_STREAM not in series.labels:
                book.combinations_of(measure).within.add(series.labels)
        _load_holds(connection, book, feed, now)
    for series in folded:
        labels = _shown_under(book, series)
        into = book.series[series.measure].get(labels)
        if into is None:
            # Another feed, not polled any more, brought it in.
            into = stored(connection, book, series.measure, labels)
        if into is None:
            raise LedgerError(f"ledger {path}: {DAMAGED}")
        book.series[series.measure][labels] = series.into = into


def _shown_under(book: Book, series: Series) -> tuple[str, ...]:
    """The labels of the series that shows the growth of a folded one."""
    measure, labels = series.measure, series.labels
    index = measure.stream_index
    if index is not None and (not measure.limited or labels[index] in book.folded):
        return other_labels(measure, labels)
    book.combinations_of(measure).beyond.add(labels)
    return limited_labels(measure, labels)


def _load_holds(connection: sqlite3.Connection, book: Book, feed: FeedState, now: float) -> None:
    rows = connection.execute(
        "SELECT measure, labels, held, held_until FROM series WHERE feed = ? AND held_until > ?",
        (feed.id, now),
    )
    for name, text, held, held_until in rows:
        if (measure := BY_NAME.get(name)) is not None:
            labels = msgspec.json.decode(text, type=tuple[str, ...])
            book.holds[book.series[measure][labels]] = (held, float(held_until))
