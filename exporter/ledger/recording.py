"""One poll being written: what it changes, series by series."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

import msgspec

from exporter.ledger.book import OTHER_STREAM, Book, FeedState, Series, limited_labels, other_labels
from exporter.ledger.rule import expose
from exporter.model import DAY, HOUR, LIFETIME_WIDTH, Event, Measure, Step, Usage

INFINITY: Final = "+Inf"
COUNT: Final = "count"
SUM: Final = "sum"
"""What stands in place of `le` in the series that count and add up a histogram's observations."""

_LONGEST_STEP = 31 * DAY
_encode = msgspec.json.encode

Bucket = tuple[int, int]


def stored(
    connection: sqlite3.Connection, book: Book, measure: Measure, labels: tuple[str, ...]
) -> Series | None:
    """The series of the account that has these labels, whichever feed brought it in."""
    row = connection.execute(
        "SELECT series.id, truth, exposed, created FROM series JOIN feed ON feed.id = series.feed"
        " WHERE feed.account = ? AND measure = ? AND labels = ?",
        (book.id, measure.name, _encode(labels).decode()),
    ).fetchone()
    if row is None:
        return None
    identity, truth, exposed, created = row
    return Series(
        id=identity, measure=measure, labels=labels, truth=truth, exposed=exposed, created=created
    )


