"""The facts that a vendor can report, in the exporter's own terms.

A provider yields three kinds of fact: `Usage` (an amount in a bucket of time), `Level` (a value
that holds now) and `Event` (something that happened once). Amounts are whole numbers of the
measure's smallest part (a byte, a view, a millisecond), so that sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

LIFETIME_START = 0
LIFETIME_WIDTH = 2**32
"""The single bucket of a total over all time; it ends in the year 2106."""

LARGEST_AMOUNT = 2**53
"""An answer with a larger amount is refused: JSON numbers are not exact beyond it."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric family of vendor data; instances are compared by identity.

    `labels` come after `provider` and `account`. `resolution` is the number of recorded parts in
    one unit: 1 for bytes and counts, 1000 for seconds (milliseconds).

    `identity` is for gauges that describe a thing: the number of first labels that identify it.
    The ledger keeps the newest description of each thing. `limited` is the label that becomes
    `__other__` when an account has more combinations of labels than the limit; "" for none.
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
        """The position of the label `stream` in `labels`; None without that label."""
        return self.labels.index("stream") if "stream" in self.labels else None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The `amount` of `measure` in the bucket that starts at `start` and lasts `width` seconds."""

    measure: Measure
    labels: tuple[str, ...]
    start: int
    width: int
    amount: int


class Level(msgspec.Struct, frozen=True, gc=False):
    """The current `value` of `measure`, in the metric's unit.

    `merge` is how several levels with equal labels in one poll of a feed are merged: by their
    sum, or by the greatest or the least where a sum has no meaning (unique viewers, means,
    instants).
    """

    measure: Measure
    labels: tuple[str, ...]
    value: int | float
    merge: Literal["sum", "greatest", "least"] = "sum"

    @property
    def additive(self) -> bool:
        """Whether levels with equal labels are summed."""
        return self.merge == "sum"


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happens once. It counts once by its `id`, however often it is reported.

    One is added to each counter of `counts`; `timings` are observations for histograms. A request
    whose window begins at or before `since` (a job's submission) may report the event again; `at`
    is when it happened.
    """

    id: str
    since: int
    at: int
    counts: tuple[tuple[Measure, tuple[str, ...]], ...]
    timings: tuple[tuple[Measure, tuple[str, ...], int], ...] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """One entry of a vendor's list, a stream or a job, with the facts of its row.

    A list may change while its pages are read, so that one entry is on two pages. Of two items with
    the same `id` in the answers to one span, the later counts. `unfinished` is for a job that has
    not ended: the instant of its submission, from which on jobs have to be listed again.
    """

    id: str
    usage: tuple[Usage, ...] = ()
    levels: tuple[Level, ...] = ()
    events: tuple[Event, ...] = ()
    unfinished: int | None = None
