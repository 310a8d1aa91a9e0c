"""What the calendar, late vendors, revisions and a clock that jumps can do to a counter."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.attack.reporting import Attack
from tests.support.comparing import ENDED_JOBS
from tests.support.simulation import ACCOUNTS, DAY, HOUR, Key, Simulation

QUARTER = 900


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) + 61


class Watch:
    """A simulation whose counters are held against the truth, and never fall."""

    def __init__(
        self, folder: Path, provider: str, now: float, attack: Attack, *, history: int = 6 * HOUR
    ) -> None:
        self.simulation = Simulation(
            folder,
            now=now,
            providers=[provider],
            world=World(streams=2),
            polling={"history": f"{history}s"},
        )
        self.provider = provider
        self.attack = attack
        width = DAY if provider == "dolby_media" else HOUR
        self.start = (int(now) - history) // width * width
        self.highest: dict[Key, float] = {}

    def look(self) -> dict[Key, float]:
        shown = self.simulation.usage(self.provider)
        for key, value in self.highest.items():
            assert shown.get(key, -1) >= value, key
        self.highest = shown
        return {key: value for key, value in shown.items() if key[0] not in ENDED_JOBS}

    async def poll(self, *, ok: bool = True) -> None:
        """Poll at the present instant; whatever comes of it, no counter falls."""
        assert await self.simulation.poll() == ok
        self.look()

    async def exact(self, *, but_streams: bool = False) -> None:
        """Everything shown is the truth as of the newest poll."""
        polled = int(self.simulation.now)
        truth = self.simulation.truth(self.provider, self.start, polled)
        await self.simulation.settle()
        self.simulation.now = polled
        shown = self.look()
        assert shown
        for key, value in shown.items():
            if but_streams and "stream" in dict(key[1]):
                continue
            self.attack.compared(value, truth.get(key, 0))
            assert value == truth.get(key, 0), (key, datetime.fromtimestamp(polled, UTC))

    async def go_on(self, seconds: int, *, step: int = QUARTER) -> None:
        """Poll on for so long, exact at every poll."""
        for _ in range(seconds // step):
            self.simulation.now += step
            await self.poll()
            await self.exact()


@pytest.fixture(params=list(ACCOUNTS))
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("2026-04-30T23:15:00", id="month"),
        pytest.param("2026-12-31T23:15:00", id="year"),
        pytest.param("2028-02-28T23:15:00", id="leap-day-begins"),
        pytest.param("2028-02-29T23:15:00", id="leap-day-ends"),
        pytest.param("2026-03-29T00:15:00", id="summer-time"),
    ],
)
async def test_counters_are_exact_across_the_calendars_edges(
    provider: str, before: str, tmp_path: Path, attack: Attack
) -> None:
    """Over the end of an hour, day, month and year, leap days and changes of summer time, every
    counter is the truth at every poll.
    """
    watch = Watch(tmp_path, provider, instant(before), attack)
    async with watch.simulation.running():
        await watch.poll()
        await watch.exact()
        await watch.go_on(2 * HOUR)
    attack.tried("edges of the calendar")


async def test_data_that_comes_after_its_hour_has_closed_is_counted(
    provider: str, tmp_path: Path, attack: Attack
) -> None:
    """What the vendor holds back is counted once it is there, after the hour's end, too."""
    watch = Watch(tmp_path, provider, instant("2026-03-31T10:00:00"), attack)
    simulation = watch.simulation
    hour = instant("2026-03-31T11:00:00") - 61
    simulation.world.late((provider,), hour, hour + HOUR, hour + HOUR + 100 * 60)
    async with simulation.running():
        await watch.poll()
        await watch.go_on(4 * HOUR)
    attack.tried("data that comes late")


@pytest.mark.parametrize(
    ("late", "polled", "away"),
    [
        pytest.param(20 * HOUR, 46, 0, id="found-by-the-daily-look-back"),
        # The revisit is made an hour before the data comes, the next one put off.
        pytest.param(24 * HOUR, 24, 40 * HOUR, id="with-an-outage-before-the-next-look-back"),
    ],
)
async def test_data_that_comes_a_day_late_is_counted(
    provider: str, late: int, polled: int, away: int, tmp_path: Path, attack: Attack
) -> None:
    """Once a day the last two days are asked for again, and more after an outage, so a day's delay
    is made up for.
    """
    watch = Watch(tmp_path, provider, instant("2026-03-31T10:00:00"), attack)
    simulation = watch.simulation
    hour = instant("2026-03-31T11:00:00") - 61
    simulation.world.late((provider,), hour, hour + HOUR, hour + late)
    async with simulation.running():
        await watch.poll()
        for _ in range(polled):
            simulation.now += HOUR
            await watch.poll()
        if away:
            simulation.now += away
            await watch.poll()
        await watch.exact()
    attack.tried("data that comes late")


