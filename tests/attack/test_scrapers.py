"""Clients that are slow, silent, many, or talk nonsense; a normal scrape is answered all the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from exporter import providers
from exporter.app import Exporter as App
from exporter.cli import demo
from exporter.config import load
from exporter.emulators.app import Emulators
from exporter.emulators.world import Stream, World
from exporter.web import connections
from exporter.web.listen import listen
from exporter.web.server import WebOptions
from tests.attack.reporting import Attack
from tests.support.components import prometheus
from tests.support.processes import Exporter, Prometheus, eventually, vendors

NASTY = (
    'the "green" room',
    "back\\slash\\",
    "two\nlines",
    "return\r",
    "tab\t bell\x07 escape\x1b[31m delete\x7f",
    "东京 😀 \U0010fffd",
    "\u2028\u202e\u200b\ufeff",
    '"} 1\nmedia_fake_total{a="',
    "{}=,#",
    "# EOF",
)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """The real program, with streams whose names are what nobody expects."""
    folder = tmp_path_factory.mktemp("scrapers")
    world = World()
    for name in NASTY:
        world.add_stream("millicast", "live", Stream(name, name, archived=False, born=0))
    emulators = Emulators(world)
    with vendors(emulators) as address:
        (folder / "credential").write_text("demo")
        config = folder / "config.yaml"
        config.write_text(
            demo.configuration(address, folder, emulators, cadence_seconds=60, every_feed=False)
        )
        with Exporter(config) as exporter:
            exporter.wait_until_ready()
            yield exporter


def connect(exporter: Exporter, *, timeout: float) -> socket.socket:
    host, _, port = exporter.address.partition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def answers_normally(exporter: Exporter) -> None:
    """A scrape as Prometheus makes it, in the ten seconds that Prometheus gives it."""
    answer = httpx.get(f"{exporter.url}/metrics", trust_env=False, timeout=10)
    assert answer.status_code == 200
    assert "media_exporter_build_info" in answer.text


def test_silent_and_half_open_connections_keep_nobody_out(
    exporter: Exporter, attack: Attack
) -> None:
    """However many connect and say nothing, or begin a request and never end it, a scrape is
    answered, and the others are let go.
    """
    keep_nobody_out(exporter, connections.MAX_CONNECTIONS + 200, attack)


@pytest.mark.soak
def test_thousands_of_silent_connections_keep_nobody_out(
    exporter: Exporter, attack: Attack
) -> None:
    """The same, of five times as many."""
    keep_nobody_out(exporter, 5 * connections.MAX_CONNECTIONS, attack)


def keep_nobody_out(exporter: Exporter, count: int, attack: Attack) -> None:
    beginnings = (b"", b"G", b"GET /metrics HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
    with contextlib.ExitStack() as stack:
        crowd = []
        for number in range(count):
            crowd.append(stack.enter_context(connect(exporter, timeout=30)))
            with contextlib.suppress(OSError):
                crowd[-1].sendall(beginnings[number % len(beginnings)])
        for _ in range(3):
            answers_normally(exporter)

        def let_go(one: socket.socket) -> bool:
            one.setblocking(False)
            try:
                return not one.recv(1000)
            except BlockingIOError:
                return False
            except OSError:
                return True

        eventually(lambda: all(map(let_go, crowd)), "everybody who said nothing is let go")
    attack.tried("half-open connections", count)
    answers_normally(exporter)


GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /metrics HTTP/9.9\r\n\r\n",
    b"GET  /metrics  HTTP/1.1\r\n\r\n",
    b"get /metrics http/1.1\r\n\r\n",
    b"GET http://elsewhere/metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"CONNECT vendor:443 HTTP/1.1\r\nHost: vendor:443\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET",
    b"GET /metrics HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X-Large: " + b"a" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    b"GET /metrics HTTP/1.1\r\nX\x00: y\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nAccept: \xff\xfe\r\n\r\n",
    b"GET /-/healthy HTTP/1.1\r\n\r\n" * 300,
    b"GET /metrics HTTP/1.1\r\n\r\nnonsense\r\n\r\n" * 20,
    b"\r\n" * 100_000,
    b"DELETE /-/reload HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\n",
)


def test_garbage_and_oversized_requests_hurt_nobody(exporter: Exporter, attack: Attack) -> None:
    """Whatever bytes arrive, and however many, the next scrape is answered."""
    chance = random.Random(7)
    noise = [chance.randbytes(chance.randint(1, 5000)) for _ in range(60)]
    spoilt = []
    for _ in range(120):
        body = bytearray(
            b"GET /metrics?account=live HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n" * 2
        )
        for _ in range(chance.randint(1, 5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        spoilt.append(bytes(body))
    for number, request in enumerate((*GARBAGE, *noise, *spoilt)):
        with connect(exporter, timeout=5) as client, contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            client.recv(65536)
        if number % 20 == 0:
            answers_normally(exporter)
        attack.tried("garbage, oversized and pipelined requests")
    answers_normally(exporter)
    assert "Traceback" not in exporter.log.read_text()


ACCEPTS = (
    "",
    "*/*",
    ",,,;;;q=",
    "text/plain;q=NaN, */*;q=-1",
    "application/openmetrics-text;version=99.9.9;q=1e400",
    "application/openmetrics-text; version=1.0.0; charset=\xff",
    ("text/plain;version=0.0.4," * 300).rstrip(","),
    "application/openmetrics-text;" + ";" * 1000,
    "q=0.5",
    "text/html, image/png",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
)


def test_a_nonsense_wish_still_gets_a_page(exporter: Exporter, attack: Attack) -> None:
    """Whatever a scraper says it accepts, it gets a page that parses as what it is labelled."""
    for accept in ACCEPTS:
        for encoding in ("gzip", "gzip;q=zero", "br, *;q=0", "x" * 5000):
            headers = [
                (b"accept", accept.encode("latin-1")),
                (b"accept-encoding", encoding.encode()),
            ]
            answer = httpx.get(
                f"{exporter.url}/metrics", headers=headers, trust_env=False, timeout=30
            )
            assert answer.status_code == 200
            strict = answer.headers["content-type"].startswith("application/openmetrics-text")
            parse = openmetrics if strict else text
            if encoding == "gzip":
                assert len(list(parse(answer.text))) > 20
            attack.tried("nonsense Accept")


PATHS = (
    "//metrics",
    "/metrics/",
    "/metrics/../config",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/metrics%00",
    "/metrics;account=live",
    "/config?file=/etc/passwd",
    "/-/../-/reload",
    "/METRICS",
    "/\u202e".encode().decode("latin-1"),
    "/metrics?account=live'--&account=%00",
    "/metrics?account=%ff%fe",
    "/metrics?account[]=live&provider=",
    "/metrics?" + "account=nobody&" * 2000,
    "/metrics?account=<script>alert(1)</script>",
    "/?x=<script>",
    "/metrics?=%",
    "/metrics?%",
    "*",
)


def test_tricks_with_paths_and_queries_give_small_plain_answers(
    exporter: Exporter, attack: Attack
) -> None:
    """A path or query that means nothing is 400 or 404, never an error of the server."""
    for path in PATHS:
        with connect(exporter, timeout=10) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode("latin-1"))
            status = client.makefile("rb").readline()
        assert not status or status.split()[1] in (b"200", b"400", b"404"), (path, status)
        attack.tried("tricks with paths and queries")
    answers_normally(exporter)
    answer = exporter.get("/metrics", params={"account": "<script>alert(1)</script>"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_real_prometheus_reads_every_label(
    exporter: Exporter, tmp_path: Path, attack: Attack
) -> None:
    """Names with quotes, line ends, backslashes, control and four-byte characters arrive in
    Prometheus as they left the vendor, and nothing that they spell out does.
    """
    configuration = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: one, static_configs: [{{targets: ['{exporter.address}']}}]}}]\n"
    )
    with Prometheus(prometheus(), tmp_path, configuration) as server:
        found = eventually(
            lambda: {
                sample["metric"]["stream"]
                for sample in server.query('media_stream_delivered_bytes_total{account="live"}')
            },
            "Prometheus has the streams",
        )
        assert server.query('up{job="one"}')[0]["value"][1] == "1"
        assert not server.query("media_fake_total")
    page = exporter.get("/metrics").text
    shown = {
        sample.labels["stream"]
        for family in text(page)
        for sample in family.samples
        if sample.name == "media_stream_delivered_bytes_total"
        and sample.labels["account"] == "live"
    }
    assert found == shown
    assert {name.strip() for name in NASTY} <= {name.strip() for name in found} | {""}
    attack.tried("hostile label values through a real Prometheus", len(found))


# --- Slow readers: a page too large for the buffers between the two, on a clock of seconds ---------


@contextlib.asynccontextmanager
async def large_page(folder: Path) -> AsyncIterator[str]:
    emulators = Emulators(World())
    (folder / "credential").write_text("demo")
    path = folder / "config.yaml"
    path.write_text(
        demo.configuration("127.0.0.1:9", folder, emulators, cadence_seconds=900, every_feed=False)
    )
    app = await App.open(load(path, providers.load()))
    stop = asyncio.Event()
    listener = listen("127.0.0.1:0")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    serving = asyncio.create_task(app.serve([listener], WebOptions(max_requests=4), stop=stop))
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        await serving
        await app.close()


async def test_readers_who_do_not_read_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    """Scrapes that nobody reads take up places for a while, not for ever."""
    monkeypatch.setattr(connections, "WRITE_TIMEOUT_SECONDS", 3.0)
    async with large_page(tmp_path) as address, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{address}/metrics"
        while (await client.get(url)).status_code != 200:
            await asyncio.sleep(0.1)
        size = len((await client.get(url)).content)
        host, _, port = address.partition(":")
        slow = []
        for _ in range(4):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await asyncio.get_running_loop().sock_connect(one, (host, int(port)))
            await asyncio.get_running_loop().sock_sendall(
                one, b"GET /metrics HTTP/1.1\r\n\r\n" * (4_000_000 // size)
            )
            slow.append(one)
        for wanted in (503, 200):
            end = time.monotonic() + 30
            while (await client.get(url)).status_code != wanted:
                assert time.monotonic() < end, (
                    f"no {wanted}: who does not read keeps all others out"
                )
                await asyncio.sleep(0.05)
        for one in slow:
            one.close()
        attack.tried("readers who do not read", len(slow))
