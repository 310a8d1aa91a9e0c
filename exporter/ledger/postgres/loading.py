"""Reads what the ledger holds of one account into memory."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from exporter.ledger import filling
from exporter.ledger.book import Book, FeedState, Labels, Series
from exporter.ledger.postgres.names import named
from exporter.ledger.rows import encode_labels
from exporter.model import Measure


def load_feeds(
    connection: psycopg.Connection, account: int, names: Iterable[str]
) -> list[FeedState]:
    """How far the account's feeds of these names have come, in the order of the names.

    A feed that is new is made.
    """
    names = list(dict.fromkeys(names))
    found = _feed_rows(connection, account, names)
    if new := [name for name in names if name not in found]:
        connection.execute(
            "INSERT INTO feed (account, name) SELECT %s, unnest(%s::text[])", (account, new)
        )
        found = _feed_rows(connection, account, names)
    identities = [row[0] for row in found.values()]
    gaps: dict[int, list[tuple[int, int]]] = {}
    for feed, start, until in connection.execute(
        "SELECT feed, start, until FROM gap WHERE feed = ANY(%s) ORDER BY feed, start",
        (identities,),
    ):
        gaps.setdefault(feed, []).append((start, until))
    streams: dict[int, list[tuple[str, int | None, int | None]]] = {}
    for feed, name, began, left_at in connection.execute(
        "SELECT feed, name, began, left_at FROM feed_stream WHERE feed = ANY(%s)", (identities,)
    ):
        streams.setdefault(feed, []).append((named(name), began, left_at))
    return [
        filling.feed_state(row, gaps=gaps.get(row[0], ()), streams=streams.get(row[0], ()))
        for row in (found[name] for name in names)
    ]


def _feed_rows(
    connection: psycopg.Connection, account: int, names: list[str]
) -> dict[str, tuple[int, ...]]:
    rows = connection.execute(
        "SELECT id, name, began, polled_at, revisited_at, resume, newest, finest, coarse_until,"
        " folded_until, listed, gaps_seen FROM feed WHERE account = %s AND name = ANY(%s)",
        (account, names),
    )
    return {row[1]: row for row in rows}


def load_streams(connection: psycopg.Connection, book: Book) -> None:
    """The account's streams: when they were listed, and which of them are beyond the limit."""
    rows = connection.execute(
        "SELECT name, seen_at, folded FROM stream WHERE account = %s", (book.id,)
    )
    filling.add_streams(book, ((named(name), seen_at, beyond) for name, seen_at, beyond in rows))


def load_series(
    connection: psycopg.Connection, book: Book, *, now: float, ahead: float = 0.0
) -> None:
    """The series of the book's feeds, and what they are held at; Damaged when one is missing.

    Holds are stored by a clock that is `ahead` of the one that tells `now`, in seconds.
    """
    feeds = [feed.id for feed in book.feeds.values()]
    beyond = filling.add_series(
        book,
        connection.execute(
            "SELECT id, measure, labels, truth, exposed, created, folded FROM series"
            " WHERE feed = ANY(%s)",
            (feeds,),
            binary=True,
        ),
    )
    filling.add_holds(
        book,
        connection.execute(
            "SELECT measure, labels, held, held_until - %s FROM series"
            " WHERE feed = ANY(%s) AND held_until > %s",
            (ahead, feeds, now + ahead),
        ),
    )
    filling.link(book, beyond, lambda measure, labels: _stored(connection, book, measure, labels))


def _stored(
    connection: psycopg.Connection, book: Book, measure: Measure, labels: Labels
) -> Series | None:
    """The series of the account that has these labels, whichever feed brought it in."""
    row = connection.execute(
        "SELECT series.id, truth, exposed, created FROM series JOIN feed ON feed.id = series.feed"
        " WHERE feed.account = %s AND measure = %s AND labels = %s",
        (book.id, measure.name, encode_labels(labels)),
    ).fetchone()
    if row is None:
        return None
    identity, truth, exposed, created = row
    return Series(
        id=identity, measure=measure, labels=labels, truth=truth, exposed=exposed, created=created
    )


def load_descriptions(connection: psycopg.Connection, book: Book) -> None:
    """Read the descriptions that the book's feeds have given."""
    for feed in book.feeds.values():
        filling.add_descriptions(
            book,
            feed.name,
            connection.execute(
                "SELECT measure, identity, labels FROM description WHERE feed = %s", (feed.id,)
            ),
        )
