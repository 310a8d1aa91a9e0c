"""The verdict: what it says of which states, and who is told to act."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.polling.status import LeasesStatus, ReplicaStatus
from exporter.web.landing.times import duration
from exporter.web.landing.verdict import troubles, verdict
from tests.web.landing.statuses import (
    HOUR,
    NOTHING_TO_ASK,
    WAITING,
    WORKING,
    account,
    every_account,
    failing,
    in_trouble,
    named,
)

CATCHING_UP = replace(WORKING, backlog_seconds=30 * HOUR)


@pytest.mark.parametrize(
    ("accounts", "tone", "headline"),
    [
        (every_account(), "good", "Everything works"),
        ([account(WORKING, WAITING)], "busy", "Starting: 1 of 2 feeds polled"),
        ([account(WORKING, CATCHING_UP)], "busy", "Everything works, and catches up"),
        ([account(folded=3)], "note", "Everything works, but not every stream is shown"),
        ([account(WORKING, failing("auth"))], "bad", "1 of 2 feeds fails"),
        ([account(WAITING, *2 * [failing("auth")])], "bad", "2 of 3 feeds fail"),
        ([account(failing("auth"))], "bad", "Nothing works: the only feed fails"),
        ([account(*3 * [failing("auth")])], "bad", "Nothing works: all 3 feeds fail"),
        ([account(failing("auth"), CATCHING_UP, folded=3)], "bad", "1 of 2 feeds fails"),
        ([account(WAITING, CATCHING_UP)], "busy", "Starting: 1 of 2 feeds polled"),
        ([account(NOTHING_TO_ASK)], "note", "Nothing is asked of any vendor"),
        (
            [account(WORKING), *2 * [account(NOTHING_TO_ASK)]],
            "note",
            "Nothing is asked for 2 accounts",
        ),
        ([account(WORKING, NOTHING_TO_ASK)], "good", "Everything that is asked works"),
        (
            [replace(account(NOTHING_TO_ASK), streams_listed=True)],
            "good",
            "Everything that is asked works",
        ),
        (
            [account(CATCHING_UP, NOTHING_TO_ASK)],
            "busy",
            "Everything that is asked works, and catches up",
        ),
        (
            [account(WORKING, NOTHING_TO_ASK, folded=3)],
            "note",
            "Everything that is asked works, but not every stream is shown",
        ),
        (
            [account(failing("auth"), NOTHING_TO_ASK)],
            "bad",
            "Nothing works: the only feed that asks anything fails",
        ),
        (
            [account(*2 * [failing("auth")], NOTHING_TO_ASK)],
            "bad",
            "Nothing works: all 2 feeds that ask anything fail",
        ),
        ([account(failing("auth"), WORKING, NOTHING_TO_ASK)], "bad", "1 of 3 feeds fails"),
    ],
)
def test_the_worst_that_is_true_is_the_verdict(accounts, tone: str, headline: str) -> None:
    """Failing goes before starting, that before catching up, that before folded streams."""
    said = verdict(accounts)
    assert (said.tone, said.headline) == (tone, headline)


def test_what_was_not_asked_is_not_said_to_work() -> None:
    """It is counted apart; an account for which nothing is asked is named."""
    some = verdict([account(WORKING, WORKING, NOTHING_TO_ASK)]).detail
    assert some == (
        "2 feeds of 1 account, and 1 feed with nothing to ask;"
        " the newest poll of each that asked succeeded."
    )
    idle = [account(NOTHING_TO_ASK, name=f"idle-{number}") for number in range(7)]
    said = verdict([account(WORKING), *idle]).detail
    assert said.startswith("No feed of idle-0, idle-1, idle-2, idle-3, idle-4 and 2 more has")
    assert "nothing shows that the credential is accepted" in said
    assert "The rest works" not in verdict([account(failing("auth"), NOTHING_TO_ASK)]).detail


@pytest.mark.parametrize(
    "accounts",
    [
        every_account(),
        [account(WORKING, WAITING)],
        [account(WORKING, CATCHING_UP)],
        [account(folded=3)],
        [account(NOTHING_TO_ASK)],
    ],
)
def test_after_a_failed_reload_not_everything_works(accounts) -> None:
    """Whatever the polls say: the old configuration is in force, and why."""
    said = verdict(accounts, reload_failure="config.yaml:3: unknown key")
    assert said.tone == "note"
    assert said.headline == "The old configuration is in force: the newest reload failed"
    assert said.error == "config.yaml:3: unknown key"
    polls = verdict(accounts)
    assert polls.error is None
    assert polls.headline.lower() in said.detail.lower()


@pytest.mark.parametrize("problem", [None, "The poll loop does not move."])
def test_a_failed_reload_is_said_beside_what_is_worse(problem: str | None) -> None:
    """Failing feeds and a stuck process keep their headline."""
    accounts = [account(failing("auth"))]
    alone = verdict(accounts, problem=problem)
    said = verdict(accounts, problem=problem, reload_failure="config.yaml:3: unknown key")
    assert (said.tone, said.headline) == ("bad", alone.headline)
    assert said.detail == (
        f"{alone.detail} The newest reload failed, and the old configuration stays in force:"
    )
    assert said.error == "config.yaml:3: unknown key"


def test_a_stuck_process_goes_before_everything() -> None:
    """What feeds say means nothing when nothing moves."""
    said = verdict([account(failing("auth"))], problem="The poll loop does not move.")
    assert said.tone == "bad"
    assert "stuck" in said.headline
    assert said.detail.startswith("The poll loop does not move.")
    assert "exporter's fault" in said.detail


@pytest.mark.parametrize(
    ("reason", "whose"),
    [
        ("auth", "yours to fix"),
        ("rate_limited", "yours to fix"),
        ("ledger", "yours to fix"),
        ("server", "the vendor's"),
        ("network", "the network's"),
        ("schema", "the exporter's"),
    ],
)
def test_one_party_is_named(reason: str, whose: str) -> None:
    """Whose fault it is, and whether anything works."""
    assert verdict([account(failing(reason))]).detail == f"The fault is {whose}."
    some = verdict([account(failing(reason), WORKING)]).detail
    assert some == f"The fault is {whose}. The rest works."


def test_several_parties_are_counted() -> None:
    """How many feeds are whose; a rest that has not been polled is not said to work."""
    assert verdict(in_trouble()).detail == (
        "Whose fault: 4 yours to fix, 1 the exporter's, 2 the vendor's."
    )


@pytest.mark.parametrize("reasons", [("network", "network"), ("timeout", "network")])
def test_no_answer_from_any_vendor_is_this_machines_network(reasons) -> None:
    """Vendors do not vanish at once. A firewall that drops packets looks like a timeout."""
    first, second = reasons
    accounts = [
        account(failing(first), provider="millicast"),
        account(failing(second), provider="wowza"),
    ]
    assert "this machine's network" in verdict(accounts).detail
    assert "this machine's network" not in verdict([accounts[0], accounts[0]]).detail
    assert "this machine's network" not in verdict([*accounts, account(WORKING)]).detail
    assert "this machine's network" in verdict([*accounts, account(NOTHING_TO_ASK)]).detail
    assert "this machine's network" not in verdict([*accounts, account(failing("auth"))]).detail


def test_what_somebody_must_do_comes_before_what_may_pass() -> None:
    """The order of troubles."""
    feeds = named(WORKING, "a", "b", "c", "d")
    broken = tuple(
        replace(failing(reason), name=feed.name)
        for feed, reason in zip(feeds, ("server", "schema", "network", "auth"), strict=True)
    )
    assert [one.reason for one in troubles([account(*broken)])] == [
        "auth",
        "schema",
        "network",
        "server",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (600, "10 min"),
        (655, "10 min"),
        (3 * HOUR + 20 * 60, "3 h 20 min"),
        (26 * HOUR, "1 d 2 h"),
        (40 * 24 * HOUR + 5 * HOUR, "40 d"),
    ],
)
def test_durations_have_two_units_while_that_tells_something(seconds: float, said: str) -> None:
    """As people say them."""
    assert duration(seconds) == said


ALONE = LeasesStatus("one", (ReplicaStatus("one", ("live",)),), (), reachable=True)
TWO = replace(ALONE, replicas=(ReplicaStatus("one", ()), ReplicaStatus("two", ("live", "vod"))))


@pytest.mark.parametrize(
    ("accounts", "leases", "tone", "headline"),
    [
        ([account(WORKING)], ALONE, "good", "Everything works"),
        ([account(failing("auth"))], ALONE, "bad", "Nothing works: the only feed fails"),
        ([], TWO, "good", "Ready to take over"),
        ([account(WORKING)], replace(ALONE, free=("vod",)), "busy", "No replica polls 1 account"),
        (
            [account(failing("auth"))],
            replace(ALONE, free=("studio", "vod")),
            "bad",
            "No replica polls 2 accounts",
        ),
        (
            [account(WORKING)],
            replace(ALONE, free=("vod",), reachable=False),
            "bad",
            "The database with the ledger cannot be reached",
        ),
    ],
)
def test_a_replica_says_how_its_leases_fare(accounts, leases, tone, headline):
    said = verdict(accounts, leases=leases)
    assert (said.tone, said.headline) == (tone, headline)


def test_a_replica_without_accounts_says_who_has_them():
    assert "1 other replica" in verdict([], leases=TWO).detail


def test_a_process_that_is_stuck_says_so_first():
    said = verdict([account(WORKING)], problem="It is stuck.", leases=replace(ALONE, free=("a",)))
    assert said.headline == "The exporter itself is stuck"
