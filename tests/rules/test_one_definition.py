"""What an account used in an hour and in a month is one number, wherever it is read.

A simulated exporter is scraped every minute; the page's samples become blocks of a Prometheus, in
which the shipped rules are evaluated as they are.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.emulators.world import World
from tests.grafana.documents import DASHBOARDS, replaced, targets
from tests.rules.rulefiles import RULES
from tests.support.components import prometheus, promtool
from tests.support.processes import Prometheus
from tests.support.simulation import ACCOUNTS, DAY, START, Simulation

pytestmark = [pytest.mark.sockets, pytest.mark.timeout(240)]

MINUTE = 60
HOURS = 3600
"""What viewing seconds are divided by to be shown."""

QUARTER = 15 * MINUTE
BEGIN = int(START) + 2 * DAY  # 2 April: the month holds more than what is scraped
MONTH = BEGIN - BEGIN % DAY - DAY
END = BEGIN + 100 * MINUTE  # between two polls: rules are evaluated some seconds before
SCRAPED = ("media_received_", "media_delivered_", "media_viewing_", "media_jobs_total", "media_acc")
GAUGES = {
    "media_received_bytes": 'media_month_to_date_bytes{direction="received"}',
    "media_delivered_bytes": 'media_month_to_date_bytes{direction="delivered"}',
    "media_viewing_seconds": "media_month_to_date_viewing_seconds",
    "media_jobs": "media_month_to_date_jobs",
}
EVERYTHING = dict.fromkeys(("job", "instance", "provider", "account"), ".*")
FEEDS = {
    "millicast": {"feeds": ["account"]},
    "dolby_media": {"feeds": ["usage"]},
    "wowza": {"feeds": ["vod_streams", "stream_targets", "real_time_streams", "account"]},
    "livepeer": {"feeds": ["viewership"]},
}
EXTRAPOLATED = 0.02
"""increase() estimates what lies beyond its first and last sample, a minute of the hour at most."""

Amounts = dict[tuple[str, str], float]


async def scraped(simulation: Simulation) -> list[str]:
    """OpenMetrics of what a scrape a minute gets, from BEGIN to END."""
    lines: dict[str, list[str]] = {}
    async with simulation.running():
        for moment in range(BEGIN, END + 1, MINUTE):
            simulation.now = moment
            if (moment - BEGIN) % QUARTER == 0:
                assert await simulation.poll()
            await simulation.refresh()
            for (name, labels), value in simulation.samples().items():
                if name.startswith((*SCRAPED, "media_month_to_date_")):
                    text = ",".join(f"{label}={json.dumps(one)}" for label, one in labels)
                    target = 'instance="exporter",job="media-usage-exporter"'
                    line = f"{name}{{{target},{text}}} {value!r} {moment}"
                    lines.setdefault(name, []).append(line)
    return [*(line for name in lines for line in lines[name]), "# EOF", ""]


def make_blocks(*arguments: str | Path) -> None:
    done = subprocess.run(
        [promtool(), "tsdb", "create-blocks-from", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def served(folder: Path) -> Prometheus:
    return Prometheus(prometheus(), folder, "global: {}\n", "--storage.tsdb.retention.time=100y")


def record(folder: Path) -> None:
    """Evaluate the recording rules; twice, as some read what others record."""
    for _ in range(2):
        with served(folder) as server:
            make_blocks(
                "rules",
                f"--url=http://{server.address}",
                f"--start={BEGIN}",
                f"--end={END}",
                "--eval-interval=1m",
                f"--output-dir={folder / 'tsdb'}",
                RULES / "recording.yml",
            )


def read(server: Prometheus, expression: str) -> Amounts:
    """An instant query at END, by provider and account."""
    found = server.query_range(expression, END, END, 1)
    return {
        (dict(labels)["provider"], dict(labels)["account"]): value
        for (labels, _), value in found.items()
    }


def in_ledger(folder: Path) -> dict[str, Amounts]:
    """By measure, what the buckets since the month's start come to, over all kinds."""
    command = [sys.executable, "-m", "exporter", "export", "--unsettled", "--format=csv"]
    done = subprocess.run(
        [*command, "--ledger.path", str(folder / "usage.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sums: dict[str, Amounts] = {}
    for row in csv.DictReader(done.stdout.splitlines()):
        if row["start"] >= "2026-04-01":
            key = row["provider"], row["account"]
            of = sums.setdefault(row["measure"].removesuffix("_total"), {})
            of[key] = of.get(key, 0) + float(row["value"])
    return sums


def shown_per_hour(measure: str) -> list[str]:
    """The overview's queries for the growth of a measure by account in an hour."""
    wanted = f"sum by (provider, account) (increase({measure}_total{{"
    return [
        replaced(target["expr"], EVERYTHING)
        for _, target in targets(DASHBOARDS["overview"])
        if target["expr"].startswith(wanted) and "[1h]" in target["expr"]
    ]


async def test_an_hour_and_a_month_are_the_same_wherever_they_are_read(tmp_path: Path) -> None:
    """Counter, rule and dashboard tell one hour, gauge and ledger one month, for every vendor."""
    simulation = Simulation(tmp_path, now=BEGIN, accounts=FEEDS, world=World(streams=2))
    document = tmp_path / "page.om"
    document.write_text("\n".join(await scraped(simulation)))
    make_blocks("openmetrics", document, tmp_path / "tsdb")
    record(tmp_path)
    ledger = in_ledger(tmp_path)
    told: set[str] = set()
    with served(tmp_path) as server:
        for measure, gauge in GAUGES.items():
            total = f"sum by (provider, account) ({measure}_total"
            counter = read(server, f"{total}) - {total} offset 1h)")
            assert counter, measure
            assert all(counter.values()), measure
            told |= {provider for provider, _ in counter}
            assert read(server, f"account:{measure}:increase1h") == counter, measure
            queries = shown_per_hour(measure)
            assert queries, measure
            for query in queries:
                scale = HOURS if query.endswith(f" / {HOURS}") else 1
                shown = {key: value * scale for key, value in read(server, query).items()}
                assert shown == pytest.approx(counter, rel=EXTRAPOLATED), query
            assert read(server, gauge) == pytest.approx(ledger[measure]), measure
    assert told == set(ACCOUNTS)
