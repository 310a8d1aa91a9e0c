"""One measure of one account as protobuf: the `metric` fields of its family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from exporter.exposition import protobuf
from exporter.ledger import Book, Series
from exporter.model import Measure


def gauges(book: Book, measure: Measure, values: Mapping[tuple[str, ...], int | float]) -> bytes:
    """The lines of a gauge, by labels."""
    return b"".join(
        protobuf.gauge(_labels(book, measure, labels), value) for labels, value in values.items()
    )


def totals(
    book: Book, measure: Measure, series: Iterable[Series], now: float, *, hold: bool
) -> bytes:
    """The `series` of a counter or histogram; those of a histogram stand together.

    A series that began at 0 has a start timestamp: a Prometheus that reads it sees the first
    increment at once. Without `hold` such series are not held at 0 for those that do not read it.
    """
    if measure.type == "histogram":
        return b"".join(
            _histogram(book, measure, list(group), now, hold=hold)
            for _, group in groupby(series, key=lambda one: one.labels[:-1])
        )
    metrics = []
    for one in series:
        value, created = _shown(book, one, now, hold=hold)
        labels = _labels(book, measure, one.labels)
        metrics.append(protobuf.counter(labels, value / measure.resolution, created))
    return b"".join(metrics)


def _histogram(
    book: Book, measure: Measure, group: list[Series], now: float, *, hold: bool
) -> bytes:
    count, total, created = 0, 0.0, None
    buckets = []
    for one in group:
        value, created = _shown(book, one, now, hold=hold)
        match one.labels[-1]:
            case "count":
                count = value
            case "sum":
                total = value / measure.resolution
            case bound:
                buckets.append((float(bound), value))
    labels = _labels(book, measure, group[0].labels[:-1])
    return protobuf.histogram(labels, count=count, sum=total, buckets=buckets, created=created)


def _shown(book: Book, series: Series, now: float, *, hold: bool) -> tuple[int, int | None]:
    """What the series shows, and when it began at 0; None where it did not, or long ago."""
    held = book.holds.get(series)
    if held is None:
        return series.exposed, None
    value, until = held
    began = series.created if value == 0 else None
    if until <= now or (began is not None and not hold):
        return series.exposed, began
    return value, began


def _labels(book: Book, measure: Measure, labels: Iterable[str]) -> bytes:
    names = ("provider", "account", *measure.labels)
    return protobuf.labels(zip(names, (book.provider, book.account, *labels), strict=True))
