"""The implementations of the ledger's contract; a test with `storage` or `ledger` runs on each."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from exporter.ledger.contract import History, Ledger
from exporter.ledger.place import Server
from exporter.ledger.postgres import PostgresLedger
from exporter.ledger.postgres import offline as postgres_offline
from exporter.ledger.sqlite import SqliteLedger
from exporter.ledger.sqlite.offline import reading
from tests.ledger.databases import breaking
from tests.ledger.disk import HOLD_SECONDS, copy_ledger, failing


class Sqlite:
    """Storage for one ledger below the test's folder."""

    def __init__(self, request, clock) -> None:
        folder = request.getfixturevalue("tmp_path")
        self.path = folder / "usage.db"
        self.copy = folder / "killed.db"
        self.clock = clock

    def open(self, path: Path | None = None) -> Ledger:
        """The ledger, made when missing; one that is open must be closed before."""
        return SqliteLedger.open(path or self.path, clock=self.clock, hold_seconds=HOLD_SECONDS)

    def failing(self, ledger, *, statement: int):
        """Let the `statement`-th statement from now on fail; the object says whether it `failed`.

        Whatever the storage holds at that instant can be opened with `after_failure`.
        """
        return failing(ledger, statement=statement, copy_to=self.copy)

    def after_failure(self) -> Ledger:
        """What a process that was killed when the statement failed left behind."""
        return self.open(self.copy)

    def after_kill(self) -> Ledger:
        """What a process that is killed now leaves behind."""
        copy_ledger(self.path, self.copy)
        return self.open(self.copy)

    def history(self) -> AbstractContextManager[History]:
        """The ledger as another process sees it."""
        return reading(self.path)


class Postgres:
    """Storage for one ledger in a database, as `Sqlite`.

    There, what a process leaves behind is what others see.
    """

    port = 5432

    def __init__(self, request, clock) -> None:
        self.server = request.getfixturevalue("postgres")
        self.place = Server(self.server.url(self.server.ledger(), port=self.port))
        self.clock = clock

    def open(self) -> Ledger:
        return PostgresLedger.open(self.place, clock=self.clock, hold_seconds=HOLD_SECONDS)

    def failing(self, ledger, *, statement: int):
        return breaking(ledger, self.server, statement=statement)

    def after_failure(self) -> Ledger:
        return self.open()

    def after_kill(self) -> Ledger:
        return self.open()

    def history(self) -> AbstractContextManager[History]:
        return postgres_offline.reading(self.place)


class PgBouncer(Postgres):
    """The same through PgBouncer in transaction mode."""

    def __init__(self, request, clock) -> None:
        self.port = request.getfixturevalue("postgres").bouncer_port
        super().__init__(request, clock)


IMPLEMENTATIONS = [
    pytest.param(Sqlite, id="sqlite"),
    pytest.param(Postgres, id="postgres", marks=pytest.mark.sockets),
    pytest.param(PgBouncer, id="pgbouncer", marks=pytest.mark.sockets),
]
