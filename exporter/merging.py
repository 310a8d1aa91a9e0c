"""Puts the answers to one fetch together: each bucket, level and event once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.model import LIFETIME_WIDTH, Answer, Event, Level, Measure, Request, Usage

Bucket: TypeAlias = tuple[int, tuple[str, ...], int, int]
"""Measure, labels, start, width. The measure stands here by its id(): a tuple of nothing but
strings and numbers is none of the garbage collector's business, which halves the work of merging
a few hundred thousand of them. The rows keep the measures alive.
"""


@dataclass(slots=True)
class Fetched:
    """What one poll of one feed brought, each bucket, level and event once.

    `resume` is the earliest instant that the next poll has to ask for again. `newest` is the end
    of the newest bucket there is anything in. `requests` counts the answers it took.
    """

    usage: list[Usage] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    resume: int | None = None
    newest: int | None = None
    remarks: list[str] = field(default_factory=list)
    requests: int = 0


def summed(usage: Sequence[Usage]) -> dict[Bucket, Usage]:
    """These rows by their bucket; those of the same bucket are one."""
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
    """The usage of one request and of all that follows from it."""

    usage: dict[Bucket, Usage] = field(default_factory=dict)
    _bodies: set[tuple[str, tuple[str, ...], int]] = field(default_factory=set)

    def is_new(self, request: Request, body: bytes) -> bool:
        """Whether this is no page that came before under another token."""
        page = request.path, request.subjects, hash(body)
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
    """Answers put together.

    Usage: rows of one bucket add up along a chain, because a vendor may spread them over pages;
    what two chains say of one bucket is the same thing told twice, and the later chain counts.
    Levels: as each one's `merge` says.
    """

    def __init__(self) -> None:
        self._chains: list[Chain] = []
        self._levels: dict[tuple[Measure, tuple[str, ...]], Level] = {}
        self._events: dict[str, Event] = {}
        self._streams: dict[str, None] = {}
        self._remarks: dict[str, None] = {}
        self._resume: int | None = None
        self._newest: int | None = None
        self.requests = 0

    def chain(self) -> Chain:
        """One more, later than those before."""
        chain = Chain()
        self._chains.append(chain)
        return chain

    def add(self, chain: Chain, answer: Answer, usage: dict[Bucket, Usage], *, new: bool) -> None:
        """Take an answer in; one that is not `new` adds nothing to what it said before."""
        self.requests += 1
        if not new:
            return
        if usage:
            chain.add(usage)
            end = max(
                (start + width for _, _, start, width in usage if width != LIFETIME_WIDTH),
                default=None,
            )
            self._newest = _chosen(max, self._newest, end)
        self._newest = _chosen(max, self._newest, answer.newest)
        self._resume = _chosen(min, self._resume, answer.resume)
        for level in answer.levels:
            series = level.measure, level.labels
            first = self._levels.get(series)
            self._levels[series] = level if first is None else _joined(first, level)
        for event in answer.events:
            self._events[event.id] = event
        self._streams.update(dict.fromkeys(answer.streams))
        self._remarks.update(dict.fromkeys(answer.remarks))

    def fetched(self, went_without: Iterable[str]) -> Fetched:
        usage: dict[Bucket, Usage] = {}
        for chain in self._chains:
            if usage:
                usage.update(chain.usage)
                chain.usage = {}  # or there would be two of everything at the end
            else:
                usage = chain.usage
        return Fetched(
            usage=list(usage.values()),
            levels=list(self._levels.values()),
            events=list(self._events.values()),
            streams=list(self._streams),
            resume=self._resume,
            newest=self._newest,
            remarks=[*self._remarks, *went_without],
            requests=self.requests,
        )


def _joined(first: Level, second: Level) -> Level:
    if second.merge == "sum":
        return Level(second.measure, second.labels, first.value + second.value, second.merge)
    if second.merge == "greatest":
        return second if second.value > first.value else first
    return second if second.value < first.value else first


def _chosen(which: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return which(one, other)
