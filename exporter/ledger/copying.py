"""Copies a whole ledger from one place to another."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType

from exporter.ledger.opening import postgres
from exporter.ledger.place import Place, Server
from exporter.ledger.sqlite import copying as sqlite
from exporter.ledger.tables import Source


def copy(source: Place, target: Place) -> dict[str, int]:
    """Copy all that there is, in one transaction; returns how many rows each table has.

    Raises LedgerError when somebody writes to the source, or when the target is not empty.
    """
    reading: AbstractContextManager[Source] = _module(source).source(source)
    with reading as found:
        counted: dict[str, int] = _module(target).fill(target, found)
    return counted


def _module(place: Place) -> ModuleType:
    return postgres(place, "copying") if isinstance(place, Server) else sqlite
