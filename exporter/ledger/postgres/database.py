"""One connection to a PostgreSQL database: made when needed, and its transactions."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exporter.credentials import CurrentCredential
from exporter.ledger.place import Server
from exporter.ledger.postgres.errors import why, why_not_connected
from exporter.ledger.rows import Damaged
from exporter.model.errors import (
    CredentialError,
    LedgerError,
    LedgerUnknownError,
    LedgerWriteError,
)

WRITE: Final = "READ COMMITTED"
READ: Final = "REPEATABLE READ, READ ONLY"
"""One state of the whole database, for as long as the transaction lasts."""

STATEMENT_SECONDS = 60
LONG_SECONDS = 3600
"""How long a statement may take that goes through a whole history."""
LOCK_SECONDS = 10
IDLE_SECONDS = 60
"""How long a transaction may do nothing: it holds locks, and its process may be gone."""

_NETWORK_SECONDS = 5
"""How much longer than the server may take for a statement its answer is waited for."""

DAMAGED = "its rows contradict each other; it is left as it is: restore a backup"

_DEFAULTS: Final = {
    "application_name": "media-usage-exporter",
    "client_encoding": "utf8",
    "connect_timeout": "10",
    # A server that has vanished is noticed in half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""What the URL does not say. None of it is refused by PgBouncer."""


_Result = TypeVar("_Result")


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """Breaks off where the server does not answer in time.

    A server that is stopped, or a proxy that has lost it, still acknowledges what is sent, so that
    TCP notices nothing. The server's own timeouts do not help then, either.
    """

    longest_wait_seconds = float(STATEMENT_SECONDS)
    """For each answer; a server that goes on sending may take longer."""

    def wait(self, gen: Generator[Any, Any, _Result], *arguments: Any, **options: Any) -> _Result:
        return super().wait(self._answered(gen), *arguments, **options)

    def _answered(self, gen: Generator[Any, Any, _Result]) -> Generator[Any, Any, _Result]:
        """`gen`, which is resumed several times a second, with something to read or without."""
        silent_since = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    silent_since = now
                elif now - silent_since > self.longest_wait_seconds:
                    self.pgconn.finish()  # nothing that comes later can be told apart
                    raise psycopg.OperationalError("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            result: _Result = end.value
            return result


class Database:
    """A database and the connection to it; used on one thread.

    No lock, no pause and no ordinary statement of a transaction may take longer than
    `patience_seconds`: a lease's row may be locked by it. For an answer it is waited a little
    longer; then the connection counts as lost.
    """

    def __init__(self, server: Server, *, patience_seconds: float = STATEMENT_SECONDS) -> None:
        self.server = server
        self._patience_seconds = patience_seconds
        self.connection: _Connection | None = None
        self._password = None if server.password is None else CurrentCredential(server.password)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    @contextmanager
    def transaction(
        self,
        isolation: str = WRITE,
        *,
        statement_seconds: float = STATEMENT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> Iterator[psycopg.Connection]:
        """One transaction, committed unless the block raises; PostgreSQL's errors in words.

        A connection that was lost before is replaced. Raises LedgerWriteError when the transaction
        was rolled back, LedgerUnknownError when nobody knows.
        """
        try:
            connection = self._begin(isolation, statement_seconds, idle_seconds)
            try:
                yield connection
            except BaseException:
                self._roll_back(connection)
                raise
            self._commit(connection)
        except psycopg.Error as error:
            raise LedgerWriteError(f"ledger {self.server}: {why(error)}") from error
        except (Damaged, msgspec.DecodeError) as error:
            raise LedgerError(f"ledger {self.server}: {DAMAGED}") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise LedgerWriteError(
                f"ledger {self.server}: a total or a name is more than PostgreSQL can hold"
            ) from error

    def _begin(
        self, isolation: str, statement_seconds: float, idle_seconds: float
    ) -> psycopg.Connection:
        """Begin a transaction; on a new connection when the present one turns out to be lost."""
        patience = self._patience_seconds
        if statement_seconds == STATEMENT_SECONDS:
            statement_seconds = min(statement_seconds, patience)
        if idle_seconds == IDLE_SECONDS:
            idle_seconds = min(idle_seconds, patience)
        # Timeouts hold for the transaction alone: PgBouncer gives the next one another session.
        begin = (
            f"BEGIN ISOLATION LEVEL {isolation};"
            f" SET LOCAL statement_timeout = '{statement_seconds * 1000:.0f}ms';"
            # Less than a statement: one that fails is to say that it waited for a lock.
            f" SET LOCAL lock_timeout = '{min(LOCK_SECONDS, 0.9 * patience) * 1000:.0f}ms';"
            " SET LOCAL idle_in_transaction_session_timeout ="
            f" '{idle_seconds * 1000:.0f}ms'"
        )
        longest_wait = statement_seconds + min(_NETWORK_SECONDS, patience)
        known = self.connection
        if known is not None and not known.closed:
            known.longest_wait_seconds = longest_wait
            try:
                known.execute(begin)
                return known
            except psycopg.OperationalError:
                if not known.closed:
                    self._roll_back(known)
                    raise
        connection = self.connection = self._connect()
        connection.longest_wait_seconds = longest_wait
        connection.execute(begin)
        return connection

    def _connect(self) -> _Connection:
        """A new connection; LedgerWriteError, in one line, when there is none to be had."""
        given = parameters(self.server)
        options = {key: value for key, value in _DEFAULTS.items() if key not in given}
        try:
            if self._password is not None:
                options["password"] = self._password.secret().reveal()
            return _Connection.connect(
                make_conninfo(self.server.url, **options),
                autocommit=True,
                prepare_threshold=None,  # PgBouncer keeps no prepared statements
            )
        except CredentialError as error:
            raise LedgerWriteError(f"ledger {self.server}: {error}") from error
        except psycopg.Error as error:
            # From None: the error may hold the parameters.
            text = f"ledger {self.server}: {why_not_connected(error)}"
            raise LedgerWriteError(text) from None

    def _roll_back(self, connection: psycopg.Connection) -> None:
        with suppress(psycopg.Error):
            if not connection.closed:
                connection.execute("ROLLBACK")

    def _commit(self, connection: psycopg.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            if not connection.closed:
                self._roll_back(connection)
                raise
            raise LedgerUnknownError(
                f"ledger {self.server}: the connection broke while a poll was stored; whether it"
                " is, the next one finds out"
            ) from error


def parameters(server: Server) -> dict[str, object]:
    """The parameters in the URL, as libpq reads it; LedgerError when it cannot be read, or holds a password."""
    try:
        given: dict[str, object] = dict(conninfo_to_dict(server.url))
    except psycopg.Error:
        raise LedgerError("the ledger's URL is not one that libpq understands") from None
    if given.keys() & {"password", "sslpassword"}:
        raise LedgerError(
            "the ledger's URL holds a password; name the file or the variable that holds it"
        )
    return given
