"""Keeps the newest description of each thing that a vendor describes: a stream's name, say."""

from __future__ import annotations

import sqlite3

import msgspec

from exporter.ledger.book import Book, FeedState
from exporter.ledger.poll import Poll
from exporter.model import Measure
from exporter.model.measures import BY_NAME

Described = dict[Measure, dict[tuple[str, ...], tuple[str, ...]]]
"""Labels by those of them that say which thing it is, for each measure."""


def describe(connection: sqlite3.Connection, book: Book, feed: FeedState, poll: Poll) -> Described:
    """Write down what the poll describes anew; returns that.

    A piece of an old gap says nothing of what has been described since.
    """
    changed: Described = {}
    for level in poll.described:
        measure = level.measure
        identity = level.labels[: measure.identity]
        known = book.described.get((feed.name, measure), {}).get(identity)
        if known != level.labels and (known is None or poll.advances):
            changed.setdefault(measure, {})[identity] = level.labels
    encode = msgspec.json.encode
    connection.executemany(
        "INSERT INTO description (feed, measure, identity, labels) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET labels = excluded.labels",
        [
            (feed.id, measure.name, encode(identity).decode(), encode(labels).decode())
            for measure, things in changed.items()
            for identity, labels in things.items()
        ],
    )
    return changed


def load_descriptions(connection: sqlite3.Connection, book: Book) -> None:
    """Read the descriptions that the book's feeds have given."""
    decode = msgspec.json.Decoder(tuple[str, ...]).decode
    for feed in book.feeds.values():
        rows = connection.execute(
            "SELECT measure, identity, labels FROM description WHERE feed = ?", (feed.id,)
        )
        for name, identity, labels in rows:
            if (measure := BY_NAME.get(name)) is not None:
                things = book.described.setdefault((feed.name, measure), {})
                things[decode(identity)] = decode(labels)
