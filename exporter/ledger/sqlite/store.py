"""The ledger's contract on one SQLite file: opened once, written by one poll of one feed at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from exporter.ledger.book import LABEL_LIMIT, Book, Labels
from exporter.ledger.decision import apply, decide
from exporter.ledger.decision.cursors import compacted, given_up, reappeared
from exporter.ledger.poll import EVENT_MEMORY_SECONDS, Poll, Recorded
from exporter.ledger.prior_state import prior_state
from exporter.ledger.rows import Damaged
from exporter.ledger.settling import Revised
from exporter.ledger.sqlite.file import DAMAGED, connect, locked, why
from exporter.ledger.sqlite.loading import load_descriptions, load_feed, load_series, load_streams
from exporter.ledger.sqlite.reader import SqliteReader
from exporter.ledger.sqlite.settling import pushed, settle
from exporter.ledger.sqlite.stored import SqliteStored
from exporter.ledger.sqlite.writing import write, write_feed
from exporter.model import HOUR, Measure, Window
from exporter.model.errors import LedgerError, LedgerWriteError


@dataclass(slots=True)
class SqliteLedger:
    """`exporter.ledger.contract.Ledger` on an open file, `path`.

    `clock` gives the time in Unix seconds.
    """

    path: Path
    clock: Callable[[], float]
    hold_seconds: float
    connection: sqlite3.Connection
    _lock: int
    _next_series: int = 1

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float], hold_seconds: float) -> SqliteLedger:
        """Open the ledger at `path`, made when missing and brought to the newest version.

        Raises LedgerError, saying what to do, when that cannot be done or another process
        writes to it. Nothing is ever replaced or repaired silently.
        """
        lock = locked(path)
        try:
            connection = connect(path)
            try:
                (newest,) = connection.execute("SELECT max(id) FROM series").fetchone()
            except sqlite3.Error as error:
                connection.close()
                raise LedgerError(f"ledger {path}: {why(error)}") from error
        except BaseException:
            os.close(lock)
            raise
        return cls(path, clock, hold_seconds, connection, lock, (newest or 0) + 1)

    def close(self) -> None:
        """Write everything into the main file and close it; a second call does nothing."""
        if self._lock < 0:
            return
        with suppress(sqlite3.Error):
            # Readers are not waited for: the log is as good as the main file.
            self.connection.execute("PRAGMA busy_timeout = 200")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()
        os.close(self._lock)
        self._lock = -1

    def size_bytes(self) -> int:
        """What the ledger takes on disk, its write-ahead log included."""
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += Path(f"{self.path}{suffix}").stat().st_size
        return size

    def book(
        self,
        provider: str,
        account: str,
        *,
        feeds: Iterable[str],
        stream_limit: int,
        label_limit: int = LABEL_LIMIT,
        first_streams: Sequence[str] = (),
        reappears_after: float | None = None,
    ) -> Book:
        """An account's part, with only the series of `feeds`; made when it is new.

        `first_streams` are admitted under the limit before any other. Counters of a feed that was
        last polled more than `reappears_after` seconds ago are treated as ones that reappear:
        held at their old totals for a while once they grow.
        """
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO account (provider, name) VALUES (?, ?)", (provider, account)
            )
            identity, listed_at = connection.execute(
                "SELECT id, listed_at FROM account WHERE provider = ? AND name = ?",
                (provider, account),
            ).fetchone()
            book = Book(identity, provider, account, stream_limit, label_limit, listed_at=listed_at)
            now = self.clock()
            for name in feeds:
                connection.execute(
                    "INSERT OR IGNORE INTO feed (account, name) VALUES (?, ?)", (identity, name)
                )
                feed = load_feed(connection, identity, name)
                book.feeds[name] = reappeared(
                    feed, now=now, after=reappears_after, until=now + self.hold_seconds
                )
            load_streams(connection, book)
            for name in dict.fromkeys(first_streams):
                if name not in book.folded and len(book.admitted) < stream_limit:
                    book.admitted.add(name)
                    connection.execute(
                        "INSERT INTO stream (account, name, folded) VALUES (?, ?, 0)"
                        " ON CONFLICT DO UPDATE SET folded = 0",
                        (identity, name),
                    )
            load_series(connection, book, now=now)
            load_descriptions(connection, book)
        # The pages that were read are not needed any more, and are as large as the book.
        self.connection.execute("PRAGMA shrink_memory")
        return book

    def record(self, book: Book, poll: Poll) -> Recorded:
        """Read what the decision needs, decide what changes, write that: one transaction."""
        with self._transaction() as connection:
            changes = decide(
                book,
                poll,
                prior_state(SqliteStored(connection, self._next_series), book, poll),
                now=self.clock(),
                hold_seconds=self.hold_seconds,
            )
            write(connection, book, changes)
        apply(changes, book)
        if changes.created:
            self._next_series = changes.next_series
        return changes.recorded

    def hours(
        self, book: Book, feed_name: str, measures: Iterable[Measure], window: Window
    ) -> dict[tuple[Measure, Labels, int], int]:
        """The amounts of a feed's hours within `window`, by measure, labels and start."""
        series = {
            one.id: (one.measure, one.labels)
            for measure in measures
            for one in book.series.get(measure, {}).values()
        }
        with self._transaction("BEGIN") as connection:
            rows = connection.execute(
                "SELECT series, start, amount FROM bucket"
                " WHERE feed = ? AND start >= ? AND start < ? AND width = ?",
                (book.feeds[feed_name].id, window.start, window.end, HOUR),
            ).fetchall()
        return {
            (*series[identity], start): amount
            for identity, start, amount in rows
            if identity in series
        }

    def give_up(self, book: Book, feed_name: str, lost: Window) -> None:
        """Strike `lost` off the feed's gaps: no vendor has it any more."""
        before = book.feeds[feed_name]
        after = given_up(before, lost)
        with self._transaction() as connection:
            write_feed(connection, before, after)
        book.feeds[feed_name] = after

    def compact(self, book: Book, feed_name: str, before: int) -> int:
        """Delete buckets that end by `before`, which stay in the totals; returns how many."""
        feed = book.feeds[feed_name]
        after = compacted(feed, before)
        if after is None:
            return 0
        until = after.compacted_until
        with self._transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM bucket WHERE feed = ? AND start < ? AND start + width <= ?",
                (feed.id, until, until),
            ).rowcount
            write_feed(connection, feed, after)
            connection.execute(
                "DELETE FROM event WHERE feed = ? AND since < ?",
                (feed.id, int(self.clock()) - EVENT_MEMORY_SECONDS),
            )
        book.feeds[feed_name] = after
        return deleted

    def settle(self, book: Book, settling: Mapping[str, int]) -> list[Revised]:
        """Note which buckets are final now; returns which have been revised since the last call."""
        with self._transaction() as connection:
            return settle(connection, book, settling)

    def pushed(self, feed: int, until: int, late: Sequence[tuple[int, int, int]]) -> None:
        """Note that buckets that end by `until`, and these late ones, were pushed."""
        with self._transaction() as connection:
            pushed(connection, feed, until, late)

    @contextmanager
    def read(self) -> Iterator[SqliteReader]:
        """A reader of one state of the file; the write-ahead log lets it wait for nobody."""
        with self._transaction("BEGIN") as connection:
            yield SqliteReader(connection)

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """One transaction, committed unless the block raises; SQLite's errors in words."""
        connection = self.connection
        try:
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerWriteError(f"ledger {self.path}: {why(error)}") from error
        except (Damaged, msgspec.DecodeError) as error:
            raise LedgerError(f"ledger {self.path}: {DAMAGED}") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise LedgerWriteError(
                f"ledger {self.path}: a total or a name is more than SQLite can hold"
            ) from error
