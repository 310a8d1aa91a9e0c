"""The past as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`.

Each counter's total up to each bucket's end. Hours in which nothing happened have no bucket, but
they do have a total, and a scrape would have shown it: it is written out, too. Within a wider
bucket (a day that the vendor gave no hours of) nothing is known, and nothing is written.

One measure at a time is sorted by SQLite, in temporary files, and streamed from there: memory
stays flat however long the history is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from exporter.exposition import Family, Format
from exporter.exposition.text import labels_text, scaled
from exporter.history.reader import Choice, FeedHistory, feeds
from exporter.ledger.book import other_labels
from exporter.ledger.recording import COUNT, SUM
from exporter.model import DAY, LIFETIME_START, LIFETIME_WIDTH, Measure

CHUNK_LINES: Final = 4096

Progress = Callable[[str], None]

_TABLES: Final = (
    """CREATE TEMP TABLE member (
        series INTEGER PRIMARY KEY,
        feed INTEGER NOT NULL,
        provider TEXT NOT NULL,
        account TEXT NOT NULL,
        labels TEXT NOT NULL,
        bound TEXT NOT NULL,
        truth INTEGER NOT NULL,
        step INTEGER NOT NULL,
        first INTEGER NOT NULL,
        horizon INTEGER NOT NULL,
        line INTEGER
    )""",
    """CREATE TEMP TABLE line (
        id INTEGER PRIMARY KEY,
        provider TEXT NOT NULL,
        account TEXT NOT NULL,
        labels TEXT NOT NULL,
        step INTEGER NOT NULL,
        first INTEGER NOT NULL,
        horizon INTEGER NOT NULL,
        UNIQUE (provider, account, labels)
    )""",
    """CREATE TEMP TABLE base (
        line INTEGER NOT NULL,
        bound TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (line, bound)
    ) WITHOUT ROWID""",
    """CREATE TEMP TABLE point (
        line INTEGER NOT NULL,
        until INTEGER NOT NULL,
        width INTEGER NOT NULL,
        bound TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (line, until, width, bound)
    ) WITHOUT ROWID""",
)
"""`member`: the ledger's series of one measure. `line`: what they are shown as, in order. `base`:
each line's total at its beginning. `point`: what it grew by, in order. A histogram's series are
one line, told apart by their bound."""

_decode = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.encode


Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of `line`."""

    id: int
    provider: str
    account: str
    labels: tuple[str, ...]
    step: int
    first: int
    horizon: int


def backfill(
    connection: sqlite3.Connection,
    choice: Choice,
    *,
    now: int,
    progress: Progress | None = None,
) -> Iterator[str]:
    """The document, in chunks of lines.

    Samples lie after `choice.start`, up to and with `choice.end`; a series that goes on from
    before begins with its total at `start` itself.
    """
    chosen = feeds(connection, choice.accounts)
    measures = choice.measures
    for number, measure in enumerate(measures, start=1):
        if progress is not None:
            progress(f"{number} of {len(measures)}: {measure.name}")
        _sort(connection, measure, chosen, choice, now)
        yield from _chunks(_family(connection, measure, choice.labels))
    yield "# EOF\n"


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) >= CHUNK_LINES:
            yield "".join(chunk)
            chunk.clear()
    if chunk:
        yield "".join(chunk)


# Sorting.


def _sort(
    connection: sqlite3.Connection,
    measure: Measure,
    chosen: Sequence[FeedHistory],
    choice: Choice,
    now: int,
) -> None:
    """Put all that one family takes into the temporary tables, from one state of the ledger."""

    def shown(labels: str, folded: int) -> str:
        own = _decode(labels)[: len(measure.labels)]
        return _encode(other_labels(measure, own) if folded else own).decode()

    connection.create_function("shown", 2, shown, deterministic=True)
    connection.create_function("bound", 1, lambda labels: _bound(measure, labels))
    for statement in _TABLES:
        name = statement.split()[3]
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
        connection.execute(statement)
    start = choice.start or 0
    connection.execute("BEGIN")
    try:
        for feed in chosen:
            horizon = min(now, choice.end if choice.end is not None else now)
            if not choice.unsettled:
                horizon = min(horizon, feed.settled_until)
            connection.execute(
                "INSERT INTO member SELECT id, feed, ?, ?, shown(labels, folded), bound(labels),"
                " iif(folded, 0, truth), ?, ?, ?, NULL FROM series WHERE feed = ? AND measure = ?",
                (
                    feed.provider,
                    feed.account,
                    feed.step,
                    max(start, feed.began, feed.folded_until),
                    horizon,
                    feed.id,
                    measure.name,
                ),
            )
        connection.execute(
            "INSERT INTO line (provider, account, labels, step, first, horizon)"
            " SELECT provider, account, labels, min(step), min(first), min(horizon) FROM member"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        connection.execute(
            "UPDATE member SET line = (SELECT id FROM line WHERE line.provider = member.provider"
            " AND line.account = member.account AND line.labels = member.labels)"
        )
        # A folded stream's growth is part of the truth of the series that shows it.
        connection.execute(
            "INSERT INTO base SELECT line, bound, sum(truth) FROM member GROUP BY 1, 2"
        )
        for (feed_id,) in connection.execute("SELECT DISTINCT feed FROM member").fetchall():
            _take_buckets(connection, feed_id, start)
    finally:
        connection.execute("COMMIT")


def _take_buckets(connection: sqlite3.Connection, feed: int, start: int) -> None:
    """Note what the feed's buckets after `start` came to, and what the totals were before them."""
    connection.execute(
        "INSERT INTO base SELECT line, bound, -sum(amount)"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " WHERE bucket.feed = ? AND start >= ? AND start + width > ? GROUP BY 1, 2"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, start - 31 * DAY, start),
    )
    # What there has been since ever has no history.
    connection.execute(
        "INSERT INTO base SELECT line, bound, -amount"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " WHERE bucket.feed = ? AND start = ? AND width = ? AND start < ?"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, LIFETIME_START, LIFETIME_WIDTH, start - 31 * DAY),
    )
    connection.execute(
        "INSERT INTO point SELECT line, start + width, width, bound, sum(amount)"
        " FROM bucket CROSS JOIN member ON member.series = bucket.series"
        " CROSS JOIN line ON line.id = member.line"
        " WHERE bucket.feed = ? AND start >= ? AND start + width > ?"
        " AND start + width <= line.horizon GROUP BY 1, 2, 3, 4"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (feed, start - 31 * DAY, start),
    )


