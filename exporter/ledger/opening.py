"""Opens a ledger where it is: a file by SQLite, a database by PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType

from exporter.ledger.contract import History, Ledger
from exporter.ledger.leases import Holder, Leases, patience_seconds
from exporter.ledger.place import Place, Server
from exporter.ledger.sqlite import SqliteLedger
from exporter.ledger.sqlite import offline as sqlite_offline
from exporter.model import extras
from exporter.model.errors import LedgerError


def open_ledger(
    place: Place, *, clock: Callable[[], float], hold_seconds: float, lease_seconds: float
) -> Ledger:
    """The ledger, made when missing and brought to the newest version.

    No write to a database takes longer than half a lease (`lease_seconds`). Raises LedgerError, in
    one line that says what to do, when it cannot be opened.
    """
    if isinstance(place, Server):
        opened: Ledger = postgres(place, "store").PostgresLedger.open(
            place,
            clock=clock,
            hold_seconds=hold_seconds,
            patience_seconds=patience_seconds(lease_seconds),
            shared=True,
        )
        return opened
    return SqliteLedger.open(place, clock=clock, hold_seconds=hold_seconds)


def open_leases(server: Server, me: Holder, *, lease_seconds: float) -> Leases:
    """The leases of a ledger that is open already; nothing is asked yet."""
    opened: Leases = import_module("exporter.ledger.postgres.leases").PostgresLeases(
        server, me, lease_seconds=lease_seconds
    )
    return opened


def reading(place: Place) -> AbstractContextManager[History]:
    """The ledger as other processes see it; LedgerError when it cannot be read."""
    if isinstance(place, Server):
        read: AbstractContextManager[History] = postgres(place, "offline").reading(place)
        return read
    return sqlite_offline.reading(place)


def examine(server: Server) -> str:
    """What a database is, in a few words; LedgerError when it cannot serve. Nothing is changed."""
    found: str = postgres(server, "offline").examine(server)
    return found


def postgres(server: Server, module: str) -> ModuleType:
    """A module of `exporter.ledger.postgres`, which needs the extra; LedgerError without it."""
    try:
        import_module("psycopg")
    except ImportError:
        raise LedgerError(f"ledger {server}: needs psycopg: {extras.install('postgres')}") from None
    return import_module(f"exporter.ledger.postgres.{module}")
