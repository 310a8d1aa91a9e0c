"""The composition root: builds everything out of a configuration, and runs it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import uvicorn

from exporter.client import LARGE_BODIES, Authenticator, BearerAuth, TokenAuth, VendorClient
from exporter.collector import Collector, configured_streams, discovery_feed
from exporter.config import Account, AppCredential, Config, RemoteWrite, redacted
from exporter.connections import Connection
from exporter.credentials import Watched
from exporter.errors import ExporterError, ServeError
from exporter.exposition import AccountPage, Format, Page
from exporter.fast_lane import FastLane, factory
from exporter.history.after_poll import AfterPoll
from exporter.history.reconciliation import Reconciler
from exporter.history.remote_write import RemoteWriter
from exporter.keeping import Tools
from exporter.ledger import Ledger
from exporter.model import ClientCredentials, Request
from exporter.publisher import Publisher
from exporter.schedule import hold_seconds, offset_seconds
from exporter.server import Server
from exporter.status import AccountStatus
from exporter.telemetry import AccountTelemetry, RemoteWriteTelemetry, Telemetry
from exporter.web import WebSecurity
from exporter.worker import Worker

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 900.0
"""How long a single poll may take that no other follows."""

STOPPING_SECONDS = 3
"""How long scrapes that are being answered may go on after the signal to stop."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the command line says of the HTTP side."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    lifecycle: bool = False
    created_timestamps: bool = False
    security: WebSecurity | None = None


@dataclass(slots=True)
class _Running:
    """One account's parts, and the task that polls it."""

    collector: Collector
    client: VendorClient
    task: asyncio.Task[None] | None = None

    def start(self, cadence_seconds: float) -> None:
        """Begin to poll."""
        self.task = asyncio.create_task(self._poll(min(cadence_seconds, 60)))

    async def _poll(self, pause_seconds: float) -> None:
        """Poll for ever: a mistake of ours in one round must not end the others."""
        while True:
            try:
                await self.collector.run()
            except Exception:
                log.exception(
                    "poll loop broke off; it begins anew",
                    extra={"account": self.collector.account.name},
                )
                await asyncio.sleep(pause_seconds)

    async def stop(self) -> None:
        """End polling, in the middle of a poll, too."""
        task, self.task = self.task, None
        while task is not None and not task.done():
            # Once may be lost among the errors of a poll that is failing just then.
            task.cancel()
            await asyncio.wait({task}, timeout=1)


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
        self._transport = transport
        self._read_config = read_config
        self._telemetry = Telemetry(
            clock=clock, ledger_size=ledger.size_bytes, created_timestamps=created_timestamps
        )
        self._publisher = Publisher(worker=worker, telemetry=self._telemetry)
        self._running: dict[str, _Running] = {}
        self._reloading = asyncio.Lock()
        self._large = asyncio.Semaphore(LARGE_BODIES)
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
        serving_config = uvicorn.Config(
            server if web.security is None else web.security.wrap(server),
            # Passwords, limits and headers of a web configuration need the usual way.
            http=Connection  # type: ignore[arg-type]
            if web.security is not None
            else factory(FastLane(server, web.telemetry_path)),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=STOPPING_SECONDS,
        )
        serving_config.load()
        if web.security is not None:
            serving_config.ssl = web.security.ssl_context
        http = _Uvicorn(serving_config)
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
        config = self._config
        polling = config.polling
        telemetry = AccountTelemetry(
            provider=account.provider.name,
            account=account.name,
            feeds=account.feeds,
            cadence_seconds=polling.cadence_seconds,
            created_timestamps=self._created_timestamps,
        )
        client = VendorClient(
            account=account.name,
            provider=account.provider,
            url=account.url,
            auth=authenticator,
            timeout_seconds=polling.timeout_seconds,
            concurrency=polling.concurrency,
            cadence_seconds=polling.cadence_seconds,
            observe=telemetry,
            transport=self._transport,
            now=self._clock,
            large=self._large,
        )

        async def get(request: Request, feed: str, deadline: float) -> bytes:
            return await client.get(request, feed=feed, deadline=deadline)

        book = await self._worker.run(
            self._ledger.book,
            account.provider.name,
            account.name,
            feeds=account.feeds,
            stream_limit=config.limits.streams,
            first_streams=configured_streams(account),
            reappears_after=0 if appears_anew else 2 * polling.cadence_seconds,
        )
        page = AccountPage(
            book,
            level_seconds=2 * polling.cadence_seconds,
            created_timestamps=self._created_timestamps,
        )
        await self._worker.run(page.render_all, self._clock())
        feeds = account.provider.feeds(account.feeds, account.options)
        collector = Collector(
            account=account,
            feeds=feeds,
            discovery=discovery_feed(account),
            get=get,
            book=book,
            page=page,
            telemetry=telemetry,
            tools=Tools(
                self._ledger, self._worker, self._telemetry, self._clock, self._publisher.publish
            ),
            polling=polling,
            delay_seconds=polling.delay_seconds
            + offset_seconds(account.name, polling.cadence_seconds),
            retention_seconds=config.ledger.retention_seconds,
            look_back=AfterPoll(
                ledger=self._ledger,
                book=book,
                worker=self._worker,
                telemetry=telemetry,
                clock=self._clock,
                settling={feed.name: feed.settling for feed in feeds if feed.resolutions},
                reconciler=Reconciler(feeds, self._ledger, book, self._worker, telemetry),
            ),
        )
        running = self._running[account.name] = _Running(collector, client)
        if self._serving:
            running.start(polling.cadence_seconds)

    async def _remove(self, name: str) -> None:
        running = self._running.pop(name)
        await running.stop()
        await running.client.aclose()

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


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def authenticator_of(account: Account) -> Authenticator:
    """How the account signs in; raises CredentialError when a credential cannot be read."""
    credential = account.credential
    if isinstance(credential, AppCredential):
        ways = account.provider.authentication
        path = next(way.path for way in ways if isinstance(way, ClientCredentials))
        key, secret = Watched(credential.key), Watched(credential.secret)
        _try(account, key)
        _try(account, secret)
        return TokenAuth(key=key, secret=secret, url=f"{account.auth_url}{path}")
    token = Watched(credential.token)
    _try(account, token)
    return BearerAuth(token)


def _try(account: Account, credential: Watched) -> None:
    try:
        credential.secret()
    except ExporterError as error:
        raise type(error)(f"account {account.name}: {error}") from error