class Recording:
    """The changes of one poll, collected, written, and at last applied to the book.

    `late_before`: a bucket that ended at or before it and changes now was asked for before after
    it had closed, so it is late. `baseline`: series that appear now start at their value instead
    of being held at 0; so do those of `baseline_streams`.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        book: Book,
        feed: FeedState,
        first_id: int,
        now: float,
        hold_seconds: float,
        late_before: int,
        baseline: bool,
        baseline_streams: frozenset[str],
    ) -> None:
        self._connection = connection
        self._book = book
        self._feed = feed
        self._first_id = first_id
        self._ids = count(first_id)
        self.next_id = first_id
        self._now = now
        self._hold_until = now + hold_seconds
        self._late_before = late_before
        self._baseline = baseline
        self._baseline_streams = baseline_streams
        self._rows: dict[Bucket, dict[Series, int]] = {}
        self._increments: dict[Bucket, dict[Series, int]] = {}
        self._growth: dict[Series, int] = {}
        self._fresh: list[Series] = []
        self._brought_back: list[Series] = []
        self._fresh_streams: list[str] = []
        self._finest = feed.finest
        self._coarse_until = feed.coarse_until
        self._totals: dict[Series, tuple[int, int]] = {}
        self._holds: dict[Series, tuple[int, float]] = {}
        self.changed: set[Measure] = set()
        self.corrections = 0
        self.late = 0

    # Collecting.

    def admit(self, streams: Iterable[str]) -> None:
        """Decide for streams without usage, too, whether they have series of their own."""
        for stream in streams:
            self._admit(stream)

    def add(self, usage: Iterable[Usage]) -> None:
        """Take rows in; of two with the same series and bucket the later one counts."""
        rows = self._rows
        index = self._book.series
        folded_until = self._feed.folded_until
        for row in usage:
            start = row.start
            width = row.width
            if start < folded_until and width != LIFETIME_WIDTH:
                continue
            series = None
            named = index.get(row.measure)
            if named is not None:
                series = named.get(row.labels)
            if series is None:
                # What a total since ever first comes to is the past: its growth is not known.
                series = self._appear(row.measure, row.labels, held=width != LIFETIME_WIDTH)
            bucket = rows.get((start, width))
            if bucket is None:
                bucket = rows[start, width] = {}
            bucket[series] = row.amount

    def happen(self, events: Iterable[Event], *, since: int) -> None:
        """Count each event that has not been counted before.

        Those that began before `since` are left out: their ids may be forgotten.
        """
        feed = self._feed.id
        for event in events:
            if event.since < since:
                continue
            new = self._connection.execute(
                "INSERT OR IGNORE INTO event (feed, id, since) VALUES (?, ?, ?)",
                (feed, event.id, event.since),
            ).rowcount
            if not new:
                continue
            bucket = (Step.HOUR.floor(event.at), HOUR)
            for measure, labels in event.counts:
                self._increase(measure, labels, bucket, 1)
            for measure, labels, amount in event.timings:
                for bound in measure.buckets:
                    self._increase(
                        measure,
                        (*labels, str(float(bound))),
                        bucket,
                        int(amount <= bound * measure.resolution),
                    )
                self._increase(measure, (*labels, INFINITY), bucket, 1)
                self._increase(measure, (*labels, COUNT), bucket, 1)
                self._increase(measure, (*labels, SUM), bucket, amount)

    def _increase(
        self, measure: Measure, labels: tuple[str, ...], bucket: Bucket, amount: int
    ) -> None:
        series = self._book.series.get(measure, {}).get(labels)
        if series is None:
            series = self._appear(measure, labels)
        increments = self._increments.setdefault(bucket, {})
        increments[series] = increments.get(series, 0) + amount

    def _appear(self, measure: Measure, labels: tuple[str, ...], *, held: bool = True) -> Series:
        """A series that the ledger has not seen before; hidden when its stream is folded."""
        if len(labels) != len(measure.labels) + (measure.type == "histogram"):
            raise ValueError(f"{measure.name} has the labels {measure.labels}, not {labels}")
        index = measure.stream_index
        into = None
        other = None
        if index is not None and not self._admit(labels[index]):
            other = other_labels(measure, labels)
        elif not self._book.combines(measure, labels):
            other = limited_labels(measure, labels)
        if other is not None:
            into = self._book.series.get(measure, {}).get(other)
            into = into or self._bring_back(measure, other)
            into = into or self._create(
                measure, other, stream=None if index is None else other[index], held=held
            )
        stream = None if index is None else labels[index]
        return self._create(measure, labels, stream=stream, into=into, held=held)

    def _bring_back(self, measure: Measure, labels: tuple[str, ...]) -> Series | None:
        """A series that the book left out, because a feed that is not polled brought it in."""
        series = stored(self._connection, self._book, measure, labels)
        if series is not None:
            self._book.series.setdefault(measure, {})[labels] = series
            self._brought_back.append(series)
            self.changed.add(measure)
        return series

    def _create(
        self,
        measure: Measure,
        labels: tuple[str, ...],
        *,
        stream: str | None,
        into: Series | None = None,
        held: bool = True,
    ) -> Series:
        series = Series(
            id=next(self._ids), measure=measure, labels=labels, created=int(self._now), into=into
        )
        self.next_id = series.id + 1
        self._book.series.setdefault(measure, {})[labels] = series
        self._fresh.append(series)
        self.changed.add(measure)
        known_past = self._baseline or stream in self._baseline_streams
        if into is None and held and not known_past:
            self._holds[series] = (0, self._hold_until)
        return series

    def _admit(self, stream: str) -> bool:
        """Whether `stream` has series of its own; decided once, and for good."""
        book = self._book
        if stream in book.admitted or stream == OTHER_STREAM:
            return True
        if stream in book.folded:
            return False
        admitted = len(book.admitted) < book.stream_limit
        (book.admitted if admitted else book.folded).add(stream)
        self._fresh_streams.append(stream)
        return admitted

    # Writing.

    def write(self) -> None:
        """Write buckets and totals, within the transaction that the caller has begun."""
        self._note_widths()
        # Wide buckets first: the narrow ones that they supersede must find them.
        for bucket in sorted(self._rows, key=lambda bucket: -bucket[1]):
            self._write_bucket(bucket, self._rows[bucket])
        for bucket, increments in self._increments.items():
            self._write_increments(bucket, increments)
        self._total()
        self._write_series()
        self._connection.executemany(
            "INSERT INTO stream (account, name, folded) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET folded = excluded.folded",
            [(self._book.id, name, name in self._book.folded) for name in self._fresh_streams],
        )

    def _note_widths(self) -> None:
        """Find out where buckets of different widths may lie over each other."""
        buckets = [bucket for bucket in self._rows if bucket[1] != LIFETIME_WIDTH]
        if not buckets:
            return
        finest = min(width for _, width in buckets)
        feed = self._feed
        if feed.finest is not None and finest < feed.finest:
            (wide,) = self._connection.execute(
                "SELECT max(start + width) FROM bucket WHERE feed = ? AND width > ? AND width < ?",
                (feed.id, finest, LIFETIME_WIDTH),
            ).fetchone()
            self._coarse_until = max(self._coarse_until, wide or 0)
        self._finest = finest if feed.finest is None else min(finest, feed.finest)
        for start, width in buckets:
            if width > self._finest:
                self._coarse_until = max(self._coarse_until, start + width)
        if (self._finest, self._coarse_until) != (feed.finest, feed.coarse_until):
            self._connection.execute(
                "UPDATE feed SET finest = ?, coarse_until = ? WHERE id = ?",
                (self._finest, self._coarse_until, feed.id),
            )

    def _known(self, bucket: Bucket) -> dict[int, int]:
        return dict(
            self._connection.execute(
                "SELECT series, amount FROM bucket WHERE feed = ? AND start = ? AND width = ?",
                (self._feed.id, *bucket),
            )
        )

    def _write_bucket(self, bucket: Bucket, amounts: dict[Series, int]) -> None:
        start, width = bucket
        superseded: Mapping[Series, int] = {}
        if width != LIFETIME_WIDTH and start < self._coarse_until:
            amounts = self._without_covered(bucket, amounts)
            superseded = self._take_covered(bucket, amounts)
        known = self._known(bucket)
        growth = self._growth
        feed = self._feed.id
        # An hour without traffic is not worth a row: absent and 0 add up to the same. A wider
        # zero is, because it stands in for narrower buckets.
        sparse = width <= HOUR
        closed_before = start + width <= self._late_before
        writes: list[tuple[int, int, int, int, int]] = []
        for series, amount in amounts.items():
            old = known.get(series.id)
            if old == amount or (old is None and amount == 0 and sparse):
                continue
            writes.append((feed, start, width, series.id, amount))
            before = (old or 0) + superseded.get(series, 0)
            if amount != before:
                growth[series] = growth.get(series, 0) + amount - before
                if amount < before:
                    self.corrections += 1
                elif closed_before and series.id < self._first_id:
                    self.late += 1
        self._connection.executemany(
            "INSERT INTO bucket (feed, start, width, series, amount) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = excluded.amount",
            writes,
        )

    def _without_covered(self, bucket: Bucket, amounts: dict[Series, int]) -> dict[Series, int]:
        """The amounts for which no wider bucket stands in already."""
        start, width = bucket
        covered = {
            identity
            for (identity,) in self._connection.execute(
                "SELECT series FROM bucket WHERE feed = ? AND start BETWEEN ? AND ?"
                " AND width > ? AND start + width >= ?",
                (self._feed.id, start - _LONGEST_STEP, start, width, start + width),
            )
        }
        return {series: amount for series, amount in amounts.items() if series.id not in covered}

    def _take_covered(self, bucket: Bucket, amounts: Mapping[Series, int]) -> dict[Series, int]:
        """Delete the narrower buckets that these supersede; returns what they added up to."""
        start, width = bucket
        by_id = {series.id: series for series in amounts}
        rows = [
            row
            for row in self._connection.execute(
                "SELECT feed, start, width, series, amount FROM bucket WHERE feed = ?"
                " AND start >= ? AND start < ? AND width < ? AND start + width <= ?",
                (self._feed.id, start, start + width, width, start + width),
            )
            if row[3] in by_id
        ]
        self._connection.executemany(
            "DELETE FROM bucket WHERE feed = ? AND start = ? AND width = ? AND series = ?",
            [row[:4] for row in rows],
        )
        taken: dict[Series, int] = {}
        for row in rows:
            series = by_id[row[3]]
            taken[series] = taken.get(series, 0) + row[4]
        return taken

    def _write_increments(self, bucket: Bucket, increments: dict[Series, int]) -> None:
        start, width = bucket
        known = self._known(bucket)
        for series, amount in increments.items():
            self._growth[series] = self._growth.get(series, 0) + amount
        if start < self._feed.folded_until:
            return
        self._connection.executemany(
            "INSERT INTO bucket (feed, start, width, series, amount) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = excluded.amount",
            [
                (self._feed.id, start, width, series.id, known.get(series.id, 0) + amount)
                for series, amount in increments.items()
                if amount
            ],
        )

    def _total(self) -> None:
        """The new truth and exposed total of every series that changed."""
        growth = self._growth
        for series in [series for series in growth if series.into is not None]:
            into = series.into
            if into is not None:
                growth[into] = growth.get(into, 0) + growth[series]
        reappeared = self._feed.reappeared_until > self._now
        for series, delta in growth.items():
            truth = series.truth + delta
            exposed = expose(series.exposed, truth)
            self._totals[series] = (truth, exposed)
            if exposed == series.exposed:
                continue
            self.changed.add(series.measure)
            if reappeared and series.id < self._first_id and not self._held(series):
                self._holds[series] = (series.exposed, self._feed.reappeared_until)

    def _held(self, series: Series) -> bool:
        held = self._book.holds.get(series)
        return held is not None and held[1] > self._now

    def _write_series(self) -> None:
        holds = self._holds
        fresh = set(self._fresh)
        self._connection.executemany(
            "INSERT INTO series (id, feed, measure, labels, truth, exposed, created, held,"
            " held_until, folded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    series.id,
                    self._feed.id,
                    series.measure.name,
                    _encode(series.labels).decode(),
                    *self._totals.get(series, (0, 0)),
                    series.created,
                    *holds.get(series, (None, None)),
                    series.into is not None,
                )
                for series in self._fresh
            ],
        )
        self._connection.executemany(
            "UPDATE series SET truth = ?, exposed = ? WHERE id = ?",
            [
                (truth, exposed, series.id)
                for series, (truth, exposed) in self._totals.items()
                if series not in fresh
            ],
        )
        self._connection.executemany(
            "UPDATE series SET held = ?, held_until = ? WHERE id = ?",
            [(*held, series.id) for series, held in holds.items() if series not in fresh],
        )

    # After the transaction.

    def apply(self) -> None:
        """Let the book know of what has been written."""
        for series, (truth, exposed) in self._totals.items():
            series.truth = truth
            series.exposed = exposed
        self._feed.finest = self._finest
        self._feed.coarse_until = self._coarse_until
        holds = self._book.holds
        for series in [series for series, (_, until) in holds.items() if until <= self._now]:
            del holds[series]
        holds.update(self._holds)

    def undo(self) -> None:
        """Take back what collecting put into the book, after a transaction that failed."""
        for series in (*self._fresh, *self._brought_back):
            del self._book.series[series.measure][series.labels]
        for stream in self._fresh_streams:
            self._book.admitted.discard(stream)
            self._book.folded.discard(stream)