def _bound(measure: Measure, labels: str) -> str:
    own = _decode(labels)
    return own[-1] if len(own) > len(measure.labels) else ""


# Writing.


def _family(connection: sqlite3.Connection, measure: Measure, extra: Labels) -> Iterator[str]:
    header = Family.of(measure).header(Format.OPENMETRICS).decode("utf-8", "replace")
    points = connection.execute(
        "SELECT line, until, width, bound, amount FROM point ORDER BY 1, 2, 3, 4"
    )
    by_line = groupby(points, itemgetter(0))
    ahead = next(by_line, None)
    for identity, provider, account, labels, *rest in connection.execute(
        "SELECT id, provider, account, labels, step, first, horizon FROM line ORDER BY id"
    ):
        line = _Line(identity, provider, account, _decode(labels), *rest)
        base = dict(
            connection.execute("SELECT bound, amount FROM base WHERE line = ?", (identity,))
        )
        own: Iterable[tuple[int, int, int, str, int]] = ()
        if ahead is not None and ahead[0] == identity:
            own = ahead[1]
        for text in _series(measure, line, base, own, extra):
            yield header
            header = ""
            yield text
        if own:
            ahead = next(by_line, None)


def _series(
    measure: Measure,
    line: _Line,
    totals: dict[str, int],
    points: Iterable[tuple[int, int, int, str, int]],
    extra: Labels,
) -> Iterator[str]:
    """One line's samples: `totals` at the beginning, and at every step after what has grown."""
    shown = [
        (bound, f"{_name(measure, line, bound, extra)} ", _resolution(measure, bound))
        for bound in sorted(totals, key=_order)
    ]

    def sample(at: int) -> str:
        return "".join(
            f"{name}{scaled(totals[bound], resolution)} {at}\n" for bound, name, resolution in shown
        )

    step = line.step
    # Where there is a total from before, the series begins at once, else with its first bucket.
    at = line.first + -line.first % step if any(totals.values()) else None
    for (_, until, width), bucket in groupby(points, itemgetter(0, 1, 2)):
        at = until - width if at is None else at
        # The step in which the bucket lies begins with the total from before it.
        for instant in range(at, until - width + 1, step):
            yield sample(instant)
        for _, _, _, bound, amount in bucket:
            totals[bound] += amount
        yield sample(until)
        at = until + step
    if at is not None:
        for instant in range(at, line.horizon + 1, step):
            yield sample(instant)


def _name(measure: Measure, line: _Line, bound: str, extra: Labels) -> str:
    pairs = [
        *extra,
        ("provider", line.provider),
        ("account", line.account),
        *zip(measure.labels, line.labels, strict=True),
    ]
    suffix = ""
    if measure.type == "histogram":
        suffix = f"_{bound}" if bound in (COUNT, SUM) else "_bucket"
        if suffix == "_bucket":
            pairs.append(("le", bound))
    return f"{measure.name}{suffix}{{{labels_text(pairs)}}}"


def _order(bound: str) -> tuple[int, float]:
    """Buckets by their bound, then the count, then the sum, as on a scrape."""
    if bound in (COUNT, SUM):
        return (1 if bound == COUNT else 2), 0.0
    return 0, float(bound or 0)


def _resolution(measure: Measure, bound: str) -> int:
    return 1 if measure.type == "histogram" and bound != SUM else measure.resolution
