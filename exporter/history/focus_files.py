"""Writes rows of FOCUS as CSV or Parquet, costs exact in both."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO, Final

from exporter.history.export import load_arrow
from exporter.history.focus import COST_DIGITS, PRICE_DIGITS, Row

FORMATS: Final = ("focus", "focus-parquet")
COLUMNS: Final = Row._fields
_INSTANTS: Final = frozenset(name for name in COLUMNS if "Period" in name)
_COSTS: Final = frozenset(name for name in COLUMNS if name.endswith(("Cost", "Quantity")))
_PRICES: Final = frozenset(name for name in COLUMNS if name.endswith("UnitPrice"))
_GROUP_ROWS: Final = 65_536


def write(found: Iterator[Row], format: str, output: BinaryIO) -> int:
    """Write `found` to `output` in one of FORMATS; returns the number of rows."""
    writers: Mapping[str, Callable[[Iterator[Row], BinaryIO], int]] = {
        "focus": _csv,
        "focus-parquet": _parquet,
    }
    return writers[format](found, output)


def _csv(found: Iterator[Row], output: BinaryIO) -> int:
    text = io.TextIOWrapper(output, "utf-8", errors="replace", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in found:
        writer.writerow(_text(name, value) for name, value in row._asdict().items())
        count += 1
    text.flush()
    text.detach()
    return count


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if name in _INSTANTS and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def _parquet(found: Iterator[Row], output: BinaryIO) -> int:
    arrow, parquet = load_arrow()
    schema = arrow.schema([(name, _kind(arrow, name)) for name in COLUMNS])
    count = 0
    with parquet.ParquetWriter(output, schema) as writer:
        while batch := list(islice(found, _GROUP_ROWS)):
            columns = zip(zip(*batch, strict=True), schema, strict=True)
            arrays = [arrow.array(column, kind.type) for column, kind in columns]
            writer.write_table(arrow.table(arrays, schema=schema))
            count += len(batch)
    return count


def _kind(arrow: Any, name: str) -> Any:
    """The type of a column in Parquet: costs are exact there, too."""
    if name in _INSTANTS:
        return arrow.timestamp("s", tz="UTC")
    if name in _COSTS:
        return arrow.decimal128(38, COST_DIGITS)
    if name in _PRICES:
        return arrow.decimal128(38, PRICE_DIGITS)
    return arrow.bool_() if name == "x_Settled" else arrow.string()
