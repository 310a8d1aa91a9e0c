"""Fills a Book from the rows that a database keeps of an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from exporter.ledger.book import (
    OTHER_STREAM,
    Book,
    FeedState,
    Labels,
    Series,
    limited_labels,
    other_labels,
)
from exporter.ledger.rows import Damaged, decode_labels
from exporter.model import Measure, Window
from exporter.model.measures import BY_NAME

SeriesRow = tuple[int, str, str, int, int, int, bool]
"""(id, measure, labels, truth, exposed, created, beyond a limit)."""


def feed_state(
    row: Sequence[object],
    *,
    gaps: Iterable[tuple[int, int]],
    streams: Sequence[tuple[str, int | None, int | None]],
) -> FeedState:
    """A feed from its row, in the order of FeedState's fields up to `gaps_seen`.

    `gaps` are (start, end) in order of time, `streams` are (name, began, left at).
    """
    feed = FeedState(*row)  # type: ignore[arg-type]
    return replace(
        feed,
        listed=bool(feed.listed),
        gaps=[Window(start, end) for start, end in gaps],
        streams={stream: left_at for stream, _, left_at in streams},
        streams_began={stream: began for stream, began, _ in streams if began is not None},
    )


def add_streams(book: Book, rows: Iterable[tuple[str, int | None, bool | None]]) -> None:
    """The account's streams (name, seen at, beyond the limit): those that were listed or decided."""
    for name, seen_at, beyond in rows:
        if beyond is not None:
            (book.folded if beyond else book.admitted).add(name)
        if seen_at is not None:
            book.streams[name] = seen_at


def add_series(book: Book, rows: Iterable[SeriesRow]) -> list[Series]:
    """The series of the book's feeds; returns those beyond a limit, which `link` completes."""
    beyond: list[Series] = []
    # What is equal is kept once: the labels of a stream's measures, its name, the instants.
    known_labels: dict[str, Labels] = {}
    values: dict[str, str] = {name: name for name in (*book.admitted, *book.folded)}
    instants: dict[int, int] = {}
    for identity, name, text, truth, exposed, created, is_beyond in rows:
        measure = BY_NAME.get(name)
        if measure is None:
            continue
        labels = known_labels.get(text)
        if labels is None:
            decoded = decode_labels(text)
            labels = known_labels[text] = tuple([values.setdefault(one, one) for one in decoded])
        series = Series(
            identity,
            measure,
            labels,
            truth,
            truth if exposed == truth else exposed,
            instants.setdefault(created, created),
        )
        named = book.series.get(measure)
        if named is None:
            named = book.series[measure] = {}
        named[labels] = series
        if is_beyond:
            beyond.append(series)
        elif measure.limited and OTHER_STREAM not in labels:
            book.combinations_of(measure).within.add(labels)
    return beyond


def add_holds(book: Book, rows: Iterable[tuple[str, str, int, float]]) -> None:
    """What series are held at: (measure, labels, held, held until)."""
    for name, text, held, until in rows:
        measure = BY_NAME.get(name)
        if measure is not None:
            book.holds[book.series[measure][decode_labels(text)]] = (held, float(until))


def link(
    book: Book, beyond: Iterable[Series], stored: Callable[[Measure, Labels], Series | None]
) -> None:
    """Say of series beyond a limit which one shows their growth.

    One that a feed which is not polled any more brought in is had from `stored`. Raises Damaged
    where there is none.
    """
    for series in beyond:
        labels = _shown_under(book, series)
        into = book.series[series.measure].get(labels) or stored(series.measure, labels)
        if into is None:
            raise Damaged
        book.series[series.measure][labels] = series.into = into


def _shown_under(book: Book, series: Series) -> Labels:
    """The labels of the series that shows the growth of one beyond a limit."""
    measure, labels = series.measure, series.labels
    index = measure.stream_index
    if index is not None and (not measure.limited or labels[index] in book.folded):
        return other_labels(measure, labels)
    book.combinations_of(measure).beyond.add(labels)
    return limited_labels(measure, labels)


def add_descriptions(book: Book, feed: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """What a feed has described: (measure, identity, labels)."""
    for name, identity, labels in rows:
        if (measure := BY_NAME.get(name)) is not None:
            things = book.described.setdefault((feed, measure), {})
            things[decode_labels(identity)] = decode_labels(labels)
