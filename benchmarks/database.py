"""A PostgreSQL server of Debian's for the time of a measurement, with its own settings but one.

Commits wait for the disk, as they do for a SQLite ledger. Only `max_connections` differs, for it bounds
the number of replicas.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import psycopg

from benchmarks.machine import processor_seconds, program

_PROGRAMS = Path("/usr/lib/postgresql")
_NAMES = count(1)


class Server:
    """The server; `folder` has its socket and its data."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a statement gives that is run outside of every transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """The name of a new database."""
        name = f"bench_{next(_NAMES)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def processor_seconds(self) -> float:
        """Of all processes of the server so far, those that have ended among them."""
        alive = sum(processor_seconds(pid) for pid in (self.process.pid, *self._children()))
        return alive + _of_ended_children(self.process.pid)

    def log_bytes(self) -> int:
        """Of write-ahead log so far."""
        ((number,),) = self.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(str(number))

    def _children(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]


def _of_ended_children(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def postgresql() -> Iterator[Server | None]:
    """A server in a temporary folder; None where there is no PostgreSQL to be had."""
    if program("postgresql", "psql") is None or not (found := sorted(_PROGRAMS.glob("*/bin"))):
        yield None
        return
    programs = found[-1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            subprocess.run(["chown", "postgres", name], check=True)
        data = folder / "data"
        create = [str(programs / "initdb"), "--pgdata", str(data), "--username", "postgres"]
        create += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        subprocess.run(_as_postgres(create), check=True, capture_output=True)
        options = ["-c", "listen_addresses=", "-c", "max_connections=100"]
        command = [str(programs / "postgres"), "-D", str(data), "-k", name, *options]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(_as_postgres(command), stdout=log, stderr=log)
        server = Server(folder, process)
        try:
            _wait_for(server)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def _as_postgres(command: Sequence[str]) -> list[str]:
    """The command as a user who may run a server."""
    if os.geteuid() != 0:
        return list(command)
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return [*user, "--pdeathsig=QUIT", *command]


def _wait_for(server: Server) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(server.url()).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, (server.folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        else:
            return
