"""The ledger in one SQLite file; the only place in the program that knows SQL.

`schema` are the tables, `file` opens them, `store` is the ledger's contract on them: `loading`
fills a Book, `stored` answers what a decision asks, `writing` writes what was decided, `settling`
what is final, `reader` answers questions. `offline` opens a file that another process writes to.
"""

from exporter.ledger.sqlite.store import SqliteLedger

__all__ = ["SqliteLedger"]
