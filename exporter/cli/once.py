"""`once`: one poll of everything, the metrics on stdout."""

from __future__ import annotations

import asyncio
import sys
import time
from types import SimpleNamespace

import uvloop

from exporter.app import Exporter
from exporter.cli import inputs, logs
from exporter.cli.flags import complain
from exporter.config import Config
from exporter.exposition import Format


def command(chosen: SimpleNamespace) -> int:
    """Print the metrics; 1 if a feed failed, which stderr then says."""
    logs.set_up(chosen.log_level, chosen.log_format)
    return uvloop.run(_poll(inputs.configuration(chosen)))


async def _poll(config: Config) -> int:
    exporter = await Exporter.open(config)
    try:
        progress = asyncio.create_task(_show_progress(exporter, time.monotonic()))
        try:
            succeeded = await exporter.once()
        finally:
            progress.cancel()
            if sys.stderr.isatty():
                sys.stderr.write("\r\033[K")
                sys.stderr.flush()
        for chunk in exporter.page(Format.TEXT, None).plain:
            sys.stdout.buffer.write(chunk)
        sys.stdout.flush()
        for account in exporter.status():
            for feed in account.feeds:
                if feed.state == "failing":
                    complain(f"{account.name}: {feed.name}: {feed.reason}: {feed.error}")
    finally:
        await exporter.close()
    return 0 if succeeded else 1


async def _show_progress(exporter: Exporter, started: float) -> None:
    """Write how many feeds are polled to stderr every 0.2 s, if that is a terminal."""
    while sys.stderr.isatty():
        feeds = [feed for account in exporter.status() for feed in account.feeds]
        done = sum(feed.state != "waiting" for feed in feeds)
        seconds = time.monotonic() - started
        sys.stderr.write(f"\r\033[K{done} of {len(feeds)} feeds polled, {seconds:.0f} s")
        sys.stderr.flush()
        await asyncio.sleep(0.2)
