"""Ledgers on a PostgreSQL server whose connections break."""

from contextlib import contextmanager

import psycopg


class Breaking:
    """A connection that the server ends before one statement of a transaction.

    It is that of this number, or of these words. The statement that begins the transaction is not
    counted: a connection that is lost by then is replaced.
    With `after`, the statement is done, and only its answer is lost.
    """

    def __init__(self, connection, *, statement: int | str, end, after: bool = False) -> None:
        self._connection = connection
        self._which = statement
        self._count = 0
        self._end = end
        self._after = after
        self.failed = False

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def _breaks(self, statement) -> bool:
        if statement.startswith(("BEGIN", "ROLLBACK")):
            return False
        self._count += 1
        return self._which in (self._count, statement) and not self.failed

    def execute(self, statement, *arguments, **named):
        if self._breaks(statement):
            self.failed = True
            (backend,) = self._connection.execute("SELECT pg_backend_pid()").fetchone()
            if self._after:
                self._connection.execute(statement, *arguments, **named)
            self._end(backend)
        return self._connection.execute(statement, *arguments, **named)


@contextmanager
def breaking(ledger, server, *, statement: int | str, after: bool = False):
    """Let the connection break at the `statement`-th statement from now on."""
    with ledger.read():
        pass  # the connection is there now, and sound

    def end(backend):
        assert server.execute("SELECT pg_terminate_backend(%s, 5000)", backend) == [(True,)]

    database = ledger.database
    sound = database.connection
    assert isinstance(sound, psycopg.Connection)
    broken = database.connection = Breaking(sound, statement=statement, end=end, after=after)
    try:
        yield broken
    finally:
        if database.connection is broken:
            database.connection = sound
