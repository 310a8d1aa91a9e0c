"""The ledger's file: opened once, written by one poll of one feed at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from exporter.errors import LedgerError, LedgerWriteError
from exporter.ledger.book import Book, FeedState, Series, other_labels
from exporter.ledger.recording import Recording, stored
from exporter.ledger.schema import check_identity, migrate
from exporter.measures import BY_NAME
from exporter.model import DAY, Event, Measure, Step, Usage, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_MEMORY_SECONDS = 93 * DAY
"""How long a finished job's id is remembered; vendors list jobs for 31 days."""

STREAM_SEEN_RESOLUTION_SECONDS = 900
"""`seen_at` of a stream is written anew only after so long, to spare writes."""


DAMAGED = "it is damaged; it is left as it is: restore a backup, or move it away to start afresh"


@dataclass(frozen=True, slots=True)
class Poll:
    """What one successful poll of one feed brings: written in one transaction, or not at all.

    `advances` is false for a piece of an old gap, which leaves the cursor alone. `gap` is left to
    be filled later, `filled` is the part of an earlier one that this poll filled. `streams` are
    all names that the feed is asked for from now on; `baseline_streams` those newly written into
    the configuration. `began` and `streams_began` are the starts of the first windows of the feed
    and of streams that are asked for the first time. `discovered` are names that the vendor's listing showed, `named` the ones
    that levels carry, which come under the account's limit like any other.
    """

    feed: str
    at: int
    usage: Sequence[Usage] = ()
    events: Sequence[Event] = ()
    advances: bool = True
    revisited: bool = False
    resume: int | None = None
    newest: int | None = None
    gap: Window | None = None
    filled: Window | None = None
    streams: Sequence[str] | None = None
    baseline_streams: frozenset[str] = frozenset()
    began: int | None = None
    streams_began: Mapping[str, int] = field(default_factory=dict)
    discovered: Sequence[str] = ()
    named: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a poll changed: the measures to render anew; buckets lowered; buckets that were late."""

    changed: frozenset[Measure]
    corrections: int = 0
    late: int = 0


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
        lock = _lock(path)
        try:
            connection = _connect(path)
            try:
                (newest,) = connection.execute("SELECT max(id) FROM series").fetchone()
            except sqlite3.Error as error:
                connection.close()
                raise LedgerError(f"ledger {path}: {_why(error)}") from error
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
            (identity,) = connection.execute(
                "SELECT id FROM account WHERE provider = ? AND name = ?", (provider, account)
            ).fetchone()
            book = Book(identity, provider, account, stream_limit)
            for name in feeds:
                connection.execute(
                    "INSERT OR IGNORE INTO feed (account, name) VALUES (?, ?)", (identity, name)
                )
                book.feeds[name] = self._feed(connection, identity, name)
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
            self._load_series(book)
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
            late_before=(feed.polled_at or 0) if poll.advances else 0,
            baseline=feed.polled_at is None,
            baseline_streams=poll.baseline_streams,
        )
        try:
            with self._transaction() as connection:
                recording.admit(poll.named)
                recording.add(poll.usage)
                recording.happen(poll.events, since=poll.at - EVENT_MEMORY_SECONDS)
                recording.write()
                state = self._advance(connection, feed, poll)
                seen = self._see(connection, book, poll)
        except BaseException:
            recording.undo()
            raise
        recording.apply()
        for name, value in state.items():
            setattr(feed, name, value)
        book.streams.update(seen)
        self._next_series = recording.next_id
        return Recorded(frozenset(recording.changed), recording.corrections, recording.late)

    def give_up(self, book: Book, feed_name: str, lost: Window) -> None:
        """Strike `lost` off the feed's gaps: no vendor has it any more."""
        feed = book.feeds[feed_name]
        with self._transaction() as connection:
            gaps = self._leave(connection, feed, _without(feed.gaps, lost))
        feed.gaps = gaps

    def fold(self, book: Book, feed_name: str, before: int) -> int:
        """Fold buckets that end at or before `before` into the totals; returns how many.

        They are history no more, and later reports about that time are ignored. Totals stay.
        """
        feed = book.feeds[feed_name]
        before = Step.DAY.floor(before)
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

    # Reading.

    def _feed(self, connection: sqlite3.Connection, account: int, name: str) -> FeedState:
        row = connection.execute(
            "SELECT id, name, began, polled_at, revisited_at, resume, newest, finest, coarse_until,"
            " folded_until FROM feed WHERE account = ? AND name = ?",
            (account, name),
        ).fetchone()
        feed = FeedState(*row)
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

    def _load_series(self, book: Book) -> None:
        decode = msgspec.json.Decoder(tuple[str, ...]).decode
        folded: list[Series] = []
        for feed in book.feeds.values():
            rows = self._connection.execute(
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
            self._load_holds(book, feed)
        for series in folded:
            labels = other_labels(series.measure, series.labels)
            into = book.series[series.measure].get(labels)
            if into is None:
                # Another feed, not polled any more, brought it in.
                into = stored(self._connection, book, series.measure, labels)
            if into is None:
                raise LedgerError(f"ledger {self.path}: {DAMAGED}")
            book.series[series.measure][labels] = series.into = into

    def _load_holds(self, book: Book, feed: FeedState) -> None:
        rows = self._connection.execute(
            "SELECT measure, labels, held, held_until FROM series"
            " WHERE feed = ? AND held_until > ?",
            (feed.id, self.clock()),
        )
        for name, text, held, held_until in rows:
            if (measure := BY_NAME.get(name)) is not None:
                labels = msgspec.json.decode(text, type=tuple[str, ...])
                book.holds[book.series[measure][labels]] = (held, float(held_until))

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
            raise LedgerWriteError(f"ledger {self.path}: {_why(error)}") from error
        except msgspec.DecodeError as error:
            raise LedgerError(f"ledger {self.path}: {DAMAGED}") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise LedgerWriteError(
                f"ledger {self.path}: a total or a name is more than SQLite can hold"
            ) from error

    def _advance(
        self, connection: sqlite3.Connection, feed: FeedState, poll: Poll
    ) -> dict[str, object]:
        """Write the feed's new state; returns the fields of FeedState that change."""
        state: dict[str, object] = {}
        if poll.advances:
            # Also when the clock was set back: to ask again from there changes nothing.
            state["polled_at"] = poll.at
            state["resume"] = poll.resume
            if feed.polled_at is None:
                state["began"] = poll.began
            if poll.revisited:
                state["revisited_at"] = poll.at
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
        if poll.gap is not None or poll.filled is not None:
            gaps = feed.gaps if poll.gap is None else _merged([*feed.gaps, poll.gap])
            gaps = gaps if poll.filled is None else _without(gaps, poll.filled)
            state["gaps"] = self._leave(connection, feed, gaps)
        if poll.streams is not None and poll.advances:
            state["streams"] = self._step(connection, feed, poll)
            state["streams_began"] = feed.streams_began | {
                name: began
                for name, began in poll.streams_began.items()
                if name in poll.streams and name not in feed.streams
            }
        return state

    def _leave(
        self, connection: sqlite3.Connection, feed: FeedState, gaps: list[Window]
    ) -> list[Window]:
        """Write down that these are the gaps left."""
        connection.execute("DELETE FROM gap WHERE feed = ?", (feed.id,))
        connection.executemany(
            'INSERT INTO gap (feed, "from", "until") VALUES (?, ?, ?)',
            [(feed.id, gap.start, gap.end) for gap in gaps],
        )
        return gaps

    def _step(
        self, connection: sqlite3.Connection, feed: FeedState, poll: Poll
    ) -> dict[str, int | None]:
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

    def _see(self, connection: sqlite3.Connection, book: Book, poll: Poll) -> dict[str, int]:
        """Note when the vendor's listing showed a stream; returns what changes of it."""
        # One seen in the future was seen before the clock was set back.
        fresh = range(poll.at - STREAM_SEEN_RESOLUTION_SECONDS, poll.at + 1)
        seen = {name: poll.at for name in poll.discovered if book.streams.get(name) not in fresh}
        connection.executemany(
            "INSERT INTO stream (account, name, seen_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
            [(book.id, name, at) for name, at in seen.items()],
        )
        return seen


def _merged(windows: Iterable[Window]) -> list[Window]:
    """The same time in as few windows as possible, oldest first."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def _without(windows: Iterable[Window], done: Window) -> list[Window]:
    """What is left of `windows` once `done` is."""
    left: list[Window] = []
    for window in windows:
        if window.start < done.start:
            left.append(Window(window.start, min(window.end, done.start)))
        if window.end > done.end:
            left.append(Window(max(window.start, done.end), window.end))
    return left


def _lock(path: Path) -> int:
    """Take the lock beside the ledger; a file of its own, because SQLite's locks are per file."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(
            f"ledger {path}: cannot write beside it: {error.strerror}; its folder must exist and"
            " be writable"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LedgerError(
            f"ledger {path}: another exporter is writing to it; give each its own ledger"
        ) from error
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            check_identity(connection)
            # Every poll is on disk before it is shown: what Prometheus saw is never taken back.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA busy_timeout = 10000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA cache_size = -16384")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise LedgerError(f"ledger {path}: {_why(error)}") from error
    except LedgerError as error:
        raise LedgerError(f"ledger {path}: {error}") from error
    return connection


def _why(error: sqlite3.Error) -> str:
    """SQLite's error in words of what to do about it."""
    code = getattr(error, "sqlite_errorname", "")
    primary = "_".join(code.split("_")[:2])
    known = {
        "SQLITE_NOTADB": "it is not a ledger (not an SQLite database); it is left as it is",
        "SQLITE_CORRUPT": DAMAGED,
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "it is read-only",
        "SQLITE_CANTOPEN": "it cannot be opened; its folder must exist and be writable",
        "SQLITE_BUSY": "another program holds it locked",
        "SQLITE_LOCKED": "another program holds it locked",
        "SQLITE_IOERR": "the disk reports an error",
        "SQLITE_PERM": "no permission to use it",
    }
    return known.get(primary, f"it cannot be used ({code or type(error).__name__})")
