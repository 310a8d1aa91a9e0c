"""A ledger on PostgreSQL: what it costs to write to, and to start from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.database import Server, postgresql
from benchmarks.fixtures import NOBODY, rows
from benchmarks.replica import Replica, configuration, replica, until
from benchmarks.results import Result, median, ratio
from exporter.ledger import Ledger, Poll
from exporter.ledger.contract import Ledger as AnyLedger
from exporter.ledger.place import Server as Place
from exporter.ledger.postgres import PostgresLedger
from exporter.model import HOUR

ROUNDS = 5
STREAMS = 50_000


def measure() -> list[Result]:
    """The same polls into both ledgers, in turns: one hour of each series more every time."""
    with postgresql() as server, TemporaryDirectory() as name:
        if server is None:
            return []
        name_of_database = server.database()
        place = Place(server.url(name_of_database))
        ours = PostgresLedger.open(place, clock=time.time, hold_seconds=0)
        theirs = Ledger.open(Path(name) / "usage.db", clock=time.time, hold_seconds=0)
        before = server.processor_seconds(), server.log_bytes()
        took = record_in_turns((ours, theirs))
        ours.close()
        theirs.close()
        polls = len(took[0])
        spent = (server.processor_seconds() - before[0]) / polls
        log = (server.log_bytes() - before[1]) / polls
        buckets, series = (
            size(server, name_of_database, table) / (polls * STREAMS * 2)
            for table in ("bucket", "series")
        )
    later = [seconds[1:] for seconds in took]
    at = f"{STREAMS * 2:,} buckets"
    note = f"{median(later[0]):.2f} s and {median(later[1]):.2f} s"
    return [
        Result(
            "ledger write of one poll: PostgreSQL ÷ SQLite",
            at,
            ratio(later[0], later[1]),
            target=5,
            at_least=False,
            note=note,
        ),
        Result(
            "the same for series that are new",
            at,
            took[0][0] / took[1][0],
            note=f"{took[0][0]:.2f} s and {took[1][0]:.2f} s",
        ),
        Result("the server's processor time for a bucket", at, spent / STREAMS / 2 * 1e6, "µs"),
        Result("the server's write-ahead log for a bucket", at, log / STREAMS / 2, "bytes"),
        Result(
            "PostgreSQL ledger's size per bucket kept",
            f"{polls * STREAMS * 2:,} buckets",
            buckets,
            "bytes",
            note="index included",
        ),
        Result(
            "PostgreSQL ledger's size per series",
            f"{at.replace('buckets', 'series')}, {polls} polls",
            series * polls,
            "bytes",
            note="index and versions that are not vacuumed yet included",
        ),
    ]


def size(server: Server, database: str, table: str) -> int:
    """Bytes of a table and its indexes."""
    query = f"SELECT pg_total_relation_size('{table}')"
    ((number,),) = server.execute(query, database=database)
    return int(str(number))


def record_in_turns(ledgers: Sequence[AnyLedger], polls: int = 12) -> list[list[float]]:
    """Seconds of each poll, for each ledger."""
    now = int(time.time())
    hour = now - now % HOUR
    books = [
        one.book("millicast", "bench", feeds=["streams"], stream_limit=10**7) for one in ledgers
    ]
    took: list[list[float]] = [[] for _ in ledgers]
    for age in reversed(range(polls)):
        usage = rows(STREAMS, hour=hour - age * HOUR, salt=age)
        for ledger, book, seconds in zip(ledgers, books, took, strict=True):
            started = time.perf_counter()
            ledger.record(book, Poll("streams", now - age * HOUR, usage=usage))
            seconds.append(time.perf_counter() - started)
    return took


def start() -> list[Result]:
    """From the start of a replica to its first page with an account that another one had."""
    with postgresql() as server, TemporaryDirectory() as name:
        if server is None:
            return []
        folder = Path(name)
        url = server.url(server.database())
        ledger = PostgresLedger.open(Place(url), clock=time.time, hold_seconds=0)
        record_in_turns([ledger], polls=1)
        ledger.close()
        config = configuration(folder, url, NOBODY, accounts=1, cadence="15m", lease="30s")
        seconds = []
        for number in range(ROUNDS + 1):
            began = time.perf_counter()
            with replica(folder, config, f"replica-{number}") as one:
                until(partial(all_shown, one), "all series are shown")
                seconds.append(time.perf_counter() - began)
                if number:
                    assert one.read("media_exporter_lease_takeovers_total") == 1
    return [
        Result(
            "start of a replica to its first full scrape, the lease being free",
            f"{STREAMS * 2:,} series",
            median(seconds[1:]),
            "s",
            target=3,
            at_least=False,
        )
    ]


def all_shown(one: Replica) -> bool:
    return one.page().count("\nmedia_stream_received_bytes_total{") == STREAMS
