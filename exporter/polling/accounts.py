"""The set of accounts that are polled, each built from the configuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from exporter.client.environment import Authorities
from exporter.client.http import Authenticator, BearerAuth, TokenAuth, VendorClient
from exporter.config import Account, AppCredential, Config
from exporter.credentials import CurrentCredential
from exporter.exposition import AccountPage
from exporter.exposition.telemetry import AccountTelemetry
from exporter.ledger import Book
from exporter.ledger.book import Lease
from exporter.ledger.leases import AccountKey
from exporter.model import ClientCredentials, Feed
from exporter.model.errors import ExporterError
from exporter.polling.account_log import AccountLog
from exporter.polling.after_poll import AfterPoll
from exporter.polling.collector import Collector
from exporter.polling.cost import CostEstimate
from exporter.polling.discovery import StreamNames, configured_streams, discovery_feed
from exporter.polling.feed_poller import FeedPoller
from exporter.polling.gaps import GapFiller
from exporter.polling.reconciliation import Reconciler
from exporter.polling.recorder import Recorder
from exporter.polling.schedule import Ticks, hold_seconds, offset_seconds
from exporter.polling.shared import Shared
from exporter.polling.status import AccountStatus

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 60.0
"""A poll loop that ended by an exception is restarted after a cadence, or after this if shorter."""


@dataclass(slots=True)
class RunningAccount:
    """One account's collector and connections, and the task that polls it.

    `epoch` is that of its lease; None where the ledger has no leases.
    """

    collector: Collector
    client: VendorClient
    telemetry: AccountTelemetry
    epoch: int | None = None
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start polling."""
        self.task = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        """Poll for ever: an unexpected exception in one poll must not stop polling."""
        while True:
            try:
                await self.collector.run()
            except Exception:
                log.exception(
                    "poll loop broke off; it begins anew",
                    extra={"account": self.collector.account.name},
                )
                await asyncio.sleep(
                    min(self.collector.ticks.cadence_seconds, LONGEST_PAUSE_SECONDS)
                )

    async def stop(self) -> None:
        """Stop polling, even during a poll."""
        task, self.task = self.task, None
        while task is not None and not task.done():
            # Again and again: one cancellation may get lost in a poll that is failing just then.
            task.cancel()
            await asyncio.wait({task}, timeout=1)

    async def close(self) -> None:
        """Stop polling, and close the connections."""
        await self.stop()
        await self.client.aclose()


