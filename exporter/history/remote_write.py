"""Pushes settled buckets to a remote write receiver, with the timestamp of their end.

Each bucket is one sample of a series named after its width: `media_delivered_bytes_hourly` at the end of
its hour, `media_jobs_daily` at the end of its day. The ledger is the queue: `pushed_until` is each
feed's push cursor, the instant up to which the receiver has its buckets, and is written once the
receiver has accepted them. After a crash at most one batch is pushed again; its samples are
identical, so receivers keep one of each.

Protocol: https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0)
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

import httpx

from exporter import __version__
from exporter.client import environment
from exporter.client.responses import retry_after_seconds
from exporter.config import RemoteWrite
from exporter.credentials import CurrentCredential
from exporter.exposition.telemetry import RemoteWriteTelemetry
from exporter.history.write_request import encoder
from exporter.ledger.book import other_labels
from exporter.ledger.contract import Ledger, Reader
from exporter.ledger.leases import AccountKey
from exporter.ledger.thread import Worker
from exporter.model import DAY, HOUR, Measure
from exporter.model.errors import CredentialError, LedgerWriteError
from exporter.model.measures import BY_NAME

log = logging.getLogger(__name__)

PROTOCOL: Final = (0, 1, 0)
"""The version header of remote write 1.0."""

BATCH_SAMPLES: Final = 2000
"""The most samples in one request, as in Prometheus' own default."""

HOURS_AT_ONCE: Final = 24 * 31
"""The most hours of a feed in one batch, after which the push cursor is written."""

LOOK_SECONDS: Final = 15.0
"""How often the ledger is read for new settled buckets, while there are none to push."""

SHORTEST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 300.0
"""The wait after a failure doubles from the shortest to the longest."""

TOO_OLD: Final = "too_old"
OUT_OF_ORDER: Final = "out_of_order"
INVALID: Final = "invalid"
REFUSALS: Final = {
    "too old": TOO_OLD,
    "out of bounds": TOO_OLD,
    "too far in the past": TOO_OLD,
    "out of order": OUT_OF_ORDER,
}
"""Text in a receiver's refusal, and the value of the metric's label `reason` for it."""

_WIDTHS: Final = (HOUR, DAY, 28 * DAY, 29 * DAY, 30 * DAY, 31 * DAY)

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One value of a series; `at` in Unix seconds."""

    at: int
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one feed, and its push cursor (Unix seconds) once they have been accepted.

    `late` are buckets that were reported after the push cursor had passed them, as (start, width,
    series id).
    """

    feed: int
    until: int
    samples: tuple[Sample, ...]
    late: tuple[tuple[int, int, int], ...] = ()


class Unreachable(Exception):
    """The receiver accepts nothing now; `wait` is its `Retry-After` in seconds, 0 without one."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(why)


class Refused(Exception):
    """The receiver will never accept these samples; `reason` is the value of the metric's label."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# Reading the ledger.


def series_name(measure: Measure, width: int) -> str:
    """`media_delivered_bytes_hourly` for an hour of `media_delivered_bytes_total`."""
    step = "hourly" if width <= HOUR else "daily" if width <= DAY else "monthly"
    return f"{measure.name.removesuffix('_total')}_{step}"


