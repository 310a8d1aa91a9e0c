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

    `answered` says whether anybody did, be it with a refusal. `skew_seconds` is how far this machine's clock is ahead of the vendor's; None if unknown.
    """

    account: str
    feeds: tuple[FeedFinding, ...]
    skew_seconds: float | None
    answered: bool

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
    tell: Callable[[FeedFinding], None] = lambda _: None,
    silent: bool = False,
    clock: Callable[[], float] = time.time,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AccountFinding:
    """One request for each feed that the provider has, whether it is polled or not.

    Each is made once, without retries, and `tell` hears its outcome at once. Where the first one
    finds nobody who answers, the others are not made; with `silent`, that is known before. Raises CredentialError when there is no credential to try.
    """
    skews: list[float] = []
    answers = 0

    def on_date_header(date: str) -> None:
        nonlocal answers
        answers += 1
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
        attempts=1,
    )
    findings: list[FeedFinding] = []
    try:
        for feed in account.provider.feeds(account.provider.feed_names, account.options):
            silent = silent or (not answers and any(one.allowed is False for one in findings))
            finding = await _try(client, account, feed, int(clock()), silent=silent)
            findings.append(finding)
            tell(finding)
    finally:
        await client.aclose()
    # `Date` has whole seconds, so a skew may be up to one second too large.
    skew = min(skews, key=abs) if skews else None
    return AccountFinding(account.name, tuple(findings), skew, answers > 0)


async def _try(
    client: VendorClient, account: Account, feed: Feed, now: int, *, silent: bool
) -> FeedFinding:
    polled = feed.name in account.feeds
    request = _first_request(feed, configured_streams(account), now)
    if request is None:
        why = (
            "not tried: only polls find the streams to ask for"
            if account.options.get("discover") is True
            else "not tried: the configuration names no streams to ask for"
        )
        return FeedFinding(feed.name, polled, None, why)
    if silent:
        return FeedFinding(feed.name, polled, False, "not tried: nobody answers there")
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
    return [heading(finding.account), *map(line, finding.feeds), clock_line(finding)]


def heading(account: str) -> str:
    """What stands above an account's lines."""
    return f"  {account}, asked online:"


def line(finding: FeedFinding) -> str:
    """One feed's line."""
    polled = "polled" if finding.polled else "not polled"
    return f"    {finding.feed} ({polled}): {finding.said}"


def clock_line(finding: AccountFinding) -> str:
    """How this machine's clock compares with the vendor's."""
    skew = finding.skew_seconds
    if skew is None:
        return "    clock: the vendor did not say what time it is"
    if abs(skew) < SKEW_SECONDS:
        return "    clock: agrees with the vendor's"
    return (
        f"    clock: {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the vendor's;"
        " set it by NTP, windows are asked for by it"
    )
