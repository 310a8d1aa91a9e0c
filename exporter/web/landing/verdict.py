"""Answers "does everything work, and if not, whose fault is it?"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.model.errors import NetworkError, PollTimeoutError
from exporter.polling.advice import ADVICE, Advice, Party, advice
from exporter.polling.status import AccountStatus, FeedStatus
from exporter.web.landing.times import duration

Tone = Literal["good", "busy", "note", "bad"]

OWNERS: dict[Party, str] = {
    "you": "yours to fix",
    "vendor": "the vendor's",
    "network": "the network's",
    "exporter": "the exporter's",
}
"""Who has to act on a fault."""

NO_ANSWER = (NetworkError.reason, PollTimeoutError.reason)
"""Reasons that a broken network leads to; a timeout, if a firewall drops packets."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The feeds that fail for one reason at one vendor, with the advice for it."""

    provider: str
    reason: str
    feeds: tuple[tuple[AccountStatus, FeedStatus], ...]

    @property
    def advice(self) -> Advice:
        """What to do."""
        return advice(self.reason)

    @property
    def example(self) -> str | None:
        """One of the errors."""
        return next((feed.error for _, feed in self.feeds if feed.error), None)

    def by_account(self) -> dict[str, list[FeedStatus]]:
        """The feeds under the names of their accounts."""
        found: dict[str, list[FeedStatus]] = {}
        for account, feed in self.feeds:
            found.setdefault(account.name, []).append(feed)
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """The overall state: a headline, and a sentence with details."""

    tone: Tone
    headline: str
    detail: str


def troubles(accounts: Sequence[AccountStatus]) -> tuple[Trouble, ...]:
    """Everything that fails; what needs somebody to act comes first."""
    groups: dict[tuple[str, str], list[tuple[AccountStatus, FeedStatus]]] = {}
    for account, feed in _feeds(accounts):
        if feed.state == "failing":
            key = (feed.reason or "unknown", account.provider)
            groups.setdefault(key, []).append((account, feed))
    found = [Trouble(provider, reason, tuple(of)) for (reason, provider), of in groups.items()]
    order = {reason: position for position, reason in enumerate(ADVICE)}
    return tuple(
        sorted(found, key=lambda one: (one.advice.passes, order.get(one.reason, len(order))))
    )


def verdict(accounts: Sequence[AccountStatus], *, problem: str | None = None) -> Verdict:
    """The overall state; `problem` is what is wrong with the process itself."""
    feeds = [feed for _, feed in _feeds(accounts)]
    failing = sum(feed.state == "failing" for feed in feeds)
    waiting = sum(feed.state == "waiting" for feed in feeds)
    backlog = max((feed.backlog_seconds for feed in feeds), default=0)
    folded = sum(account.streams_folded for account in accounts)
    everything = f"{_count(len(feeds), 'feed')} of {_count(len(accounts), 'account')}"
    if problem is not None:
        return Verdict(
            "bad",
            "The exporter itself is stuck",
            f"{problem} This is the exporter's fault: restart it, and report what it logged.",
        )
    if failing:
        return Verdict("bad", _failing(failing, len(feeds)), _whose(accounts))
    if waiting:
        polled = len(feeds) - waiting
        return Verdict(
            "busy",
            f"Starting: {polled} of {_count(len(feeds), 'feed')} polled",
            "Nothing has failed so far. What the ledger has recorded is shown already.",
        )
    if backlog:
        return Verdict(
            "busy",
            "Everything works, and catches up",
            f"{everything}. Data of an earlier outage is being fetched, oldest first:"
            f" {duration(backlog)} of data to go.",
        )
    if folded:
        return Verdict(
            "note",
            "Everything works, but not every stream is shown",
            f"{everything}. {_count(folded, 'stream')} beyond the limit are summed up as __other__;"
            " raise limits.streams to see each. Sums are right either way.",
        )
    return Verdict("good", "Everything works", f"{everything}; the newest poll of each succeeded.")


def _failing(failing: int, feeds: int) -> str:
    if failing == feeds:
        return "Nothing works: " + (
            "the only feed fails" if feeds == 1 else f"all {feeds} feeds fail"
        )
    return f"{failing} of {_count(feeds, 'feed')} {'fails' if failing == 1 else 'fail'}"


def _whose(accounts: Sequence[AccountStatus]) -> str:
    found = troubles(accounts)
    if _cut_off(accounts, found):
        return "No vendor answers, so the fault is most likely this machine's network."
    counts: dict[Party, int] = {}
    for trouble in found:
        party = trouble.advice.party
        counts[party] = counts.get(party, 0) + len(trouble.feeds)
    if len(counts) == 1:
        whose = f"The fault is {OWNERS[next(iter(counts))]}."
    else:
        parts = (f"{count} {OWNERS[party]}" for party, count in counts.items())
        whose = f"Whose fault: {', '.join(parts)}."
    states = {feed.state for _, feed in _feeds(accounts)}
    return f"{whose} The rest works." if states == {"ok", "failing"} else whose


def _cut_off(accounts: Sequence[AccountStatus], found: Sequence[Trouble]) -> bool:
    """Whether all feeds of several vendors fail, and only with network errors."""
    failing = sum(len(trouble.feeds) for trouble in found)
    return (
        len({account.provider for account in accounts}) > 1
        and failing == sum(len(account.feeds) for account in accounts)
        and all(trouble.reason in NO_ANSWER for trouble in found)
    )


def _feeds(accounts: Iterable[AccountStatus]) -> Iterable[tuple[AccountStatus, FeedStatus]]:
    return ((account, feed) for account in accounts for feed in account.feeds)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
