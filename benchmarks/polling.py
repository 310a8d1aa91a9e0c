"""Polls: what they cost beside merely fetching, and what a scrape feels of them."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import uvloop

from benchmarks.fixtures import configuration, rows, serve
from benchmarks.machine import LOAD_CPU, SERVER_CPU, free_port, running
from benchmarks.results import Result, median
from exporter import providers
from exporter.app import Exporter
from exporter.client.fetch import PollFetcher
from exporter.config import load
from exporter.ledger import Ledger, Poll
from exporter.model import Ask, Request, Span, Step, Window

CONCURRENCY = 8


@contextmanager
def vendor(folder: Path, streams: int) -> Iterator[str]:
    """The prepared Millicast on the other processor; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.vendor", str(port), str(streams)]
    with running(command, cpu=LOAD_CPU, log=folder / "vendor.log", port=port):
        yield f"http://127.0.0.1:{port}"


class _Bandwidth(msgspec.Struct):
    bytesOut: int
    bytesIn: int


class _Stream(msgspec.Struct):
    bandwidth: dict[str, _Bandwidth] | None = None
    standardStream: dict[str, _Bandwidth] | None = None


class _Series(msgspec.Struct):
    data: dict[str, _Stream]


class _Live(msgspec.Struct):
    streamName: str
    viewerCount: int
    live: bool


class _Listed(msgspec.Struct):
    data: list[_Live]


class _Summary(msgspec.Struct):
    data: _Listed


async def merely_fetch(url: str, requests: Sequence[Request]) -> float:
    """Processor seconds to get these with httpx and decode them with msgspec, eight at a time.

    With httpx as it is installed, so that the figure can be compared between versions of ours.
    """
    series = msgspec.json.Decoder(_Series).decode
    summary = msgspec.json.Decoder(_Summary).decode
    waiting = iter(requests)
    started = time.process_time()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def fetch() -> None:
            for request in waiting:
                answer = await client.get(
                    url + request.path, params=request.params, headers={"Authorization": "Bearer x"}
                )
                (summary if "summary" in request.path else series)(answer.content)

        await asyncio.gather(*(fetch() for _ in range(CONCURRENCY)))
    return time.process_time() - started


