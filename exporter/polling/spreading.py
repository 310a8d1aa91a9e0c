"""Which accounts a replica takes and gives up, so that all replicas hold about as many: pure.

Every replica computes this for itself from the rows of one table, so all of them see the same. An
account moves only when it has to: one that is free goes to a replica that holds fewer than its
share, and one that is held moves only when some replica would otherwise stay below its share.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exporter.ledger.leases import AccountKey, Holder, Standing


@dataclass(frozen=True, slots=True)
class Moves:
    """The accounts to take, and those to give up."""

    take: tuple[AccountKey, ...] = ()
    give_up: tuple[AccountKey, ...] = ()


def plan_moves(me: Holder, wanted: Collection[AccountKey], standing: Standing) -> Moves:
    """What `me` does about the accounts that it is configured to poll (`wanted`).

    A share is the number of accounts by that of the live replicas that are configured to poll the
    same ones, rounded up or down. While a new configuration is rolled out, those that have it and
    those that do not spread their accounts among themselves.
    """
    replicas = sorted({*standing.peers, me})
    least, rest = divmod(len(wanted), len(replicas))
    most = least + (rest > 0)
    holders = {key: standing.leases[key].holder for key in sorted(wanted) if key in standing.leases}
    counts = {one: sum(holder == one for holder in holders.values()) for one in replicas}
    mine = [key for key, holder in holders.items() if holder == me]
    free = [key for key, holder in holders.items() if holder is None]
    take = free[: max(0, most - len(mine))]
    if take:
        return Moves(take=tuple(take))
    surplus = max(0, len(mine) - most)
    if not surplus and not free and len(mine) > least:
        lacking = sum(max(0, least - count) for count in counts.values())
        # One each, those that hold the most first: all replicas agree on this order.
        givers = [one for one in replicas if counts[one] > least]
        givers.sort(key=lambda one: (-counts[one], one))
        surplus = int(me in givers[:lacking])
    return Moves(give_up=tuple(mine[len(mine) - surplus :]))
