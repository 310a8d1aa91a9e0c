"""Answers "does everything work, and if not, whose fault is it?"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from exporter.model.errors import NetworkError, PollTimeoutError
from exporter.polling.advice import ADVICE, Advice, Party, advice
from exporter.polling.status import AccountStatus, FeedStatus, LeasesStatus
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


IDLE: Final = "nothing_to_ask"
"""The state of a feed that proves nothing."""

MOST_NAMED = 5
"""So many accounts are named in a sentence."""


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
    """The overall state: a headline, sentences with details, and an error that they speak of."""

    tone: Tone
    headline: str
    detail: str
    error: str | None = None


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


def verdict(
    accounts: Sequence[AccountStatus],
    *,
    problem: str | None = None,
    reload_failure: str | None = None,
    leases: LeasesStatus | None = None,
) -> Verdict:
    """The overall state.

    `problem` is what is wrong with the process itself, `reload_failure` why the newest reload failed,
    `leases` is who holds which account where replicas share the ledger.
    """
    polling = _polling(accounts, problem)
    if leases is not None and problem is None:
        polling = _with_leases(polling, leases, len(accounts))
    if reload_failure is None:
        return polling
    old = "The newest reload failed, and the old configuration stays in force"
    if polling.tone == "bad":
        return replace(polling, detail=f"{polling.detail} {old}:", error=reload_failure)
    return Verdict(
        "note",
        "The old configuration is in force: the newest reload failed",
        f"Correct what the error names, then reload. With the old configuration:"
        f" {_small(polling.headline)}.",
        reload_failure,
    )


def _polling(accounts: Sequence[AccountStatus], problem: str | None) -> Verdict:
    feeds = [feed for _, feed in _feeds(accounts)]
    failing = sum(feed.state == "failing" for feed in feeds)
    waiting = sum(feed.state == "waiting" for feed in feeds)
    backlog = max((feed.backlog_seconds for feed in feeds), default=0)
    folded = sum(account.streams_folded for account in accounts)
    idle = sum(feed.state == IDLE for feed in feeds)
    everything = f"{_count(len(feeds) - idle, 'feed')} of {_count(len(accounts), 'account')}"
    works = "Everything works"
    if idle:
        everything += f", and {_count(idle, 'feed')} with nothing to ask"
        works = "Everything that is asked works"
    if problem is not None:
        return Verdict(
            "bad",
            "The exporter itself is stuck",
            f"{problem} This is the exporter's fault: restart it, and report what it logged.",
        )
    if failing:
        return Verdict("bad", _failing(failing, len(feeds), idle), _whose(accounts))
    if waiting:
        polled = len(feeds) - waiting
        return Verdict(
            "busy",
            f"Starting: {polled} of {_count(len(feeds), 'feed')} polled",
            "Nothing has failed so far. What the ledger has recorded is shown already.",
        )
    unproven = [
        one.name
        for one in accounts
        if not one.streams_listed and {feed.state for feed in one.feeds} == {IDLE}
    ]
    if unproven:
        return Verdict("note", *_unproven(unproven, len(accounts)))
    if backlog:
        return Verdict(
            "busy",
            f"{works}, and catches up",
            f"{everything}. Older data is being fetched, oldest first:"
            f" {duration(backlog)} of data to go.",
        )
    if folded:
        return Verdict(
            "note",
            f"{works}, but not every stream is shown",
            f"{everything}. {_count(folded, 'stream')} beyond the limit are summed up as __other__;"
            " raise limits.streams to see each. Sums are right either way.",
        )
    answered = "the newest poll of each succeeded"
    if idle:
        answered = "the newest poll of each that asked succeeded"
    if idle and idle == len(feeds):
        answered = "the vendor answered with its list of streams, which has no names"
    return Verdict("good", works, f"{everything}; {answered}.")


def _with_leases(polling: Verdict, leases: LeasesStatus, held: int) -> Verdict:
    """The state of a replica: of the accounts that it holds, and of those that nobody holds."""
    if not leases.reachable:
        return Verdict(
            "bad",
            "The database with the ledger cannot be reached",
            "Accounts are shown until their leases run out, and come back with the database. Polls"
            " that could not be written are repeated; the log says what the database answered.",
        )
    if leases.free:
        few = ", ".join(leases.free[:MOST_NAMED])
        return Verdict(
            "bad" if polling.tone == "bad" else "busy",
            f"No replica polls {_count(len(leases.free), 'account')}",
            f"Nobody holds {few}. Within seconds a replica takes what is free; if this lasts, the"
            " replicas' logs say why they cannot.",
        )
    if not held:
        others = len(leases.replicas) - 1
        return Verdict(
            "good",
            "Ready to take over",
            f"This replica holds no account now; {_count(others, 'other replica')} hold them all."
            if others
            else "No account is configured.",
        )
    return polling


def _failing(failing: int, feeds: int, idle: int) -> str:
    if failing == feeds - idle:
        asking = " that asks anything" if idle else ""
        return "Nothing works: " + (
            f"the only feed{asking} fails"
            if failing == 1
            else f"all {failing} feeds{asking.replace('asks', 'ask')} fail"
        )
    return f"{failing} of {_count(feeds, 'feed')} {'fails' if failing == 1 else 'fail'}"


def _unproven(names: Sequence[str], accounts: int) -> tuple[str, str]:
    """Headline and detail for accounts none of whose feeds has anything to ask."""
    few = ", ".join(names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    headline = (
        "Nothing is asked of any vendor"
        if len(names) == accounts
        else f"Nothing is asked for {_count(len(names), 'account')}"
    )
    return headline, (
        f"No feed of {few}{more} has anything to ask: there are no names of streams, or the"
        " configuration names no ids. So nothing shows that the credential is accepted."
    )


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
        and failing == sum(feed.state != IDLE for _, feed in _feeds(accounts))
        and all(trouble.reason in NO_ANSWER for trouble in found)
    )


def _feeds(accounts: Iterable[AccountStatus]) -> Iterable[tuple[AccountStatus, FeedStatus]]:
    return ((account, feed) for account in accounts for feed in account.feeds)


def _small(headline: str) -> str:
    return headline[:1].lower() + headline[1:]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
