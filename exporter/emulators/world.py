"""One deterministic world of streams and traffic: a pure function of seed, key and time.

All four emulators answer from it, so a test can compute what an exporter must have counted.
Times are whole Unix seconds, UTC; windows are half-open.

A *key* is a tuple of names whose last element is the quantity. The names decide the numbers, the
quantity decides their size. A key that begins with (vendor, family, stream id) of a known stream
has nothing before that stream's birth.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import TypeAlias

Key: TypeAlias = tuple[str, ...]

HOUR = 3600
DAY = 24 * HOUR
BEGINNING = 1577836800  # 2020-01-01: no key has anything earlier, so all-time totals are cheap
BLOCK_DAYS = 64
MASK = (1 << 64) - 1

# A quantity's smallest mean per hour, and how many doublings the largest is above it; the first
# name that the quantity contains decides.
SCALES = (
    ("bytes_in", 100_000_000, 5),
    ("bytes", 400_000_000, 7),
    ("milliseconds", 1_000_000, 5),
    ("seconds", 1_000, 5),
    ("minutes", 20, 5),
    ("jobs", 1, 2),
    ("", 2, 7),
)

# Weight of each hour of a day: a working day, an evening, an event with silence around it.
SHAPES = (
    (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 13, 13, 12, 11, 10, 12, 14, 13, 10, 7, 4),
    (6, 3, 1, 1, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 9, 12, 16, 21, 24, 22, 17, 11),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 20, 25, 22, 18, 20, 24, 21, 9, 2, 0, 0, 0, 0, 0),
)

NAMES = (
    "lobby",
    "stage 2",
    "café-été",
    'the "green" room',
    "archive",
    "東京",
    "back\\slash",
    "it's live",
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream, target, asset or the like. `born` is the second from which it has traffic."""

    id: str
    name: str
    archived: bool
    born: int


@dataclass(frozen=True, slots=True)
class Late:
    """Data of [start, end) that stays invisible until `until`."""

    prefix: Key
    start: int
    end: int
    until: int


