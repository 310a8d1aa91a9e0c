"""Writes the ledger's buckets out, each with the timestamp of its end.

`backfill` and `export` run as commands of their own and read the ledger's file while the exporter
writes to it. `remote_write` runs in the exporter and pushes settled buckets to a receiver.
"""
