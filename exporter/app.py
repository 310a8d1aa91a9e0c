"""The composition root: builds everything out of a configuration, and runs it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import httpx

from exporter.client.http import LARGE_BODIES, Authenticator
from exporter.config import Account, Config, RemoteWrite, redacted
from exporter.exposition import Format, Page
from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import RemoteWriteTelemetry, Telemetry
from exporter.history.remote_write import RemoteWriter
from exporter.ledger import Ledger
from exporter.ledger.thread import Worker
from exporter.model.errors import ExporterError, ServeError
from exporter.polling.accounts import Parts, RunningAccount, assemble, authenticator_of
from exporter.polling.collector import Collector
from exporter.polling.recorder import Tools
from exporter.polling.schedule import hold_seconds
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
        self._ledger = ledger
        self._worker = worker
        self._clock = clock
        self._created_timestamps = created_timestamps
        self._read_config = read_config
        self._telemetry = Telemetry(
            clock=clock, ledger_size=ledger.size_bytes, created_timestamps=created_timestamps
        )
        self._publisher = Publisher(worker=worker, telemetry=self._telemetry)
        self._running: dict[str, RunningAccount] = {}
        self._reloading = asyncio.Lock()
        self._parts = Parts(
            Tools(ledger, worker, self._telemetry, clock, self._publisher.publish),
            created_timestamps=created_timestamps,
            transport=transport,
            large=asyncio.Semaphore(LARGE_BODIES),
        )
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
        authenticators = {account.name: authenticator_of(account) for account in config.accounts}
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
            for account in config.accounts:
                await exporter._add(account, authenticators[account.name], appears_anew=False)
            await exporter._set_remote_write(config.remote_write)
            await exporter._show_accounts()
        except BaseException:
            await exporter.close()
            raise
        return exporter

    async def close(self) -> None:
        """Let go of connections and of the ledger."""
        for name in list(self._running):
            await self._remove(name)
        await self._set_remote_write(None)
        await self._worker.run(self._ledger.close)
        self._worker.close()

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All accounts, in the order of the configuration."""
        return tuple(running.collector for running in self._running.values())

    async def once(self) -> bool:
        """Poll every account once; True if every feed succeeded."""
        patience = max(self._config.polling.cadence_seconds, PATIENCE_SECONDS)
        results = await asyncio.gather(
            *(collector.poll(patience_seconds=patience) for collector in self.collectors)
        )
        await self._publisher.publish()
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
        for running in self._running.values():
            running.start(self._config.polling.cadence_seconds)
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
            for running in list(self._running.values()):
                await running.stop()
            await self._set_remote_write(None)
            http.should_exit = True
            await serving

    # Putting together.

    async def _add(
        self, account: Account, authenticator: Authenticator, *, appears_anew: bool
    ) -> None:
        """Build an account's parts and show what the ledger holds of it.

        `appears_anew` is for an account that was not on the page a moment ago.
        """
        running = self._running[account.name] = await assemble(
            account,
            authenticator,
            self._config,
            self._parts,
            reappears_after=0 if appears_anew else 2 * self._config.polling.cadence_seconds,
        )
        if self._serving:
            running.start(self._config.polling.cadence_seconds)

    async def _remove(self, name: str) -> None:
        await self._running.pop(name).close()

    async def _set_remote_write(self, settings: RemoteWrite | None) -> None:
        """Push there from now on, or nowhere. Raises before anything has changed."""
        writer = None
        if settings is not None:
            writer = RemoteWriter(
                settings,
                self._ledger,
                self._worker,
                RemoteWriteTelemetry(
                    receiver=httpx.URL(settings.url).netloc.decode(),
                    created_timestamps=self._created_timestamps,
                ),
                self._clock,
            )
        if self.remote_writer is not None:
            await self.remote_writer.stop()
        self.remote_writer = writer
        self._telemetry.set_remote_write(None if writer is None else writer.telemetry)
        if writer is not None and self._serving:
            writer.start()

    async def _show_accounts(self) -> None:
        collectors = self.collectors
        self._telemetry.set_accounts([collector.telemetry for collector in collectors])
        self._publisher.set_accounts(
            [
                (collector.account.provider.name, collector.account.name, collector.page)
                for collector in collectors
            ]
        )
        await self._publisher.publish()

    # Reloading.

    async def reload(self) -> str | None:
        """Take over the configuration and the credentials as they are on disk now.

        Returns None, or in words why everything stays as it was. Accounts that did not change
        are left alone, in the middle of a poll, too; what a changed one had begun to poll is
        asked for again.
        """
        async with self._reloading:
            try:
                config, authenticators = self._read_anew()
                if self._security is not None and (problem := self._security.refresh()):
                    raise ServeError(problem)
                before = self._config
                try:
                    await self._take_over(config, authenticators)
                except ExporterError:
                    await self._go_back(before)
                    raise
            except ExporterError as error:
                self._telemetry.reloaded(successful=False)
                log.error(
                    "reload failed; the old configuration stays in force",
                    extra={"error": str(error)},
                )
                return str(error)
            self._telemetry.reloaded(successful=True)
            log.info("configuration reloaded", extra={"accounts": len(config.accounts)})
            return None

    def _read_anew(self) -> tuple[Config, dict[str, Authenticator]]:
        if self._read_config is None:
            raise ServeError("this configuration cannot be read anew")
        config = self._read_config()
        if config.ledger.path != self._config.ledger.path:
            raise ServeError("ledger.path cannot be changed while running; restart instead")
        return config, {account.name: authenticator_of(account) for account in config.accounts}

    async def _take_over(self, config: Config, authenticators: Mapping[str, Authenticator]) -> None:
        same_for_all = (config.polling, config.limits, config.ledger) == (
            self._config.polling,
            self._config.limits,
            self._config.ledger,
        )
        wanted = {account.name: account for account in config.accounts}
        kept: set[str] = set()
        shown = set(self._running)
        for name, running in list(self._running.items()):
            if same_for_all and wanted.get(name) == running.collector.account:
                kept.add(name)
            else:
                await self._remove(name)
        if config.remote_write != self._config.remote_write:
            await self._set_remote_write(config.remote_write)
        self._config = config
        self._ledger.hold_seconds = hold_seconds(config.polling.cadence_seconds)
        for name, account in wanted.items():
            if name not in kept:
                await self._add(account, authenticators[name], appears_anew=name not in shown)
        # In the order of the file again.
        self._running = {name: self._running[name] for name in wanted}
        await self._show_accounts()

    async def _go_back(self, config: Config) -> None:
        """Poll everything again that `config` names, as far as that can be done."""
        self._config = config
        self._ledger.hold_seconds = hold_seconds(config.polling.cadence_seconds)
        for account in config.accounts:
            running = self._running.get(account.name)
            if running is not None and running.collector.account == account:
                continue
            with suppress(ExporterError):
                if running is not None:
                    await self._remove(account.name)
                await self._add(account, authenticator_of(account), appears_anew=False)
        names = [account.name for account in config.accounts]
        for name in self._running.keys() - set(names):
            await self._remove(name)
        self._running = {name: self._running[name] for name in names if name in self._running}
        await self._show_accounts()

    # What the server asks.

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """All (provider, account) pairs."""
        return self._publisher.accounts

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The newest exposition."""
        return self._publisher.page(format, accounts)

    def status(self) -> tuple[AccountStatus, ...]:
        """How every account stands."""
        return tuple(collector.status() for collector in self.collectors)

    def healthy(self) -> str | None:
        """What is wrong with the poll loop, or None."""
        cadence = self._config.polling.cadence_seconds
        now = self._clock()
        for account in self._config.accounts:
            if account.name not in self._running and not self._reloading.locked():
                return f"Account {account.name} is not polled since a reload failed."
        for collector in self.collectors:
            if now - collector.beat > 2 * cadence + 300:
                return f"The poll loop of account {collector.account.name} does not move."
        return None

    def ready(self) -> str | None:
        """What is missing until every account can be shown, or None."""
        waiting = [one.account.name for one in self.collectors if not one.ready]
        return f"Not polled yet: {', '.join(waiting)}." if waiting else None

    def configuration(self) -> str:
        """The running configuration, redacted."""
        return redacted(self._config)

    def now(self) -> float:
        """The time."""
        return self._clock()
