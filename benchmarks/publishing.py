"""What it costs to publish a poll that changed one of many accounts, and what goes over the wire."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.fixtures import rows
from benchmarks.results import Result, median, ratio
from exporter.exposition import AccountPage, Format
from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import Telemetry
from exporter.ledger import Book, Ledger, Poll
from exporter.ledger.thread import Worker
from exporter.model import HOUR

STREAMS = 250
"""In each account; a stream has two series."""

_ROUNDS = 15
_POLLS_A_ROUND = 20


class Published:
    """A ledger with this many accounts, their pages and the publisher."""

    def __init__(self, folder: Path, accounts: int) -> None:
        self._now = int(time.time())
        self._ledger = Ledger.open(folder / "usage.db", clock=lambda: self._now, hold_seconds=0)
        self._worker = Worker()
        self._publisher = Publisher(
            worker=self._worker,
            telemetry=Telemetry(clock=lambda: self._now, ledger_size=lambda: 0),
        )
        self._polls = 0
        self._accounts = [self._account(f"account-{number:03d}") for number in range(accounts)]
        for _, page in self._accounts:
            page.render_all(self._now)
        self._publisher.set_accounts(
            [(book.provider, book.account, page) for book, page in self._accounts]
        )

    def _account(self, name: str) -> tuple[Book, AccountPage]:
        book = self._ledger.book("millicast", name, feeds=["streams"], stream_limit=10**6)
        self._record(book)
        return book, AccountPage(book, level_seconds=1800)

    def _record(self, book: Book) -> None:
        self._polls += 1
        hour = self._now - self._now % HOUR
        usage = rows(STREAMS, hour=hour, salt=self._polls)
        self._ledger.record(book, Poll("streams", self._now, usage=usage))

    async def polls(self, number: int) -> float:
        """Processor seconds of publishing a poll, all of its series changed, and of its page."""
        book, page = self._accounts[len(self._accounts) // 2]
        spent = 0.0
        for _ in range(number):
            await self._worker.run(self._record, book)
            started = time.process_time()
            await self._worker.run(page.render, tuple(book.series), self._now)
            await self._publisher.publish()
            self._publisher.page(Format.TEXT, None)
            spent += time.process_time() - started
        return spent / number

    async def sizes(self) -> dict[Format, int]:
        """Bytes of the compressed page in each format."""
        self._publisher.is_ready(Format.PROTOBUF)
        await asyncio.sleep(0)  # now it is being prepared
        await self._worker.run(int)
        assert self._publisher.is_ready(Format.PROTOBUF)
        return {kind: self._publisher.page(kind, None).gzip_length for kind in Format}

    def close(self) -> None:
        self._worker.close()
        self._ledger.close()


def measure(accounts: int = 200) -> list[Result]:
    """Of so many accounts of 500 series, and of one account alone, in turns."""
    with TemporaryDirectory() as one, TemporaryDirectory() as many:
        alone, among = Published(Path(one), 1), Published(Path(many), accounts)

        async def compare() -> tuple[list[float], list[float]]:
            pairs = [
                (await among.polls(_POLLS_A_ROUND), await alone.polls(_POLLS_A_ROUND))
                for _ in range(_ROUNDS + 1)
            ]
            # The first round puts everything together.
            ours, theirs = zip(*pairs[1:], strict=True)
            return list(ours), list(theirs)

        many_seconds, one_seconds = uvloop.run(compare())
        sizes = uvloop.run(among.sizes())
        alone.close()
        among.close()
    return [
        Result(
            f"publishing a poll of one of {accounts} accounts ÷ of an account alone",
            f"{STREAMS * 2} series each, all of the polled account's changed",
            ratio(many_seconds, one_seconds),
            target=2,
            at_least=False,
            note=f"{median(many_seconds) * 1e3:.2f} ms and {median(one_seconds) * 1e3:.2f} ms",
        ),
        Result(
            "bytes of a scrape, gzip: protobuf ÷ text",
            f"{accounts * STREAMS * 2:,} series",
            sizes[Format.PROTOBUF] / sizes[Format.TEXT],
            note=f"{sizes[Format.PROTOBUF] / 1e6:.2f} MB and {sizes[Format.TEXT] / 1e6:.2f} MB",
        ),
    ]
