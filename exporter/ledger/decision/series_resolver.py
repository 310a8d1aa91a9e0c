"""Which series a poll's rows belong to: those of the Book, and new ones under the limits."""

from __future__ import annotations

from exporter.ledger.book import OTHER_STREAM, Book, Labels, Series, limited_labels, other_labels
from exporter.ledger.decision.changes import PriorState
from exporter.model import Measure


class SeriesResolver:
    """Finds the series of each row of a poll, or makes it under the account's limits.

    What it makes is in `created`, `streams`, `combinations` and `holds`; nothing of it is in the
    Book yet. Series made by it have ids from `first_id` up to, not including, `next_id`.
    `known_past`: new series start at their value instead of being held at 0; so do those of
    `known_streams`.
    """

    def __init__(
        self,
        book: Book,
        prior: PriorState,
        *,
        at: float,
        hold_until: float,
        known_past: bool,
        known_streams: frozenset[str],
    ) -> None:
        self._book = book
        self._others = prior.others
        self.first_id = self.next_id = prior.next_series
        self._at = int(at)
        self._hold_until = hold_until
        self._known_past = known_past
        self._known_streams = known_streams
        self._found: dict[Measure, dict[Labels, Series]] = {}
        self._admitted = len(book.admitted)
        self._within = {names: len(known.within) for names, known in book.combinations.items()}
        self.created: list[Series] = []
        self._labels: dict[Labels, Labels] = {}
        self.brought_back: list[Series] = []
        self.streams: dict[str, bool] = {}
        self.combinations: dict[Labels, dict[Labels, bool]] = {}
        self.holds: dict[Series, tuple[int, float]] = {}

    def series(self, measure: Measure, labels: Labels, *, held: bool = True) -> Series:
        """The series that has these labels; new ones are not shown when they are beyond a limit.

        `held` is false for one whose first amount is no growth. Raises ValueError for a wrong
        number of labels.
        """
        return self._find(measure, labels) or self._appear(measure, labels, held=held)

    def admit(self, stream: str) -> bool:
        """Whether `stream` has series of its own; decided once, and for good."""
        book = self._book
        if stream in book.admitted or stream == OTHER_STREAM:
            return True
        if stream in book.folded:
            return False
        within = self.streams.get(stream)
        if within is None:
            within = self.streams[stream] = self._admitted < book.stream_limit
            self._admitted += within
        return within

    def _find(self, measure: Measure, labels: Labels) -> Series | None:
        named = self._book.series.get(measure)
        series = None if named is None else named.get(labels)
        if series is None and (named := self._found.get(measure)) is not None:
            series = named.get(labels)
        return series

    def _appear(self, measure: Measure, labels: Labels, *, held: bool) -> Series:
        if len(labels) != len(measure.labels) + (measure.type == "histogram"):
            raise ValueError(f"{measure.name} has the labels {measure.labels}, not {labels}")
        index = measure.stream_index
        into = other = None
        if index is not None and not self.admit(labels[index]):
            other = other_labels(measure, labels)
        elif not self._combines(measure, labels):
            other = limited_labels(measure, labels)
        if other is not None:
            into = self._find(measure, other) or self._bring_back(measure, other)
            if into is None:
                stream = None if index is None else other[index]
                into = self._create(measure, other, stream=stream, into=None, held=held)
        stream = None if index is None else labels[index]
        return self._create(measure, labels, stream=stream, into=into, held=held)

    def _combines(self, measure: Measure, labels: Labels) -> bool:
        """Whether `labels` are within the limit of combinations."""
        if not measure.limited or OTHER_STREAM in labels:
            return True
        known = self._book.combinations.get(measure.labels)
        if known is not None and labels in known.within:
            return True
        if known is not None and labels in known.beyond:
            return False
        decided = self.combinations.setdefault(measure.labels, {})
        within = decided.get(labels)
        if within is None:
            taken = self._within.get(measure.labels, 0)
            within = decided[labels] = taken < self._book.label_limit
            self._within[measure.labels] = taken + within
        return within

    def _bring_back(self, measure: Measure, labels: Labels) -> Series | None:
        """A series that the Book left out, because a feed that is not polled brought it in."""
        series = self._others.get((measure, labels))
        if series is not None:
            self._found.setdefault(measure, {})[labels] = series
            self.brought_back.append(series)
        return series

    def _create(
        self,
        measure: Measure,
        labels: Labels,
        *,
        stream: str | None,
        into: Series | None,
        held: bool,
    ) -> Series:
        # Measures of one stream share their labels.
        labels = self._labels.setdefault(labels, labels)
        series = Series(
            id=self.next_id, measure=measure, labels=labels, created=self._at, into=into
        )
        self.next_id += 1
        self._found.setdefault(measure, {})[labels] = series
        self.created.append(series)
        if into is None and held and not (self._known_past or stream in self._known_streams):
            self.holds[series] = (0, self._hold_until)
        return series
