"""Leases: which replica polls and shows an account, when several share a ledger.

All time is the database's. Acquiring a lease raises its epoch and renewing it never does, so that a
replica that has lost a lease without noticing (it was stopped, say) writes nothing: each of its
transactions looks for the lease by holder and epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class AccountKey(NamedTuple):
    """Names an account in the ledger."""

    provider: str
    account: str


class Holder(NamedTuple):
    """One process that may hold leases: its name, and a token that no other process has."""

    name: str
    token: str

    def __str__(self) -> str:
        """As it stands in rows and in a `Lease`."""
        return f"{self.name}#{self.token}"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """An account's lease as the database has it.

    `holder` is None when nobody has it or it has run out. Otherwise it runs out in `left_seconds`,
    unless it is renewed.
    """

    holder: Holder | None
    epoch: int
    left_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What one look at all leases has found: the live replicas, and the lease of each account.

    `peers` are those of the `replicas` that are configured to poll the same accounts.
    """

    replicas: frozenset[Holder]
    peers: frozenset[Holder]
    leases: Mapping[AccountKey, LeaseState]


def patience_seconds(lease_seconds: float) -> float:
    """How long a transaction may take: its process may have stopped while it locks a lease."""
    return max(1.0, lease_seconds / 2)


class Leases(Protocol):
    """The leases of one database, seen by one replica. Each method is one transaction.

    They are called on a thread of their own, so that a long write does not hold a renewal up. All
    raise LedgerWriteError when the database cannot be asked.
    """

    def renew(self, held: Mapping[AccountKey, int], wanted: Collection[AccountKey]) -> Standing:
        """Say that this replica lives, renew what it holds by these epochs, and look at all leases.

        A lease that has run out or that another replica has taken is not renewed. `wanted` are the
        accounts that it is configured to poll; they get a row.
        """

    def acquire(self, wanted: Mapping[AccountKey, int]) -> Mapping[AccountKey, int]:
        """Take the leases that are free and still have these epochs; the new epoch of each."""

    def release(self, held: Mapping[AccountKey, int]) -> None:
        """Give leases up, so that another replica can take them at once."""

    def leave(self, held: Mapping[AccountKey, int]) -> None:
        """Give leases up and be no live replica any more."""

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
