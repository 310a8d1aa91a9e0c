"""The ledger's contract on a PostgreSQL database, which other replicas may write to as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import psycopg

from exporter.ledger.book import LABEL_LIMIT, Book, Labels
from exporter.ledger.decision import Changes, apply, decide
from exporter.ledger.decision.cursors import compacted, given_up, reappeared
from exporter.ledger.place import Server
from exporter.ledger.poll import EVENT_MEMORY_SECONDS, Poll, Recorded
from exporter.ledger.postgres.database import LONG_SECONDS, READ, STATEMENT_SECONDS, Database
from exporter.ledger.postgres.loading import (
    load_descriptions,
    load_feeds,
    load_series,
    load_streams,
)
from exporter.ledger.postgres.reader import PostgresReader
from exporter.ledger.postgres.schema import migrate
from exporter.ledger.postgres.settling import pushed, settle
from exporter.ledger.postgres.stored import PostgresStored
from exporter.ledger.postgres.writing import admit, write, write_feed
from exporter.ledger.prior_state import prior_state
from exporter.ledger.settling import Revised
from exporter.model import HOUR, Measure, Window
from exporter.model.errors import LeaseLostError, LedgerUnknownError

T = TypeVar("T")
Apply = Callable[[], None]
"""Puts into memory what a transaction wrote; called once it is committed."""

_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_catalog.pg_class"
    " WHERE relkind = 'r' AND relnamespace ="
    " (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())"
)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A transaction whose end is not known; `writes` is what it makes of the account's."""

    writes: int
    apply: Apply
    recorded: Recorded


