"""One account's part of the ledger, in memory: what is needed to show it and to poll on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.model import Measure, Window

OTHER_STREAM = "__other__"
"""The stream under which all streams beyond the account's limit are summed."""


LABEL_LIMIT = 100_000
"""How many combinations of labels an account may have unless its settings say otherwise."""


def other_labels(measure: Measure, labels: tuple[str, ...]) -> tuple[str, ...]:
    """`labels` with the stream replaced by the one that stands for all beyond the limit."""
    index = measure.stream_index
    if index is None:
        raise ValueError(f"{measure.name} has no stream label")
    return (*labels[:index], OTHER_STREAM, *labels[index + 1 :])


def limited_labels(measure: Measure, labels: tuple[str, ...]) -> tuple[str, ...]:
    """`labels` with the limited one replaced by what stands for all beyond the limit."""
    index = measure.labels.index(measure.limited)
    return (*labels[:index], OTHER_STREAM, *labels[index + 1 :])


class Series:
    """One counter. `labels` are the measure's own; a histogram's carry `le` or "sum" last.

    `truth` is what its buckets add up to, `exposed` the greatest truth ever shown. `into` is the
    series that shows this one's growth, for a stream beyond the limit. `line` belongs to the
    exposition: how the series' line begins.
    """

    __slots__ = ("created", "exposed", "id", "into", "labels", "line", "measure", "truth")

    def __init__(
        self,
        *,
        id: int,
        measure: Measure,
        labels: tuple[str, ...],
        truth: int = 0,
        exposed: int = 0,
        created: int,
        into: Series | None = None,
    ) -> None:
        self.id = id
        self.measure = measure
        self.labels = labels
        self.truth = truth
        self.exposed = exposed
        self.created = created
        self.into = into
        self.line: str | None = None


@dataclass(slots=True)
class FeedState:
    """How far a feed has come; the columns of its row and its gaps and streams.

    `began` is the start of the first window ever asked for: what came before is not counted.
    `streams` are the names it has asked for: None for one in step with the feed's own cursor,
    else the instant at which it was last asked for; `streams_began` is where each began. `listed`
    is whether it was ever polled after a good listing of the account's streams. What ended by
    `gaps_seen` had been asked for before the gaps were left.
    """

    id: int
    name: str
    began: int | None = None
    polled_at: int | None = None
    revisited_at: int | None = None
    resume: int | None = None
    newest: int | None = None
    finest: int | None = None
    coarse_until: int = 0
    folded_until: int = 0
    listed: bool = False
    gaps_seen: int = 0
    gaps: list[Window] = field(default_factory=list)
    streams: dict[str, int | None] = field(default_factory=dict)
    streams_began: dict[str, int] = field(default_factory=dict)
    reappeared_until: float = 0.0


@dataclass(slots=True)
class Combinations:
    """Labels that are within the account's limit, and those beyond it, which are summed."""

    within: set[tuple[str, ...]] = field(default_factory=set)
    beyond: set[tuple[str, ...]] = field(default_factory=set)


@dataclass(slots=True)
class Book:
    """An account's feeds, series and streams.

    `holds` are the counters that are still shown at an earlier total: (that total, until when).
    `streams` are the names that the vendor's listing showed, and when it last did; `listed_at` is
    the newest listing that succeeded. `described` is the newest description of each thing, by
    feed and measure: the labels of its level by those that say which thing it is. `combinations`
    are those of measures with a limited label, by the names of the labels.
    """

    id: int
    provider: str
    account: str
    stream_limit: int
    label_limit: int = LABEL_LIMIT
    feeds: dict[str, FeedState] = field(default_factory=dict)
    series: dict[Measure, dict[tuple[str, ...], Series]] = field(default_factory=dict)
    holds: dict[Series, tuple[int, float]] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    listed_at: int | None = None
    described: dict[tuple[str, Measure], dict[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict
    )
    admitted: set[str] = field(default_factory=set)
    folded: set[str] = field(default_factory=set)
    combinations: dict[tuple[str, ...], Combinations] = field(default_factory=dict)

    def combines(self, measure: Measure, labels: tuple[str, ...]) -> bool:
        """Whether `labels` have a line of their own; decided once, for as long as the book lives."""
        if not measure.limited or OTHER_STREAM in labels:
            return True
        decided = self.combinations_of(measure)
        if labels in decided.within:
            return True
        if labels in decided.beyond:
            return False
        within = len(decided.within) < self.label_limit
        (decided.within if within else decided.beyond).add(labels)
        return within

    def combinations_of(self, measure: Measure) -> Combinations:
        """Those of the measures that have the same labels as this one."""
        return self.combinations.setdefault(measure.labels, Combinations())

    def shown(self, measure: Measure) -> Iterator[Series]:
        """The series of `measure` that have a line of their own."""
        return (series for series in self.series.get(measure, {}).values() if series.into is None)

    def value(self, series: Series, now: float) -> int:
        """What `series` shows at `now`: its exposed total, or the one it is held at."""
        held = self.holds.get(series)
        if held is None or held[1] <= now:
            return series.exposed
        return held[0]

    def next_release(self, now: float) -> float | None:
        """When the next held counters may show their total, if any are held."""
        return min((until for _, until in self.holds.values() if until > now), default=None)
