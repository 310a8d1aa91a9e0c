"""What vendors throw away, given back at its true time.

`reading` looks into the ledger from outside while the exporter runs; `backfill` and `export`
write out what it sees. `settling` says which buckets are final and reports those that change all
the same; `month` adds up the current month and `reconciliation` holds that against the vendor's
own total; `remote_write` pushes final buckets to a receiver.
"""
