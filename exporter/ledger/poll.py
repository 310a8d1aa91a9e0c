"""What one poll of one feed brings to the ledger, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from exporter.model import DAY, Event, Level, Measure, Usage, Window

EVENT_MEMORY_SECONDS = 93 * DAY
"""How long a finished job's id is remembered; vendors list jobs for 31 days."""


@dataclass(frozen=True, slots=True)
class Poll:
    """What one successful poll of one feed brings: written in one transaction, or not at all.

    `advances` is false for a piece of an old gap, which leaves the cursor alone. `gap` is left to
    be filled later, `filled` is the part of an earlier one that this poll filled. `streams` are
    all names that the feed is asked for from now on; `baseline_streams` those newly written into
    the configuration. `began` and `streams_began` are the starts of the first windows of the feed
    and of streams that are asked for the first time. `listed` is whether the vendor's listing of
    streams was read for this poll, and `discovered` are the names that it showed; `named` are
    those that levels carry, which come under the account's limit like any other. `unfinished` are
    the jobs that have not ended, by id, and when they were submitted; `listed_from` is how far
    back the vendor lists. `described` are levels of measures that describe a thing.

    All instants are Unix seconds.
    """

    feed: str
    at: int
    usage: Sequence[Usage] = ()
    events: Sequence[Event] = ()
    advances: bool = True
    revisited: bool = False
    unfinished: Mapping[str, int] = field(default_factory=dict)
    listed_from: int = 0
    newest: int | None = None
    gap: Window | None = None
    filled: Window | None = None
    streams: Sequence[str] | None = None
    baseline_streams: frozenset[str] = frozenset()
    began: int | None = None
    streams_began: Mapping[str, int] = field(default_factory=dict)
    listed: bool = False
    discovered: Sequence[str] = ()
    named: Sequence[str] = ()
    described: Sequence[Level] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a poll changed: the measures to render anew; buckets lowered; buckets that were late."""

    changed: frozenset[Measure]
    corrections: int = 0
    late: int = 0
