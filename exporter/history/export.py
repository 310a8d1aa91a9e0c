"""Raw buckets, for a warehouse or to check a bill: what the vendor said of each stretch of time."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from exporter.exposition.text import scaled
from exporter.history.reader import Choice, FeedHistory, feeds
from exporter.ledger.recording import SUM
from exporter.model import LIFETIME_WIDTH, Measure
from exporter.model.errors import ExporterError
from exporter.model.measures import BY_NAME

FORMATS: Final = ("csv", "jsonl", "parquet")
COLUMNS: Final = ("provider", "account", "measure", "labels", "start", "end", "value", "final")
_PAGE_ROWS: Final = 10_000
_GROUP_ROWS: Final = 65_536

_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class Row(NamedTuple):
    """One bucket. `value` is as text, in the metric's unit; instants are Unix seconds."""

    provider: str
    account: str
    measure: str
    labels: Mapping[str, str]
    start: int
    end: int
    value: str
    final: bool


def rows(connection: sqlite3.Connection, choice: Choice) -> Iterator[Row]:
    """The buckets that lie in `choice`, by feed and time; open ones only if unsettled are wanted.

    Streams beyond the account's limit are rows of their own here.
    """
    names = {measure.name for measure in choice.measures}
    for feed in feeds(connection, choice.accounts):
        series = _Series(connection, names)
        for start, width, identity, amount in _buckets(connection, feed, choice):
            end = start + width
            final = end <= feed.settled_until
            if width == LIFETIME_WIDTH or not (final or choice.unsettled):
                continue
            known = series.get(identity)
            if known is not None:
                measure, labels, resolution = known
                value = scaled(amount, resolution)
                yield Row(
                    feed.provider, feed.account, measure.name, labels, start, end, value, final
                )


def _buckets(
    connection: sqlite3.Connection, feed: FeedHistory, choice: Choice
) -> Iterator[tuple[int, int, int, int]]:
    """Page by page along the primary key, so that no page keeps the ledger's log from ending."""
    position = (choice.start or 0, 0, 0)
    last = choice.end if choice.end is not None else LIFETIME_WIDTH
    while True:
        page = connection.execute(
            "SELECT start, width, series, amount FROM bucket WHERE feed = ? AND start < ?"
            " AND (start, width, series) > (?, ?, ?) ORDER BY 1, 2, 3 LIMIT ?",
            (feed.id, last, *position, _PAGE_ROWS),
        ).fetchall()
        for row in page:
            if row[0] + row[1] <= last or row[1] == LIFETIME_WIDTH:
                yield row
        if len(page) < _PAGE_ROWS:
            return
        position = page[-1][:3]


class _Series:
    """What series are called; looked up once each."""

    def __init__(self, connection: sqlite3.Connection, names: set[str]) -> None:
        self._connection = connection
        self._names = names
        self._known: dict[int, tuple[Measure, dict[str, str], int] | None] = {}

    def get(self, identity: int) -> tuple[Measure, dict[str, str], int] | None:
        """Measure, labels and resolution; None for a series that is not wanted."""
        if identity not in self._known:
            name, labels = self._connection.execute(
                "SELECT measure, labels FROM series WHERE id = ?", (identity,)
            ).fetchone()
            self._known[identity] = (
                self._read(BY_NAME[name], _decode(labels)) if name in self._names else None
            )
        return self._known[identity]

    @staticmethod
    def _read(measure: Measure, labels: tuple[str, ...]) -> tuple[Measure, dict[str, str], int]:
        if measure.type != "histogram":
            return measure, dict(zip(measure.labels, labels, strict=True)), measure.resolution
        # The bound, "count" or "sum" stands where `le` would.
        named = dict(zip((*measure.labels, "le"), labels, strict=True))
        return measure, named, measure.resolution if labels[-1] == SUM else 1


def write(found: Iterator[Row], format: str, output: BinaryIO) -> int:
    """Write `found` as one of FORMATS; returns how many rows there were."""
    writers: Mapping[str, Callable[[Iterator[Row], BinaryIO], int]] = {
        "csv": _csv,
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    return writers[format](found, output)


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _batches(found: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    while batch := list(islice(found, size)):
        yield batch


def _csv(found: Iterator[Row], output: BinaryIO) -> int:
    text = io.TextIOWrapper(output, "utf-8", errors="replace", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in found:
        labels = msgspec.json.encode(row.labels).decode()
        final = "true" if row.final else "false"
        writer.writerow((*row[:3], labels, _iso(row.start), _iso(row.end), row.value, final))
        count += 1
    text.flush()
    text.detach()
    return count


def _jsonl(found: Iterator[Row], output: BinaryIO) -> int:
    count = 0
    for batch in _batches(found, 1000):
        lines = [
            msgspec.json.encode(
                {
                    **row._asdict(),
                    "start": _iso(row.start),
                    "end": _iso(row.end),
                    "value": msgspec.Raw(row.value.encode()),
                }
            )
            for row in batch
        ]
        output.write(b"\n".join(lines) + b"\n")
        count += len(batch)
    return count


def _parquet(found: Iterator[Row], output: BinaryIO) -> int:
    arrow, parquet = load_arrow()
    instant = arrow.timestamp("s", tz="UTC")
    schema = arrow.schema(
        [
            *((name, arrow.string()) for name in COLUMNS[:3]),
            ("labels", arrow.map_(arrow.string(), arrow.string())),
            ("start", instant),
            ("end", instant),
            ("value", arrow.float64()),
            ("final", arrow.bool_()),
        ]
    )
    count = 0
    with parquet.ParquetWriter(output, schema) as writer:
        for batch in _batches(found, _GROUP_ROWS):
            writer.write_table(_table(arrow, schema, batch))
            count += len(batch)
    return count


def _table(arrow: Any, schema: Any, batch: Sequence[Row]) -> Any:
    columns = list(zip(*batch, strict=True))
    columns[3] = tuple(list(labels.items()) for labels in columns[3])
    columns[6] = tuple(float(value) for value in columns[6])
    return arrow.table(
        [arrow.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)],
        schema=schema,
    )


def load_arrow() -> tuple[Any, Any]:
    """Arrow and its parquet module; ExporterError when they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExporterError(
            "--format parquet needs pyarrow: pip install 'media-usage-exporter[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
