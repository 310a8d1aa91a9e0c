"""Tries an account's credential once on every feed, and says what it may do."""

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
"""A difference of clocks below this is the network's."""


@dataclass(frozen=True, slots=True)
class FeedFinding:
    """What came of one request for a feed; `allowed` is None where it was not tried."""

    feed: str
    polled: bool
    allowed: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one account. `skew_seconds` is how far our clock is ahead of the vendor's."""

    account: str
    feeds: tuple[FeedFinding, ...]
    skew_seconds: float | None

    @property
    def healthy(self) -> bool:
        """Whether everything that would be polled is allowed."""
        return all(one.allowed is not False for one in self.feeds if one.polled)


class _Quiet:
    """Counts nothing."""

    def request(self, feed: str, code: str, seconds: float) -> None:
        """One attempt is over."""


async def examine(
    account: Account,
    polling: Polling,
    *,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Finding:
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
        observe=_Quiet(),
        transport=transport,
        now=clock,
        on_date_header=on_date_header,
    )
    try:
        feeds = account.provider.feeds(account.provider.feed_names, account.options)
        findings = [await _try(client, account, feed, int(clock())) for feed in feeds]
    finally:
        await client.aclose()
    # `Date` has whole seconds: the truth lies up to one second on.
    skew = min(skews, key=abs) if skews else None
    return Finding(account.name, tuple(findings), skew)


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
    """The newest of what an ordinary poll asks."""
    state = FeedState(
        id=0,
        name=feed.name,
        polled_at=now,
        revisited_at=now,
        streams=dict.fromkeys(streams),
    )
    asked = plan_asks(
        feed, state, streams=streams, now=now, history_seconds=3600, cadence_seconds=900
    )
    requests = [request for ask in asked.asks for request in feed.requests(ask)]
    return requests[-1] if requests else None


def report(finding: Finding) -> list[str]:
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
