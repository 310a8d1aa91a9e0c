"""What vendors throw away, given back at its true time.

`reading` opens the ledger's file from outside while the exporter runs; `backfill` and `export`
write out what it holds. `remote_write` pushes final buckets to a receiver.
"""
