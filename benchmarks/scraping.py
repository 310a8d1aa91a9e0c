"""Scrapes: how many a second, and how long one takes, beside the usual servers."""

from __future__ import annotations

import gzip
import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fixtures import configuration, ledger, serve
from benchmarks.machine import (
    LOAD_CPU,
    SERVER_CPU,
    free_port,
    pinned,
    program,
    resident_bytes,
    running,
)
from benchmarks.results import Result, median, ratio

ROUNDS = 5
SECONDS = 3


@dataclass(frozen=True, slots=True)
class Target:
    """A server that holds the page."""

    port: int
    path: str
    scheme: str = "http"
    headers: tuple[str, ...] = ()


def scrape(target: Target, *, compressed: bool = True) -> tuple[float, bytes]:
    """Seconds until the last byte of one scrape on a new connection, and the bytes as sent."""
    headers = {"Accept-Encoding": "gzip"} if compressed else {}
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    connection.request("GET", target.path, headers=headers)
    body = connection.getresponse().read()
    seconds = time.perf_counter() - started
    connection.close()
    return seconds, body


def per_second(wrk: str, target: Target, *, compressed: bool, connections: int = 8) -> float:
    """Answers a second to so many connections, by wrk on the other processor."""
    headers = (*target.headers, *(("Accept-Encoding: gzip",) if compressed else ()))
    output = subprocess.run(
        [
            *pinned(LOAD_CPU, [wrk]),
            *("--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s"),
            *(word for header in headers for word in ("--header", header)),
            f"{target.scheme}://127.0.0.1:{target.port}{target.path}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    assert "Non-2xx" not in output, output
    return float(found[1])


@contextmanager
def ours(folder: Path, streams: int) -> Iterator[tuple[Target, int]]:
    """The exporter with two series for each stream, from its ledger."""
    ledger(folder / "usage.db", streams)
    port = free_port()
    target = Target(port, "/metrics")
    command = serve(configuration(folder), port)
    with running(command, cpu=SERVER_CPU, log=folder / "exporter.log", port=port) as pid:
        end = time.monotonic() + 60
        while scrape(target)[1].count(b"") < 100 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)  # its one poll, which fails, is over
        yield target, pid


@contextmanager
def nginx(folder: Path, page: bytes) -> Iterator[Target]:
    """The same bytes from a file, and compressed beforehand from another."""
    binary = program("nginx-light", "nginx")
    assert binary is not None, "nginx is not to be had"
    root = folder / "root"
    root.mkdir()
    (root / "metrics").write_bytes(page)
    (root / "metrics.gz").write_bytes(gzip.compress(page, 6))
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""\
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port}; root {root}; gzip_static on; default_type text/plain; }}
}}
"""
    )
    command = [binary, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with running(command, cpu=SERVER_CPU, log=folder / "nginx.log", port=port):
        yield Target(port, "/metrics")


@contextmanager
def pushgateway(folder: Path, page: bytes) -> Iterator[Target]:
    """Prometheus' Pushgateway, holding the same series."""
    binary = program("prometheus-pushgateway", "prometheus-pushgateway")
    assert binary is not None, "the Pushgateway is not to be had"
    port = free_port()
    command = [binary, f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, cpu=SERVER_CPU, log=folder / "pushgateway.log", port=port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("PUT", "/metrics/job/bench", body=vendor_part(page))
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()[:500]
        yield Target(port, "/metrics")


@contextmanager
def node_exporter(folder: Path, page: bytes) -> Iterator[Target]:
    """node_exporter's textfile collector with the same series."""
    binary = program("prometheus-node-exporter", "prometheus-node-exporter")
    assert binary is not None, "node_exporter is not to be had"
    texts = folder / "textfile"
    texts.mkdir()
    (texts / "usage.prom").write_bytes(vendor_part(page))
    port = free_port()
    command = [
        *(binary, "--collector.disable-defaults", "--collector.textfile"),
        *(f"--collector.textfile.directory={texts}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with running(command, cpu=SERVER_CPU, log=folder / "node.log", port=port):
        yield Target(port, "/metrics")


@contextmanager
def prometheus_client(folder: Path, series: int) -> Iterator[Target]:
    """prometheus_client's own server with as many counters."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stock", str(port), str(series // 2)]
    with running(command, cpu=SERVER_CPU, log=folder / "stock.log", port=port):
        yield Target(port, "/metrics")


def vendor_part(page: bytes) -> bytes:
    """The page without the exporter's own metrics, which other servers bring themselves."""
    return page[: page.index(b"# HELP media_exporter_")]


def measure() -> list[Result]:
    """Every comparison of this module."""
    return [*_throughput(1_000), *_throughput(50_000), *_single(50_000)]


def _throughput(streams: int) -> list[Result]:
    wrk = program("wrk", "wrk")
    assert wrk is not None, "wrk is not to be had"
    at = f"{streams * 2:,} series"
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        us, _ = stack.enter_context(ours(folder, streams))
        them = stack.enter_context(nginx(folder, scrape(us, compressed=False)[1]))
        rates: dict[tuple[bool, Target], list[float]] = {}
        for _ in range(ROUNDS):
            for compressed in (True, False):
                for target in (us, them):
                    rate = per_second(wrk, target, compressed=compressed)
                    rates.setdefault((compressed, target), []).append(rate)
    big = streams > 10_000
    results = []
    for compressed in (True, False):
        goal = (1.0 if big else 0.5) if compressed else (1.0 if big else None)
        mine, his = rates[compressed, us], rates[compressed, them]
        results.append(
            Result(
                f"scrapes per second, {'gzip' if compressed else 'uncompressed'}, ÷ nginx",
                at,
                ratio(mine, his),
                target=goal,
                note=f"{median(mine):,.0f} and {median(his):,.0f} a second",
            )
        )
    return results


def _single(streams: int) -> list[Result]:
    at = f"{streams * 2:,} series"
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        us, _ = stack.enter_context(ours(folder, streams))
        page = scrape(us, compressed=False)[1]
        peers = {
            "Pushgateway": (stack.enter_context(pushgateway(folder, page)), 100.0),
            "node_exporter's textfile collector": (
                stack.enter_context(node_exporter(folder, page)),
                None,
            ),
            "prometheus_client": (
                stack.enter_context(prometheus_client(folder, streams * 2)),
                300.0,
            ),
        }
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for peer, (target, _) in peers.items():
                times.setdefault(peer, []).append(scrape(target)[0])
                # Ours is short: one scrape would measure the clock.
                times.setdefault(f"ours beside {peer}", []).append(
                    median([scrape(us)[0] for _ in range(15)])
                )
        return [
            Result(
                f"scrape time, gzip: {peer} ÷ ours",
                at,
                ratio(times[peer], times[f"ours beside {peer}"]),
                target=goal,
                note=f"{median(times[peer]) * 1e3:,.1f} ms and"
                f" {median(times[f'ours beside {peer}']) * 1e3:,.2f} ms",
            )
            for peer, (_, goal) in peers.items()
        ]


def memory(streams: int = 50_000) -> list[Result]:
    """Resident memory of each series, beyond a process that has none."""
    sizes = []
    for count in (0, streams):
        with TemporaryDirectory() as name, ours(Path(name), count) as (target, pid):
            scrape(target)
            sizes.append(resident_bytes(pid))
    each = (sizes[1] - sizes[0]) / (streams * 2)
    return [
        Result(
            "resident memory per exposed series beyond the idle process",
            f"{streams * 2:,} series",
            each,
            "bytes",
            target=600,
            at_least=False,
            note=f"idle: {sizes[0] / 2**20:.0f} MiB",
        )
    ]


def million() -> list[Result]:
    """A million series in one process: memory, start and scrapes."""
    streams = 500_000
    return [
        *memory(streams),
        *start(streams, target=12, rounds=3),
        *_throughput(streams),
    ]


def start(streams: int = 50_000, *, target: float = 1.5, rounds: int = ROUNDS) -> list[Result]:
    """From the start of the process to the end of its first full scrape."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        ledger(folder / "usage.db", streams)
        seconds = []
        for _ in range(rounds):
            port = free_port()
            where = Target(port, "/metrics")
            began = time.perf_counter()
            process = subprocess.Popen(
                pinned(SERVER_CPU, serve(configuration(folder), port)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                while True:
                    try:
                        body = gzip.decompress(scrape(where)[1])
                    except OSError:
                        time.sleep(0.005)
                        continue
                    assert body.count(b"media_stream_received_bytes_total{") == streams
                    break
                seconds.append(time.perf_counter() - began)
            finally:
                process.kill()
                process.wait()
    return [
        Result(
            "start with a ledger to first full scrape",
            f"{streams * 2:,} series",
            median(seconds),
            "s",
            target=target,
            at_least=False,
        )
    ]
