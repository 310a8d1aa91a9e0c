"""Replicas of the real program that die, sleep, are stopped and lose their database.

After each attack: no counter on any page was ever higher than a later one, no account was on the
page of a replica without a lease for it, no vendor was asked more often than once a tick and once a
takeover, and in the end every total is the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.attack.trouble import LEASE_SECONDS, NAMES, PATIENCE_SECONDS, Trouble
from tests.support import components
from tests.support.postgres import Server, durable_server, postgres
from tests.support.processes import eventually

__all__ = ["postgres"]

pytestmark = pytest.mark.sockets


@pytest.fixture
def trouble(tmp_path: Path, postgres: Server) -> Iterator[Trouble]:
    with Replicas(tmp_path, postgres, lease=f"{LEASE_SECONDS}s", proxied=True).serving() as rig:
        trouble = Trouble(rig, random.Random(5))
        trouble.begin()
        yield trouble


KINDS: dict[str, Callable[[Trouble], None]] = {
    "replicas killed": Trouble.killed,
    "replicas stopped": Trouble.stopped,
    "replicas frozen for longer than a lease": Trouble.frozen,
    "connections of replicas broken around a COMMIT": Trouble.cut_off,
    "databases of replicas silent for longer than a lease": Trouble.silent,
    "rolling restarts of replicas": Trouble.rolled,
}


@pytest.mark.timeout(300)
def test_replicas_stay_exact_whatever_happens_to_one_of_them(
    trouble: Trouble, attack: Attack
) -> None:
    """Once each of what hits a running replica."""
    kinds = [Trouble.killed, Trouble.frozen, Trouble.cut_off, Trouble.silent]
    trouble.chance.shuffle(kinds)
    for kind in kinds:
        kind(trouble)
        trouble.rig.live(0.2)
    trouble.end(attack)
    attack.tried("replicas killed, frozen, cut off, silent", len(kinds))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("replicas killed", 240),
        ("replicas stopped", 60),
        ("replicas frozen for longer than a lease", 40),
        ("connections of replicas broken around a COMMIT", 80),
        ("databases of replicas silent for longer than a lease", 20),
        ("rolling restarts of replicas", 12),
    ],
)
def test_replicas_stay_exact_again_and_again(
    trouble: Trouble, attack: Attack, name: str, times: int
) -> None:
    """One kind again and again. An account is taken over within its lease and two seconds."""
    for _ in range(times):
        KINDS[name](trouble)
        trouble.rig.live(trouble.chance.uniform(0, 1))
        attack.tried(name)
    trouble.end(attack)
    assert trouble.longest_takeover < LEASE_SECONDS + 2, trouble.longest_takeover


def crashes(folder: Path, times: int, attack: Attack) -> None:
    with (
        durable_server() as server,
        Replicas(folder, server, lease=f"{LEASE_SECONDS}s").serving() as rig,
    ):
        trouble = Trouble(rig, random.Random(7))
        trouble.begin()
        for _ in range(times):
            server.crash()
            rig.live(trouble.chance.uniform(0.1, 2 * LEASE_SECONDS))
            server.restart()
            eventually(rig.all_shown, "all accounts are shown again", PATIENCE_SECONDS)
            rig.live(trouble.chance.uniform(0, 1))
            attack.tried("crashes of the replicas' database")
        trouble.end(attack)


@pytest.mark.timeout(300)
def test_replicas_stay_exact_when_their_database_crashes(tmp_path: Path, attack: Attack) -> None:
    """And comes back, sometimes after all leases have run out."""
    crashes(tmp_path, 1, attack)


@pytest.mark.soak
def test_replicas_stay_exact_when_their_database_crashes_again_and_again(
    tmp_path: Path, attack: Attack
) -> None:
    crashes(tmp_path, 25, attack)


@pytest.mark.soak
def test_replicas_whose_clocks_are_an_hour_apart_are_exact(
    tmp_path: Path, postgres: Server, attack: Attack
) -> None:
    """Leases are by the database's clock, and buckets by the vendors'."""
    library = components.faketime()
    # It takes half of a processor for each replica, so that short leases would run out.
    with Replicas(tmp_path, postgres, lease="10s").serving() as rig:
        trouble = Trouble(rig, random.Random(11))
        for name, offset in zip(NAMES, ("+0", "+3600", "-3600"), strict=True):
            environment = {
                "LD_PRELOAD": str(library),
                "FAKETIME": offset,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            rig.start(name, environment)
        trouble.all_well()
        rig.watch_leases()
        for _ in range(8):
            rig.live(1)
            name = trouble.chance.choice(NAMES[1:])
            process = rig.replicas[name]
            rig.kill(name)
            trouble.taken_over()
            rig.start(name, process.environment)
            trouble.all_well()
            attack.tried("takeovers between replicas whose clocks are an hour apart")
        for name in NAMES[1:]:
            rig.stop(name)
        rig.wait()
        rig.settle(attack, patience=PATIENCE_SECONDS)
        assert rig.shown_without_lease() == []
        assert "Traceback" not in rig.logs()
