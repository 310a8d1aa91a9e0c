"""A ledger that is written by hand, bucket by bucket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exporter.history.backfill import backfill
from exporter.history.reader import Choice, reading
from exporter.ledger import Book, Ledger, Poll
from exporter.ledger.settling import Revised
from exporter.model import DAY, HOUR, Event, Measure, Usage, Window

BEGAN = 1_774_915_200
"""2026-03-31, 00:00 UTC."""

SETTLING = 3 * HOUR


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


class Notebook:
    """One account's `feeds`, polled at `now`; everything before is settled."""

    def __init__(
        self, folder: Path, *, stream_limit: int = 1000, feeds: Sequence[str] = ("account",)
    ) -> None:
        self.path = folder / "usage.db"
        self.now = BEGAN
        self.stream_limit = stream_limit
        self.feeds = feeds
        self.ledger = Ledger.open(self.path, clock=lambda: self.now, hold_seconds=120)
        self.book = self._book()

    def _book(self) -> Book:
        return self.ledger.book(
            "millicast", "live", feeds=self.feeds, stream_limit=self.stream_limit
        )

    def close(self) -> None:
        self.ledger.close()

    def poll(
        self,
        usage: Sequence[tuple[Measure, tuple[str, ...], int, int]] = (),
        *,
        at: int,
        width: int = HOUR,
        events: Sequence[Event] = (),
        gap: Window | None = None,
        filled: Window | None = None,
        feed: str = "account",
    ) -> list[Revised]:
        """A poll at `at` hours after the beginning of (measure, labels, hour, amount)."""
        self.now = BEGAN + at * HOUR
        self.ledger.record(
            self.book,
            Poll(
                feed=feed,
                at=self.now,
                began=BEGAN,
                usage=[
                    Usage(measure, labels, BEGAN + hour * HOUR, width, amount)
                    for measure, labels, hour, amount in usage
                ],
                events=events,
                gap=gap,
                filled=filled,
                advances=filled is None,
            ),
        )
        return self.ledger.settle(self.book, {feed: SETTLING})

    def backfilled(self, choice: Choice = Choice()) -> list[str]:  # noqa: B008 -- frozen
        """The document without what stands above families."""
        text = self.document(choice)
        return [line for line in lines(text) if not line.startswith(("# HELP", "# TYPE"))]

    def document(self, choice: Choice = Choice()) -> str:  # noqa: B008
        with reading(self.path) as connection:
            return "".join(backfill(connection, choice, now=self.now))


def hour(number: int) -> int:
    return BEGAN + number * HOUR


__all__ = ["BEGAN", "DAY", "HOUR", "Notebook", "hour", "lines"]
