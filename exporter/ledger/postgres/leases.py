"""`exporter.ledger.leases.Leases` as rows of a database, on the database's clock.

A lease that is free keeps its row, with its epoch. What another transaction has locked is passed
over and looked at again: the lock is that of a write to the account, which may take long.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256

import psycopg

from exporter.ledger.leases import AccountKey, Holder, LeaseState, Standing, patience_seconds
from exporter.ledger.place import Server
from exporter.ledger.postgres.database import Database
from exporter.ledger.postgres.schema import STEPS

FORGET_DAYS = 1
"""After so long, a replica that has vanished loses its row."""

# Rows are locked without waiting: see above. The epochs of a release are those of the holder, and no
# write of it is under way any more.
_RENEW = """
WITH mine AS (
    SELECT lease.account
    FROM unnest(%(providers)s::text[], %(names)s::text[], %(epochs)s::bigint[])
        AS given (provider, name, epoch)
    JOIN account ON account.provider = given.provider AND account.name = given.name
    JOIN lease ON lease.account = account.id AND lease.epoch = given.epoch
    WHERE holder = %(me)s AND until > clock_timestamp()
    FOR NO KEY UPDATE OF lease SKIP LOCKED
)
UPDATE lease SET until = clock_timestamp() + %(lease)s * interval '1 s'
FROM mine WHERE lease.account = mine.account
"""

_ACQUIRE = """
WITH free AS (
    SELECT lease.account, given.provider, given.name
    FROM unnest(%(providers)s::text[], %(names)s::text[], %(epochs)s::bigint[])
        AS given (provider, name, epoch)
    JOIN account ON account.provider = given.provider AND account.name = given.name
    JOIN lease ON lease.account = account.id AND lease.epoch = given.epoch
    WHERE until <= clock_timestamp()
    FOR NO KEY UPDATE OF lease SKIP LOCKED
)
UPDATE lease
SET holder = %(me)s, epoch = lease.epoch + 1, version = %(version)s,
    until = clock_timestamp() + %(lease)s * interval '1 s'
FROM free WHERE lease.account = free.account
RETURNING provider, name, epoch
"""

_RELEASE = """
WITH mine AS (
    SELECT lease.account
    FROM unnest(%(providers)s::text[], %(names)s::text[], %(epochs)s::bigint[])
        AS given (provider, name, epoch)
    JOIN account ON account.provider = given.provider AND account.name = given.name
    JOIN lease ON lease.account = account.id AND lease.epoch = given.epoch
    WHERE holder = %(me)s
)
UPDATE lease SET until = least(until, clock_timestamp())
FROM mine WHERE lease.account = mine.account
"""

_STANDING = """
SELECT provider, name, holder, epoch, until > clock_timestamp(),
    CASE WHEN until > clock_timestamp()
        THEN extract(epoch FROM until - clock_timestamp())::float8 ELSE 0 END
FROM lease JOIN account ON account.id = lease.account
"""

_SAY_ALIVE = """
INSERT INTO replica (holder, accounts, until)
VALUES (%(me)s, %(accounts)s, clock_timestamp() + %(lease)s * interval '1 s')
ON CONFLICT (holder) DO UPDATE SET accounts = excluded.accounts, until = excluded.until
"""

_MAKE_ACCOUNTS = """
INSERT INTO account (provider, name)
SELECT * FROM unnest(%(providers)s::text[], %(names)s::text[]) ON CONFLICT DO NOTHING
"""

_MAKE_LEASES = """
INSERT INTO lease (account, holder, epoch, until, version)
SELECT id, '', 0, '-infinity', 0
FROM account
JOIN unnest(%(providers)s::text[], %(names)s::text[]) AS given (provider, name)
    USING (provider, name)
ON CONFLICT DO NOTHING
"""


class PostgresLeases:
    """The leases of one database as one replica sees them; used on one thread of its own."""

    def __init__(self, server: Server, me: Holder, *, lease_seconds: float) -> None:
        self._database = Database(server, patience_seconds=patience_seconds(lease_seconds))
        self._me = str(me)
        self._lease = lease_seconds
        self._announced: frozenset[AccountKey] | None = None

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._database.close()

    def renew(self, held: Mapping[AccountKey, int], wanted: Collection[AccountKey]) -> Standing:
        """As `Leases.renew`."""
        known = frozenset(wanted)
        accounts = _digest(known)
        alive = {"me": self._me, "accounts": accounts, "lease": self._lease}
        with self._database.transaction() as connection:
            if known != self._announced:
                rows = self._given(dict.fromkeys(known, 0))
                connection.execute(_MAKE_ACCOUNTS, rows)
                connection.execute(_MAKE_LEASES, rows)
            connection.execute(_SAY_ALIVE, alive)
            connection.execute(
                "DELETE FROM replica WHERE until < clock_timestamp() - %s * interval '1 day'",
                (FORGET_DAYS,),
            )
            if held:
                connection.execute(_RENEW, self._given(held))
            leases = connection.execute(_STANDING).fetchall()
            replicas = connection.execute(
                "SELECT holder, accounts FROM replica WHERE until > clock_timestamp()"
            ).fetchall()
        self._announced = known
        return Standing(
            frozenset(_holder(holder) for holder, _ in replicas),
            frozenset(_holder(holder) for holder, theirs in replicas if theirs == accounts),
            {
                AccountKey(provider, name): LeaseState(
                    _holder(text) if taken else None, epoch, left
                )
                for provider, name, text, epoch, taken, left in leases
            },
        )

    def acquire(self, wanted: Mapping[AccountKey, int]) -> Mapping[AccountKey, int]:
        """As `Leases.acquire`."""
        with self._database.transaction() as connection:
            rows = connection.execute(_ACQUIRE, self._given(wanted)).fetchall()
        return {AccountKey(provider, name): epoch for provider, name, epoch in rows}

    def release(self, held: Mapping[AccountKey, int]) -> None:
        """As `Leases.release`."""
        with self._database.transaction() as connection:
            self._release(connection, held)

    def leave(self, held: Mapping[AccountKey, int]) -> None:
        """As `Leases.leave`."""
        with self._database.transaction() as connection:
            self._release(connection, held)
            connection.execute("DELETE FROM replica WHERE holder = %s", (self._me,))

    def _release(self, connection: psycopg.Connection, held: Mapping[AccountKey, int]) -> None:
        connection.execute(_RELEASE, self._given(held))

    def _given(self, keys: Mapping[AccountKey, int]) -> dict[str, object]:
        # In one order, so that no two transactions wait for each other.
        ordered = sorted(keys.items())
        return {
            "me": self._me,
            "lease": self._lease,
            "version": len(STEPS),
            "providers": [key.provider for key, _ in ordered],
            "names": [key.account for key, _ in ordered],
            "epochs": [epoch for _, epoch in ordered],
        }


def _holder(text: str) -> Holder:
    name, _, token = text.rpartition("#")
    return Holder(name, token)


def _digest(accounts: Collection[AccountKey]) -> str:
    """Equal for replicas that are configured to poll the same accounts."""
    text = "\n".join(f"{key.provider}\t{key.account}" for key in sorted(accounts))
    return sha256(text.encode()).hexdigest()
