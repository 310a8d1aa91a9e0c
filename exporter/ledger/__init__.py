"""What was reported, kept exactly: one ledger, one writer.

`contract` is what the rest of the program uses of a ledger, `book` an account's part of it in
memory. `decision` says what a poll changes, without a database; `sqlite` reads what that takes and
writes what comes of it. Nothing else knows SQL.
"""

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Series, limited_labels
from exporter.ledger.poll import Poll, Recorded
from exporter.ledger.sqlite import SqliteLedger as Ledger

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
