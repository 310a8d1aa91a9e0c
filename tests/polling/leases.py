"""A database of leases in memory, on a clock that is moved by hand, and replicas that share it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from exporter.ledger.leases import AccountKey, Holder, LeaseState, Standing
from exporter.model.errors import LedgerWriteError

LEASE_SECONDS = 60.0


@dataclass
class Row:
    holder: Holder | None = None
    epoch: int = 0
    until: float = 0.0


@dataclass
class Database:
    """What all replicas see; `away` refuses every question."""

    now: float = 1000.0
    away: bool = False
    rows: dict[AccountKey, Row] = field(default_factory=dict)
    replicas: dict[Holder, tuple[float, frozenset[AccountKey]]] = field(default_factory=dict)
    takeovers: list[tuple[AccountKey, Holder]] = field(default_factory=list)

    def seen_by(self, me: Holder) -> MemoryLeases:
        return MemoryLeases(self, me)


class MemoryLeases:
    """The leases as one replica asks for them."""

    def __init__(self, database: Database, me: Holder) -> None:
        self._database = database
        self._me = me

    def _ask(self) -> Database:
        if self._database.away:
            raise LedgerWriteError("the database does not answer")
        return self._database

    def renew(self, held: Mapping[AccountKey, int], wanted: Collection[AccountKey]) -> Standing:
        database = self._ask()
        now = database.now
        database.replicas[self._me] = now + LEASE_SECONDS, frozenset(wanted)
        for key in wanted:
            database.rows.setdefault(key, Row())
        for key, epoch in held.items():
            row = database.rows[key]
            if (row.holder, row.epoch) == (self._me, epoch) and row.until > now:
                row.until = now + LEASE_SECONDS
        live = frozenset(one for one, (until, _) in database.replicas.items() if until > now)
        return Standing(
            live,
            frozenset(one for one in live if database.replicas[one][1] == frozenset(wanted)),
            {
                key: LeaseState(
                    row.holder if row.until > now else None,
                    row.epoch,
                    max(0.0, row.until - now),
                )
                for key, row in database.rows.items()
            },
        )

    def acquire(self, wanted: Mapping[AccountKey, int]) -> Mapping[AccountKey, int]:
        database = self._ask()
        taken: dict[AccountKey, int] = {}
        for key, epoch in wanted.items():
            row = database.rows[key]
            if row.epoch == epoch and (row.holder is None or row.until <= database.now):
                row.holder, row.epoch = self._me, epoch + 1
                row.until = database.now + LEASE_SECONDS
                taken[key] = row.epoch
                database.takeovers.append((key, self._me))
        return taken

    def release(self, held: Mapping[AccountKey, int]) -> None:
        database = self._ask()
        for key, epoch in held.items():
            row = database.rows[key]
            if (row.holder, row.epoch) == (self._me, epoch):
                row.holder, row.until = None, database.now

    def leave(self, held: Mapping[AccountKey, int]) -> None:
        self.release(held)
        self._database.replicas.pop(self._me, None)

    def close(self) -> None:
        pass
