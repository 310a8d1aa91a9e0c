"""A month in the life of the real process, whose clock runs two thousand times as fast."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.attack.reporting import Attack
from tests.attack.rig import Clock, Rig
from tests.support import components
from tests.support.simulation import DAY, HOUR

PROVIDERS = ("millicast", "dolby_media", "wowza", "livepeer")
BEGINS = datetime(2028, 2, 20, 21, 13, 7, tzinfo=UTC).timestamp()
"""A leap day and the end of a month come soon."""

SPEED = 2000
"""A day in three quarters of a minute."""

FAULTS = ("503", "reset", "truncated", "429", "html", "401", "empty", "stall", "duplicate-keys")


class FastClock(Clock):
    """The time in a world that goes on faster."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.time()

    def __call__(self) -> float:
        return (
            BEGINS + (time.time() - self._began) * SPEED if self.stopped is None else self.stopped
        )


class FastRig(Rig):
    """The exporter's process lives in the vendors' time."""

    def start(self) -> None:
        now = datetime.fromtimestamp(self.clock(), UTC)
        self.running.environment |= {
            "LD_PRELOAD": str(components.faketime()),
            "FAKETIME": f"@{now:%Y-%m-%d %H:%M:%S} x{SPEED}",
            "TZ": "UTC",
        }
        self.running.start()

    def live(self, seconds: float) -> None:
        """For so long, scrape, and see that no counter falls."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.scrape()
            time.sleep(0.2)

    def day(self, chance: random.Random) -> None:
        """A day on which a vendor fails for hours, tells some things late and others anew."""
        over = self.clock() + DAY
        struck = chance.choice(PROVIDERS)
        late = int(self.clock()) // HOUR * HOUR + chance.randint(1, 12) * HOUR
        self.world.late((struck,), late, late + HOUR, late + chance.randint(1, 20) * HOUR)
        self.live(chance.uniform(2, 10) * HOUR)
        self.emulators.faults.set(chance.choice(PROVIDERS), chance.choice(FAULTS))
        self.live(chance.uniform(1, 8) * HOUR)
        self.emulators.faults.clear()
        hour = int(self.clock()) // HOUR * HOUR - 2 * HOUR
        self.world.revise((struck,), hour, 3, 2)
        self.live(over - self.clock())


def live_on(rig: FastRig, days: int, attack: Attack) -> None:
    chance = random.Random(days)
    rig.start()
    for number in range(days):
        rig.day(chance)
        attack.tried("simulated days of the real process, with faults and kill -9")
        if number % 4 == 2:
            rig.running.kill()
            away = chance.choice((0, 2 * HOUR, 30 * HOUR))
            until = rig.clock() + away
            while rig.clock() < until:
                time.sleep(0.05)
            rig.start()
    # A vendor's answer within half a second is all that fits into a quarter of an hour, and a machine
    # that does much else does not give one every time.
    rig.settle(attack, patience=900)
    assert rig.scrapes > days * 20
    assert "Traceback" not in rig.running.log.read_text()


def rig_of(folder: Path) -> FastRig:
    # An hour of timeout, because a request's milliseconds are seconds there.
    return FastRig(
        folder,
        folder / "usage.db",
        PROVIDERS,
        cadence=900,
        polling="timeout: 1h",
        clock=FastClock(),
    )


@pytest.mark.soak
def test_a_month_of_the_real_process_is_exact(tmp_path: Path, attack: Attack) -> None:
    """Polled every quarter of an hour through outages, kills, late data and revisions, no counter
    falls, and in the end all are the truth.
    """
    with rig_of(tmp_path).serving() as rig:
        assert isinstance(rig, FastRig)
        live_on(rig, 30, attack)


@pytest.mark.soak
def test_a_week_on_pythons_own_event_loop_is_exact(tmp_path: Path, attack: Attack) -> None:
    """The same for a week on asyncio's loop instead of uvloop's."""
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text("import asyncio, uvloop\nuvloop.run = asyncio.run\n")
    with rig_of(tmp_path).serving() as rig:
        assert isinstance(rig, FastRig)
        rig.running.environment["PYTHONPATH"] = str(startup)
        live_on(rig, 7, attack)
