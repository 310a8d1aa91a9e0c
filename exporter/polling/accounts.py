"""Builds one account's parts, which poll it for as long as they run."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import httpx

from exporter.client.http import Authenticator, BearerAuth, TokenAuth, VendorClient
from exporter.config import Account, AppCredential, Config
from exporter.credentials import Watched
from exporter.exposition import AccountPage
from exporter.exposition.telemetry import AccountTelemetry
from exporter.model import ClientCredentials, Request
from exporter.model.errors import ExporterError
from exporter.polling.after_poll import AfterPoll
from exporter.polling.collector import Collector, configured_streams, discovery_feed
from exporter.polling.reconciliation import Reconciler
from exporter.polling.recorder import Tools
from exporter.polling.schedule import offset_seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What all accounts are built with; `large` bounds the large answers read at a time."""

    tools: Tools
    created_timestamps: bool
    transport: httpx.AsyncBaseTransport | None
    large: asyncio.Semaphore


@dataclass(slots=True)
class RunningAccount:
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

    async def close(self) -> None:
        """End polling, and let go of the connections."""
        await self.stop()
        await self.client.aclose()


async def assemble(
    account: Account,
    authenticator: Authenticator,
    config: Config,
    parts: Parts,
    *,
    reappears_after: float,
) -> RunningAccount:
    """The account's parts, which show what the ledger holds of it and do not poll yet.

    Counters that were shown longer ago than `reappears_after` seconds appear as if they were new.
    """
    polling = config.polling
    tools = parts.tools
    # An account that a reload changed goes on counting its polls where it was.
    telemetry = tools.telemetry.account(account.provider.name, account.name)
    if telemetry is None:
        telemetry = AccountTelemetry(
            provider=account.provider.name,
            account=account.name,
            feeds=account.feeds,
            cadence_seconds=polling.cadence_seconds,
            created_timestamps=parts.created_timestamps,
        )
    else:
        telemetry.polls(account.feeds, cadence_seconds=polling.cadence_seconds)
    book = await tools.worker.run(
        tools.ledger.book,
        account.provider.name,
        account.name,
        feeds=account.feeds,
        stream_limit=config.limits.streams,
        label_limit=config.limits.labels,
        first_streams=configured_streams(account),
        reappears_after=reappears_after,
    )
    page = AccountPage(
        book,
        level_seconds=2 * polling.cadence_seconds,
        created_timestamps=parts.created_timestamps,
    )
    await tools.worker.run(page.render_all, tools.clock())
    client = VendorClient(
        account=account.name,
        provider=account.provider,
        url=account.url,
        auth=authenticator,
        timeout_seconds=polling.timeout_seconds,
        concurrency=polling.concurrency,
        cadence_seconds=polling.cadence_seconds,
        observe=telemetry,
        transport=parts.transport,
        now=tools.clock,
        large=parts.large,
        requests_per_second=polling.requests_per_second,
    )

    async def get(request: Request, feed: str, deadline: float) -> bytes:
        return await client.get(request, feed=feed, deadline=deadline)

    feeds = account.provider.feeds(account.feeds, account.options)
    collector = Collector(
        account=account,
        feeds=feeds,
        discovery=discovery_feed(account),
        get=get,
        book=book,
        page=page,
        telemetry=telemetry,
        tools=tools,
        polling=polling,
        delay_seconds=polling.delay_seconds + offset_seconds(account.name, polling.cadence_seconds),
        retention_seconds=config.ledger.retention_seconds,
        look_back=AfterPoll(
            ledger=tools.ledger,
            book=book,
            worker=tools.worker,
            telemetry=telemetry,
            clock=tools.clock,
            settling={feed.name: feed.settling for feed in feeds if feed.resolutions},
            reconciler=Reconciler(feeds, tools.ledger, book, tools.worker, telemetry),
        ),
    )
    return RunningAccount(collector, client)


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
