"""Two or three replicas of the real program share a database: every account is on one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.support.postgres import Server, postgres
from tests.support.processes import eventually

__all__ = ["postgres"]

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(240)]


@pytest.fixture
def rig(tmp_path: Path, postgres: Server) -> Iterator[Replicas]:
    with Replicas(tmp_path, postgres).serving() as rig:
        yield rig


def test_accounts_move_and_stay_exact_when_replicas_come_die_sleep_and_go(rig: Replicas) -> None:
    """In the merged view no counter ever falls, no account is on two pages, and in the end all are
    the truth.
    """
    rig.start("one")
    rig.wait()
    rig.start("two")
    eventually(rig.even, "two replicas hold two accounts each")

    rig.kill("one")
    rig.wait()
    rig.start("three")
    eventually(rig.even, "the third has its share")

    rig.freeze("two")
    rig.wait("two")
    assert rig.thaw("two") == frozenset(), "it has slept for longer than its leases"
    eventually(rig.even, "it takes its share again")

    rig.stop("three")
    rig.wait()
    rig.settle(Attack())
    assert rig.judge.shown_twice() == []
    assert "Traceback" not in rig.logs()
