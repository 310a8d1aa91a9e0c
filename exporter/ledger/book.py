"""One account's part of the ledger, in memory: what is needed to show it and to poll on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.model import Measure, Window

OTHER_STREAM = "__other__"
"""The stream under which all streams beyond the account's limit are summed."""


LABEL_LIMIT = 100_000
"""How many combinations of labels an account may have unless its settings say otherwise."""

INFINITY: Final = "+Inf"
"""The `le` of the series that counts all of a histogram's observations."""

COUNT: Final = "count"
SUM: Final = "sum"
"""In place of `le`, in the series behind a histogram's `_count` and `_sum`."""

Labels = tuple[str, ...]
"""The values of a measure's labels, in its order; of a histogram's series, `le` or COUNT or SUM last."""

Described = Mapping[Measure, Mapping[Labels, Labels]]
"""The newest labels of each described thing, such as a stream, by measure and identifying labels."""


def other_labels(measure: Measure, labels: Labels) -> Labels:
    """`labels` with the stream replaced by the one that stands for all beyond the limit."""
    index = measure.stream_index
    if index is None:
        raise ValueError(f"{measure.name} has no stream label")
    return (*labels[:index], OTHER_STREAM, *labels[index + 1 :])


def limited_labels(measure: Measure, labels: Labels) -> Labels:
    """`labels` with the limited one replaced by what stands for all beyond the limit."""
    index = measure.labels.index(measure.limited)
    return (*labels[:index], OTHER_STREAM, *labels[index + 1 :])


class Series:
    """One counter. `labels` are the measure's own; a histogram's carry `le` or "sum" last.

    `truth` is what its buckets add up to, `exposed` the greatest truth ever shown; both in the
    measure's smallest parts. `created` is in Unix seconds. `into` is the `__other__` series that
    sums this one's growth, for a stream or a combination of labels beyond the limit.

    There may be a million of them: labels, names and numbers that are equal should be one object.
    """

    __slots__ = ("created", "exposed", "id", "into", "labels", "measure", "truth")

    def __init__(
        self,
        id: int,
        measure: Measure,
        labels: Labels,
        truth: int = 0,
        exposed: int = 0,
        created: int = 0,
        into: Series | None = None,
    ) -> None:
        self.id = id
        self.measure = measure
        self.labels = labels
        self.truth = truth
        self.exposed = exposed
        self.created = created
        self.into = into


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far a feed has come. A value: another one takes its place when something changes.

    All instants are Unix seconds. `began` is the start of the first window ever asked for: what
    came before is not counted. `polled_at` is the newest successful poll, `revisited_at`
    the last daily revisit, `resume` the submission of the oldest job that has not ended.
    `newest` is the end of the newest data. `finest` is the least width of bucket ever recorded
    (seconds); before `coarse_until`, buckets of different widths may lie over each other.
    Buckets that end by `compacted_until` exist only as part of the totals.

    `streams` are the names it has asked for: None for one in step with the feed's own cursor,
    else the instant at which it was last asked for; `streams_began` is where each began. `listed`
    is whether it was ever polled after a good listing of the account's streams. `gaps` are still
    to be asked for, in order of time; what ended by `gaps_seen` had been asked for before the
    gaps were left. Until `reappeared_until`, counters that grow are held: the feed was not polled
    for long. That is known to the process only, and not stored.
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
    compacted_until: int = 0
    listed: bool = False
    gaps_seen: int = 0
    gaps: Sequence[Window] = ()
    streams: Mapping[str, int | None] = field(default_factory=dict)
    streams_began: Mapping[str, int] = field(default_factory=dict)
    reappeared_until: float = 0.0

    def whole_from(self, until: int) -> int:
        """The instant from which on all buckets that begin before `until` have been asked for.

        It is `until` or later when a gap is left there, or when counting begins only then.
        """
        gaps = (gap.end for gap in self.gaps if gap.start < until)
        return max(self.began or 0, self.compacted_until, *gaps)


@dataclass(slots=True)
class Combinations:
    """Combinations of labels that have lines of their own, and those beyond the limit.

    The latter are summed under `__other__`.
    """

    within: set[Labels] = field(default_factory=set)
    beyond: set[Labels] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to an account, as one replica holds it; `epoch` counts the takeovers."""

    holder: str
    epoch: int


@dataclass(slots=True)
class Book:
    """An account's feeds, series and streams, as the ledger has them.

    It belongs to the ledger's thread. Only there, and only by applying Changes (or the new state
    of a feed) after their transaction was committed, is it changed; everywhere else it is read.
    The exceptions are `end_holds`, and `combines` for gauges: the page calls them on the same
    thread, and what they decide is not stored.

    `holds` are the counters that are still shown at an earlier total: (that total, until when).
    `streams` are the names that the vendor's listing showed, and when it last did; `listed_at` is
    the newest listing that succeeded. `described` is the newest description of each thing, by
    feed and measure: the labels of its level by those that say which thing it is. `admitted` are
    the streams that have series of their own, `folded` those beyond the limit, which are summed
    under `__other__`. `combinations` are those of measures with a limited label, by the names of
    the labels.
    """

    id: int
    provider: str
    account: str
    stream_limit: int
    label_limit: int = LABEL_LIMIT
    feeds: dict[str, FeedState] = field(default_factory=dict)
    series: dict[Measure, dict[Labels, Series]] = field(default_factory=dict)
    holds: dict[Series, tuple[int, float]] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    listed_at: int | None = None
    described: dict[tuple[str, Measure], dict[Labels, Labels]] = field(default_factory=dict)
    admitted: set[str] = field(default_factory=set)
    folded: set[str] = field(default_factory=set)
    combinations: dict[Labels, Combinations] = field(default_factory=dict)
    lease: Lease | None = None
    writes: int = 0

    def combines(self, measure: Measure, labels: Labels) -> bool:
        """Whether a gauge's `labels` have a line of their own.

        Decided once, for as long as the book lives; the series of counters share the decision.
        """
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

    def whole_from(self, feeds: Collection[int], until: int) -> int:
        """`FeedState.whole_from` of all these feeds (ids) together; 0 without any."""
        states = (state for state in self.feeds.values() if state.id in feeds)
        return max((state.whole_from(until) for state in states), default=0)

    def shown(self, measure: Measure) -> Iterator[Series]:
        """The series of `measure` that have a line of their own."""
        return (series for series in self.series.get(measure, {}).values() if series.into is None)

    def end_holds(self, now: float) -> None:
        """Let no hold that has ended by `now` begin again, should the clock be set back."""
        for series, (held, until) in self.holds.items():
            if -math.inf < until <= now:
                self.holds[series] = (held, -math.inf)

    def value(self, series: Series, now: float) -> int:
        """What `series` shows at `now`: its exposed total, or the one it is held at."""
        held = self.holds.get(series)
        if held is None or held[1] <= now:
            return series.exposed
        return held[0]