async def test_revisions_up_are_followed_and_revisions_down_are_paid_back(
    provider: str, tmp_path: Path, attack: Attack
) -> None:
    """A counter follows an upward revision; after a downward one it stands until the truth has
    caught up, and then is the truth again.
    """
    watch = Watch(tmp_path, provider, instant("2026-03-31T10:00:00"), attack)
    simulation = watch.simulation
    hour = instant("2026-03-31T10:00:00") - 61
    async with simulation.running():
        await watch.poll()
        await watch.go_on(HOUR)
        simulation.world.revise((provider,), hour, 3, 2)
        await watch.go_on(HOUR)
        simulation.world.revise((provider,), hour, 9, 10)
        # At once, too: an hour's growth would hide what was taken back.
        for step in (0, *[QUARTER] * 8, *[HOUR] * 28):
            simulation.now += step
            await watch.poll()
        shown = watch.look()
        truth = simulation.truth(provider, watch.start, int(simulation.now))
        for key, value in shown.items():
            assert value >= truth.get(key, 0), key
        caught_up = {key for key, value in shown.items() if value == truth.get(key, 0)}
        for key in caught_up:
            attack.compared(shown[key], truth.get(key, 0))
        assert len(caught_up) > len(shown) * 0.9
    attack.tried("revisions up and down")


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(-HOUR, id="an-hour-back"),
        pytest.param(HOUR, id="an-hour-forth"),
        pytest.param(-31 * DAY, id="a-month-back"),
        pytest.param(31 * DAY, id="a-month-forth"),
    ],
)
async def test_a_clock_that_jumps_and_is_set_right_again_costs_nothing(
    provider: str, jump: int, tmp_path: Path, attack: Attack
) -> None:
    """While this machine's clock is wrong no counter falls or takes in what is not there; once
    it is right again, every counter is the truth.
    """
    watch = Watch(tmp_path, provider, instant("2026-03-31T10:00:00"), attack)
    simulation = watch.simulation
    true_now = simulation.now
    simulation.emulators = Emulators(simulation.world, clock=lambda: true_now)  # theirs is right
    async with simulation.running():
        await watch.poll()
        for offset in (jump, 0):
            for _ in range(3):
                true_now += QUARTER
                simulation.now = true_now + offset
                await simulation.poll()
                watch.look()
        true_now += QUARTER
        simulation.now = true_now
        await watch.poll()
        await watch.exact()
    attack.tried("clock set wrong and right again")


@pytest.mark.parametrize("away", [2 * HOUR, 3 * DAY, 20 * DAY])
async def test_a_machine_that_was_suspended_catches_up(
    provider: str, away: int, tmp_path: Path, attack: Attack
) -> None:
    """After any time asleep every counter is the truth, but for what is said to be lost."""
    watch = Watch(tmp_path, provider, instant("2026-03-11T10:00:00"), attack, history=DAY)
    async with watch.simulation.running():
        await watch.poll()
        watch.simulation.now += away
        await watch.poll()
        watch.simulation.now += QUARTER
        await watch.poll()
        # Millicast keeps single streams for seven days; what is lost beyond is said to be.
        lost = provider == "millicast" and away > 7 * DAY
        said = watch.simulation.value(
            "media_exporter_data_lost_seconds_total",
            provider=provider,
            account=ACCOUNTS[provider],
            feed=watch.simulation.feeds(provider)[1 if provider == "millicast" else 0].name,
        )
        assert bool(said) == lost
        await watch.exact(but_streams=lost)
    attack.tried("suspended and resumed")


@pytest.mark.soak
async def test_a_year_of_polls_is_exact(provider: str, tmp_path: Path, attack: Attack) -> None:
    """Polled every six hours for 400 days, over the fold of the oldest, all stays exact."""
    watch = Watch(tmp_path, provider, instant("2027-12-31T22:00:00"), attack)
    watch.simulation.ledger = {"retention": "62d"}
    async with watch.simulation.running():
        await watch.poll()
        for number in range(4 * 400):
            watch.simulation.now += 6 * HOUR
            await watch.poll()
            if number % 40 == 0:
                await watch.exact()
        await watch.exact()
    attack.tried("simulated days", 400)
