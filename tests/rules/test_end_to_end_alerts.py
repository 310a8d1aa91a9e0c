"""A vendor breaks, and people are told which account and feed; it recovers, and they are told.

All of it is real but the vendor: exporter, Prometheus, Alertmanager and a receiver, on loopback.
The rules and routes are those that are shipped, with every duration divided by how much faster
than by default the exporter polls here; nothing else about them is changed.
"""

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.emulators.app import Emulators
from tests.rules.rulefiles import ROOT, RULES
from tests.support.components import alertmanager, prometheus
from tests.support.processes import Exporter, Prometheus, eventually, free_port, vendors

pytestmark = pytest.mark.sockets

CADENCE_SECONDS = 3
FASTER = 900 // CADENCE_SECONDS
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FILES = ("thresholds", "recording", "alerts")  # the month does not fit into a test

CONFIGURATION = """
polling: {{cadence: {cadence}s, history: 1h}}
ledger: {{path: usage.db}}
accounts:
  - name: stage
    provider: millicast
    url: http://{vendors}/millicast
    credentials_file: credential
    feeds: [viewers]
  - name: web
    provider: livepeer
    url: http://{vendors}/livepeer/api
    credentials_file: credential
    feeds: [realtime, usage]
"""
SCRAPING = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: media-usage-exporter
    static_configs: [{{targets: ["{exporter}"]}}]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["{alertmanager}"]}}]
"""


def faster(expression: str) -> str:
    """PromQL with windows and offsets divided by FASTER, to whole seconds."""
    return re.sub(r"(?<=[\[:])\d+[smhdw]\b|(?<=offset )\d+[smhdw]\b", _shortened, expression)


def _shortened(match: re.Match[str]) -> str:
    duration = match.group()
    return f"{max(1, round(int(duration[:-1]) * SECONDS[duration[-1]] / FASTER))}s"


def write_rules(folder: Path) -> None:
    folder.mkdir()
    for name in FILES:
        document = yaml.safe_load((RULES / f"{name}.yml").read_text())
        for group in document["groups"]:
            for rule in group["rules"]:
                rule["expr"] = faster(rule["expr"])
                if "for" in rule:
                    rule["for"] = re.sub(r".+", _shortened, rule["for"])
        (folder / f"{name}.yml").write_text(yaml.safe_dump(document, sort_keys=False))


class Receiver(ThreadingHTTPServer):
    """Takes the Alertmanager's messages; `heard` is (receiver, status, labels, description)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, str, dict[str, str], str]] = []

    def take(self, message: dict[str, Any]) -> None:
        for alert in message["alerts"]:
            self.heard.append(
                (
                    message["receiver"],
                    alert["status"],
                    alert["labels"],
                    alert["annotations"]["description"],
                )
            )

    def find(self, status: str, **labels: str) -> tuple[str, str, dict[str, str], str] | None:
        return next(
            (
                each
                for each in list(self.heard)
                if each[1] == status and labels.items() <= each[2].items()
            ),
            None,
        )


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.take(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


@contextlib.contextmanager
def alerting(binary: Path, folder: Path, receiver: Receiver) -> Iterator[str]:
    """An Alertmanager with the shipped routes, made quick, that tells `receiver`."""
    shipped = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text()
    text = shipped.replace("http://127.0.0.1:9099/", f"http://127.0.0.1:{receiver.server_port}/")
    for duration in ("group_wait", "group_interval"):
        text = re.sub(rf"{duration}: \S+", f"{duration}: 1s", text)
    config = folder / "alertmanager.yml"
    config.write_text(text)
    address = f"127.0.0.1:{free_port()}"
    log = folder / "alertmanager.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stdout=output,
            stderr=output,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{address}/-/ready", trust_env=False).status_code == 200
        return False

    try:
        eventually(ready, "the Alertmanager is ready")
        yield address
    finally:
        process.terminate()
        process.wait()


def test_durations_are_divided():
    """Windows, steps and offsets become shorter, numbers and names do not."""
    assert (
        faster("increase(x:y1h[30m] offset 1h) > 3600") == "increase(x:y1h[6s] offset 12s) > 3600"
    )
    assert faster("a[31d:30m]") == "a[8928s:6s]"


@pytest.mark.timeout(240)
def test_people_are_told_and_told_again_when_it_is_over(tmp_path: Path):
    """The message names account and feed; the cause, where it is known, speaks for its effects."""
    emulators = Emulators()
    write_rules(tmp_path / "rules")
    (tmp_path / "credential").write_text("demo")
    with (
        vendors(emulators) as address,
        listening() as receiver,
        alerting(alertmanager(), tmp_path, receiver) as manager,
    ):
        config = tmp_path / "config.yaml"
        config.write_text(CONFIGURATION.format(cadence=CADENCE_SECONDS, vendors=address))
        with Exporter(config) as exporter:
            exporter.wait_until_ready()
            scraping = SCRAPING.format(exporter=exporter.address, alertmanager=manager)
            flag = "--rules.alert.resend-delay=2s"
            with Prometheus(prometheus(), tmp_path, scraping, flag) as server:
                polled = 'media_exporter_poll_success{feed="usage"} == 1'
                eventually(lambda: server.query(polled), "Prometheus has scraped")
                emulators.faults.set("livepeer", "404", path_prefix="/api/data/views/now")
                emulators.faults.set("millicast", "401")

                def told(status: str, **labels: str) -> tuple[str, str, dict[str, str], str]:
                    return eventually(lambda: receiver.find(status, **labels), f"{status} {labels}")

                failing = {"alertname": "MediaUsageFeedFailing", "account": "web"}
                rejected = {"alertname": "MediaUsageCredentialRejected", "account": "stage"}
                whom, _, labels, description = told("firing", **failing)
                assert (whom, labels["feed"], labels["provider"]) == (
                    "chat",
                    "realtime",
                    "livepeer",
                )
                assert description.startswith("Feed realtime of livepeer account web fails")
                assert told("firing", **rejected)[0] == "pager"

                emulators.faults.clear()
                assert told("resolved", **failing)[0] == "chat"
                assert told("resolved", **rejected)[0] == "pager"
    # Of one cause nothing more is heard; what else a busy machine brings about is no matter.
    failed = {
        labels["account"]
        for _, _, labels, _ in receiver.heard
        if labels["alertname"] == "MediaUsageFeedFailing"
    }
    assert failed == {"web"}
