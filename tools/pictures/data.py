"""A day of the demo in a Prometheus, and the dashboards' queries asked of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from exporter import providers
from exporter.app import Exporter
from exporter.cli import demo
from exporter.config import load
from exporter.emulators.app import Emulators
from exporter.exposition import Format

Json: TypeAlias = dict[str, Any]

HOUR = 3600
DAY = 24 * HOUR
QUARTER = 900
SCRAPES_SECONDS = 60

BEGIN = int(datetime(2026, 3, 30, 6, tzinfo=UTC).timestamp())
HOURS = 27
END = BEGIN + HOURS * HOUR - 60
SHOWN_HOURS = 24
BLOCKS = ("tsdb", "create-blocks-from", "--max-block-duration=744h")
"""promtool reads all of its input once for each block."""

UNITS = {"m": 60, "h": HOUR, "d": DAY}

OUTAGE = range(BEGIN + 20 * HOUR, BEGIN + 21 * HOUR + HOUR // 2)
"""While one vendor is out of order, so that there is something to see."""


async def live_through(work: Path, pages: Path) -> None:
    """Poll every quarter of an hour; write what scrapes would have seen, in OpenMetrics."""
    now = float(BEGIN)
    emulated = Emulators(demo.emulators(seed=1, publish_seconds=QUARTER).world, clock=lambda: now)
    (work / "credential").write_text(demo.CREDENTIAL)
    config = work / "config.yaml"
    config.write_text(
        demo.configuration(
            "vendors",
            work,
            emulated,
            cadence_seconds=QUARTER,
            every_feed=False,
            history=demo.DEMO_HISTORY,
        )
        + demo.billing(emulated, BEGIN)
    )
    exporter = await Exporter.open(
        load(config, providers.load()),
        clock=lambda: now,
        transport=httpx.ASGITransport(emulated),
    )
    with pages.open("w") as out:
        try:
            for start in range(BEGIN, BEGIN + HOURS * HOUR, QUARTER):
                now = start + 61.0
                if start in OUTAGE:
                    emulated.faults.set("livepeer", "403")
                await exporter.once()
                emulated.faults.clear()
                for seen in range(start + 65, start + 65 + QUARTER, SCRAPES_SECONDS):
                    now = float(seen)
                    for collector in exporter.collectors:
                        await collector.refresh()
                    _write(
                        b"".join(exporter.page(Format.TEXT, None).plain).decode(), seen, out.write
                    )
        finally:
            await exporter.close()
        out.write("# EOF\n")


def _write(page: str, seen: int, write: Callable[[str], object]) -> None:
    target = 'job="media-usage",instance="demo:10032"'
    for line in page.splitlines():
        if line.startswith("media_"):
            name, _, rest = line.partition(" ") if "{" not in line else line.partition("{")
            labels, _, value = rest.rpartition("} ")
            own = f"{labels}," if labels else ""
            write(f"{name}{{{own}{target}}} {value or rest} {seen}\n")
    for name, number in (("up", 1), ("process_start_time_seconds", BEGIN)):
        write(f"{name}{{{target}}} {number} {seen}\n")


@contextlib.contextmanager
def prometheus(work: Path, pages: Path) -> Iterator[httpx.Client]:
    """A Prometheus with these pages as its past."""
    programs = {name: shutil.which(name) for name in ("promtool", "prometheus")}
    for name, path in programs.items():
        if path is None:
            raise SystemExit(f"{name} is missing; on Debian: apt-get install prometheus")
    subprocess.run(
        ["promtool", *BLOCKS, "openmetrics", "-q", str(pages), "tsdb"],
        cwd=work,
        check=True,
    )
    (work / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
    command += [f"--web.listen-address={address}", "--storage.tsdb.retention.time=50y"]
    with (work / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=work, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=60) as client:
            for _ in range(300):
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/-/ready").status_code == 200:
                        break
                time.sleep(0.1)
            yield client
    finally:
        server.terminate()
        server.wait()


def seconds_of(duration: str) -> int:
    """The seconds of `5m`, `7d` and the like."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def times(panel: Json) -> range:
    """When a panel's queries over time are answered: at whole steps, as Grafana asks."""
    step = seconds_of(panel["interval"])
    last = END // step * step
    return range(last - seconds_of(panel.get("timeFrom", f"{SHOWN_HOURS}h")), last + 1, step)


def replaced(expression: str, seconds: int) -> str:
    """The expression over a range of so many seconds, with everything chosen in each variable.

    What is chosen may be one of several alternatives, as in `job=~"$job|"`.
    """
    windows = expression.replace("$__range", f"{seconds}s").replace("$__rate_interval", "16m")
    return re.sub(r'(=~"[^"]*")', lambda matcher: re.sub(r"\$\w+", ".+", matcher[1]), windows)


def ask(source: httpx.Client, panel: Json, target: Json) -> list[Json]:
    """The series of one target, at the end of the data."""
    seconds = END % DAY if panel.get("timeFrom") == "now/d" else SHOWN_HOURS * HOUR
    expression = replaced(target["expr"], seconds)
    parameters: dict[str, str | int] = {"query": expression}
    if target.get("instant"):
        path = "query"
        parameters |= {"time": END}
    else:
        path = "query_range"
        asked = times(panel)
        parameters |= {"start": asked[0], "end": asked[-1], "step": asked.step}
    answer = source.get(f"/api/v1/{path}", params=parameters).json()
    if answer["status"] != "success":
        raise SystemExit(f"{panel['title']}: {answer['error']}")
    found: list[Json] = answer["data"]["result"]
    return found
