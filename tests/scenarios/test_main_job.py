"""Emulated vendors, the exporter and a real Prometheus, each its own process or socket."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.world import Stream, World
from exporter.model.measures import BY_NAME
from tests.support.components import prometheus, promtool
from tests.support.processes import Exporter, Prometheus, eventually, vendors

pytestmark = pytest.mark.sockets

CADENCE_SECONDS = 3
HISTORY_HOURS = 2
HOUR = 3600
DAY = 24 * HOUR


class Time:
    """The vendors' clock: the real one until it is stopped."""

    def __init__(self) -> None:
        self.stopped_at: float | None = None

    def __call__(self) -> float:
        return time.time() if self.stopped_at is None else self.stopped_at

    def stop(self) -> int:
        self.stopped_at = float(int(time.time()))
        return int(self.stopped_at)


@pytest.fixture
def emulators() -> Emulators:
    return Emulators(World(publish_seconds=1), clock=Time())


@pytest.fixture
def exporter(emulators: Emulators, tmp_path: Path) -> Iterator[Exporter]:
    with vendors(emulators) as address:
        (tmp_path / "credential").write_text("demo")
        config = tmp_path / "config.yaml"
        text = demo.configuration(
            address,
            tmp_path,
            emulators,
            cadence_seconds=CADENCE_SECONDS,
            every_feed=False,
            history=f"{HISTORY_HOURS}h",
        )
        config.write_text(text)
        with Exporter(config) as exporter:
            yield exporter


def scraping(exporter: Exporter) -> str:
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: media-usage-exporter
    static_configs: [{{targets: ["{exporter.address}"]}}]
"""


def polls(exporter: Exporter) -> int:
    """How many polls this process has finished, all feeds together."""
    lines = exporter.get("/metrics").text.splitlines()
    return sum(
        int(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("media_exporter_polls_total{")
    )


def wait_for_polls(exporter: Exporter, rounds: int) -> None:
    feeds = len(feeds_of(exporter))
    target = polls(exporter) + rounds * feeds
    eventually(lambda: polls(exporter) >= target, f"{rounds} more rounds of polls")


def feeds_of(exporter: Exporter) -> list[str]:
    return [
        line
        for line in exporter.get("/metrics").text.splitlines()
        if line.startswith("media_exporter_poll_interval_seconds{")
    ]


def key_of(metric: dict[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    own = {
        name: value
        for name, value in metric.items()
        if name not in ("__name__", "provider", "account", "instance", "job")
    }
    return metric["__name__"], tuple(sorted(own.items()))


def differences(
    emulators: Emulators, exporter_started: int, stopped: int, shown: list[dict]
) -> dict:
    """Counters in Prometheus that are not what the vendors' world came to."""
    wrong = {}
    for provider, vendor in emulators.vendors.items():
        width = DAY if provider == "dolby_media" else HOUR
        first = exporter_started - HISTORY_HOURS * HOUR
        truth = vendor.truth(first - first % width, stopped, now=stopped)
        mine = [one for one in shown if one["metric"]["provider"] == provider]
        assert mine
        for one in mine:
            name = one["metric"]["__name__"]
            if BY_NAME[name].type != "counter" or name == "media_jobs_finished_total":
                continue
            scale = 1000 if "_seconds_total" in name else 1
            key = key_of(one["metric"])
            if round(float(one["value"][1]) * scale) != truth.get(key, 0):
                wrong[provider, key] = (one["value"][1], truth.get(key, 0) / scale)
    return wrong


def test_prometheus_sees_exactly_what_the_vendors_hold(
    emulators: Emulators, exporter: Exporter, tmp_path: Path
) -> None:
    """Over polls, a failing vendor, a new stream and a kill -9, every counter stays exact."""
    exporter.wait_until_ready()
    with Prometheus(prometheus(), tmp_path, scraping(exporter)) as database:
        wait_for_polls(exporter, 2)
        started = int(min(logged.at for logged in emulators.log))

        emulators.faults.set("wowza", "503")
        born = int(time.time())
        for number in range(10):  # not every stream has traffic at every hour
            emulators.world.add_stream(
                "millicast", "live", Stream(f"late-{number}", f"late comer {number}", False, born)
            )
        wait_for_polls(exporter, 2)
        success = {
            one["metric"]["provider"] + "/" + one["metric"]["feed"]: one["value"][1]
            for one in eventually(
                lambda: database.query("media_exporter_poll_success"), "poll_success is scraped"
            )
        }
        assert {feed for feed, value in success.items() if value == "0"} <= {
            "wowza/vod_streams",
            "wowza/viewers",
        }

        exporter.kill()
        exporter.start()
        eventually(lambda: exporter.answers("/metrics"), "the exporter serves again")
        emulators.faults.clear("wowza")
        wait_for_polls(exporter, 3)

        assert isinstance(emulators.clock, Time)
        stopped = emulators.clock.stop()
        wait_for_polls(exporter, 3)
        polled = time.time()
        eventually(
            lambda: float(database.query("timestamp(up)")[0]["value"][1]) > polled,
            "the last state is scraped",
        )

        assert database.query("up")[0]["value"][1] == "1"
        shown = database.query('{__name__=~"media_.*_total",__name__!~"media_exporter_.*"}')
        assert differences(emulators, started, stopped, shown) == {}
        for series in database.query(
            '{__name__=~"media_.*_total",__name__!~"media_exporter_.*"}[10m]'
        ):
            values = [float(value) for _, value in series["values"]]
            assert values == sorted(values), series["metric"]
        late_comers = database.query(
            'media_stream_delivered_bytes_total{stream=~"late comer .*"}[10m]'
        )
        assert late_comers
        for samples in late_comers:
            # Whether a scrape falls into the half second at 0 is chance at this cadence.
            assert float(samples["values"][-1][1]) > 0

        log = database.log.read_text()
        assert "level=warn" not in log, log
        assert "level=error" not in log, log
    check = subprocess.run(
        [promtool(), "check", "metrics"],
        input=exporter.get("/metrics").content,
        capture_output=True,
        check=False,
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
    assert exporter.stop() == 0
