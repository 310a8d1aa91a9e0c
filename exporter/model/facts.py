"""What a vendor can say, in the exporter's own terms.

Three kinds of fact come out of a provider: `Usage` (a total over a bucket of time), `Level`
(true now) and `Event` (something that happened once). Amounts are whole numbers of the measure's
smallest part (a byte, a view, a millisecond), so that sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

LIFETIME_START = 0
LIFETIME_WIDTH = 2**32
"""The one bucket of a total that the vendor keeps since ever; it ends in the year 2106."""

LARGEST_AMOUNT = 2**53
"""A bucket's amount above this is a broken answer: JSON numbers are not exact beyond it."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric family of vendor data; instances are compared by identity.

    `labels` come after `provider` and `account`. `resolution` is how many parts one unit is
    recorded in: 1 for bytes and counts, 1000 for seconds (milliseconds).

    `identity` is for gauges that describe a thing: so many of the first labels say which thing.
    The ledger keeps the newest description of each. `limited` is the label that becomes
    `__other__` where an account has more combinations of labels than it may have; "" for none.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    resolution: int = 1
    buckets: tuple[float, ...] = ()
    identity: int = 0
    limited: str = ""

    @property
    def stream_index(self) -> int | None:
        """Where in `labels` the stream stands, if it does."""
        return self.labels.index("stream") if "stream" in self.labels else None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """So much of `measure` in the bucket that starts at `start` and lasts `width` seconds."""

    measure: Measure
    labels: tuple[str, ...]
    start: int
    width: int
    amount: int


class Level(msgspec.Struct, frozen=True, gc=False):
    """`measure` stands at `value` (in whole units of the metric) now.

    `merge` is what becomes of several levels with equal labels in one poll of a feed: their
    sum, or the greatest or the least where a sum would say nothing (unique viewers, means,
    instants).
    """

    measure: Measure
    labels: tuple[str, ...]
    value: int | float
    merge: Literal["sum", "greatest", "least"] = "sum"

    @property
    def additive(self) -> bool:
        """Whether two of them may be summed into one."""
        return self.merge == "sum"


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happens once, known by `id`: it counts once however often it is told.

    `counts` adds one to each counter; `timings` puts an amount into each histogram.
    `since` is the earliest instant that leads a vendor to tell of it again (a job's
    submission), `at` when it happened.
    """

    id: str
    since: int
    at: int
    counts: tuple[tuple[Measure, tuple[str, ...]], ...]
    timings: tuple[tuple[Measure, tuple[str, ...], int], ...] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing that the vendor lists, a stream or a job, and what its row says.

    Lists may shift while their pages are read, so that one thing stands on two of them. Of two
    items with one `id` in the answers to one span, the later stands. `unfinished` is for a job
    that has not ended: the instant of its submission, from which on it has to be listed again.
    """

    id: str
    usage: tuple[Usage, ...] = ()
    levels: tuple[Level, ...] = ()
    events: tuple[Event, ...] = ()
    unfinished: int | None = None
