"""What the rest of the program uses of a ledger, whichever database keeps it.

A ledger has one writer. Its methods that write or read are called on one thread, the ledger's
(`exporter.ledger.thread.Worker`); `size_bytes` may be called on any.

Each method that writes does so in one transaction: either all of it is stored, and then known to
the Book, or LedgerWriteError is raised and neither the storage nor anything in memory has
changed. What was stored survives a crash of the process and of the machine.

Instants are Unix seconds, widths and windows seconds, amounts whole numbers of the measure's
smallest part. Feeds and series are named by the ids that the ledger has given them. The
conformance suite, `tests/ledger/test_conformance.py`, holds every implementation to this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from exporter.ledger.book import LABEL_LIMIT, Book, Labels
from exporter.ledger.poll import Poll, Recorded
from exporter.ledger.settling import Revised
from exporter.model import Measure, Window


class Bucket(NamedTuple):
    """One stored bucket of a feed."""

    start: int
    width: int
    series: int
    amount: int


class Late(NamedTuple):
    """A bucket that came after others of its time had been pushed.

    `beyond` is whether its series is beyond a limit, and not shown itself.
    """

    start: int
    width: int
    series: int
    amount: int
    beyond: bool


class SeriesName(NamedTuple):
    """What a series is called: the measure's name, its own labels, whether it is beyond a limit."""

    measure: str
    labels: Labels
    beyond: bool


class FeedToPush(NamedTuple):
    """How far a feed's buckets were pushed (0: not at all), are settled, and are compacted."""

    id: int
    pushed_until: int
    settled_until: int
    compacted_until: int
    provider: str
    account: str


@dataclass(frozen=True, slots=True)
class FeedHistory:
    """What a feed's buckets cover, and up to when they are final; 0 where nothing is known.

    `step` is the width of its finest buckets, an hour or a day.
    """

    id: int
    provider: str
    account: str
    name: str
    began: int
    settled_until: int
    compacted_until: int
    step: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a feed's history that is wanted: after `first`, up to and with `last`."""

    feed: FeedHistory
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Line:
    """The series of one measure that are shown as one: under `labels`, without a bound.

    `step`, `first` and `last` are the least of those of the stretches that it comes from.
    `totals` are its totals before the first point, by bound ("" for a counter).
    """

    id: int
    provider: str
    account: str
    labels: Labels
    step: int
    first: int
    last: int
    totals: Mapping[str, int]


class Point(NamedTuple):
    """The growth of a line under one bound, in the bucket of `width` that ended at `until`."""

    line: int
    until: int
    width: int
    bound: str
    amount: int


class Reader(Protocol):
    """Questions to one state of the ledger: nothing that is written meanwhile is seen."""

    def feed_of(self, series: int) -> int:
        """The feed that brought a series in."""

    def amount(self, *, feed: int, series: int, window: Window) -> int:
        """What a series' buckets that begin in `window`, which lies in one month, add up to."""

    def days(self, *, feed: int, series: Collection[int], window: Window) -> Mapping[int, int]:
        """What the buckets of these series of one feed that begin in `window` add up to.

        By the beginning of the day (UTC) in which a bucket begins; days without any are left out.
        """

    def bucket(self, feed: int, start: int, width: int) -> Mapping[int, int]:
        """The amounts of one bucket, by series."""

    def first_bucket(self, feed: int, since: int) -> int | None:
        """The start of the feed's first bucket that begins at or after `since`, if any."""

    def series_name(self, series: int) -> SeriesName:
        """What a series is called."""

    def to_push(self) -> Sequence[FeedToPush]:
        """The feeds that have settled buckets, the one that was pushed least far first."""

    def late(self, feed: int, *, until: int, limit: int) -> Sequence[Late]:
        """At most `limit` buckets that end by `until` and changed after they were settled.

        Only those that have been reported by `settle` and are still there.
        """

    def pushed_until(self) -> int | None:
        """Up to when the settled buckets of all feeds were pushed; 0 when those of one were not.

        None while no feed has settled buckets.
        """


class History(Protocol):
    """The ledger as other processes see it. Questions that take long see it as it is meanwhile."""

    def feeds(self) -> Sequence[FeedHistory]:
        """All feeds, by provider, account and name."""

    def series(self, feed: int) -> Mapping[int, SeriesName]:
        """The feed's series, by their ids."""

    def buckets(self, feed: int, *, start: int, end: int) -> Iterator[Bucket]:
        """The feed's buckets that begin in this time, by start, width and series."""

    def series_name(self, series: int) -> SeriesName:
        """What a series is called."""

    def lines(
        self, measure: Measure, stretches: Sequence[Stretch], *, start: int
    ) -> Iterator[tuple[Line, Iterator[Point]]]:
        """One measure's lines by provider, account and labels, each with its points in order.

        Points end after `start` and up to the line's `last`. All is of one state of the ledger.
        A line's points are to be used up before the next line is asked for.
        """


class Ledger(Protocol):
    """The open ledger. `hold_seconds` is how long a new counter is shown at 0; it may be set."""

    hold_seconds: float

    def book(
        self,
        provider: str,
        account: str,
        *,
        feeds: Iterable[str],
        stream_limit: int,
        label_limit: int = LABEL_LIMIT,
        first_streams: Sequence[str] = (),
        reappears_after: float | None = None,
    ) -> Book:
        """An account's part, with only the series of `feeds`; made when it is new.

        `first_streams` are admitted under the limit before any other. Counters of a feed that was
        last polled more than `reappears_after` seconds ago are treated as ones that reappear:
        held at their old totals for a while once they grow. Raises LedgerError when what is
        stored of the account is damaged.
        """

    def record(self, book: Book, poll: Poll) -> Recorded:
        """Store one poll, and only then let `book` know of it.

        When that fails, the next poll asks for the same again. Raises ValueError for usage with a
        wrong number of labels.
        """

    def hours(
        self, book: Book, feed_name: str, measures: Iterable[Measure], window: Window
    ) -> dict[tuple[Measure, Labels, int], int]:
        """The amounts of a feed's hours within `window`, by measure, labels and start."""

    def give_up(self, book: Book, feed_name: str, lost: Window) -> None:
        """Strike `lost` off the feed's gaps: no vendor has it any more."""

    def compact(self, book: Book, feed_name: str, before: int) -> int:
        """Delete the feed's buckets that end by `before`; returns how many there were.

        Totals keep what they came to, and later reports about that time are ignored. Only whole
        days are compacted, and nothing from the beginning of a gap on.
        """

    def settle(self, book: Book, settling: Mapping[str, int]) -> list[Revised]:
        """Note which buckets are final now; returns which have been revised since the last call.

        `settling` is each feed's settling time in seconds.
        """

    def pushed(self, feed: int, until: int, late: Sequence[tuple[int, int, int]]) -> None:
        """Note that buckets that end by `until`, and these late ones, were pushed.

        `late` are (start, width, series).
        """

    def read(self) -> AbstractContextManager[Reader]:
        """A reader of one state of the ledger, for as long as the `with` block lasts.

        It waits for no writer and holds none up. Raises LedgerWriteError, too, when the storage
        cannot be read now.
        """

    def size_bytes(self) -> int:
        """What the ledger takes on disk."""

    def close(self) -> None:
        """Close the storage; everything recorded is stored. A second call does nothing."""
