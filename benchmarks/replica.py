"""Replicas of the real program that share a ledger on PostgreSQL."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixtures import serve
from benchmarks.installation import DEVELOPED
from benchmarks.machine import free_port, wait_for

PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Replica:
    """A process, on all processors, the port that it serves on, and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def page(self) -> str:
        """What a scrape gives."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        body = connection.getresponse().read()
        connection.close()
        return gzip.decompress(body).decode()

    def read(self, metric: str) -> float:
        """The sum of a metric's samples."""
        found = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", self.page(), re.MULTILINE)
        return sum(map(float, found))


@contextlib.contextmanager
def replica(folder: Path, config: Path, name: str) -> Iterator[Replica]:
    """A replica that serves; in the end it gives up its leases, unless it was killed."""
    port = free_port()
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        command = serve(config, port, "--replica.name", name, program=DEVELOPED)
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(port, process, log)
        yield Replica(process, port, log)
    finally:
        process.terminate()
        process.wait()


def configuration(
    folder: Path, ledger: str, vendor: str, *, accounts: int, cadence: str, lease: str
) -> Path:
    """A configuration with so many Millicast accounts that poll their streams at `vendor`."""
    (folder / "credential").write_text("bench")
    lines = [
        f"polling: {{cadence: {cadence}, history: 1h}}",
        f"ledger: {{url: '{ledger}', lease: {lease}}}",
        "limits: {streams: 10000000}",
        "accounts:",
    ]
    for number in range(accounts):
        lines += [
            f"  - name: {'bench' if accounts == 1 else f'account-{number:04d}'}",
            "    provider: millicast",
            f"    url: {vendor}",
            "    feeds: [streams]",
            f"    credentials_file: {folder}/credential",
        ]
    path = folder / "config.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def until(condition: Callable[[], bool], what: str, *, pause_seconds: float = 0.05) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"not so after {PATIENCE_SECONDS} s: {what}"
        time.sleep(pause_seconds)
