"""The decision: from what the ledger has and what the vendor said to what changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exporter.ledger.book import Book, FeedState, Series
from exporter.ledger.decision.amounts import Amounts, uncounted
from exporter.ledger.decision.changes import Changes, PriorState
from exporter.ledger.decision.cursors import (
    advanced,
    described,
    seen,
    still_unfinished,
    update_streams,
)
from exporter.ledger.decision.rule import Bucket, expose, widths
from exporter.ledger.decision.series_resolver import SeriesResolver
from exporter.ledger.poll import Poll
from exporter.model import LIFETIME_WIDTH, Usage


def decide(
    book: Book, poll: Poll, prior: PriorState, *, now: float, hold_seconds: float
) -> Changes:
    """What the poll changes. Pure: neither the Book nor any of its series is changed.

    `now` is in Unix seconds. Raises ValueError for a row with a wrong number of labels.
    """
    feed = book.feeds[poll.feed]
    resolver = SeriesResolver(
        book,
        prior,
        at=now,
        hold_until=now + hold_seconds,
        known_past=feed.polled_at is None,
        known_streams=poll.baseline_streams,
    )
    for stream in poll.named:
        resolver.admit(stream)
    amounts = Amounts(
        feed,
        prior,
        resolver,
        late_before=(feed.polled_at or 0) if poll.advances else feed.gaps_seen,
    )
    rows = _by_bucket(book, feed, poll.usage, resolver)
    events = uncounted(poll, prior.events)
    amounts.add_buckets(rows)
    amounts.add_events(events.values())
    totals = _totals(amounts.growth)
    holds = resolver.holds | _reappearing(book, feed, totals, resolver.first_id, now)

    unfinished = still_unfinished(poll, prior.unfinished)
    finest, coarse_until = widths(feed, rows, prior.wider_until)
    after = advanced(feed, poll, unfinished)
    after = replace(after, finest=finest, coarse_until=coarse_until)
    after, cursors = update_streams(feed, after, poll)
    news = described(book, poll)
    return Changes(
        at=now,
        feed=after,
        stored=amounts.stored,
        superseded=amounts.superseded,
        created=resolver.created,
        brought_back=resolver.brought_back,
        totals=totals,
        holds=holds,
        streams=resolver.streams,
        combinations=resolver.combinations,
        counted={event.id: event.since for event in events.values()},
        unfinished={k: v for k, v in unfinished.items() if k not in prior.unfinished},
        ended=prior.unfinished.keys() - unfinished.keys(),
        cursors=cursors,
        seen=seen(book, poll),
        listed_at=poll.at if poll.listed else None,
        described=news,
        changed={
            *news,
            *(one.measure for one in resolver.created),
            *(one.measure for one in resolver.brought_back),
            *(one.measure for one, (_, exposed) in totals.items() if exposed != one.exposed),
        },
        corrections=amounts.corrections,
        late=amounts.late,
        next_series=resolver.next_id,
    )


def _by_bucket(
    book: Book, feed: FeedState, usage: Iterable[Usage], resolver: SeriesResolver
) -> dict[Bucket, dict[Series, int]]:
    """The rows that count; of two with the same series and bucket the later one does."""
    rows: dict[Bucket, dict[Series, int]] = {}
    index = book.series
    compacted_until = feed.compacted_until
    start = width = -1
    bucket: dict[Series, int] | None = None
    for row in usage:
        if row.start != start or row.width != width:
            start, width = row.start, row.width
            bucket = None
            if start >= compacted_until or width == LIFETIME_WIDTH:
                bucket = rows.setdefault((start, width), {})
        if bucket is None:
            continue
        series = None
        named = index.get(row.measure)
        if named is not None:
            series = named.get(row.labels)
        if series is None:
            # The first value of a lifetime total is the past: how it grew is not known.
            series = resolver.series(row.measure, row.labels, held=width != LIFETIME_WIDTH)
        bucket[series] = row.amount
    return rows


def _totals(growth: dict[Series, int]) -> dict[Series, tuple[int, int]]:
    """The new (truth, exposed) of each series that grew, and of each `__other__` that sums them."""
    beyond = [series for series in growth if series.into is not None]
    if beyond:
        growth = dict(growth)
    for series in beyond:
        if (into := series.into) is not None:
            growth[into] = growth.get(into, 0) + growth[series]
    totals: dict[Series, tuple[int, int]] = {}
    for series, delta in growth.items():
        truth = series.truth + delta
        totals[series] = (truth, expose(series.exposed, truth))
    return totals


def _reappearing(
    book: Book,
    feed: FeedState,
    totals: dict[Series, tuple[int, int]],
    first_id: int,
    now: float,
) -> dict[Series, tuple[int, float]]:
    """Known counters that grow though their feed was not polled for long, at their old totals.

    The same is done with the remaining series of a histogram of which some are held already: all
    series of a histogram are shown as of one moment, or a smaller `le` could count more than a
    larger one.
    """
    histograms = {
        (series.measure, series.labels[:-1]): until
        for series, (_, until) in book.holds.items()
        if series.measure.type == "histogram" and until > now
    }
    reappeared = feed.reappeared_until if feed.reappeared_until > now else 0.0
    if not reappeared and not histograms:
        return {}
    holds: dict[Series, tuple[int, float]] = {}
    for series, (_, exposed) in totals.items():
        if exposed == series.exposed or series.id >= first_id:
            continue
        if book.holds.get(series, (0, now))[1] > now:
            continue
        until = histograms.get((series.measure, series.labels[:-1]), reappeared)
        if until:
            holds[series] = (series.exposed, until)
    return holds
