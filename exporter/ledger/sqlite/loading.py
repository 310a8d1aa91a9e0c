"""Reads what the ledger holds of one account into memory."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec

from exporter.ledger.book import (
    OTHER_STREAM,
    Book,
    FeedState,
    Labels,
    Series,
    limited_labels,
    other_labels,
)
from exporter.ledger.sqlite.file import DAMAGED
from exporter.model import Measure, Window
from exporter.model.errors import LedgerError
from exporter.model.measures import BY_NAME

_decode = msgspec.json.Decoder(tuple[str, ...]).decode


def load_feed(connection: sqlite3.Connection, account: int, name: str) -> FeedState:
    """How far a feed has come."""
    row = connection.execute(
        "SELECT id, name, began, polled_at, revisited_at, resume, newest, finest, coarse_until,"
        " folded_until, listed, gaps_seen FROM feed WHERE account = ? AND name = ?",
        (account, name),
    ).fetchone()
    feed = FeedState(*row)
    streams = connection.execute(
        "SELECT name, began, left_at FROM feed_stream WHERE feed = ?", (feed.id,)
    ).fetchall()
    return replace(
        feed,
        listed=bool(feed.listed),
        gaps=[
            Window(start, end)
            for start, end in connection.execute(
                'SELECT "from", "until" FROM gap WHERE feed = ? ORDER BY 1', (feed.id,)
            )
        ],
        streams={stream: left_at for stream, _, left_at in streams},
        streams_began={stream: began for stream, began, _ in streams if began is not None},
    )


def load_streams(connection: sqlite3.Connection, book: Book) -> None:
    """The account's streams: when they were listed, and which of them are beyond the limit."""
    for name, seen_at, folded in connection.execute(
        "SELECT name, seen_at, folded FROM stream WHERE account = ?", (book.id,)
    ):
        if folded is not None:
            (book.folded if folded else book.admitted).add(name)
        if seen_at is not None:
            book.streams[name] = seen_at


def load_series(connection: sqlite3.Connection, book: Book, *, now: float, path: Path) -> None:
    """The series of the book's feeds, and what they are held at; LedgerError when one is missing."""
    beyond: list[Series] = []
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
                labels=_decode(text),
                truth=truth,
                exposed=exposed,
                created=created,
            )
            book.series.setdefault(measure, {})[series.labels] = series
            if is_folded:
                beyond.append(series)
            elif measure.limited and OTHER_STREAM not in series.labels:
                book.combinations_of(measure).within.add(series.labels)
        _load_holds(connection, book, feed, now)
    for series in beyond:
        labels = _shown_under(book, series)
        into = book.series[series.measure].get(labels)
        if into is None:
            # Another feed, not polled any more, brought it in.
            into = _stored(connection, book, series.measure, labels)
        if into is None:
            raise LedgerError(f"ledger {path}: {DAMAGED}")
        book.series[series.measure][labels] = series.into = into


def _shown_under(book: Book, series: Series) -> Labels:
    """The labels of the series that shows the growth of one beyond a limit."""
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
            series = book.series[measure][_decode(text)]
            book.holds[series] = (held, float(held_until))


def _stored(
    connection: sqlite3.Connection, book: Book, measure: Measure, labels: Labels
) -> Series | None:
    """The series of the account that has these labels, whichever feed brought it in."""
    row = connection.execute(
        "SELECT series.id, truth, exposed, created FROM series JOIN feed ON feed.id = series.feed"
        " WHERE feed.account = ? AND measure = ? AND labels = ?",
        (book.id, measure.name, msgspec.json.encode(labels).decode()),
    ).fetchone()
    if row is None:
        return None
    identity, truth, exposed, created = row
    return Series(
        id=identity, measure=measure, labels=labels, truth=truth, exposed=exposed, created=created
    )


def load_descriptions(connection: sqlite3.Connection, book: Book) -> None:
    """Read the descriptions that the book's feeds have given."""
    for feed in book.feeds.values():
        rows = connection.execute(
            "SELECT measure, identity, labels FROM description WHERE feed = ?", (feed.id,)
        )
        for name, identity, labels in rows:
            if (measure := BY_NAME.get(name)) is not None:
                things = book.described.setdefault((feed.name, measure), {})
                things[_decode(identity)] = _decode(labels)
