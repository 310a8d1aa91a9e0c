"""What can happen to one of three replicas, and the judges that look on."""

from __future__ import annotations

import random
import time
from functools import partial

from tests.attack.replicas import Replicas
from tests.attack.reporting import Attack
from tests.support.processes import eventually
from tests.support.tcp_proxy import Cut

LEASE_SECONDS = 2
PATIENCE_SECONDS = 60
NAMES = ("one", "two", "three")


class Trouble:
    """Three replicas, and what can happen to one of them; at least one is always left alone."""

    def __init__(self, rig: Replicas, chance: random.Random) -> None:
        self.rig = rig
        self.chance = chance
        self.modules: dict[str, str] = {}
        """What Python runs as each replica, but for those that are the program itself."""
        self.longest_takeover = 0.0
        """Seconds from a replica's end to the moment at which all accounts are shown again."""

    def begin(self) -> None:
        for name in NAMES:
            self.start(name)
        self.all_well()
        self.rig.watch_leases()

    def start(self, name: str) -> None:
        """Start it again, or for the first time."""
        self.rig.start(name, module=self.modules.get(name, "exporter"))

    def killed(self) -> None:
        """kill -9; the others take its accounts over, and it comes back."""
        name = self._any()
        self.rig.kill(name)
        self.taken_over()
        self.start(name)

    def stopped(self) -> None:
        """SIGTERM, as in a rollout."""
        name = self._any()
        self.rig.stop(name)
        self.taken_over()
        self.start(name)

    def frozen(self) -> None:
        """SIGSTOP for longer than the lease; it is asked in the first millisecond afterwards."""
        name = self._any()
        self.rig.freeze(name)
        self.taken_over(name)
        assert self.rig.thaw(name) == frozenset()

    def cut_off(self) -> None:
        """Its database connection breaks around a COMMIT, in one of three ways."""
        proxy = self.rig.proxies[self._any()]
        cuts = proxy.cuts
        proxy.cut_at_commit(self.chance.choice(list(Cut)))
        eventually(lambda: self._look() and proxy.cuts > cuts, "a COMMIT was cut")
        self._recovered()

    def silent(self) -> None:
        """Its database is silent for longer than the lease, while TCP acknowledges everything."""
        name = self._any()
        self.rig.proxies[name].silence()
        self.taken_over(name)
        assert self.rig.accounts_of(name) == frozenset(), "its leases have run out"
        self.rig.proxies[name].speak()
        self._recovered()

    def rolled(self) -> None:
        """Each replica is replaced after the other."""
        for name in NAMES:
            self.rig.stop(name)
            self.start(name)
            eventually(partial(self.rig.replicas[name].answers, "/-/healthy"), "it is up")
            self.rig.live(0.3)

    def end(self, attack: Attack) -> None:
        """All judges."""
        self.all_well()
        self.rig.settle(attack, patience=PATIENCE_SECONDS)
        assert self.rig.shown_without_lease() == []
        assert self.rig.asked_too_often() == {}
        assert "Traceback" not in self.rig.logs()

    def all_well(self) -> None:
        """Wait until the accounts are spread evenly over all replicas."""

        def even() -> bool:
            counts = [len(accounts) for accounts in self.rig.spread().values()]
            whole = sum(counts) == len(self.rig.providers)
            return whole and len(counts) == len(NAMES) and max(counts) - min(counts) <= 1

        try:
            eventually(even, "all replicas hold accounts", PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{self.rig.spread()}\n{self.rig.logs()[-6000:]}") from error

    def _any(self) -> str:
        """One of the replicas, once each of them holds an account."""
        self.all_well()
        return self.chance.choice(NAMES)

    def _look(self) -> bool:
        self.rig.spread()
        return True

    def taken_over(self, *but: str) -> None:
        """Wait until other replicas than these show all accounts."""
        began = time.monotonic()
        eventually(lambda: self.rig.all_shown(*but), "all accounts are shown", PATIENCE_SECONDS)
        self.longest_takeover = max(self.longest_takeover, time.monotonic() - began)

    def _recovered(self) -> None:
        eventually(self.rig.all_shown, "all accounts are shown again", PATIENCE_SECONDS)
        self.rig.live(0.5)