@dataclass(frozen=True, slots=True)
class Growth:
    """So many more units in [start, end), spread evenly, that are there from `since` on."""

    prefix: Key
    start: int
    end: int
    units: int
    since: int

    def within(self, start: int, end: int) -> int:
        """The units of it in [start, end)."""
        return self._until(end) - self._until(start)

    def _until(self, moment: int) -> int:
        passed = min(max(moment, self.start), self.end) - self.start
        return self.units * passed // (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a key: mean units a day, running weights of the 24 hours, and the start.

    `running` has 25 sums, from 0 on; `born` is in Unix seconds; `root` seeds the random bits.
    """

    root: int
    born: int
    daily: int
    running: tuple[int, ...]


def mix(root: int, number: int) -> int:
    """64 well-mixed bits of two numbers (the finaliser of splitmix64)."""
    bits = (root + number * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


class World:
    """Streams and amounts. `version` changes whenever a call changes amounts of the past."""

    def __init__(self, *, seed: int = 1, streams: int = 6, publish_seconds: int = 900) -> None:
        self.seed = seed
        self.publish_seconds = publish_seconds
        self.version = 0
        self._count = streams
        self._streams: dict[tuple[str, str], list[Stream]] = {}
        self._born: dict[Key, int] = {}
        self._plans: dict[Key, Plan] = {}
        self._blocks: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._late: list[Late] = []
        self._revised: dict[tuple[Key, int], tuple[int, int]] = {}
        self._grown: list[Growth] = []

    # -- changes ----------------------------------------------------------------------------

    def add_stream(self, vendor: str, family: str, stream: Stream) -> None:
        """Add a stream after the present ones."""
        self._family(vendor, family).append(stream)
        self._born[(vendor, family, stream.id)] = stream.born
        self._plans.clear()  # a key may have been asked for before its stream was there
        self.version += 1

    def late(self, key_prefix: Key, start: int, end: int, until: int) -> None:
        """Keep the data of [start, end) invisible until `until`."""
        self._late.append(Late(key_prefix, start, end, until))
        self.version += 1

    def revise(self, key_prefix: Key, start: int, numerator: int, denominator: int) -> None:
        """Scale the hour that starts at `start` from this call on; a second call replaces it."""
        if start % HOUR:
            raise ValueError(f"a revised hour starts on an hour, not at {start}")
        self._revised[(key_prefix, start)] = (numerator, denominator)
        self.version += 1

    def grow(self, key_prefix: Key, start: int, end: int, *, units: int, since: int) -> None:
        """Add units to [start, end) of every key under the prefix, from `since` on.

        It gives late data to a stream that was idle then, without making it live now. `revise` does
        not scale these units; `late` hides them.
        """
        if end <= start or units < 1:
            raise ValueError(f"a span grows by at least one unit, not [{start}, {end}) by {units}")
        self._grown.append(Growth(key_prefix, start, end, units, since))
        self.version += 1

    # -- amounts ---------------------------------------------------------------------------

    def streams(self, vendor: str, family: str, *, now: int) -> tuple[Stream, ...]:
        """The streams born by `now`, in a stable order."""
        return tuple(stream for stream in self._family(vendor, family) if stream.born <= now)

    def edge(self, now: int) -> int:
        """The end of the newest data published at `now`."""
        return now // self.publish_seconds * self.publish_seconds

    def final(self, start: int, end: int, *, now: int) -> bool:
        """Whether no later `now` changes what accrued in [start, end); a method above still may."""
        pending = [(rule.start, rule.end) for rule in self._late if now < rule.until]
        pending += [(rule.start, rule.end) for rule in self._grown if now < rule.since]
        return end <= self.edge(now) and not any(
            first < end and start < last for first, last in pending
        )

    def amount(self, key: Key, start: int, end: int, *, now: int) -> int:
        """Whole units accrued for `key` in [start, end) as published at `now`; never negative.

        Exactly additive: two neighbouring windows sum to the window that covers both.
        """
        plan = self._plan(key)
        start = max(start, plan.born)
        end = min(end, self.edge(now))
        if end <= start:
            return 0
        if not (self._late or self._revised or self._grown):
            return self._between(plan, start, end)
        late = [rule for rule in self._late if now < rule.until and begins(key, rule.prefix)]
        revised = {
            hour: scale for (prefix, hour), scale in self._revised.items() if begins(key, prefix)
        }
        grown = [rule for rule in self._grown if rule.since <= now and begins(key, rule.prefix)]
        return sum(
            self._revised_amount(plan, piece_start, piece_end, revised)
            + sum(rule.within(piece_start, piece_end) for rule in grown)
            for piece_start, piece_end in pieces(start, end, late, revised)
            if not any(rule.start <= piece_start < rule.end for rule in late)
        )

    def level(self, key: Key, *, now: int, top: int = 50) -> int:
        """A gauge in 0..top; it moves every minute."""
        return mix(self._plan(key).root, now // 60) % (top + 1)

    def choose(self, key: Key, count: int) -> int:
        """A fixed choice in 0..count-1 for a key: which country, whether restreamed."""
        return mix(self._plan(key).root, 0) % count

    # -- how they are made -------------------------------------------------------------------

    def _family(self, vendor: str, family: str) -> list[Stream]:
        found = self._streams.get((vendor, family))
        if found is None:
            found = [self._invent(vendor, family, index) for index in range(self._count)]
            self._streams[(vendor, family)] = found
            self._born.update({(vendor, family, stream.id): stream.born for stream in found})
            self._plans.clear()
        return found

    def _invent(self, vendor: str, family: str, index: int) -> Stream:
        digest = self._digest((vendor, family, "stream", str(index)))
        name = NAMES[index] if index < len(NAMES) else f"stream-{index}"
        return Stream(digest.hex()[:16], name, archived=name == "archive", born=BEGINNING)

    def _digest(self, key: Key) -> bytes:
        text = "\0".join((str(self.seed), *key)).encode()
        return blake2b(text, digest_size=16).digest()

    def _plan(self, key: Key) -> Plan:
        plan = self._plans.get(key)
        if plan is None:
            root = int.from_bytes(self._digest(key)[:8])
            # All quantities of a stream share the busy hours: no viewing while nothing is published.
            bits = int.from_bytes(self._digest(key[:3])[8:])
            shape = SHAPES[bits % len(SHAPES)]
            shift = bits // len(SHAPES) % 24
            smallest, doublings = next(
                (low, steps) for name, low, steps in SCALES if name in key[-1]
            )
            plan = Plan(
                root=root,
                born=max(BEGINNING, self._born.get(key[:3], 0)),
                daily=24 * smallest << (root % (doublings + 1)),
                running=tuple(accumulate(shape[shift:] + shape[:shift], initial=0)),
            )
            self._plans[key] = plan
        return plan

    def _day(self, plan: Plan, day: int) -> int:
        return plan.daily * (512 + mix(plan.root, day) % 1025) // 1024

    def _between(self, plan: Plan, start: int, end: int) -> int:
        first, first_second = divmod(start, DAY)
        last, last_second = divmod(end, DAY)
        units = self._day(plan, first)
        if last == first:
            return within(plan, units, last_second) - within(plan, units, first_second)
        return (
            self._days(plan, first, last)
            - within(plan, units, first_second)
            + within(plan, self._day(plan, last), last_second)
        )

    def _days(self, plan: Plan, first: int, last: int) -> int:
        """Units of the whole days first..last-1; whole blocks of days are remembered."""
        total = 0
        while first < last:
            if first % BLOCK_DAYS or last - first < BLOCK_DAYS:
                total += self._day(plan, first)
                first += 1
            else:
                total += self._block(plan, first)
                first += BLOCK_DAYS
        return total

    def _block(self, plan: Plan, first: int) -> int:
        found = self._blocks.get((plan.root, first))
        if found is None:
            found = sum(self._day(plan, day) for day in range(first, first + BLOCK_DAYS))
            self._blocks[(plan.root, first)] = found
            if len(self._blocks) > 200_000:
                self._blocks.popitem(last=False)
        return found

    def _revised_amount(
        self, plan: Plan, start: int, end: int, revised: dict[int, tuple[int, int]]
    ) -> int:
        hour = start // HOUR * HOUR
        if hour not in revised:
            return self._between(plan, start, end)
        numerator, denominator = revised[hour]

        def until(moment: int) -> int:
            return self._between(plan, hour, moment) * numerator // denominator

        return until(end) - until(start)


def within(plan: Plan, units: int, second: int) -> int:
    """Of a day's units, those before its second `second`."""
    hour, rest = divmod(second, HOUR)
    running = plan.running
    weight = running[hour] * HOUR
    if rest:
        weight += (running[hour + 1] - running[hour]) * rest
    return units * weight // (running[24] * HOUR)


def begins(key: Key, prefix: Key) -> bool:
    """Whether `key` begins with `prefix`."""
    return key[: len(prefix)] == prefix


def pieces(
    start: int, end: int, late: list[Late], revised: dict[int, tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """[start, end) cut wherever a rule begins or ends."""
    cuts = {start, end}
    cuts.update(edge for rule in late for edge in (rule.start, rule.end))
    cuts.update(edge for hour in revised for edge in (hour, hour + HOUR))
    return pairwise(sorted(cut for cut in cuts if start <= cut <= end))
