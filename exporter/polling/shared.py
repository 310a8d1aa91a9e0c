"""The objects that all accounts share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import Telemetry
from exporter.ledger.contract import Ledger
from exporter.ledger.leases import AccountKey, Holder
from exporter.ledger.thread import Worker


@dataclass(frozen=True, slots=True)
class Shared:
    """The objects that all accounts share; they live as long as the process.

    `worker` is the ledger's thread: all that reads or changes the ledger, a Book or an AccountPage
    runs on it. `transport` replaces the network, None for the network itself. `large_answers`
    limits how many large answers are read at the same time. `lease_lost` is told of an account whose
    write was refused because another process has written to it; `me` holds the leases, None where
    there are none.
    """

    ledger: Ledger
    worker: Worker
    telemetry: Telemetry
    publisher: Publisher
    clock: Callable[[], float]
    created_timestamps: bool
    transport: httpx.AsyncBaseTransport | None
    large_answers: asyncio.Semaphore
    lease_lost: Callable[[AccountKey], None]
    me: Holder | None = None
