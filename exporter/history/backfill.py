"""The ledger's history as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`.

Each sample is a counter's total at the end of a bucket. An hour without usage has no bucket, but a
scrape would have shown the unchanged total, so it has a sample, too. Within a wider bucket (a day
for which the vendor has no hours) the totals are unknown, and there are no samples.

One measure at a time is sorted by the ledger, on disk, and streamed from there: memory stays flat
however long the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from exporter.exposition import Family, Format
from exporter.exposition.text import labels_text, scaled
from exporter.history.reader import Choice, feeds
from exporter.ledger.book import COUNT, SUM
from exporter.ledger.contract import FeedHistory, History, Line, Point, Stretch
from exporter.model import Measure

CHUNK_LINES: Final = 4096

Progress = Callable[[str], None]

Labels = tuple[tuple[str, str], ...]


def backfill(
    history: History,
    choice: Choice,
    *,
    now: int,
    progress: Progress | None = None,
) -> Iterator[str]:
    """The OpenMetrics text, in chunks of whole lines.

    Samples lie after `choice.start`, up to and including `choice.end`; a series that has a total
    at `start` begins with a sample there. `now` is in Unix seconds. `progress` is called with a
    line of text before each measure. HistoryError for an unknown account or measure.
    """
    stretches = _stretches(feeds(history, choice.accounts), choice, now)
    measures = choice.measures
    for number, measure in enumerate(measures, start=1):
        if progress is not None:
            progress(f"{number} of {len(measures)}: {measure.name}")
        found = history.lines(measure, stretches, start=choice.start or 0)
        yield from _chunks(_family(measure, found, choice.labels))
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


def _stretches(chosen: Sequence[FeedHistory], choice: Choice, now: int) -> list[Stretch]:
    """What `choice` selects of each feed, cut to what the ledger has; settled only by default."""
    last = min(now, choice.end if choice.end is not None else now)
    return [
        Stretch(
            feed,
            first=max(choice.start or 0, feed.began, feed.compacted_until),
            last=last if choice.unsettled else min(last, feed.settled_until),
        )
        for feed in chosen
    ]


def _family(
    measure: Measure, found: Iterable[tuple[Line, Iterable[Point]]], extra: Labels
) -> Iterator[str]:
    """One family's lines; none, not even the header, without samples."""
    header = Family.of(measure).header(Format.OPENMETRICS).decode("utf-8", "replace")
    for line, points in found:
        for text in _series(measure, line, points, extra):
            yield header
            header = ""
            yield text


def _series(measure: Measure, line: Line, points: Iterable[Point], extra: Labels) -> Iterator[str]:
    """One line's samples: its totals at the beginning, then at each step and each bucket's end.

    `points` are in order of time; `extra` are labels to put first.
    """
    totals = dict(line.totals)
    shown = [
        (bound, f"{_name(measure, line, bound, extra)} ", _resolution(measure, bound))
        for bound in sorted(totals, key=_order)
    ]

    def sample(at: int) -> str:
        return "".join(
            f"{name}{scaled(totals[bound], resolution)} {at}\n" for bound, name, resolution in shown
        )

    step = line.step
    # With a total from before, the first sample is at the beginning, else at the first bucket.
    at = line.first + -line.first % step if any(totals.values()) else None
    for (_, until, width), bucket in groupby(points, attrgetter("line", "until", "width")):
        at = until - width if at is None else at
        # Samples up to the beginning of the bucket repeat the total from before it.
        for instant in range(at, until - width + 1, step):
            yield sample(instant)
        for point in bucket:
            totals[point.bound] += point.amount
        yield sample(until)
        at = until + step
    if at is not None:
        for instant in range(at, line.last + 1, step):
            yield sample(instant)


def _name(measure: Measure, line: Line, bound: str, extra: Labels) -> str:
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