class Accounts:
    """The accounts of a configuration: created, kept and stopped as it changes.

    With leases, only the accounts are polled and shown that `hold` was last called with.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config: Config | None = None
        self._running: dict[str, RunningAccount] = {}
        self._started = False
        self._held: Mapping[AccountKey, int] | None = None if shared.me is None else {}
        self._changing = asyncio.Lock()
        self._authorities = Authorities()

    @property
    def running(self) -> tuple[RunningAccount, ...]:
        """All accounts, in the order of the configuration."""
        return tuple(self._running.values())

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """All accounts' collectors, in the order of the configuration."""
        return tuple(running.collector for running in self._running.values())

    def start(self) -> None:
        """Start polling these accounts, and each one that is added later."""
        self._started = True
        for running in self._running.values():
            running.start()

    async def stop(self) -> None:
        """Stop polling."""
        self._started = False
        for running in list(self._running.values()):
            await running.stop()

    async def close(self) -> None:
        """Stop polling, and close all connections."""
        for name in list(self._running):
            await self._remove(name)

    async def replace(self, config: Config) -> None:
        """Poll the accounts of `config`; accounts that did not change are not interrupted.

        If that fails, the accounts of the previous configuration are polled again, as far as
        possible, and the ExporterError is raised. Credentials are read before anything changes.
        """
        authenticators = {account.name: authenticator_of(account) for account in config.accounts}
        async with self._changing:
            self._authorities = Authorities()  # their files may have changed
            before = self._config
            try:
                await self._apply(config, authenticators)
            except ExporterError:
                if before is not None:
                    await self._restore(before)
                raise

    async def hold(self, held: Mapping[AccountKey, int]) -> list[AccountKey]:
        """Poll and show exactly these accounts, given with the epochs of their leases.

        An account whose epoch has changed is loaded anew. Returns those that cannot be polled.
        """
        failed: list[AccountKey] = []
        async with self._changing:
            self._held = dict(held)
            config = self._config
            if config is None:
                return list(held)
            for name, running in list(self._running.items()):
                if running.epoch != held.get(key_of(running.collector.account)):
                    await self._remove(name)
            for account in config.accounts:
                if account.name in self._running or key_of(account) not in held:
                    continue
                try:
                    authenticator = authenticator_of(account)
                    await self._add(account, authenticator, config, appears_anew=True)
                except ExporterError as error:
                    log.error(
                        "account cannot be polled",
                        extra={"account": account.name, "error": str(error)},
                    )
                    failed.append(key_of(account))
            self._held = {key: epoch for key, epoch in held.items() if key not in failed}
            await self._show([account.name for account in config.accounts])
        return failed

    def _may_poll(self, account: Account) -> bool:
        return self._held is None or key_of(account) in self._held

    async def _apply(self, config: Config, authenticators: Mapping[str, Authenticator]) -> None:
        before = self._config
        same_for_all = before is not None and (config.polling, config.limits, config.ledger) == (
            before.polling,
            before.limits,
            before.ledger,
        )
        wanted = {one.name: one for one in config.accounts if self._may_poll(one)}
        shown = set(self._running)
        for name, running in list(self._running.items()):
            if not same_for_all or wanted.get(name) != running.collector.account:
                await self._remove(name)
        self._set_config(config)
        for name, account in wanted.items():
            if name not in self._running:
                # An account that is on the page now does not count as a new one.
                appears = before is not None and name not in shown
                await self._add(account, authenticators[name], config, appears_anew=appears)
        await self._show(wanted)

    async def _restore(self, config: Config) -> None:
        """Poll the accounts of `config` again, as far as possible."""
        self._set_config(config)
        for account in config.accounts:
            running = self._running.get(account.name)
            if running is not None and running.collector.account == account:
                continue
            if not self._may_poll(account):
                continue
            with suppress(ExporterError):
                if running is not None:
                    await self._remove(account.name)
                authenticator = authenticator_of(account)
                await self._add(account, authenticator, config, appears_anew=False)
        names = [account.name for account in config.accounts]
        for name in self._running.keys() - set(names):
            await self._remove(name)
        await self._show(names)

    def _set_config(self, config: Config) -> None:
        self._config = config
        self._shared.ledger.hold_seconds = hold_seconds(config.polling.cadence_seconds)

    async def _add(
        self, account: Account, authenticator: Authenticator, config: Config, *, appears_anew: bool
    ) -> None:
        cadence = config.polling.cadence_seconds
        reappears_after = 0 if appears_anew else 2 * cadence
        epoch = None if self._held is None else self._held[key_of(account)]
        running = await _build(
            account,
            authenticator,
            config,
            self._shared,
            self._authorities,
            reappears_after,
            epoch,
        )
        self._running[account.name] = running
        if self._started:
            running.start()

    async def _remove(self, name: str) -> None:
        await self._running.pop(name).close()

    async def _show(self, names: Iterable[str]) -> None:
        """Publish these accounts, in this order, and no others."""
        self._running = {name: self._running[name] for name in names if name in self._running}
        self._shared.telemetry.set_accounts([one.telemetry for one in self.running])
        self._shared.publisher.set_accounts(
            [
                (one.account.provider.name, one.account.name, one.recorder.page)
                for one in self.collectors
            ]
        )
        await self._shared.publisher.publish()

    # Status.

    def status(self) -> tuple[AccountStatus, ...]:
        """The status of every account."""
        return tuple(collector.status() for collector in self.collectors)

    def not_polled(self) -> str | None:
        """The name of an account of the configuration that is not polled since a reload failed."""
        accounts = () if self._config is None else self._config.accounts
        names = [one.name for one in accounts if self._may_poll(one)]
        return next((name for name in names if name not in self._running), None)

    def stuck(self) -> str | None:
        """The name of an account whose poll loop makes no progress."""
        now = self._shared.clock()
        for collector in self.collectors:
            ticks = collector.ticks
            if now - ticks.checked_at > 2 * ticks.cadence_seconds + 300:
                return collector.account.name
        return None

    def waiting(self) -> list[str]:
        """The names of accounts that cannot be shown yet."""
        return [one.account.name for one in self.collectors if not one.ready]


def key_of(account: Account) -> AccountKey:
    """The account's name in the ledger."""
    return AccountKey(account.provider.name, account.name)


