"""A PostgreSQL server for the tests of one process, and PgBouncer in front of it.

Debian's packages, on sockets below a temporary folder, without fsync: nobody pulls the plug. They
are there until the process ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path

import psycopg
import pytest

from exporter.ledger.place import Server as Place
from exporter.ledger.postgres import PostgresLedger
from tests.support import components
from tests.support.processes import eventually

_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


_EMPTIED = (
    *("lease", "replica", "series", "bucket", "revision", "event", "unfinished", "gap", "stream"),
    *("feed_stream", "description", "feed", "account"),
)


_DURABLE = {"synchronous_commit": "on"}
"""A crash of the server loses no commit; one of the machine would, and there is none here."""


class Server:
    """The server, and PgBouncer once it is asked for; `folder` has the sockets of both.

    What was committed is lost by `crash` unless the server is `durable`.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._numbers = count(1)
        self._processes: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
        programs = components.postgresql()
        data = folder / "data"
        create = (programs / "initdb", "--pgdata", data, "--no-sync", "--username", "postgres")
        run_as_postgres([*create, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"])
        hba = data / "pg_hba.conf"
        hba.write_text(f"local all guarded scram-sha-256\n{hba.read_text()}")
        settings = {**_OPTIONS, **(_DURABLE if durable else {})}
        options = [item for pair in settings.items() for item in ("-c", "=".join(pair))]
        self._command: list[object] = [programs / "postgres", "-D", data, "-k", folder, *options]
        self.restart()

    def crash(self) -> None:
        """All of its processes end at once, as `pg_ctl stop -m immediate` ends them."""
        process, end = self._processes.pop(0)
        process.send_signal(end)
        process.wait(timeout=30)

    def restart(self) -> None:
        """Start it, after a crash, too."""
        self._start(self._command, "postgres.log", end=signal.SIGQUIT)  # at once, nothing is kept
        self._processes.insert(0, self._processes.pop())
        eventually(lambda: self._answers(5432), "PostgreSQL answers")

    def url(self, database: str, *, port: int = 5432, user: str = "postgres") -> str:
        """Only the user `guarded` needs a password."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={port}"

    def execute(self, statement: str, *values: object, database: str = "postgres") -> list[tuple]:
        """What a statement gives that is run outside of every transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """The name of a new database."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def ledger(self) -> str:
        """The name of a database with a ledger in which nothing is recorded; always the same one.

        To empty it takes a tenth of the time of making one.
        """
        self.execute(
            ";".join(
                [
                    *(f"DELETE FROM {table}" for table in _EMPTIED),
                    "ALTER TABLE account ALTER id RESTART",
                    "ALTER TABLE feed ALTER id RESTART",
                    "ALTER SEQUENCE series_block RESTART",
                ]
            ),
            database=self._ledger,
        )
        return self._ledger

    @cached_property
    def _ledger(self) -> str:
        name = self.database()
        place = Place(self.url(name))
        PostgresLedger.open(place, clock=lambda: 0.0, hold_seconds=0).close()
        return name

    @cached_property
    def bouncer_port(self) -> int:
        """PgBouncer's, in transaction mode, before all databases."""
        program = components.pgbouncer()
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={self.folder} port=5432 user=postgres\n[pgbouncer]\nlisten_addr =\n"
            f"unix_socket_dir = {self.folder}\nlisten_port = 6432\npool_mode = transaction\n"
            "auth_type = any\ndefault_pool_size = 5\nserver_idle_timeout = 1\n"
            f"logfile = {self.folder / 'pgbouncer.log'}\n"
        )
        settings.chmod(0o644)
        self._start([program, settings], "pgbouncer.out", end=signal.SIGTERM)
        eventually(lambda: self._answers(6432), "PgBouncer answers")
        return 6432

    def _answers(self, port: int) -> bool:
        try:
            psycopg.connect(self.url("postgres", port=port)).close()
        except psycopg.OperationalError:
            return False
        return True

    def _start(self, command: list[object], log: str, *, end: signal.Signals) -> None:
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(as_postgres(command), stdout=output, stderr=output)
        self._processes.append((process, end))

    def stop(self) -> None:
        for process, end in reversed(self._processes):
            process.send_signal(end)
            process.wait(timeout=30)


def as_postgres(command: list[object]) -> list[str]:
    """The command as a user who may run a server, ended with this process."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return [
        *("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"),
        *("--pdeathsig=QUIT", *words),
    ]


def run_as_postgres(command: list[object]) -> None:
    done = subprocess.run(as_postgres(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def _folder() -> Iterator[Path]:
    # Short, because a socket's path may only have about a hundred bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def durable_server() -> Iterator[Server]:
    """A server of one's own, which can crash."""
    components.postgresql()
    with _folder() as folder:
        server = Server(folder, durable=True)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this test process."""
    components.postgresql()
    with _folder() as folder:
        server = Server(folder)
        try:
            yield server
        finally:
            server.stop()
