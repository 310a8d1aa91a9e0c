"""Real Prometheus servers that ask for protobuf read the same as from text."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.cli import demo
from exporter.emulators.app import Emulators
from exporter.emulators.world import Stream, World
from tests.support import metric_families
from tests.support.components import prometheus, prometheus_3
from tests.support.processes import Exporter, Prometheus, eventually, vendors

pytestmark = pytest.mark.sockets

NOW = float(int(time.time()))
"""The vendors' clock stands still, so that polls change nothing."""

PROTOBUF = metric_families.CONTENT_TYPE
ACCEPT = f"{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"


@contextmanager
def watched(exporter: Exporter) -> Iterator[tuple[str, list[str]]]:
    """An address that passes scrapes on, and the content types of the answers so far."""
    kinds: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            accept = {"Accept": self.headers["Accept"], "Accept-Encoding": "identity"}
            answer = exporter.get(self.path, headers=accept)
            kinds.append(answer.headers["content-type"])
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", kinds
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scraping(address: str) -> str:
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: media-usage-exporter
    static_configs: [{{targets: ["{address}"]}}]
"""


@contextmanager
def exporting(
    folder: Path, emulators: Emulators, *flags: str, cadence_seconds: int
) -> Iterator[Exporter]:
    with vendors(emulators) as address:
        (folder / "credential").write_text("demo")
        config = folder / "config.yaml"
        config.write_text(
            demo.configuration(
                address, folder, emulators, cadence_seconds=cadence_seconds, every_feed=True
            )
        )
        with Exporter(config, *flags) as exporter:
            exporter.wait_until_ready()
            yield exporter


def accounts_samples(exporter: Exporter) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What text shows of accounts' usage."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exporter.get("/metrics").text)
        for sample in family.samples
        if sample.name.startswith("media_") and not sample.name.startswith("media_exporter_")
    }


def test_a_scraper_that_likes_protobuf_gets_it_from_the_second_scrape_on(tmp_path: Path) -> None:
    """The first is answered with what it likes next best; compressed, narrowed and escaped ones too."""
    emulators = Emulators(World(), clock=lambda: NOW)
    with exporting(tmp_path, emulators, cadence_seconds=600) as exporter:

        def ask(accept: str = ACCEPT, path: str = "/metrics") -> httpx.Response:
            return exporter.get(path, headers={"Accept": accept})

        assert ask().headers["content-type"].startswith("application/openmetrics-text")
        eventually(lambda: ask().headers["content-type"] == PROTOBUF, "protobuf is prepared")
        answer = ask()
        assert answer.headers["content-encoding"] == "gzip"
        text = accounts_samples(exporter)
        assert text.items() <= metric_families.samples(answer.content).items()
        escaped = ask(f"{PROTOBUF};escaping=allow-utf-8")
        assert escaped.headers["content-type"] == f"{PROTOBUF}; escaping=allow-utf-8"
        (account,) = {
            value
            for _, labels in metric_families.samples(ask(path="/metrics?account=live").content)
            for name, value in labels
            if name == "account"
        }
        assert account == "live"
        assert ask("text/plain").headers["content-type"].startswith("text/plain")


def test_prometheus_with_native_histograms_reads_the_same_as_from_text(tmp_path: Path) -> None:
    """Such a server asks for protobuf first."""
    emulators = Emulators(World(), clock=lambda: NOW)
    feature = "--enable-feature=native-histograms"
    with (
        exporting(tmp_path, emulators, cadence_seconds=600) as exporter,
        watched(exporter) as (address, kinds),
        Prometheus(prometheus(), tmp_path, scraping(address), feature) as server,
    ):
        eventually(lambda: kinds[-3:] == [PROTOBUF] * 3, "three scrapes got protobuf")
        expected = accounts_samples(exporter)

        def shown() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
            return {
                (
                    one["metric"].pop("__name__"),
                    tuple(
                        sorted(
                            pair
                            for pair in one["metric"].items()
                            if pair[0] not in ("instance", "job")
                        )
                    ),
                ): float(one["value"][1])
                for one in server.query('{__name__=~"media_.+", __name__!~"media_exporter_.+"}')
            }

        eventually(lambda: shown() == expected, "Prometheus has what text shows")
        assert server.query("up")[0]["value"][1] == "1"


def test_prometheus_3_sees_the_first_increment_at_once(tmp_path: Path) -> None:
    """It puts a 0 where a series began; no scrape sees the 0 for which text is held."""
    binary = prometheus_3()
    emulators = Emulators(World(publish_seconds=1), clock=lambda: NOW)
    features = "--enable-feature=created-timestamp-zero-ingestion"
    with (
        exporting(tmp_path, emulators, "--web.created-timestamps", cadence_seconds=24) as exporter,
        watched(exporter) as (address, kinds),
        Prometheus(binary, tmp_path, scraping(address), features) as server,
    ):
        eventually(lambda: kinds[-1:] == [PROTOBUF], "a scrape got protobuf")
        born = int(NOW) - 3600
        for number in range(10):  # not every stream has traffic at every hour
            emulators.world.add_stream(
                "millicast", "live", Stream(f"late-{number}", f"late comer {number}", False, born)
            )
        found = eventually(
            lambda: server.query('media_stream_delivered_bytes_total{stream=~"late comer.+"}[5m]'),
            "Prometheus has a stream that came later",
        )
    for series in found:
        (_, first), *rest = series["values"]
        assert first == "0", "where it began"
        assert rest
        assert all(value != "0" for _, value in rest), "no scrape saw a 0"
