"""Constructs the exporter from a configuration, runs it and reloads it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx

from exporter.client.http import LARGE_BODIES
from exporter.config import Config, LedgerSettings, RemoteWrite, redacted
from exporter.exposition import Format, Page
from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import LeaseTelemetry, RemoteWriteTelemetry, Telemetry
from exporter.exposition.validity import Validity
from exporter.history.remote_write import RemoteWriter
from exporter.ledger.contract import Ledger
from exporter.ledger.leases import AccountKey, Holder
from exporter.ledger.opening import open_leases, open_ledger
from exporter.ledger.place import Place, place_of
from exporter.ledger.place import Server as Database
from exporter.ledger.thread import Worker
from exporter.model.errors import ExporterError, ServeError
from exporter.polling.accounts import Accounts, key_of
from exporter.polling.collector import Collector
from exporter.polling.lease_keeper import LeaseKeeper
from exporter.polling.schedule import hold_seconds
from exporter.polling.shared import Shared
from exporter.polling.status import AccountStatus, LeasesStatus
from exporter.web.app import Server
from exporter.web.server import STOPPING_SECONDS, WebOptions, http_server
from exporter.web.toolkit import WebSecurity

log = logging.getLogger(__name__)

ONCE_SECONDS = 900.0
"""How long the poll of `once` may take at least; no next tick limits it."""


class Exporter:
    """One running exporter. Call `open`, then `once` or `serve`, then `close`.

    `read_config` reads the configuration from disk again, for a reload; None forbids reloads.
    """

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        worker: Worker,
        replica: str | None,
        clock: Callable[[], float],
        created_timestamps: bool,
        process_metrics: bool,
        transport: httpx.AsyncBaseTransport | None,
        read_config: Callable[[], Config] | None,
    ) -> None:
        self._config = config
        self.read_config = read_config
        telemetry = Telemetry(
            clock=clock,
            ledger_size=ledger.size_bytes,
            created_timestamps=created_timestamps,
            process_metrics=process_metrics,
        )
        place = _place(config.ledger)
        leased = replica is not None and isinstance(place, Database)
        me = Holder(replica, secrets.token_hex(8)) if replica is not None and leased else None
        validity = Validity()
        self.shared = Shared(
            ledger=ledger,
            worker=worker,
            telemetry=telemetry,
            publisher=Publisher(worker=worker, telemetry=telemetry, validity=validity),
            clock=clock,
            created_timestamps=created_timestamps,
            transport=transport,
            large_answers=asyncio.Semaphore(LARGE_BODIES),
            lease_lost=self._lease_lost,
            me=me,
        )
        self.polling = Accounts(self.shared)
        self.leases: LeaseKeeper | None = None
        if me is not None and isinstance(place, Database):
            lease_telemetry = LeaseTelemetry(created_timestamps=created_timestamps)
            telemetry.set_leases(lease_telemetry)
            lease_seconds = config.ledger.lease_seconds
            self.leases = LeaseKeeper(
                open_leases(place, me, lease_seconds=lease_seconds),
                worker=Worker(),
                me=me,
                lease_seconds=lease_seconds,
                wanted=lambda: [key_of(account) for account in self._config.accounts],
                hold=self.polling.hold,
                validity=validity,
                telemetry=lease_telemetry,
            )
        self._reloading = asyncio.Lock()
        self._reload_failure: str | None = None
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
        process_metrics: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        read_config: Callable[[], Config] | None = None,
        replica: str | None = None,
    ) -> Exporter:
        """Read the credentials, open the ledger, and publish what it holds.

        `transport` replaces the network in tests. `clock` returns Unix seconds. Where replicas share
        the ledger, `replica` is the name of this one: it polls and shows the accounts whose leases
        it holds, from `serve` on; without a name it polls all. Raises an ExporterError, with a
        message of one line, when a step fails.
        """
        worker = Worker()
        try:
            ledger = await worker.run(
                open_ledger,
                _place(config.ledger),
                clock=clock,
                hold_seconds=hold_seconds(config.polling.cadence_seconds),
                lease_seconds=config.ledger.lease_seconds,
            )
        except BaseException:
            worker.close()
            raise
        exporter = cls(
            config,
            ledger=ledger,
            worker=worker,
            replica=replica,
            clock=clock,
            created_timestamps=created_timestamps,
            process_metrics=process_metrics,
            transport=transport,
            read_config=read_config,
        )
        try:
            await exporter.polling.replace(config)
            await exporter._replace_remote_writer(exporter._remote_writer(config.remote_write))
        except BaseException:
            await exporter.close()
            raise
        return exporter

    async def close(self) -> None:
        """Stop polling and remote write; close the connections and the ledger."""
        if self.leases is not None:
            await self.leases.close()
        await self.polling.close()
        await self._replace_remote_writer(None)
        await self.shared.worker.run(self.shared.ledger.close)
        self.shared.worker.close()

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All accounts, in the order of the configuration."""
        return self.polling.collectors

    async def once(self) -> bool:
        """Poll every account once; True if every feed succeeded."""
        patience = max(self._config.polling.cadence_seconds, ONCE_SECONDS)
        results = await asyncio.gather(
            *(collector.poll(patience_seconds=patience) for collector in self.collectors)
        )
        await self.shared.publisher.publish()
        return all(results)

    async def serve(
        self, sockets: Sequence[socket.socket], web: WebOptions, *, stop: asyncio.Event
    ) -> None:
        """Poll, answer HTTP requests and push by remote write until `stop` is set."""
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
        if self.leases is not None:
            self.leases.start()
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
            if self.leases is not None:
                await self.leases.stop()
            await self.polling.stop()
            await self._replace_remote_writer(None)
            http.should_exit = True
            await serving

    def _remote_writer(self, settings: RemoteWrite | None) -> RemoteWriter | None:
        """A writer for these settings, not started; None without `remote_write`."""
        if settings is None:
            return None
        shared = self.shared
        telemetry = RemoteWriteTelemetry(
            receiver=httpx.URL(settings.url).netloc.decode(),
            created_timestamps=shared.created_timestamps,
        )
        leases = self.leases
        return RemoteWriter(
            settings,
            shared.ledger,
            shared.worker,
            telemetry,
            shared.clock,
            pushes=(lambda _: True) if leases is None else (lambda key: key in leases.held),
        )

    async def _replace_remote_writer(self, writer: RemoteWriter | None) -> None:
        """Stop the present remote writer; use `writer` from now on, or none.

        While serving, the new one is started at once.
        """
        if self.remote_writer is not None:
            await self.remote_writer.stop()
        self.remote_writer = writer
        self.shared.telemetry.set_remote_write(None if writer is None else writer.telemetry)
        if writer is not None and self._serving:
            writer.start()

    # Reloading.

    async def reload(self) -> str | None:
        """Read the configuration and the credentials again, and apply what has changed.

        Returns None, or the error because of which the old configuration stays in force.
        Accounts that did not change are not interrupted, not even in the middle of a poll; a
        poll of a changed account is broken off and its windows are requested again.
        """
        async with self._reloading:
            try:
                config = self._reread_config()
                if self._security is not None and (problem := self._security.refresh()):
                    raise ServeError(problem)
                remote_write_changed = config.remote_write != self._config.remote_write
                writer = self._remote_writer(config.remote_write) if remote_write_changed else None
                await self.polling.replace(config)
                if remote_write_changed:
                    await self._replace_remote_writer(writer)
                self._config = config
                if self.leases is not None:
                    self.leases.look_again()
            except ExporterError as error:
                self.shared.telemetry.reloaded(successful=False)
                self._reload_failure = str(error)
                log.error(
                    "reload failed; the old configuration stays in force",
                    extra={"error": str(error)},
                )
                return str(error)
            self.shared.telemetry.reloaded(successful=True)
            self._reload_failure = None
            log.info("configuration reloaded", extra={"accounts": len(config.accounts)})
            return None

    def _reread_config(self) -> Config:
        """The configuration on disk; ServeError where it needs a restart."""
        if self.read_config is None:
            raise ServeError("this configuration cannot be read anew")
        config = self.read_config()
        if _place(config.ledger) != _place(self._config.ledger):
            key = "path" if self._config.ledger.url is None else "url"
            raise ServeError(f"ledger.{key} cannot be changed while running; restart instead")
        return config

    def _lease_lost(self, key: AccountKey) -> None:
        if self.leases is not None:
            self.leases.lost(key)

    # What `exporter.web` calls.

    @property
    def accounts(self) -> tuple[tuple[str, str], ...]:
        """All (provider, account) pairs of the configuration, also those that others hold."""
        return tuple(key_of(account) for account in self._config.accounts)

    def is_ready(self, format: Format) -> bool:
        """Whether there are pages of this format; if not, they are prepared."""
        return self.shared.publisher.is_ready(format)

    def page(self, format: Format, accounts: frozenset[str] | None) -> Page:
        """The page published last, with these accounts only; None: with all."""
        return self.shared.publisher.page(format, accounts)

    def status(self) -> tuple[AccountStatus, ...]:
        """The status of every account and its feeds."""
        return self.polling.status()

    def leases_status(self) -> LeasesStatus | None:
        """Who holds which account; None where no replicas share the ledger."""
        return None if self.leases is None else self.leases.status()

    def healthy(self) -> str | None:
        """None while every loop moves, else one sentence that says what is wrong."""
        missing = None if self._reloading.locked() else self.polling.not_polled()
        if missing is not None:
            return f"Account {missing} is not polled since a reload failed."
        if self.leases is not None and self.leases.stuck():
            return "The leases of accounts are not renewed."
        stuck = self.polling.stuck()
        return None if stuck is None else f"The poll loop of account {stuck} does not move."

    def reload_failure(self) -> str | None:
        """Why the newest reload failed and the old configuration is in force; None if it did not."""
        return self._reload_failure

    def ready(self) -> str | None:
        """None once every account has been polled, else one sentence that names the others."""
        if self.leases is not None and self.leases.standing is None:
            return "The leases of accounts have not been looked at yet."
        waiting = self.polling.waiting()
        return f"Not polled yet: {', '.join(waiting)}." if waiting else None

    def configuration(self) -> str:
        """The running configuration as text, without its secrets."""
        return redacted(self._config)

    def now(self) -> float:
        """The present instant in Unix seconds."""
        return self.shared.clock()


def _place(settings: LedgerSettings) -> Place:
    return place_of(settings.path, settings.url, settings.password)