class Queue:
    """Reads from the ledger what is still to be pushed. Runs on the ledger's thread.

    `labels` are the configured ones, added to each series. `pushes` is whether this process pushes
    an account: where replicas share the ledger, each pushes those that it holds.
    """

    def __init__(
        self, ledger: Ledger, labels: Labels, pushes: Callable[[AccountKey], bool] = lambda _: True
    ) -> None:
        self._ledger = ledger
        self._pushes = pushes
        self._labels = labels
        self._known: dict[int, tuple[Measure, Labels] | None] = {}

    def next(self) -> Batch | None:
        """The next batch, late buckets first; None when everything settled has been pushed."""
        with self._ledger.read() as reader:
            for feed in reader.to_push():
                if not self._pushes(AccountKey(feed.provider, feed.account)):
                    continue
                account_labels = (
                    ("account", feed.account),
                    ("provider", feed.provider),
                    *self._labels,
                )
                late = self._late(reader, feed.id, feed.pushed_until, account_labels)
                if late is not None:
                    return late
                settled = feed.settled_until
                if feed.pushed_until < settled:
                    start = self._first(
                        reader, feed.id, max(feed.pushed_until, feed.compacted_until)
                    )
                    if start is None or start >= settled:
                        return Batch(feed.id, settled, ())
                    return self._settled(reader, feed.id, start, settled, account_labels)
        return None

    def pushed(self, batch: Batch) -> None:
        """Write to the ledger that the receiver has `batch`; LedgerWriteError if that fails."""
        self._ledger.pushed(batch.feed, batch.until, batch.late)

    def cursor(self) -> int | None:
        """The oldest push cursor of all feeds (Unix seconds); None before the first push."""
        with self._ledger.read() as reader:
            return reader.pushed_until() or None

    @staticmethod
    def _first(reader: Reader, feed: int, pushed: int) -> int | None:
        """The instant after which the feed's next bucket ends; None if there is no such bucket.

        Hours without buckets are skipped.
        """
        start = reader.first_bucket(feed, max(pushed - 31 * DAY, 1))
        return None if start is None else max(pushed, start)

    def _settled(
        self, reader: Reader, feed: int, start: int, settled: int, account_labels: Labels
    ) -> Batch:
        """Settled buckets that end after `start`, hour by hour, until there are BATCH_SAMPLES."""
        sums: dict[tuple[int, Labels], int] = {}
        resolutions: dict[Labels, int] = {}
        until = start
        for end in range(
            min(start - start % HOUR + HOUR, settled),
            min(settled, start + HOURS_AT_ONCE * HOUR) + 1,
            HOUR,
        ):
            for width in _WIDTHS if end % DAY == 0 else (HOUR,):
                for series, amount in reader.bucket(feed, end - width, width).items():
                    labels, resolution = self._labels_of(reader, series, width, account_labels)
                    if labels:
                        sums[end, labels] = sums.get((end, labels), 0) + amount
                        resolutions[labels] = resolution
            until = end
            if len(sums) >= BATCH_SAMPLES:
                break
        return Batch(
            feed,
            until,
            tuple(
                Sample(at, labels, amount / resolutions[labels])
                for (at, labels), amount in sums.items()
            ),
        )

    def _late(self, reader: Reader, feed: int, pushed: int, account_labels: Labels) -> Batch | None:
        """Buckets that were not there when the push cursor passed them; None without any.

        Those of streams beyond the limit have no samples: their folded sum has been pushed.
        """
        late = reader.late(feed, until=pushed, limit=BATCH_SAMPLES)
        if not late:
            return None
        samples: list[Sample] = []
        for one in late:
            labels, resolution = self._labels_of(reader, one.series, one.width, account_labels)
            if labels and not one.beyond:
                samples.append(Sample(one.start + one.width, labels, one.amount / resolution))
        return Batch(
            feed,
            pushed,
            tuple(samples),
            tuple((one.start, one.width, one.series) for one in late),
        )

    def _labels_of(
        self, reader: Reader, series: int, width: int, account_labels: Labels
    ) -> tuple[Labels, int]:
        """All labels of the series, sorted, and its resolution; no labels unless it is a counter."""
        if series not in self._known:
            name, own, beyond = reader.series_name(series)
            measure = BY_NAME.get(name)
            self._known[series] = None
            if measure is not None and measure.type == "counter":
                own = other_labels(measure, own) if beyond else own
                pairs = tuple(zip(measure.labels, own, strict=True))
                self._known[series] = measure, pairs
        known = self._known[series]
        if known is None:
            return (), 1
        measure, pairs = known
        named = dict((*account_labels, *pairs, ("__name__", series_name(measure, width))))
        return tuple(sorted(item for item in named.items() if item[1])), measure.resolution


# Pushing.


