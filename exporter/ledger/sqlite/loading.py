"""Reads what the ledger holds of one account into memory."""

from __future__ import annotations

import sqlite3

from exporter.ledger import filling
from exporter.ledger.book import Book, FeedState, Labels, Series
from exporter.ledger.rows import encode_labels
from exporter.model import Measure


def load_feed(connection: sqlite3.Connection, account: int, name: str) -> FeedState:
    """How far a feed has come."""
    row = connection.execute(
        "SELECT id, name, began, polled_at, revisited_at, resume, newest, finest, coarse_until,"
        " folded_until, listed, gaps_seen FROM feed WHERE account = ? AND name = ?",
        (account, name),
    ).fetchone()
    return filling.feed_state(
        row,
        gaps=connection.execute(
            'SELECT "from", "until" FROM gap WHERE feed = ? ORDER BY 1', (row[0],)
        ),
        streams=connection.execute(
            "SELECT name, began, left_at FROM feed_stream WHERE feed = ?", (row[0],)
        ).fetchall(),
    )


def load_streams(connection: sqlite3.Connection, book: Book) -> None:
    """The account's streams: when they were listed, and which of them are beyond the limit."""
    filling.add_streams(
        book,
        connection.execute(
            "SELECT name, seen_at, folded FROM stream WHERE account = ?", (book.id,)
        ),
    )


def load_series(connection: sqlite3.Connection, book: Book, *, now: float) -> None:
    """The series of the book's feeds, and what they are held at; Damaged when one is missing."""
    beyond: list[Series] = []
    for feed in book.feeds.values():
        beyond += filling.add_series(
            book,
            connection.execute(
                "SELECT id, measure, labels, truth, exposed, created, folded"
                " FROM series WHERE feed = ?",
                (feed.id,),
            ),
        )
        filling.add_holds(
            book,
            connection.execute(
                "SELECT measure, labels, held, held_until FROM series"
                " WHERE feed = ? AND held_until > ?",
                (feed.id, now),
            ),
        )
    filling.link(book, beyond, lambda measure, labels: _stored(connection, book, measure, labels))


def _stored(
    connection: sqlite3.Connection, book: Book, measure: Measure, labels: Labels
) -> Series | None:
    """The series of the account that has these labels, whichever feed brought it in."""
    row = connection.execute(
        "SELECT series.id, truth, exposed, created FROM series JOIN feed ON feed.id = series.feed"
        " WHERE feed.account = ? AND measure = ? AND labels = ?",
        (book.id, measure.name, encode_labels(labels)),
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
        filling.add_descriptions(
            book,
            feed.name,
            connection.execute(
                "SELECT measure, identity, labels FROM description WHERE feed = ?", (feed.id,)
            ),
        )
