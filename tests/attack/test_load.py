"""Many accounts on one process, scraped by a pair of Prometheus servers."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from exporter.emulators.app import Emulators
from exporter.emulators.world import World
from tests.attack.reporting import Attack
from tests.support.processes import Exporter, eventually, vendors

ACCOUNTS = 200
SECONDS = 180
PROVIDERS = ("millicast", "wowza", "livepeer")


def configuration(address: str, folder: Path) -> str:
    credential = json.dumps(str(folder / "credential"))
    lines = [
        "polling: {cadence: 60s, delay: 0s, history: 6h}",
        f"ledger: {{path: {json.dumps(str(folder / 'usage.db'))}}}",
        "accounts:",
    ]
    for number in range(ACCOUNTS):
        provider = PROVIDERS[number % len(PROVIDERS)]
        base = f"http://{address}/{provider}" + ("/api" if provider == "livepeer" else "")
        lines += [
            f"  - name: account-{number}",
            f"    provider: {provider}",
            f"    url: {base}",
            f"    credentials_file: {credential}",
        ]
    return "\n".join((*lines, ""))


@pytest.mark.soak
def test_two_hundred_accounts_are_polled_while_two_servers_scrape(
    tmp_path: Path, attack: Attack
) -> None:
    """With 200 accounts on one process and two scrapers every five seconds, no scrape fails, no
    poll fails, and the poll loops keep moving.
    """
    slowest: list[float] = []
    failed: list[object] = []
    over = threading.Event()

    def scrape(exporter: Exporter) -> None:
        while not over.wait(5):
            began = time.monotonic()
            try:
                answer = httpx.get(f"{exporter.url}/metrics", trust_env=False, timeout=10)
                if answer.status_code != 200:
                    failed.append(answer.status_code)
            except httpx.TransportError as error:
                failed.append(error)
            slowest.append(time.monotonic() - began)

    with vendors(Emulators(World(streams=3))) as address:
        (tmp_path / "credential").write_text("demo")
        config = tmp_path / "config.yaml"
        config.write_text(configuration(address, tmp_path))
        with Exporter(config) as exporter:
            eventually(lambda: exporter.answers("/-/ready"), "all were polled", 600)
            threads = [threading.Thread(target=scrape, args=(exporter,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(SECONDS)
            over.set()
            for thread in threads:
                thread.join()
            assert exporter.get("/-/healthy").status_code == 200
            status = json.loads(exporter.get("/api/v1/status").text)
            states = {feed["state"] for one in status["accounts"] for feed in one["feeds"]}
            assert exporter.process is not None
            memory = Path(f"/proc/{exporter.process.pid}/status").read_text()
            peak = next(line for line in memory.splitlines() if line.startswith("VmHWM"))
    print(f"slowest scrape {max(slowest):.2f} s, {peak}")
    attack.tried("scrapes of 200 accounts by two servers", len(slowest))
    assert not failed
    assert states == {"ok"}
    assert len(status["accounts"]) == ACCOUNTS
