"""Replicas of two versions share a ledger while one takes the other's place.

The next version is one that might come: it has another name for a column of totals.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.ledger.postgres.schema import STEPS
from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.attack.trouble import LEASE_SECONDS, NAMES, Trouble
from tests.support.postgres import Server, postgres
from tests.support.processes import Exporter, eventually

__all__ = ["postgres"]

pytestmark = pytest.mark.sockets

NEXT = "tests.attack.next_version"
PRESENT = "exporter"
TAKEOVERS: tuple[Callable[[Trouble], None], ...] = (
    Trouble.killed,
    Trouble.stopped,
    Trouble.frozen,
    Trouble.cut_off,
    Trouble.silent,
)


class Rollout(Trouble):
    """Trouble that also replaces replicas by those of another version."""

    def replaced(self, name: str, module: str) -> None:
        """Stop one, and start it as that version."""
        self.rig.stop(name)
        self.modules[name] = module
        self.start(name)
        self.all_well()

    def columns(self) -> set[str]:
        """The names that the ledger has for the totals that were shown."""
        rows = self.rig.server.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'series'"
            " AND column_name IN ('exposed', 'shown')",
            database=self.rig.database,
        )
        return {name for (name,) in rows}

    def versions(self) -> tuple[int, int]:
        """How far the tables are: what was begun, and what was finished."""
        rows = self.rig.server.execute(
            "SELECT version, finished FROM ledger", database=self.rig.database
        )
        return rows[0]


def roll_out(folder: Path, server: Server, attack: Attack, times: int) -> None:
    """While both versions run, hit one of the replicas so often; then end the rollout."""
    with Replicas(folder, server, lease=f"{LEASE_SECONDS}s", proxied=True).serving() as rig:
        rollout = Rollout(rig, random.Random(13))
        rollout.begin()
        assert rollout.columns() == {"exposed"}
        rollout.replaced("one", NEXT)
        for _ in range(times):
            rollout.chance.choice(TAKEOVERS)(rollout)
            attack.tried("replicas hit while two versions share a ledger")
            rig.live(0.2)
            # Back and forth, as long as the rollout may still be given up.
            if rollout.chance.random() < 0.2:
                module = NEXT if rollout.modules.get("two", PRESENT) == PRESENT else PRESENT
                rollout.replaced("two", module)
            assert rollout.columns() == {"exposed", "shown"}
            assert rollout.versions() == (len(STEPS) + 1, len(STEPS))
        for name in NAMES:
            rollout.replaced(name, NEXT)
        assert rollout.columns() == {"shown"}
        assert rollout.versions() == (len(STEPS) + 1, len(STEPS) + 1)
        rollout.killed()
        rollout.end(attack)
        # The former version is not let in any more, and says why.
        former = Exporter(folder / "config.yaml", "--replica.name", "former")
        former.log = folder / "former.log"
        former.start()
        process = former.process
        assert process is not None
        eventually(lambda: process.poll() is not None, "it has ended")
        assert process.returncode == 1
        assert "it was written by a newer version of this program" in former.log.read_text()


@pytest.mark.timeout(300)
def test_two_versions_are_exact_together(tmp_path: Path, postgres: Server, attack: Attack) -> None:
    """And what only the old one used goes when it has gone."""
    roll_out(tmp_path, postgres, attack, 2)


@pytest.mark.soak
def test_two_versions_are_exact_together_again_and_again(
    tmp_path: Path, postgres: Server, attack: Attack
) -> None:
    roll_out(tmp_path, postgres, attack, 60)
