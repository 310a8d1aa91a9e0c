"""What was reported, kept exactly: one SQLite file, one writer.

`rule` says how buckets become a counter, `schema` how they are stored, `book` is an account's
part of it in memory, `store` opens the file and records polls into it.
"""

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Series, limited_labels
from exporter.ledger.poll import Poll, Recorded
from exporter.ledger.store import Ledger

__all__ = [
    "OTHER_STREAM",
    "Book",
    "FeedState",
    "Ledger",
    "Poll",
    "Recorded",
    "Series",
    "limited_labels",
]
