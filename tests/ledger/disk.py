"""Ledgers on a disk that can be made to fail, and what they hold in a form that compares."""

import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path

from exporter.ledger import Book, Ledger

HOLD_SECONDS = 100.0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Failing:
    """A connection on which one statement fails halfway; `copy` is the disk at that instant."""

    def __init__(self, connection: sqlite3.Connection, *, statement: int) -> None:
        self._connection = connection
        self._left = statement
        self.failed = False
        self.copy_to: Path | None = None
        self.path: Path | None = None

    def _fails(self) -> bool:
        self._left -= 1
        if self._left != 0:
            return False
        self.failed = True
        if self.copy_to is not None and self.path is not None:
            copy_ledger(self.path, self.copy_to)
        return True

    def create_function(self, *arguments, **named):
        self._connection.create_function(*arguments, **named)

    def execute(self, statement, parameters=()):
        if self._fails():
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, parameters)

    def executemany(self, statement, rows):
        rows = list(rows)
        if not self._fails():
            return self._connection.executemany(statement, rows)
        self._connection.executemany(statement, rows[: len(rows) // 2])
        raise sqlite3.OperationalError("disk I/O error")


def copy_ledger(path: Path, to: Path) -> None:
    """What a process that is killed now leaves behind."""
    for suffix in ("", "-wal"):
        source = Path(f"{path}{suffix}")
        target = Path(f"{to}{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)


@contextmanager
def failing(ledger: Ledger, *, statement: int, copy_to: Path | None = None):
    """Let the `statement`-th statement from now on fail."""
    connection = ledger.connection
    broken = Failing(connection, statement=statement)
    broken.path, broken.copy_to = ledger.path, copy_to
    ledger.connection = broken  # type: ignore[assignment]
    try:
        yield broken
    finally:
        ledger.connection = connection


def contents(book: Book, now: float) -> dict[str, object]:
    """Everything that a book says, but for what belongs to the process alone."""
    return {
        "series": {
            (measure.name, labels): (
                one.id,
                one.truth,
                one.exposed,
                one.created,
                None if one.into is None else one.into.labels,
            )
            for measure, named in book.series.items()
            for labels, one in named.items()
        },
        "shown": {
            (measure.name, one.labels): book.value(one, now)
            for measure in book.series
            for one in book.shown(measure)
        },
        "holds": {
            (one.measure.name, one.labels): held
            for one, held in book.holds.items()
            if held[1] > now
        },
        "feeds": {
            name: (
                feed.began,
                dict(feed.streams_began),
                feed.polled_at,
                feed.revisited_at,
                feed.resume,
                feed.newest,
                feed.finest,
                feed.coarse_until,
                feed.compacted_until,
                list(feed.gaps),
                dict(feed.streams),
                feed.listed,
                feed.gaps_seen,
            )
            for name, feed in book.feeds.items()
        },
        "streams": dict(book.streams),
        "listed_at": book.listed_at,
        "described": {key: dict(things) for key, things in book.described.items()},
        "admitted": set(book.admitted),
        "folded": set(book.folded),
    }