def requests_of_a_poll(streams: int) -> list[Request]:
    """What an ordinary poll of the streams feed asks, and the listing that names the streams."""
    provider = providers.load()["millicast"]
    (feed,) = provider.feeds(["streams"], {one.key: one.default for one in provider.options})
    now = int(time.time())
    start = Step.HOUR.floor(now - 3 * 3600)
    span = Span(Window(start, Step.HOUR.after(Step.HOUR.floor(now))), Step.HOUR)
    names = tuple(f"stream-{number:06d}" for number in range(streams))
    listing = [
        Request("/api/monitoring/summary", (("page", str(page)), ("itemsOnPage", "100")))
        for page in range(1, -(-streams // 100) + 1)
    ]
    return [*listing, *feed.requests(Ask(now, (span,), names))]


async def whole_polls(folder: Path, url: str, polls: int) -> tuple[list[float], int]:
    """Processor seconds of each ordinary poll: fetched, recorded, rendered; and its series."""
    exporter = await Exporter.open(load(configuration(folder, url), providers.load()))
    try:
        assert await exporter.once()
        seconds = []
        for _ in range(polls):
            started = time.process_time()
            assert await exporter.once()
            seconds.append(time.process_time() - started)
        return seconds, exporter.status()[0].series
    finally:
        await exporter.close()


def cost(streams: int, *, rounds: int = 2) -> tuple[float, float, float]:
    """(ratio of a poll to merely fetching, processor seconds of each)."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with vendor(folder, streams) as url:
            requests = requests_of_a_poll(streams)

            async def compare() -> tuple[list[float], list[float]]:
                mere: list[float] = []
                whole: list[float] = []
                for _ in range(rounds):
                    mere.append(await merely_fetch(url, requests))
                    seconds, _ = await whole_polls(folder, url, 1)
                    whole += seconds
                return mere, whole

            mere, whole = uvloop.run(compare())
    pairs = [a / b for a, b in zip(whole, mere, strict=True)]
    return statistics.median(pairs), median(whole), median(mere)


def measure_cost() -> list[Result]:
    """The cost of polls beside mere fetching, and how it grows."""
    small = cost(5_000)
    large = cost(50_000)
    growth = (large[1] / 50_000) / (small[1] / 5_000)
    return [
        Result(
            "processor time of a Millicast poll ÷ fetching and decoding its pages with plain httpx",
            "50,000 streams, 5,000 requests",
            large[0],
            target=0.65,
            at_least=False,
            note=f"{large[1]:.2f} s and {large[2]:.2f} s",
        ),
        Result(
            "the same ratio",
            "5,000 streams",
            small[0],
            note=f"{small[1]:.2f} s and {small[2]:.2f} s",
        ),
        Result(
            "cost of a poll per stream at 50,000 streams ÷ at 5,000",
            "5,000 to 50,000 streams",
            growth,
            target=1.1,
            at_least=False,
        ),
        livepeer_page(),
    ]


class _View(msgspec.Struct):
    playbackId: str
    timestamp: int
    viewCount: int
    playtimeMins: float


def livepeer_page(rows: int = 10_000) -> Result:
    """One page of that many rows: read and merged, beside merely decoding it."""
    now = int(time.time())
    hour = Step.HOUR.floor(now)
    page = msgspec.json.encode(
        [
            {
                "playbackId": f"playback-{number:05d}",
                "timestamp": hour * 1000,
                "viewCount": number,
                "playtimeMins": number * 1.5,
                "ttffMs": 100.5,
                "rebufferRatio": 0.01,
                "errorRate": 0.02,
                "exitsBeforeStart": 1,
            }
            for number in range(rows)
        ]
    )
    provider = providers.load()["livepeer"]
    (feed,) = provider.feeds(["viewership"], {one.key: one.default for one in provider.options})
    ask = Ask(now, (Span(Window(hour, hour + 3600), Step.HOUR),))
    decode = msgspec.json.Decoder(list[_View]).decode

    async def get(request: Request, _: str) -> bytes:
        return page if "playbackId" in dict(request.params).values() else b"[]"

    async def fetch() -> None:
        # Without a result: `asyncio.run` puts that of its task into the text of an error that is
        # not shown, and would be measured with it.
        await PollFetcher(get).fetch(feed, [ask])

    ratios = []
    for _ in range(7):
        started = time.process_time()
        decode(page)
        mere = time.process_time() - started
        started = time.process_time()
        asyncio.run(fetch())
        ratios.append((time.process_time() - started) / mere)
    return Result(
        "processor time of one Livepeer page, read and merged ÷ merely decoding it",
        f"{rows:,} rows",
        median(ratios),
        target=20,
        at_least=False,
    )


class Scraper(threading.Thread):
    """Scrapes every 20 ms over one connection, and keeps how long each took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.seconds: list[float] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stopped.is_set():
            started = time.perf_counter()
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            connection.getresponse().read()
            self.seconds.append(time.perf_counter() - started)
            time.sleep(0.02)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_interference(streams: int = 50_000) -> list[Result]:
    """What scrapes feel of polls of 100,000 series, and of nothing."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        with vendor(folder, streams) as url:
            config = configuration(folder, url, cadence="60s")
            command = serve(config, port)
            with running(command, cpu=SERVER_CPU, log=folder / "exporter.log", port=port):
                log = folder / "exporter.log"
                wait_for_polls(log, 1)
                idle = scrape_for(port, 5)
                # Two polls in full, whose beginning and end the log tells.
                scraper = Scraper(port)
                before = polls(log)
                scraper.start()
                wait_for_polls(log, before + 2)
                scraper.stopped.set()
                scraper.join()
    busy = scraper.seconds
    return [
        Result(
            "p99 scrape while 100,000 series are fetched, recorded and rendered",
            f"{len(busy):,} scrapes",
            percentile(busy, 0.99) * 1e3,
            "ms",
            target=20,
            at_least=False,
            note=f"max {max(busy) * 1e3:.1f} ms",
        ),
        Result(
            "that ÷ idle p99",
            f"{len(idle):,} scrapes",
            percentile(busy, 0.99) / percentile(idle, 0.99),
            note=f"idle {percentile(idle, 0.99) * 1e3:.2f} ms",
        ),
    ]


def scrape_for(port: int, seconds: float) -> list[float]:
    scraper = Scraper(port)
    scraper.start()
    time.sleep(seconds)
    scraper.stopped.set()
    scraper.join()
    return scraper.seconds


def polls(log: Path) -> int:
    return log.read_text().count("msg=polled")


def wait_for_polls(log: Path, number: int) -> None:
    end = time.monotonic() + 300
    while polls(log) < number:
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.1)


def measure_ledger(streams: int = 50_000) -> list[Result]:
    """One poll of 100,000 buckets in one transaction, and what a bucket takes on disk."""
    now = int(time.time())
    hour = now - now % 3600
    with TemporaryDirectory() as name:
        path = Path(name) / "usage.db"
        ledger = Ledger.open(path, clock=time.time, hold_seconds=0)
        book = ledger.book("millicast", "bench", feeds=["streams"], stream_limit=10**7)
        seconds = []
        hours = 24
        for age in reversed(range(hours)):
            usage = rows(streams, hour=hour - age * 3600, salt=age)
            started = time.perf_counter()
            ledger.record(book, Poll("streams", now - age * 3600, usage=usage))
            seconds.append(time.perf_counter() - started)
        ledger.close()
        size = path.stat().st_size
    return [
        Result(
            "ledger write of one poll, one transaction",
            f"{streams * 2:,} buckets",
            median(seconds[1:]),
            "s",
            target=1,
            at_least=False,
        ),
        Result(
            "ledger size per bucket kept",
            f"{hours * streams * 2:,} buckets",
            size / (hours * streams * 2),
            "bytes",
            target=40,
            at_least=False,
            note="series and indexes included",
        ),
    ]
