"""`check-config --online`: requests each feed of an account once, and reports what is allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from exporter.client.http import VendorClient
from exporter.config import Account, Polling
from exporter.ledger import FeedState
from exporter.model import Feed, Request
from exporter.model.errors import PollError
from exporter.polling.accounts import authenticator_of
from exporter.polling.advice import ADVICE
from exporter.polling.discovery import configured_streams
from exporter.polling.planner import plan_asks

SKEW_SECONDS = 5.0
"""A smaller difference between the clocks may come from the network and is not reported."""


@dataclass(frozen=True, slots=True)
class FeedFinding:
    """The outcome of one request for a feed.

    `allowed` is None where nothing was requested; `said` is the line for people.
    """

    feed: str
    polled: bool
    allowed: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class AccountFinding:
    """The outcome for one account.

    `skew_seconds` is how far this machine's clock is ahead of the vendor's; None if unknown.
    """

    account: str
    feeds: tuple[FeedFinding, ...]
    skew_seconds: float | None

    @property
    def healthy(self) -> bool:
        """Whether everything that would be polled is allowed."""
        return all(one.allowed is not False for one in self.feeds if one.polled)


class _NoTelemetry:
    """In place of the telemetry: these requests are not counted."""

    def request(self, feed: str, code: str, seconds: float) -> None:
        """Ignore an attempt that is over."""


async def examine(
    account: Account,
    polling: Polling,
    *,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AccountFinding:
    """One request for each feed that the provider has, whether it is polled or not.

    Raises CredentialError when there is no credential to try.
    """
    skews: list[float] = []

    def on_date_header(date: str) -> None:
        try:
            skews.append(clock() - parsedate_to_datetime(date).timestamp())
        except ValueError:
            return

    client = VendorClient(
        account=account.name,
        provider=account.provider,
        url=account.url,
        auth=authenticator_of(account),
        timeout_seconds=polling.timeout_seconds,
        concurrency=polling.concurrency,
        cadence_seconds=polling.cadence_seconds,
        requests_per_second=polling.requests_per_second,
        observe=_NoTelemetry(),
        transport=transport,
        now=clock,
        on_date_header=on_date_header,
    )
    try:
        feeds = account.provider.feeds(account.provider.feed_names, account.options)
        findings = [await _try(client, account, feed, int(clock())) for feed in feeds]
    finally:
        await client.aclose()
    # `Date` has whole seconds, so a skew may be up to one second too large.
    skew = min(skews, key=abs) if skews else None
    return AccountFinding(account.name, tuple(findings), skew)


async def _try(client: VendorClient, account: Account, feed: Feed, now: int) -> FeedFinding:
    polled = feed.name in account.feeds
    request = _first_request(feed, configured_streams(account), now)
    if request is None:
        return FeedFinding(
            feed.name, polled, None, "not tried: the configuration names nothing to ask for"
        )
    deadline = asyncio.get_running_loop().time() + 60
    try:
        await client.get(request, feed=feed.name, deadline=deadline)
    except PollError as error:
        return FeedFinding(
            feed.name, polled, False, f"{ADVICE[error.reason].what} ({error.reason}): {error}"
        )
    return FeedFinding(feed.name, polled, True, "allowed")


def _first_request(feed: Feed, streams: Sequence[str], now: int) -> Request | None:
    """The request for the newest window of an ordinary poll; None if the feed has none."""
    state = FeedState(
        id=0,
        name=feed.name,
        polled_at=now,
        revisited_at=now,
        streams=dict.fromkeys(streams),
    )
    asked = plan_asks(feed, state, streams=streams, now=now, history=3600, cadence_seconds=900)
    requests = [request for ask in asked.asks for request in feed.requests(ask)]
    return requests[-1] if requests else None


def report(finding: AccountFinding) -> list[str]:
    """The finding in lines for people."""
    lines = [f"  {finding.account}, asked online:"]
    for one in finding.feeds:
        polled = "polled" if one.polled else "not polled"
        lines.append(f"    {one.feed} ({polled}): {one.said}")
    skew = finding.skew_seconds
    if skew is None:
        lines.append("    clock: the vendor did not say what time it is")
    elif abs(skew) < SKEW_SECONDS:
        lines.append("    clock: agrees with the vendor's")
    else:
        lines.append(
            f"    clock: {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the vendor's;"
            " set it by NTP, windows are asked for by it"
        )
    return lines
