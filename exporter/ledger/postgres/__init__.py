"""The ledger in a PostgreSQL database that replicas share; needs the extra `postgres`.

`database` connects and begins transactions, `errors` has PostgreSQL's in words, `schema` are the
tables, `store` is the ledger's contract on them: `loading` fills a Book, `stored` answers what a
decision asks, `writing` writes what was decided, `settling` what is final, `reader` answers
questions. `offline` reads a ledger that other processes write to, `copying`
copies all of it.

Everything works through PgBouncer in transaction mode: nothing outlives a transaction on the
server, neither settings nor prepared statements nor locks.
"""

from exporter.ledger.postgres.store import PostgresLedger

__all__ = ["PostgresLedger"]