@dataclass(slots=True)
class RemoteWriter:
    """Pushes settled buckets, batch by batch, between `start` and `stop`.

    Raises CredentialError when it is constructed and its credential cannot be read, ExporterError
    when the libraries are missing or the environment's proxies cannot be used.
    """

    settings: RemoteWrite
    ledger: Ledger
    worker: Worker
    telemetry: RemoteWriteTelemetry
    clock: Callable[[], float]
    transport: httpx.AsyncBaseTransport | None = None
    sleep: Callable[[float], Any] = asyncio.sleep
    pushes: Callable[[AccountKey], bool] = lambda _: True
    _encode: Callable[[Iterable[tuple[Labels, list[tuple[int, float]]]]], bytes] = field(init=False)
    _queue: Queue = field(init=False)
    _http: httpx.AsyncClient = field(init=False)
    _secret: CurrentCredential | None = field(init=False)
    _failing: bool = False
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._encode = encoder()
        self._queue = Queue(self.ledger, self.settings.labels, self.pushes)
        source = self.settings.token or self.settings.password
        self._secret = None if source is None else CurrentCredential(source)
        if self._secret is not None:
            self._secret.secret()  # raises now if it cannot be read
        if self.transport is None:
            environment.check()
        self._http = httpx.AsyncClient(
            transport=self.transport,
            timeout=self.settings.timeout_seconds,
            follow_redirects=False,
        )

    def start(self) -> None:
        """Start `run` as a task."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Cancel the task, even in the middle of a push, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._http.aclose()

    async def run(self) -> None:
        """Push what is settled, wait, and repeat, until cancelled."""
        wait = SHORTEST_WAIT_SECONDS
        while True:
            try:
                await self.push()
            except (Unreachable, LedgerWriteError) as error:
                self.telemetry.failed()
                if not self._failing:
                    log.warning(
                        "remote write fails; the ledger keeps what is to be pushed",
                        extra={"error": str(error)},
                    )
                self._failing = True
                asked = error.wait if isinstance(error, Unreachable) else 0.0
                await self.sleep(min(max(wait, asked), LONGEST_WAIT_SECONDS))
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
                continue
            except Exception:
                log.exception("remote write broke off; it goes on from the ledger")
                await self.sleep(LONGEST_WAIT_SECONDS)
                continue
            if self._failing:
                log.info("remote write works again and has caught up")
            self._failing = False
            wait = SHORTEST_WAIT_SECONDS
            await self.sleep(LOOK_SECONDS)

    async def push(self) -> None:
        """Push everything settled. Raises Unreachable or LedgerWriteError; finished batches count."""
        while (batch := await self.worker.run(self._queue.next)) is not None:
            for part in _parts(sorted(batch.samples)):
                await self._deliver(part)
            await self.worker.run(self._queue.pushed, batch)
            self.telemetry.cursor(await self.worker.run(self._queue.cursor))

    async def _deliver(self, samples: Sequence[Sample]) -> str | None:
        """Push `samples`, ordered by time; after a refusal, each half by itself.

        A receiver refuses a whole request because of one sample. The newer half comes first: if
        all of it is too old, so is the older half. Returns the reason if every sample was refused
        for the same one, else None. Raises Unreachable.
        """
        try:
            await self._send(samples)
        except Refused as refused:
            if len(samples) == 1:
                self.telemetry.rejected(refused.reason, 1)
                return refused.reason
            half = len(samples) // 2
            newer = await self._deliver(samples[half:])
            if newer == TOO_OLD:
                self.telemetry.rejected(TOO_OLD, half)
                return TOO_OLD
            older = await self._deliver(samples[:half])
            return newer if newer == older else None
        self.telemetry.accepted(len(samples))
        return None

    async def _send(self, samples: Sequence[Sample]) -> None:
        """Make one request; Refused or Unreachable unless the receiver accepts it."""
        grouped: dict[Labels, list[tuple[int, float]]] = {}
        for at, labels, value in samples:
            grouped.setdefault(labels, []).append((at * 1000, value))
        body = await asyncio.to_thread(self._encode, grouped.items())
        try:
            response = await self._http.post(
                self.settings.url, content=body, headers=self._headers()
            )
        except CredentialError as error:
            raise Unreachable(str(error)) from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}") from error
        if not response.is_success:
            raise self._error(response)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": ".".join(map(str, PROTOCOL)),
            "User-Agent": f"media-usage-exporter/{__version__}",
        }
        if self._secret is not None:
            secret = self._secret.secret().reveal()
            if self.settings.username is None:
                headers["Authorization"] = f"Bearer {secret}"
            else:
                pair = f"{self.settings.username}:{secret}".encode()
                headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers

    def _error(self, response: httpx.Response) -> Exception:
        """Refused or Unreachable, for an answer that is no success.

        Prometheus 2.42 answers 500 to a sample that is too old, 3.x answers 400; only the text
        distinguishes the former from an outage.
        """
        status = response.status_code
        text = response.text[:4096].lower()
        if status in (400, 422, 500):
            for words, reason in REFUSALS.items():
                if words in text:
                    return Refused(reason)
        if status in (400, 422):
            return Refused(INVALID)
        wait = 0.0
        header = response.headers.get("Retry-After")
        if header is not None:
            with suppress(ValueError):
                wait = retry_after_seconds(header, self.clock())
        return Unreachable(f"the receiver answers {status}", wait)


def _parts(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    left = iter(samples)
    while part := list(islice(left, BATCH_SAMPLES)):
        yield part
