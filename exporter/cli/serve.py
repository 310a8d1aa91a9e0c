"""`serve`: runs the exporter from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import SimpleNamespace

import uvloop

from exporter import __version__
from exporter.app import Exporter
from exporter.cli import inputs, logs
from exporter.cli.systemd import ServiceManager, watchdog_interval
from exporter.cli.version import revision
from exporter.cli.words import counted
from exporter.config import Config
from exporter.exposition import garbage_collection
from exporter.web.connections import raise_descriptor_limit
from exporter.web.listen import bound_address
from exporter.web.server import WebOptions

log = logging.getLogger(__name__)


def command(chosen: SimpleNamespace) -> int:
    """`serve`: poll what the configuration names, and answer scrapes."""
    logs.set_up(chosen.log_level, chosen.log_format)
    read_config = partial(inputs.configuration, chosen)
    config = read_config()
    web = inputs.web_options(chosen)
    replica = chosen.replica_name or socket.gethostname()
    uvloop.run(run(config, inputs.listeners(chosen), web, read_config=read_config, replica=replica))
    return 0


async def run(
    config: Config,
    listeners: Sequence[socket.socket],
    web: WebOptions,
    *,
    read_config: Callable[[], Config],
    replica: str | None = None,
    announce: Callable[[], None] = lambda: None,
) -> None:
    """Poll and serve until SIGTERM or SIGINT; SIGHUP reloads. `announce` is called at the start.

    `replica` is the name under which it holds leases where replicas share the ledger.

    A service manager is notified of start, reload and stop, and its watchdog for as long as the
    poll loops move.
    """
    garbage_collection.set_up()
    raise_descriptor_limit()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service_manager = ServiceManager(os.environ)
    exporter = await Exporter.open(
        config,
        created_timestamps=web.created_timestamps,
        process_metrics=web.process_metrics,
        read_config=read_config,
        replica=replica,
    )
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        service_manager.reloading()
        try:
            await exporter.reload()
        finally:
            service_manager.ready()

    def start(work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = loop.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, start, reload)
    try:
        for warning in inputs.warnings(config):
            log.warning("configuration", extra={"warning": warning})
        log.info(
            "started",
            extra={
                "version": __version__,
                "revision": revision(),
                "address": " ".join(map(bound_address, listeners)),
                "config": config.path,
                "ledger": config.ledger.url or config.ledger.path,
                "accounts": len(config.accounts),
            },
        )
        announce()
        service_manager.ready(f"polling {counted(len(config.accounts), 'account')}")
        interval = watchdog_interval(os.environ, os.getpid())
        if interval is not None:
            start(lambda: notify_watchdog(service_manager, exporter, interval))
        start(lambda: _announce_end(service_manager, stop))
        await exporter.serve(listeners, web, stop=stop)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await exporter.close()
        if web.security is not None:
            web.security.close()


async def _announce_end(service_manager: ServiceManager, stop: asyncio.Event) -> None:
    await stop.wait()
    service_manager.stopping()
    log.info("stopping")


async def notify_watchdog(
    service_manager: ServiceManager, exporter: Exporter, interval_seconds: float
) -> None:
    """Every `interval_seconds` send the keep-alive, unless a poll loop does not move."""
    while True:
        if exporter.healthy() is None:
            service_manager.alive()
        await asyncio.sleep(interval_seconds)
