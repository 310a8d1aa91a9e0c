"""Thirty days of usage, an outage and a power cut among them, given back hour by hour."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exporter.emulators.app import Emulators
from exporter.emulators.vendor import Amounts
from exporter.emulators.world import World
from exporter.history.remote_write import Unreachable
from exporter.model.measures import BY_NAME
from tests.support.components import prometheus, promtool, victoria_metrics
from tests.support.processes import Prometheus, VictoriaMetrics
from tests.support.simulation import ACCOUNTS, DAY, HOUR, START, Simulation

DAYS = 30
STEP = DAY
OUTAGE = range(9 * DAY, 13 * DAY)
"""Seconds after the start in which no exporter runs: longer than the window of a poll."""
POWER_CUT = 20 * DAY
SETTLING = {"millicast": 3 * HOUR, "dolby_media": DAY, "wowza": 4 * HOUR, "livepeer": 3 * HOUR}
RECEIVER_DOWN = range(5 * DAY, 8 * DAY)

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.xdist_group("thirty days"),
]  # they share what the truth is

EVERYTHING = '{__name__=~"media_.*"}'
TSDB = ("--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver")
OUT_OF_ORDER = "storage: {tsdb: {out_of_order_time_window: 60d}}\n"

FEEDS: dict[str, dict[str, Any]] = {
    "millicast": {
        "feeds": ["account", "streams"],
        "streams": ["lobby", "stage 2"],
        "discover": False,
    },
    "livepeer": {"feeds": ["usage"]},
}
SLOW_FEEDS: dict[str, dict[str, Any]] = {
    "millicast": {},
    "dolby_media": {"feeds": ["usage"]},
    "wowza": {},
    "livepeer": {},
}


class Month:
    """A simulated month; `receiver` is a remote write endpoint, if there is to be one."""

    def __init__(
        self,
        folder: Path,
        feeds: Mapping[str, dict[str, Any]],
        *,
        step: int = STEP,
        receiver: str | None = None,
    ) -> None:
        folder.mkdir()
        self.step = step
        self.world = Simulation(
            folder,
            providers=list(feeds),
            accounts=dict(feeds),
            remote_write={} if receiver is None else {"url": receiver},
        )
        self._up = True

    async def live(self, switch: Callable[[bool], None] = lambda up: None) -> None:
        """Let it pass; `switch` turns the receiver off (False) and on."""
        await self._live_until(OUTAGE.start, switch)
        self.world.now = START + OUTAGE.stop
        await self._live_until(POWER_CUT, switch, crash=True)
        await self._live_until(DAYS * DAY, switch)

    async def _live_until(
        self, end: int, switch: Callable[[bool], None], *, crash: bool = False
    ) -> None:
        world = self.world
        left = world.folder / "left"
        async with world.running() as exporter:
            while world.now < START + end:
                up = world.now - START not in RECEIVER_DOWN
                if up != self._up:
                    switch(up)
                    self._up = up
                assert await world.poll()
                if exporter.remote_writer is not None:
                    with contextlib.nullcontext() if up else pytest.raises(Unreachable):
                        await exporter.remote_writer.push()
                world.now += self.step
            if crash:
                # The disk as a power cut leaves it: with SQLite's log, without any good-bye.
                left.mkdir()
                for file in world.folder.glob("usage.db*"):
                    shutil.copy(file, left)
        if crash:
            for file in left.iterdir():
                shutil.copy(file, world.folder)

    def history(self, provider: str) -> tuple[int, int, int]:
        """Where it begins, up to where it is settled, and how wide buckets are."""
        width = DAY if provider == "dolby_media" else HOUR
        first = int(START) - DAY
        settled = int(self.world.now) - self.step - SETTLING[provider]
        return first - first % width, settled - settled % width, width


Key = tuple[tuple[str, str], ...]


def named(provider: str, name: str, labels: tuple[tuple[str, str], ...]) -> Key:
    """As Prometheus names a series."""
    own = {"__name__": name, "provider": provider, "account": ACCOUNTS[provider]}
    return tuple(sorted({**own, **dict(labels)}.items()))


@cache
def truth(provider: str, start: int, end: int, width: int) -> list[tuple[int, Amounts]]:
    """What the vendor's world came to in each bucket, by its end, in whole parts of a unit."""
    vendor = Emulators(World(), clock=lambda: float(end + 2 * DAY)).vendors[provider]
    return [
        (at + width, vendor.truth(at, at + width, now=end + 2 * DAY))
        for at in range(start, end, width)
    ]


def units(name: str, amount: int) -> float:
    """Emulators say seconds in milliseconds and all else in whole units."""
    return amount / 1000 if "_seconds_total" in name else amount


