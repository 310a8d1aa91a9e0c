"""Writes raw buckets, the amounts as the vendor reported them, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from exporter.exposition.text import scaled
from exporter.history.reader import Choice, feeds
from exporter.ledger.book import SUM, Labels
from exporter.ledger.contract import History
from exporter.model import LIFETIME_WIDTH, Measure, extras
from exporter.model.errors import ExporterError
from exporter.model.measures import BY_NAME

FORMATS: Final = ("csv", "jsonl", "parquet")
COLUMNS: Final = ("provider", "account", "measure", "labels", "start", "end", "value", "final")
_GROUP_ROWS: Final = 65_536


class Row(NamedTuple):
    """One bucket. `value` is decimal text in the metric's unit; `start` and `end` are Unix seconds.

    `final` says that the bucket is settled.
    """

    provider: str
    account: str
    measure: str
    labels: Mapping[str, str]
    start: int
    end: int
    value: str
    final: bool


def rows(history: History, choice: Choice) -> Iterator[Row]:
    """The buckets that lie wholly in `choice`, ordered by feed and time.

    Streams beyond the account's limit are not folded. HistoryError for an unknown account or
    measure.
    """
    names = {measure.name for measure in choice.measures}
    last = choice.end if choice.end is not None else LIFETIME_WIDTH
    for feed in feeds(history, choice.accounts):
        series = _Series(history, names)
        for bucket in history.buckets(feed.id, start=choice.start or 0, end=last):
            end = bucket.start + bucket.width
            final = end <= feed.settled_until
            if bucket.width == LIFETIME_WIDTH or end > last or not (final or choice.unsettled):
                continue
            known = series.get(bucket.series)
            if known is not None:
                measure, labels, resolution = known
                yield Row(
                    feed.provider,
                    feed.account,
                    measure.name,
                    labels,
                    bucket.start,
                    end,
                    scaled(bucket.amount, resolution),
                    final,
                )


class _Series:
    """Caches the measure and labels of each series."""

    def __init__(self, history: History, names: set[str]) -> None:
        self._history = history
        self._names = names
        self._known: dict[int, tuple[Measure, dict[str, str], int] | None] = {}

    def get(self, identity: int) -> tuple[Measure, dict[str, str], int] | None:
        """Measure, labels and units of the amount per unit of the metric; None if not selected."""
        if identity not in self._known:
            name, labels, _ = self._history.series_name(identity)
            self._known[identity] = (
                self._read(BY_NAME[name], labels) if name in self._names else None
            )
        return self._known[identity]

    @staticmethod
    def _read(measure: Measure, labels: Labels) -> tuple[Measure, dict[str, str], int]:
        if measure.type != "histogram":
            return measure, dict(zip(measure.labels, labels, strict=True)), measure.resolution
        # Of a histogram, `le` is the bucket's bound, "count" or "sum".
        named = dict(zip((*measure.labels, "le"), labels, strict=True))
        return measure, named, measure.resolution if labels[-1] == SUM else 1


def write(found: Iterator[Row], format: str, output: BinaryIO) -> int:
    """Write `found` to `output` in one of FORMATS; returns the number of rows."""
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
    """The modules `pyarrow` and `pyarrow.parquet`; ExporterError when they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExporterError(f"writing Parquet needs pyarrow: {extras.install('parquet')}") from None
    return pyarrow, pyarrow.parquet
