"""Merges the answers of one fetch: each bucket, level and event is in the result once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.model import LIFETIME_WIDTH, Answer, Event, Item, Level, Measure, Request, Span, Usage

Bucket: TypeAlias = tuple[int, tuple[str, ...], int, int]
"""The key of a bucket: measure, labels, start, width. The measure is given by its id(), because
the garbage collector does not track tuples that have only strings and numbers; this halves the
time for merging some hundred thousand rows. The rows keep the measures alive.
"""


MOST_SKIPPED_NAMED = 5
"""How many of the subjects that a fetch skipped get a remark."""


@dataclass(slots=True)
class Fetched:
    """The merged result of one poll of one feed; each bucket, level and event is in it once.

    `unfinished` are the ids of items that have not ended, each with the instant from which on it
    has to be requested again. `newest` is the end of the newest bucket that is not empty. `refused`
    are subjects that were skipped because the vendor refused the request. `requests` is the number
    of answers.
    """

    usage: list[Usage] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    unfinished: dict[str, int] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    newest: int | None = None
    remarks: list[str] = field(default_factory=list)
    requests: int = 0

    @property
    def descriptions(self) -> list[Level]:
        """The levels that describe a thing; the ledger keeps the newest of each."""
        return [level for level in self.levels if level.measure.identity]


def summed(usage: Sequence[Usage]) -> dict[Bucket, Usage]:
    """These rows by bucket; the amounts of rows of the same bucket are summed."""
    rows: dict[Bucket, Usage] = {
        (id(row.measure), row.labels, row.start, row.width): row for row in usage
    }
    if len(rows) == len(usage):
        return rows
    amounts = dict.fromkeys(rows, 0)
    for row in usage:
        amounts[id(row.measure), row.labels, row.start, row.width] += row.amount
    return {bucket: _with(row, amounts[bucket]) for bucket, row in rows.items()}


def _with(row: Usage, amount: int) -> Usage:
    return Usage(row.measure, row.labels, row.start, row.width, amount)


@dataclass(slots=True, eq=False)
class Chain:
    """The usage of one first request and of all requests that its answers make necessary."""

    usage: dict[Bucket, Usage] = field(default_factory=dict)
    _bodies: set[tuple[str, Span | None, tuple[str, ...], int]] = field(default_factory=set)

    def is_new(self, request: Request, body: bytes) -> bool:
        """Whether no page with the same body came before (under another page token).

        Equal answers about different windows or subjects are different answers.
        """
        page = request.path, request.span, request.subjects, hash(body)
        known = page in self._bodies
        self._bodies.add(page)
        return not known

    def add(self, usage: dict[Bucket, Usage]) -> None:
        mine = self.usage
        if not mine:
            self.usage = usage
        elif mine.keys().isdisjoint(usage):
            mine.update(usage)
        else:
            for bucket, row in usage.items():
                known = mine.get(bucket)
                mine[bucket] = row if known is None else _with(row, known.amount + row.amount)


class Merge:
    """Merges answers.

    Usage: within a chain, rows of one bucket are summed, because a vendor may split them over
    pages. If two chains have the same bucket, both report the same amount, and the later one
    counts. Levels: merged by the `merge` of each. Items: of two with the same id in the answers to
    one span, the later counts; after that, rows of different items with the same labels are summed.
    """

    def __init__(self) -> None:
        self._chains: list[Chain] = []
        self._levels: dict[tuple[Measure, tuple[str, ...]], Level] = {}
        self._events: dict[str, Event] = {}
        self._streams: dict[str, None] = {}
        self._remarks: dict[str, None] = {}
        self._items: dict[tuple[Span | None, str], Item] = {}
        self._described: dict[tuple[Measure, tuple[str, ...]], Level] = {}
        self._newest: int | None = None
        self.requests = 0
        self.rows = 0
        """How many facts have been added."""

    def chain(self) -> Chain:
        """A new chain, which is later than all others so far."""
        chain = Chain()
        self._chains.append(chain)
        return chain

    def add(
        self,
        chain: Chain,
        request: Request,
        answer: Answer,
        usage: dict[Bucket, Usage],
        *,
        new: bool,
    ) -> None:
        """Add an answer; one that is not `new` is counted as a request, and ignored otherwise."""
        self.requests += 1
        if not new:
            return
        self.rows += len(usage) + len(answer.items) + len(answer.levels) + len(answer.events)
        if usage:
            chain.add(usage)
            self._note_newest(usage.values())
        if answer.newest is not None and (self._newest is None or answer.newest > self._newest):
            self._newest = answer.newest
        for item in answer.items:
            self._items[request.span, item.id] = item
        self._add_levels(answer.levels)
        self._add_events(answer.events)
        self._streams.update(dict.fromkeys(answer.streams))
        self._remarks.update(dict.fromkeys(answer.remarks))

    def _note_newest(self, usage: Iterable[Usage]) -> None:
        """Update `newest`. Empty buckets do not count: vendors report zeros for future hours."""
        newest = max(
            (row.start + row.width for row in usage if row.amount and row.width != LIFETIME_WIDTH),
            default=None,
        )
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest

    def _add_levels(self, levels: Iterable[Level]) -> None:
        for level in levels:
            measure = level.measure
            if measure.identity:
                self._described[measure, level.labels[: measure.identity]] = level
                continue
            series = measure, level.labels
            first = self._levels.get(series)
            self._levels[series] = level if first is None else _merge_levels(first, level)

    def _add_events(self, events: Iterable[Event]) -> None:
        self._events.update((event.id, event) for event in events)

    def _take_items(self) -> tuple[dict[Bucket, Usage], dict[str, int]]:
        """Usage and unfinished ids of all items; adds the items' levels and events to the rest."""
        items = self._items.values()
        usage = summed([row for item in items for row in item.usage])
        self._note_newest(usage.values())
        # Oldest first: of two descriptions of one thing the newest counts.
        for _, item in sorted(self._items.items(), key=_start):
            self._add_levels(item.levels)
            self._add_events(item.events)
        return usage, {item.id: item.unfinished for item in items if item.unfinished is not None}

    def fetched(self, skipped: Mapping[str, str]) -> Fetched:
        """The merged result. `skipped` has a remark for each subject that was refused."""
        listed, unfinished = self._take_items()
        usage: dict[Bucket, Usage] = {}
        for chain in self._chains:
            if usage:
                usage.update(chain.usage)
                chain.usage = {}  # frees memory: otherwise every row would be held twice
            else:
                usage = chain.usage
        usage.update(listed)
        return Fetched(
            usage=list(usage.values()),
            levels=[*self._levels.values(), *self._described.values()],
            events=list(self._events.values()),
            streams=list(self._streams),
            unfinished=unfinished,
            refused=frozenset(skipped),
            newest=self._newest,
            remarks=[*self._remarks, *list(skipped.values())[:MOST_SKIPPED_NAMED]],
            requests=self.requests,
        )


def _start(listed: tuple[tuple[Span | None, str], Item]) -> int:
    """The start of the span in which an item was listed."""
    (span, _), _ = listed
    return 0 if span is None else span.window.start


def _merge_levels(first: Level, second: Level) -> Level:
    if second.merge == "sum":
        return Level(second.measure, second.labels, first.value + second.value, second.merge)
    if second.merge == "greatest":
        return second if second.value > first.value else first
    return second if second.value < first.value else first


def merge_fetched(first: Fetched, second: Fetched) -> Fetched:
    """Both results as one. They are of one poll of one feed, about different streams."""
    newest = [instant for instant in (first.newest, second.newest) if instant is not None]
    return Fetched(
        usage=[*first.usage, *second.usage],
        levels=[*first.levels, *second.levels],
        events=[*first.events, *second.events],
        streams=[*first.streams, *second.streams],
        unfinished={**first.unfinished, **second.unfinished},
        refused=first.refused | second.refused,
        newest=max(newest, default=None),
        remarks=[*first.remarks, *second.remarks],
        requests=first.requests + second.requests,
    )
