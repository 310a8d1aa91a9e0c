"""The composition root: builds everything out of a configuration, and runs it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx

from exporter.client.http import LARGE_BODIES
from exporter.config import Config, RemoteWrite, redacted
from exporter.exposition import Format, Page
from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import RemoteWriteTelemetry, Telemetry
from exporter.history.remote_write import RemoteWriter
from exporter.ledger import Ledger
from exporter.ledger.thread import Worker
from exporter.model.errors import ExporterError, ServeError
from exporter.polling.accounts import Accounts
from exporter.polling.collector import Collector
from exporter.polling.schedule import hold_seconds
from exporter.polling.shared import Shared
from exporter.polling.status import AccountStatus
from exporter.web.app import Server
from exporter.web.server import STOPPING_SECONDS, WebOptions, http_server
from exporter.web.toolkit import WebSecurity

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 900.0
"""How long a single poll may take that no other follows."""


class Exporter:
    """Every part, put together. Use `open`, then `once` or `serve`, then `close`.

    `read_config` gives the configuration as it is on disk now, for reloading.
    """

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        worker: Worker,
        clock: Callable[[], float],
        created_timestamps: bool,
        transport: httpx.AsyncBaseTransport | None,
        read_config: Callable[[], Config] | None,
    ) -> None:
        self._config = config
        self.read_config = read_config
        telemetry = Telemetry(
            clock=clock, ledger_size=ledger.size_bytes, created_timestamps=created_timestamps
        )
        self.shared = Shared(
            ledger=ledger,
            worker=worker,
            telemetry=telemetry,
            publisher=Publisher(worker=worker, telemetry=telemetry),
            clock=clock,
            created_timestamps=created_timestamps,
            transport=transport,
            large_answers=asyncio.Semaphore(LARGE_BODIES),
        )
        self.polling = Accounts(self.shared)
        self._reloading = asyncio.Lock()
        self._serving = False
        self.remote_writer: RemoteWriter | None = None
        self._security: WebSecurity | None = None

    @classmethod
    async def open(
        cls,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        created_timestamps: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        read_config: Callable[[], Config] | None = None,
    ) -> Exporter:
        """Read the credentials, open the ledger, and publish what it holds.

        `transport` stands in for the network. Raises an ExporterError, in one line, when any of
        it cannot be done.
        """
        worker = Worker()
        try:
            ledger = await worker.run(
                Ledger.open,
                config.ledger.path,
                clock=clock,
                hold_seconds=hold_seconds(config.polling.cadence_seconds),
            )
        except BaseException:
            worker.close()
            raise
        exporter = cls(
            config,
            ledger=ledger,
            worker=worker,
            clock=clock,
            created_timestamps=created_timestamps,
            transport=transport,
            read_config=read_config,
        )
        try:
            await exporter.polling.replace(config)
            await exporter._push_with(exporter._remote_writer(config.remote_write))
        except BaseException:
            await exporter.close()
            raise
        return exporter

    async def close(self) -> None:
        """Let go of connections and of the ledger."""
        await self.polling.close()
        await self._push_with(None)
        await self.shared.worker.run(self.shared.ledger.close)
        self.shared.worker.close()

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All accounts, in the order of the configuration."""
        return self.polling.collectors

    async def once(self) -> bool:
        """Poll every account once; True if every feed succeeded."""
        patience = max(self._config.polling.cadence_seconds, PATIENCE_SECONDS)
        results = await asyncio.gather(
            *(collector.poll(patience_seconds=patience) for collector in self.collectors)
        )
        await self.shared.publisher.publish()
        return all(results)

    async def serve(
        self, sockets: Sequence[socket.socket], web: WebOptions, *, stop: asyncio.Event
    ) -> None:
        """Poll and answer until `stop` is set."""
        server = Server(
            self,
            telemetry_path=web.telemetry_path,
            max_requests=web.max_requests,
            lifecycle=web.lifecycle,
        )
        self._security = web.security
        http = http_server(server, web)
        self._serving = True
        self.polling.start()
        if self.remote_writer is not None:
            self.remote_writer.start()
        serving = asyncio.create_task(http.serve(sockets=list(sockets)))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._serving = False
            stopping.cancel()
            # A reload that is under way may finish; none begins any more.
            with suppress(TimeoutError):
                async with asyncio.timeout(STOPPING_SECONDS):
                    await self._reloading.acquire()
            await self.polling.stop()
            await self._push_with(None)
            http.should_exit = True
            await serving

    def _remote_writer(self, settings: RemoteWrite | None) -> RemoteWriter | None:
        """What pushes there; None for nowhere."""
        if settings is None:
            return None
        shared = self.shared
        telemetry = RemoteWriteTelemetry(
            receiver=httpx.URL(settings.url).netloc.decode(),
            created_timestamps=shared.created_timestamps,
        )
        return RemoteWriter(settings, shared.ledger, shared.worker, telemetry, shared.clock)

    async def _push_with(self, writer: RemoteWriter | None) -> None:
        """Push with this from now on, or not at all."""
        if self.remote_writer is not None:
            await self.remote_writer.stop()
        self.remote_writer = writer
        self.shared.telemetry.set_remote_write(None if writer is None else writer.telemetry)
        if writer is not None and self._serving:
            writer.start()

    # Reloading.

    async def reload(self) -> str | None:
        """Take over the configuration and the credentials as they are on disk now.

        Returns None, or in words why everything stays as it was. Accounts that did not change
        are left alone, in the middle of a poll, too; what a changed one had begun to poll is
        asked for again.
        """
        async with self._reloading:
            try:
                config = self._read_anew()
                if self._security is not None and (problem := self._security.refresh()):
                    raise ServeError(problem)
                pushes_anew = config.remote_write != self._config.remote_write
                writer = self._remote_writer(config.remote_write) if pushes_anew else None
                await self.polling.replace(config)
                if pushes_anew:
                    await self._push_with(writer)
                self._config = config
            except ExporterError as error:
                self.shared.telemetry.reloaded(successful=False)
                log.error(
                    "reload failed; the old configuration stays in force",
                    extra={"error": str(error)},
                )
                return str(error)
            self.shared.telemetry.reloaded(successful=True)
            log.info("configuration reloaded", extra={"accounts": len(config.accounts)})
            return None

    def _read_anew(self) -> Config:
        if self.read_config is None:
            raise ServeError("this configuration cannot be read anew")
        config = self.read_config()
        if config.ledger.path != self._config.ledger.path:
            raise ServeError("ledger.path cannot be changed while running; restart instead")
        return config

    # What the server asks.

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """All (provider, account) pairs."""
        return self.shared.publisher.accounts

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The newest exposition."""
        return self.shared.publisher.page(format, accounts)

    def status(self) -> tuple[AccountStatus, ...]:
        """How every account stands."""
        return self.polling.status()

    def healthy(self) -> str | None:
        """What is wrong with the poll loop, or None."""
        missing = None if self._reloading.locked() else self.polling.not_polled()
        if missing is not None:
            return f"Account {missing} is not polled since a reload failed."
        stuck = self.polling.stuck()
        return None if stuck is None else f"The poll loop of account {stuck} does not move."

    def ready(self) -> str | None:
        """What is missing until every account can be shown, or None."""
        waiting = self.polling.waiting()
        return f"Not polled yet: {', '.join(waiting)}." if waiting else None

    def configuration(self) -> str:
        """The running configuration, redacted."""
        return redacted(self._config)

    def now(self) -> float:
        """The time."""
        return self.shared.clock()