@dataclass(slots=True)
class PostgresLedger:
    """`exporter.ledger.contract.Ledger` on a database.

    `clock` gives the time in Unix seconds. A Book with a `lease` is written to only while the
    lease's row says the same.
    """

    database: Database
    clock: Callable[[], float]
    hold_seconds: float
    shared: bool = False
    _size: int = 0
    _feeds: dict[int, int] = field(default_factory=dict)
    _unknown: dict[int, _Unknown] = field(default_factory=dict)
    _untold: dict[int, Recorded] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        server: Server,
        *,
        clock: Callable[[], float],
        hold_seconds: float,
        patience_seconds: float = STATEMENT_SECONDS,
        shared: bool = False,
    ) -> PostgresLedger:
        """Open the ledger, its tables made when missing and brought to the newest version.

        No write to an account takes longer than `patience_seconds`. If it is `shared` with replicas,
        whose clocks may differ, holds end by the server's clock.

        Raises LedgerError, saying what to do, when that cannot be done.
        """
        database = Database(server, patience_seconds=patience_seconds)
        try:
            migrate(database)
            ledger = cls(database, clock, hold_seconds, shared)
            with database.transaction(READ) as connection:
                ledger._measure(connection)
        except BaseException:
            database.close()
            raise
        return ledger

    def close(self) -> None:
        self.database.close()

    def size_bytes(self) -> int:
        """What the tables took after the newest poll; the server is not asked again."""
        return self._size

    def _measure(self, connection: psycopg.Connection) -> None:
        row = connection.execute(_SIZE).fetchone()
        self._size = int(row[0]) if row else 0

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
        with self.database.transaction() as connection:
            identity, listed_at, writes = _account(connection, provider, account)
            book = Book(
                identity,
                provider,
                account,
                stream_limit,
                label_limit,
                listed_at=listed_at,
                writes=writes,
            )
            now = self.clock()
            for feed in load_feeds(connection, identity, feeds):
                book.feeds[feed.name] = reappeared(
                    feed, now=now, after=reappears_after, until=now + self.hold_seconds
                )
            load_streams(connection, book)
            first: dict[str, bool] = {}
            for name in first_streams:
                if name not in book.folded and len(book.admitted) < stream_limit:
                    book.admitted.add(name)
                    first[name] = True
            admit(connection, identity, first)
            load_series(connection, book, now=now, ahead=self._ahead(connection))
            load_descriptions(connection, book)
        # What this account's last transaction came to is in the book.
        self._unknown.pop(identity, None)
        self._untold.pop(identity, None)
        return book

    def record(self, book: Book, poll: Poll) -> Recorded:
        """Read what the decision needs, decide what changes, write that: one transaction."""

        def work(connection: psycopg.Connection) -> tuple[Changes, Apply, Recorded]:
            changes = decide(
                book,
                poll,
                prior_state(PostgresStored(connection), book, poll),
                now=self.clock(),
                hold_seconds=self.hold_seconds,
            )
            stored = changes
            if changes.holds and (ahead := self._ahead(connection)):
                holds = {one: (held, until + ahead) for one, (held, until) in changes.holds.items()}
                stored = replace(changes, holds=holds)
            write(connection, book, stored)
            self._measure(connection)
            return changes, lambda: self._apply(changes, book), changes.recorded

        return _both(self._write(book, work).recorded, self._untold.pop(book.id, None))

    def _ahead(self, connection: psycopg.Connection) -> float:
        """Seconds by which the server's clock is ahead of this one, where that matters."""
        if not self.shared:
            return 0.0
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        return 0.0 if row is None else float(row[0]) - self.clock()

    def _apply(self, changes: Changes, book: Book) -> None:
        apply(changes, book)
        self._feeds.update((series.id, changes.feed.id) for series in changes.created)

    def hours(
        self, book: Book, feed_name: str, measures: Iterable[Measure], window: Window
    ) -> dict[tuple[Measure, Labels, int], int]:
        series = {
            one.id: (one.measure, one.labels)
            for measure in measures
            for one in book.series.get(measure, {}).values()
        }
        with self.database.transaction(READ) as connection:
            rows = connection.execute(
                "SELECT series, start, amount FROM bucket"
                " WHERE feed = %s AND start >= %s AND start < %s AND width = %s"
                " AND series = ANY(%s::bigint[])",
                (book.feeds[feed_name].id, window.start, window.end, HOUR, list(series)),
                binary=True,
            ).fetchall()
        return {(*series[identity], start): amount for identity, start, amount in rows}

    def give_up(self, book: Book, feed_name: str, lost: Window) -> None:
        def work(connection: psycopg.Connection) -> tuple[None, Apply, Recorded]:
            before = book.feeds[feed_name]
            after = given_up(before, lost)
            write_feed(connection, before, after)
            return None, lambda: book.feeds.update({feed_name: after}), _NOTHING

        self._write(book, work)

    def compact(self, book: Book, feed_name: str, before: int) -> int:
        if compacted(book.feeds[feed_name], before) is None:
            return 0

        def work(connection: psycopg.Connection) -> tuple[int, Apply, Recorded]:
            feed = book.feeds[feed_name]
            after = compacted(feed, before) or feed
            until = after.compacted_until
            deleted = connection.execute(
                "DELETE FROM bucket WHERE feed = %s AND start < %s AND start + width <= %s",
                (feed.id, until, until),
            ).rowcount
            write_feed(connection, feed, after)
            connection.execute(
                "DELETE FROM event WHERE feed = %s AND since < %s",
                (feed.id, int(self.clock()) - EVENT_MEMORY_SECONDS),
            )
            return deleted, lambda: book.feeds.update({feed_name: after}), _NOTHING

        # A shorter retention may leave years to delete.
        return self._write(book, work, statement_seconds=LONG_SECONDS)

    def settle(self, book: Book, settling: Mapping[str, int]) -> list[Revised]:
        def work(connection: psycopg.Connection) -> tuple[list[Revised], Apply, Recorded]:
            return settle(connection, book, settling), lambda: None, _NOTHING

        return self._write(book, work)

    def pushed(self, feed: int, until: int, late: Sequence[tuple[int, int, int]]) -> None:
        with self.database.transaction() as connection:
            pushed(connection, feed, until, late)

    @contextmanager
    def read(self) -> Iterator[PostgresReader]:
        with self.database.transaction(READ) as connection:
            yield PostgresReader(connection, self._feeds)

    # Writing to an account.

    def _write(
        self,
        book: Book,
        work: Callable[[psycopg.Connection], tuple[T, Apply, Recorded]],
        *,
        statement_seconds: int = STATEMENT_SECONDS,
    ) -> T:
        """Do `work` in a transaction that nobody else's writing to the account gets into.

        It returns what this returns, what puts it into memory, and what is told of it.
        """
        ended: _Unknown | None = None
        try:
            with self.database.transaction(statement_seconds=statement_seconds) as connection:
                self._fence(connection, book)
                result, put, recorded = work(connection)
                ended = _Unknown(book.writes + 1, put, recorded)
        except LedgerUnknownError:
            if ended is not None:
                self._unknown[book.id] = ended
            raise
        put()
        book.writes += 1
        return result

    def _fence(self, connection: psycopg.Connection, book: Book) -> None:
        """Lock the account and see that nobody has written to it but this Book.

        When the end of the last transaction is not known, it is now: its row was locked until
        then.
        """
        if book.lease is not None:
            held = connection.execute(
                "SELECT 1 FROM lease WHERE account = %s AND holder = %s AND epoch = %s FOR SHARE",
                (book.id, book.lease.holder, book.lease.epoch),
            ).fetchone()
            if held is None:
                raise LeaseLostError(
                    f"ledger {self.database.server}: another replica has taken over account"
                    f" {book.account}; it goes on there"
                )
        row = connection.execute(
            "UPDATE account SET writes = writes + 1 WHERE id = %s RETURNING writes - 1", (book.id,)
        ).fetchone()
        writes = row[0] if row else None
        unknown = self._unknown.get(book.id)
        if unknown is not None and writes == unknown.writes:
            unknown.apply()
            book.writes = writes
            self._untold[book.id] = _both(unknown.recorded, self._untold.get(book.id))
        if writes != book.writes:
            raise LeaseLostError(
                f"ledger {self.database.server}: another exporter has written to account"
                f" {book.account}; give each its own ledger"
            )
        self._unknown.pop(book.id, None)


_NOTHING = Recorded(frozenset())


def _both(one: Recorded, other: Recorded | None) -> Recorded:
    if other is None:
        return one
    return Recorded(
        one.changed | other.changed, one.corrections + other.corrections, one.late + other.late
    )


def _account(
    connection: psycopg.Connection, provider: str, name: str
) -> tuple[int, int | None, int]:
    """(id, listed at, writes) of an account, made when it is new; its row is locked."""
    select = (
        "SELECT id, listed_at, writes FROM account WHERE provider = %s AND name = %s FOR UPDATE"
    )
    row = connection.execute(select, (provider, name)).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO account (provider, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (provider, name),
        )
        (row,) = connection.execute(select, (provider, name)).fetchall()
    identity, listed_at, writes = row
    return identity, listed_at, writes