def totals(month: Month) -> dict[tuple[Key, int], float]:
    """What every counter had come to at the end of every settled bucket."""
    found: dict[tuple[Key, int], float] = {}
    for provider in month.world.providers:
        sums: Amounts = {}
        for at, amounts in truth(provider, *month.history(provider)):
            for counter, amount in amounts.items():
                sums[counter] = sums.get(counter, 0) + amount
            for (name, labels), amount in sums.items():
                if name in BY_NAME and amount:
                    found[named(provider, name, labels), at] = units(name, amount)
    return found


def buckets(month: Month) -> dict[tuple[Key, int], float]:
    """What every settled bucket came to, those of nothing left out."""
    found: dict[tuple[Key, int], float] = {}
    for provider in month.world.providers:
        start, end, width = month.history(provider)
        suffix = "hourly" if width == HOUR else "daily"
        for at, amounts in truth(provider, start, end, width):
            for (name, labels), amount in amounts.items():
                if name in BY_NAME and BY_NAME[name].type == "counter" and amount:
                    pushed = f"{name.removesuffix('_total')}_{suffix}"
                    value = units(name, amount)
                    found[named(provider, pushed, labels), at] = value
    return found


def differences(found: dict[Any, float], expected: dict[Any, float]) -> dict[Any, Any]:
    """Where a value that is there is not the truth, and where one is missing.

    Only series that the exporter was asked for are compared.
    """
    series = {key for key, _ in found}
    keys = {(key, at) for key, at in found.keys() | expected.keys() if key in series}
    assert len(keys) > 24 * DAYS
    assert len({dict(key)["provider"] for key in series}) > 1
    return {
        key: (found.get(key), expected.get(key))
        for key in keys
        if found.get(key, 0) != expected.get(key, 0)
    }


def backfilled(month: Month, folder: Path) -> dict[Any, float]:
    """Every hour of what a Prometheus shows of the blocks that promtool makes of the document."""
    (folder / "tsdb").mkdir(parents=True)
    document = folder / "history.om"
    for command in (
        [
            *(sys.executable, "-m", "exporter", "backfill"),
            *("--ledger.path", str(month.world.folder / "usage.db"), "--output", str(document)),
        ],
        [
            *(
                str(promtool()),
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "--max-block-duration=768h",
            ),
            *(str(document), str(folder / "tsdb")),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with Prometheus(prometheus(), folder, "global: {}\n", *TSDB) as server:
        return hours(server, month)


def hours(server: Prometheus, month: Month) -> dict[Any, float]:
    start = int(START) - 2 * DAY
    return server.query_range(
        EVERYTHING, start - start % HOUR, int(month.world.now) // HOUR * HOUR, HOUR
    )


async def test_backfilled_into_prometheus_every_hour_is_the_truth(tmp_path: Path) -> None:
    """Across an outage that was filled in later, and a power cut."""
    month = Month(tmp_path / "exporter", FEEDS)
    await month.live()
    assert differences(backfilled(month, tmp_path), totals(month)) == {}


async def test_written_to_prometheus_every_bucket_is_the_truth(tmp_path: Path) -> None:
    """Though the receiver was down for three days; its window for the past is open."""
    server = Prometheus(prometheus(), tmp_path, OUT_OF_ORDER, *TSDB)
    url = f"http://{server.address}/api/v1/write"
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)

        def switch(up: bool) -> None:
            server.__enter__() if up else server.__exit__()

        month = Month(tmp_path / "exporter", FEEDS, receiver=url)
        await month.live(switch)
        assert differences(hours(server, month), buckets(month)) == {}


async def test_written_to_victoria_metrics_every_bucket_is_there_once(tmp_path: Path) -> None:
    """Though it, too, was down for three days."""
    server = VictoriaMetrics(victoria_metrics(), tmp_path)
    url = f"http://{server.address}/api/v1/write"
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)

        def switch(up: bool) -> None:
            server.__enter__() if up else server.__exit__()

        month = Month(tmp_path / "exporter", FEEDS, receiver=url)
        await month.live(switch)
        assert differences(server.samples(), buckets(month)) == {}


@pytest.mark.soak
async def test_all_vendors_polled_every_hour_are_given_back_exactly(tmp_path: Path) -> None:
    """Every default feed with buckets; where an outage left days of Wowza's, each day's end."""
    month = Month(tmp_path / "exporter", SLOW_FEEDS, step=HOUR)
    await month.live()
    days = range(*(int(START + end) // DAY * DAY for end in (OUTAGE.start, OUTAGE.stop + DAY)))
    found = backfilled(month, tmp_path)
    expected = {
        (key, at): value
        for (key, at), value in totals(month).items()
        if (key, at) in found or dict(key)["provider"] != "wowza" or at not in days or at % DAY == 0
    }
    assert differences(found, expected) == {}
