"""Which buckets are final.

A closed bucket is settled once the feed was polled with success later than its settling time after
the bucket's end; nothing that an outage left open lies before it. The ledger itself notes what
happens to settled buckets, in the transaction that does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.ledger.book import FeedState
from exporter.model import HOUR, Window


@dataclass(frozen=True, slots=True)
class Revised:
    """So many settled buckets of a feed changed; all of them lie in `window`."""

    feed: str
    buckets: int
    window: Window


def settled_until(feed: FeedState, settling: int) -> int | None:
    """Up to when the feed's buckets are final, None before its first poll.

    `settling` is its settling time in seconds.
    """
    if feed.polled_at is None:
        return None
    until = feed.polled_at - settling
    if feed.gaps:
        until = min(until, feed.gaps[0].start)
    return until - until % HOUR
