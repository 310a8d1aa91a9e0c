"""What several replicas that share a ledger on PostgreSQL do together, and when one is killed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.database import Server, postgresql
from benchmarks.machine import LOAD_CPU, free_port, running
from benchmarks.replica import Replica, configuration, replica, until
from benchmarks.results import Result

ACCOUNTS = 400
STREAMS_EACH = 10
CADENCE_SECONDS = 20
LEASE_SECONDS = 30
WINDOW_SECONDS = 40
"""For so long polls are counted; a multiple of the cadence."""


def measure() -> list[Result]:
    """400 accounts polled by 1, 2 and 4 replicas, and then one of these killed."""
    with postgresql() as server, TemporaryDirectory() as name:
        if server is None:
            return []
        folder = Path(name)
        port = free_port()
        vendor = [sys.executable, "-m", "benchmarks.vendor", str(port), str(STREAMS_EACH)]
        with running(vendor, cpu=LOAD_CPU, log=folder / "vendor.log", port=port):
            results: list[Result] = []
            for number in (1, 2, 4):
                results += measure_replicas(
                    server, folder, f"http://127.0.0.1:{port}", replicas=number
                )
    return results


def measure_replicas(server: Server, folder: Path, vendor: str, *, replicas: int) -> list[Result]:
    database = server.database()
    config = configuration(
        folder,
        server.url(database),
        vendor,
        accounts=ACCOUNTS,
        cadence=f"{CADENCE_SECONDS}s",
        lease=f"{LEASE_SECONDS}s",
    )
    with contextlib.ExitStack() as stack:

        def begin(name: str) -> Replica:
            return stack.enter_context(replica(folder, config, name))

        running_replicas = [begin(f"replica-{number}") for number in range(replicas)]
        until(lambda: held(running_replicas) == ACCOUNTS, "all accounts are held")
        even = ACCOUNTS // replicas
        until(
            lambda: all(one.read("media_exporter_leases") == even for one in running_replicas),
            "each replica holds as many as the others",
        )
        until(lambda: polls(running_replicas) >= ACCOUNTS, "each account was polled")
        before = Counted.of(server, database, running_replicas)
        time.sleep(WINDOW_SECONDS)
        made = Counted.of(server, database, running_replicas) - before
        killed = running_replicas.pop()
        began = time.perf_counter()
        killed.process.kill()
        if not running_replicas:
            running_replicas = [begin("another")]
        until(lambda: held(running_replicas) == ACCOUNTS, "the others hold all accounts")
        taken = time.perf_counter() - began
    at = f"{ACCOUNTS} accounts, every {CADENCE_SECONDS} s, {replicas} replica" + "s" * (
        replicas > 1
    )
    return [
        Result(
            "polls a second",
            at,
            made.polls / made.seconds,
            note=f"{ACCOUNTS / CADENCE_SECONDS:g} are due, {made.failures:.0f} of {made.polls:.0f}"
            f" failed; replicas {made.replicas / made.seconds:.2f} processors",
        ),
        Result(
            "database time of a poll",
            at,
            made.active / made.polls * 1e3,
            "ms",
            note=f"{made.database / made.polls * 1e3:.1f} ms of its processor,"
            f" {made.transactions / made.polls:.1f} transactions,"
            f" {made.log / made.polls / 1e3:.1f} kB of write-ahead log",
        ),
        Result(
            "takeover after kill -9",
            f"{ACCOUNTS // replicas} accounts, {replicas} replica" + "s" * (replicas > 1),
            taken,
            "s",
            note=f"{LEASE_SECONDS} s of these the lease",
        ),
    ]


@dataclass(frozen=True, slots=True)
class Counted:
    """What had been done at an instant; processor, active and wall time in seconds."""

    seconds: float
    polls: float
    failures: float
    replicas: float
    database: float
    active: float
    transactions: float
    log: float

    @classmethod
    def of(cls, server: Server, database: str, replicas: Sequence[Replica]) -> Counted:
        ((active, transactions),) = server.execute(
            f"SELECT active_time, xact_commit FROM pg_stat_database WHERE datname = '{database}'"  # noqa: S608 -- made by `Server.database`
        )
        return cls(
            seconds=time.perf_counter(),
            polls=polls(replicas),
            failures=failed(replicas),
            replicas=sum(one.read("process_cpu_seconds_total") for one in replicas),
            database=server.processor_seconds(),
            active=float(str(active)) / 1e3,
            transactions=float(str(transactions)),
            log=server.log_bytes(),
        )

    def __sub__(self, earlier: Counted) -> Counted:
        pairs = zip(astuple(self), astuple(earlier), strict=True)
        return Counted(*(now - before for now, before in pairs))


def polls(replicas: Sequence[Replica]) -> float:
    """By the logs: a counter begins anew where an account is loaded anew."""
    return sum(one.log.read_text().count("msg=polled") for one in replicas)


def failed(replicas: Sequence[Replica]) -> float:
    return sum(
        "msg=polled" in line and " failed=0 " not in line
        for one in replicas
        for line in one.log.read_text().splitlines()
    )


def held(replicas: Sequence[Replica]) -> float:
    return sum(one.read("media_exporter_leases") for one in replicas)
