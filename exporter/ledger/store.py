"""The ledger's file: opened once, written by one poll of one feed at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from exporter.ledger.book import LABEL_LIMIT, Book
from exporter.ledger.cursors import advance, leave, see, without
from exporter.ledger.describing import describe, load_descriptions
from exporter.ledger.file import DAMAGED, connect, locked, why
from exporter.ledger.loading import load_feed, load_series
from exporter.ledger.poll import Poll, Recorded
from exporter.ledger.recording import Recording
from exporter.model import DAY, HOUR, Measure, Step, Window
from exporter.model.errors import LedgerError, LedgerWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_MEMORY_SECONDS = 93 * DAY
"""How long a finished job's id is remembered; vendors list jobs for 31 days."""


@dataclass(slots=True)
class Ledger:
    """The open file. All methods but `open` run on one thread at a time."""

    path: Path
    clock: Callable[[], float]
    hold_seconds: float
    _connection: sqlite3.Connection
    _lock: int
    _next_series: int = 1

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float], hold_seconds: float) -> Ledger:
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
        """Write everything into the main file and let go of it; once more is no mistake."""
        if self._lock < 0:
            return
        with suppress(sqlite3.Error):
            # Readers are not waited for: the log is as good as the main file.
            self._connection.execute("PRAGMA busy_timeout = 200")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
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
            for name in feeds:
                connection.execute(
                    "INSERT OR IGNORE INTO feed (account, name) VALUES (?, ?)", (identity, name)
                )
                book.feeds[name] = load_feed(connection, identity, name)
            for name, seen_at, folded in connection.execute(
                "SELECT name, seen_at, folded FROM stream WHERE account = ?", (identity,)
            ):
                if folded is not None:
                    (book.folded if folded else book.admitted).add(name)
                if seen_at is not None:
                    book.streams[name] = seen_at
            for name in dict.fromkeys(first_streams):
                if name not in book.folded and len(book.admitted) < stream_limit:
                    book.admitted.add(name)
                    connection.execute(
                        "INSERT INTO stream (account, name, folded) VALUES (?, ?, 0)"
                        " ON CONFLICT DO UPDATE SET folded = 0",
                        (identity, name),
                    )
            load_series(connection, book, now=self.clock(), path=self.path)
            load_descriptions(connection, book)
        now = self.clock()
        if reappears_after is not None:
            for feed in book.feeds.values():
                if feed.polled_at is not None and now - feed.polled_at > reappears_after:
                    feed.reappeared_until = now + self.hold_seconds
        return book

    def record(self, book: Book, poll: Poll) -> Recorded:
        """Write one poll, and only then let `book` know of it.

        Raises LedgerWriteError when it could not be written; then nothing has changed, and the
        next poll asks for the same again.
        """
        feed = book.feeds[poll.feed]
        recording = Recording(
            connection=self._connection,
            book=book,
            feed=feed,
            first_id=self._next_series,
            now=self.clock(),
            hold_seconds=self.hold_seconds,
            late_before=(feed.polled_at or 0) if poll.advances else feed.gaps_seen,
            baseline=feed.polled_at is None,
            baseline_streams=poll.baseline_streams,
        )
        try:
            with self._transaction() as connection:
                recording.admit(poll.named)
                recording.add(poll.usage)
                recording.happen(poll.events, since=poll.at - EVENT_MEMORY_SECONDS)
                recording.write()
                state = advance(connection, feed, poll)
                seen = see(connection, book, poll)
                described = describe(connection, book, feed, poll)
        except BaseException:
            recording.undo()
            raise
        recording.apply()
        for name, value in state.items():
            setattr(feed, name, value)
        book.streams.update(seen)
        if poll.listed:
            book.listed_at = poll.at
        for measure, things in described.items():
            book.described.setdefault((feed.name, measure), {}).update(things)
        self._next_series = recording.next_id
        changed = frozenset((*recording.changed, *described))
        return Recorded(changed, recording.corrections, recording.late)

    def hours(
        self, book: Book, feed_name: str, measures: Iterable[Measure], window: Window
    ) -> dict[tuple[Measure, tuple[str, ...], int], int]:
        """The amounts of a feed's hours within `window`, by measure, labels and start."""
        series = {
            one.id: (one.measure, one.labels)
            for measure in measures
            for one in book.series.get(measure, {}).values()
        }
        try:
            rows = self._connection.execute(
                "SELECT series, start, amount FROM bucket"
                " WHERE feed = ? AND start >= ? AND start < ? AND width = ?",
                (book.feeds[feed_name].id, window.start, window.end, HOUR),
            ).fetchall()
        except sqlite3.Error as error:
            raise LedgerWriteError(f"ledger {self.path}: {why(error)}") from error
        return {
            (*series[identity], start): amount
            for identity, start, amount in rows
            if identity in series
        }

    def give_up(self, book: Book, feed_name: str, lost: Window) -> None:
        """Strike `lost` off the feed's gaps: no vendor has it any more."""
        feed = book.feeds[feed_name]
        with self._transaction() as connection:
            gaps = leave(connection, feed, without(feed.gaps, lost))
        feed.gaps = gaps

    def fold(self, book: Book, feed_name: str, before: int) -> int:
        """Fold buckets that end at or before `before` into the totals; returns how many.

        They are history no more, and later reports about that time are ignored. Totals stay. Nothing
        from the beginning of a gap on is folded: what fills it is yet to be counted.
        """
        feed = book.feeds[feed_name]
        before = Step.DAY.floor(min([before, *(gap.start for gap in feed.gaps)]))
        if before <= feed.folded_until:
            return 0
        with self._transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM bucket WHERE feed = ? AND start < ? AND start + width <= ?",
                (feed.id, before, before),
            ).rowcount
            connection.execute("UPDATE feed SET folded_until = ? WHERE id = ?", (before, feed.id))
            connection.execute(
                "DELETE FROM event WHERE feed = ? AND since < ?",
                (feed.id, int(self.clock()) - EVENT_MEMORY_SECONDS),
            )
        feed.folded_until = before
        return deleted

    # Writing.

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction for those who add to the ledger: the history.

        Raises LedgerWriteError when it could not be written; then nothing has changed.
        """
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerWriteError(f"ledger {self.path}: {why(error)}") from error
        except msgspec.DecodeError as error:
            raise LedgerError(f"ledger {self.path}: {DAMAGED}") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise LedgerWriteError(
                f"ledger {self.path}: a total or a name is more than SQLite can hold"
            ) from error
