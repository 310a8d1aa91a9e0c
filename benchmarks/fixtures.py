"""Ledgers of any size, and configurations that serve them without a vendor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.installation import installed
from exporter.ledger import Ledger, Poll
from exporter.model import HOUR, Usage
from exporter.model.measures import STREAM_DELIVERED_BYTES, STREAM_RECEIVED_BYTES

NOBODY = "http://127.0.0.1:9"
"""Nobody listens there: polls fail at once, and the ledger alone is served."""


def rows(streams: int, *, hour: int, salt: int) -> list[Usage]:
    """Two buckets for each stream: two series a stream."""
    return [
        Usage(measure, ("live", f"stream-{number:06d}"), hour, HOUR, number * 977_351 + salt)
        for number in range(streams)
        for measure in (STREAM_RECEIVED_BYTES, STREAM_DELIVERED_BYTES)
    ]


def ledger(path: Path, streams: int, *, hours: int = 1) -> None:
    """A ledger at `path` with two series for each stream."""
    now = int(time.time())
    opened = Ledger.open(path, clock=lambda: now, hold_seconds=0)
    book = opened.book("millicast", "bench", feeds=["streams"], stream_limit=10**7)
    hour = now - now % HOUR
    for age in reversed(range(hours)):
        start = hour - age * HOUR
        usage = rows(streams, hour=start, salt=age)
        opened.record(book, Poll("streams", now, usage=usage, streams=()))
    opened.close()


def configuration(
    folder: Path,
    url: str = NOBODY,
    *,
    cadence: str = "15m",
    feeds: Sequence[str] = ("streams",),
) -> Path:
    """A configuration with one Millicast account that polls its streams at `url`."""
    (folder / "credential").write_text("bench")
    path = folder / "config.yaml"
    path.write_text(
        f"""\
polling: {{cadence: {cadence}, history: 1h}}
ledger: {{path: {folder}/usage.db}}
limits: {{streams: 10000000}}
accounts:
  - name: bench
    provider: millicast
    url: {url}
    feeds: [{", ".join(feeds)}]
    credentials_file: {folder}/credential
"""
    )
    return path


def serve(
    config: Path, port: int, *options: str, program: Sequence[str] | None = None
) -> list[str]:
    """The command that serves `config` on `port`: as installed, without extras, or as `program`."""
    return [
        *(installed() if program is None else program),
        *("serve", "--config.file", str(config)),
        *("--web.listen-address", f"127.0.0.1:{port}", "--web.max-requests", "1000"),
        *options,
    ]