async def _build(
    account: Account,
    authenticator: Authenticator,
    config: Config,
    shared: Shared,
    authorities: Authorities,
    reappears_after: float,
    epoch: int | None,
) -> RunningAccount:
    """The account's objects; its page shows the ledger's values, and it is not polled yet.

    Counters that were last shown more than `reappears_after` seconds ago are treated as new. `epoch`
    is that of its lease, if there are leases.
    """
    polling, clock = config.polling, shared.clock
    telemetry = _telemetry(account, config, shared)
    book = await shared.worker.run(
        shared.ledger.book,
        account.provider.name,
        account.name,
        feeds=account.feeds,
        stream_limit=config.limits.streams,
        label_limit=config.limits.labels,
        first_streams=configured_streams(account),
        reappears_after=reappears_after,
    )
    if shared.me is not None and epoch is not None:
        book.lease = Lease(str(shared.me), epoch)
    page = AccountPage(
        book,
        level_seconds=2 * polling.cadence_seconds,
        created_timestamps=shared.created_timestamps,
    )
    await shared.worker.run(page.render_all, clock())
    client = VendorClient(
        account=account.name,
        provider=account.provider,
        url=account.url,
        auth=authenticator,
        timeout_seconds=polling.timeout_seconds,
        concurrency=polling.concurrency,
        cadence_seconds=polling.cadence_seconds,
        observe=telemetry,
        transport=shared.transport,
        verify=True if shared.transport is not None else authorities.context(),
        now=clock,
        large=shared.large_answers,
        requests_per_second=polling.requests_per_second,
    )
    account_log = AccountLog(provider=account.provider.name, account=account.name)
    recorder = Recorder(book=book, page=page, telemetry=telemetry, shared=shared)
    feeds = account.provider.feeds(account.feeds, account.options)
    names = _stream_names(account, feeds, book, account_log)
    pollers = [
        FeedPoller(
            feed,
            names=names,
            recorder=recorder,
            telemetry=telemetry,
            log=account_log,
            polling=polling,
            clock=clock,
        )
        for feed in feeds
    ]
    after_poll = AfterPoll(
        feeds=pollers,
        gaps=GapFiller(recorder=recorder, log=account_log, clock=clock),
        recorder=recorder,
        reconciler=Reconciler(feeds, shared.ledger, book, shared.worker, telemetry),
        retention_seconds=config.ledger.retention_seconds,
        contracts=account.contracts,
        telemetry=telemetry,
        account_log=account_log,
        shared=shared,
    )
    estimate = CostEstimate(
        [*feeds, *([] if names.discovery is None else [names.discovery])],
        cadence_seconds=polling.cadence_seconds,
        delay_seconds=polling.delay_seconds,
        worker=shared.worker,
    )
    offset = offset_seconds(account.name, polling.cadence_seconds)
    collector = Collector(
        account,
        client=client,
        ticks=Ticks(clock, polling.cadence_seconds, polling.delay_seconds + offset),
        feeds=pollers,
        names=names,
        recorder=recorder,
        after_poll=after_poll,
        estimate=estimate,
        log=account_log,
    )
    return RunningAccount(collector, client, telemetry, epoch)


def _telemetry(account: Account, config: Config, shared: Shared) -> AccountTelemetry:
    """The exporter's own metrics of the account; their counters survive a reload."""
    telemetry = shared.telemetry.account(account.provider.name, account.name)
    cadence = config.polling.cadence_seconds
    if telemetry is None:
        return AccountTelemetry(
            provider=account.provider.name,
            account=account.name,
            feeds=account.feeds,
            cadence_seconds=cadence,
            created_timestamps=shared.created_timestamps,
        )
    telemetry.set_feeds(account.feeds, cadence_seconds=cadence)
    return telemetry


def _stream_names(
    account: Account, feeds: Iterable[Feed], book: Book, account_log: AccountLog
) -> StreamNames:
    return StreamNames(
        configured=configured_streams(account),
        discovery=discovery_feed(account),
        lister=next((feed for feed in feeds if feed.discovers), None),
        book=book,
        log=account_log,
    )


def authenticator_of(account: Account) -> Authenticator:
    """The account's authenticator; raises CredentialError when a credential cannot be read."""
    credential = account.credential
    if isinstance(credential, AppCredential):
        ways = account.provider.authentication
        path = next(way.path for way in ways if isinstance(way, ClientCredentials))
        key, secret = CurrentCredential(credential.key), CurrentCredential(credential.secret)
        _try(account, key)
        _try(account, secret)
        return TokenAuth(key=key, secret=secret, url=f"{account.auth_url}{path}")
    token = CurrentCredential(credential.token)
    _try(account, token)
    return BearerAuth(token)


def _try(account: Account, credential: CurrentCredential) -> None:
    try:
        credential.secret()
    except ExporterError as error:
        raise type(error)(f"account {account.name}: {error}") from error
