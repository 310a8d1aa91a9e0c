"""One account's blocks, kept current: rendered anew where a poll changed something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from exporter.exposition import account_protobuf
from exporter.exposition.block import Block
from exporter.exposition.text import Format, escaped, labels_text, number, scaled
from exporter.ledger import OTHER_STREAM, Book, Series, limited_labels
from exporter.model import Level, Measure
from exporter.model.measures import CATALOGUE

_LINES_IN_A_PIECE = 1000

Levels = dict[tuple[str, ...], int | float]


class AccountPage:
    """The counters of `book` and the newest levels of each feed, as blocks by measure.

    Used by one thread at a time; `blocks()` hands out what may be read by any.
    """

    def __init__(
        self, book: Book, *, level_seconds: float, created_timestamps: bool = False
    ) -> None:
        self._book = book
        self._level_seconds = level_seconds
        self._created = created_timestamps
        self._protobuf = False
        self._rendered_at = 0.0
        self._levels: dict[str, tuple[float, dict[Measure, Levels]]] = {}
        self._blocks: dict[Format, dict[Measure, Block]] = {kind: {} for kind in Format}
        self._shown: dict[Format, Mapping[Measure, Block]] = {}
        self._changed: set[Measure] = set()
        self._counts: dict[Measure, int] = {}
        self._gauges: dict[Measure, Mapping[tuple[str, ...], int | float]] = {}
        self.series = 0
        """How many lines there are."""
        self._held: dict[Measure, float] = {}
        self._opening = labels_text((("provider", book.provider), ("account", book.account)))

    def set_levels(self, feed: str, levels: Sequence[Level], *, at: float) -> set[Measure]:
        """Replace the levels that `feed` gave before; returns the measures to render anew."""
        _, before = self._levels.get(feed, (0.0, {}))
        now = self._folded(levels)
        self._levels[feed] = (at, now)
        return before.keys() | now.keys()

    def drop_feed(self, feed: str) -> set[Measure]:
        """Forget the levels of a feed; returns the measures to render anew."""
        _, levels = self._levels.pop(feed, (0.0, {}))
        return set(levels)

    def due(self, now: float) -> set[Measure]:
        """The measures whose lines change by themselves up to `now`.

        These are levels that have become too old and counters that are held no longer.
        """
        measures = {measure for measure, until in self._held.items() if until <= now}
        for feed, (at, _) in list(self._levels.items()):
            if at + self._level_seconds <= now:
                measures |= self.drop_feed(feed)
        return measures

    def next_due(self) -> float | None:
        """When `due` will next have something to say."""
        return min(
            (
                *self._held.values(),
                *(at + self._level_seconds for at, _ in self._levels.values()),
            ),
            default=None,
        )

    def render(self, measures: Iterable[Measure], now: float) -> None:
        """Render these measures anew."""
        self._rendered_at = now
        self._book.end_holds(now)
        for measure in measures:
            values: Levels = {}
            if measure.type == "gauge":
                values = self._gauge_values(measure)
                text, count = _encoded(self._gauge_lines(measure, values))
            else:
                text, count = _encoded(self._totals(measure, now))
            self.series += count - self._counts.get(measure, 0)
            self._counts[measure] = count
            self._changed.add(measure)
            self._shown = {}
            if not count:
                for blocks in self._blocks.values():
                    blocks.pop(measure, None)
                continue
            block = self._blocks[Format.TEXT][measure] = Block.of(text)
            if self._created and measure.type == "counter":
                text, _ = _encoded(self._with_created(measure, now))
                block = Block.of(text)
            self._blocks[Format.OPENMETRICS][measure] = block
            if self._protobuf:
                metrics = (
                    account_protobuf.gauges(self._book, measure, values)
                    if measure.type == "gauge"
                    else account_protobuf.totals(
                        self._book, measure, self._in_order(measure), now, hold=not self._created
                    )
                )
                self._blocks[Format.PROTOBUF][measure] = Block.of(metrics)

    def render_protobuf(self) -> None:
        """From now on render protobuf, too; what there is, at once."""
        if not self._protobuf:
            self._protobuf = True
            self.render_all(self._rendered_at)

    def render_all(self, now: float) -> None:
        """Render everything, as after a start."""
        described = dict.fromkeys(measure for _, measure in self._book.described)
        levels = (measure for _, group in self._levels.values() for measure in group)
        self.render((*self._book.series, *described, *levels), now)

    def blocks(self, format: Format) -> Mapping[Measure, Block]:
        """The blocks as they are now, in the order of the catalogue; never changed afterwards."""
        shown = self._shown.get(format)
        if shown is None:
            blocks = self._blocks[format]
            shown = MappingProxyType({m: blocks[m] for m in CATALOGUE if m in blocks})
            self._shown[format] = shown
        return shown

    def gauge(self, measure: Measure) -> Mapping[tuple[str, ...], int | float]:
        """The values of a gauge's lines by labels, as rendered; never changed afterwards.

        Gauges by stream have none here.
        """
        return self._gauges.get(measure, {})

    def take_changed(self) -> set[Measure]:
        """The measures that were rendered since this was last called."""
        changed, self._changed = self._changed, set()
        return changed

    def _folded(self, levels: Sequence[Level]) -> dict[Measure, Levels]:
        """By measure and labels, with the streams beyond the limit put together where they can."""
        folded = self._book.folded
        grouped: dict[Measure, Levels] = {}
        for level in levels:
            if level.measure.identity:
                continue  # the book has it, for longer than a level lasts
            labels = level.labels
            index = level.measure.stream_index
            if index is not None and labels[index] in folded:
                if not level.additive:
                    continue
                labels = (*labels[:index], OTHER_STREAM, *labels[index + 1 :])
            elif not self._book.combines(level.measure, labels):
                labels = limited_labels(level.measure, labels)
            group = grouped.setdefault(level.measure, {})
            group[labels] = group[labels] + level.value if labels in group else level.value
        return grouped

    def _gauge_values(self, measure: Measure) -> Levels:
        values: Levels = self._descriptions(measure) if measure.identity else {}
        for _, levels in self._levels.values():
            for labels, value in levels.get(measure, {}).items():
                # Two feeds may tell the same, one of them of more streams than the other.
                values[labels] = max(value, values.get(labels, value))
        shown = {
            labels: value
            for labels, value in values.items()
            if not (isinstance(value, float) and math.isnan(value))
        }
        if measure.stream_index is None:
            self._gauges[measure] = shown
        return shown

    def _gauge_lines(self, measure: Measure, values: Levels) -> Iterator[str]:
        line = self._template(measure, measure.name)
        for labels, value in values.items():
            yield f"{line % tuple(map(escaped, labels))}{number(value)}\n"

    def _descriptions(self, measure: Measure) -> Levels:
        """A 1 for the newest description of each thing that has a line of its own."""
        folded = self._book.folded
        index = measure.stream_index
        return {
            labels: 1
            for (_, described), things in self._book.described.items()
            if described is measure
            for labels in things.values()
            if index is None or labels[index] not in folded
        }

    def _totals(self, measure: Measure, now: float) -> Iterator[str]:
        book = self._book
        self._held.pop(measure, None)
        held = any(one.measure is measure for one in book.holds)
        if held:
            self._note_release(measure, now)
        if measure.type == "histogram":
            yield from self._histogram_lines(measure, now)
            return
        resolution = measure.resolution
        # Lines are made anew each time: kept, they would be a quarter of all memory.
        line = self._template(measure, measure.name)
        for one in book.shown(measure):
            value = book.value(one, now) if held else one.exposed
            amount = value if resolution == 1 else scaled(value, resolution)
            yield f"{line % tuple(map(escaped, one.labels))}{amount}\n"

    def _histogram_lines(self, measure: Measure, now: float) -> Iterator[str]:
        bucket = self._template(measure, f"{measure.name}_bucket", ("le",))
        for one in self._in_order(measure):
            *labels, bound = map(escaped, one.labels)
            value = self._book.value(one, now)
            if bound in ("sum", "count"):
                line = self._template(measure, f"{measure.name}_{bound}") % tuple(labels)
                yield f"{line}{scaled(value, measure.resolution) if bound == 'sum' else value}\n"
            else:
                yield f"{bucket % (*labels, bound)}{value}\n"

    def _in_order(self, measure: Measure) -> list[Series]:
        """The shown series of a measure; those of a histogram stand together."""
        series = list(self._book.shown(measure))
        if measure.type == "histogram":
            series.sort(key=_histogram_order)
        return series

    def _note_release(self, measure: Measure, now: float) -> None:
        until = [
            until
            for held, (_, until) in self._book.holds.items()
            if held.measure is measure and until > now
        ]
        if until:
            self._held[measure] = min(until)

    def _template(self, measure: Measure, name: str, more: Sequence[str] = ()) -> str:
        """A line up to its value, with `%s` for the values of its labels."""
        fixed = f"{name}{{{self._opening}".replace("%", "%%")
        return fixed + "".join(f',{label}="%s"' for label in (*measure.labels, *more)) + "} "

    def _with_created(self, measure: Measure, now: float) -> Iterator[str]:
        """The lines of a counter with a `_created` sample behind each."""
        created = self._template(measure, f"{measure.name.removesuffix('_total')}_created")
        for line, one in zip(self._totals(measure, now), self._book.shown(measure), strict=True):
            yield line
            yield f"{created % tuple(map(escaped, one.labels))}{one.created}\n"


def _encoded(lines: Iterator[str]) -> tuple[bytes, int]:
    """The lines, and how many they are. Few are in memory at a time beside what they come to."""
    pieces: list[bytes] = []
    count = 0
    while piece := list(islice(lines, _LINES_IN_A_PIECE)):
        count += len(piece)
        pieces.append("".join(piece).encode("utf-8", "replace"))
    return b"".join(pieces), count


def _histogram_order(series: Series) -> tuple[tuple[str, ...], int, float]:
    *labels, bound = series.labels
    if bound == "count":
        return tuple(labels), 1, 0.0
    if bound == "sum":
        return tuple(labels), 2, 0.0
    return tuple(labels), 0, float(bound)
