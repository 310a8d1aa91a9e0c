"""Which bucket stands in for which, and what is exposed: the two rules that make counters exact."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from exporter.ledger.book import FeedState
from exporter.model import DAY, LIFETIME_WIDTH

LONGEST_STEP = 31 * DAY
"""The greatest width, in seconds, of a bucket that can stand in for others."""

Bucket = tuple[int, int]
"""(start, width): Unix seconds and seconds."""


def covers(wide: Bucket, narrow: Bucket) -> bool:
    """Whether `wide` stands in for `narrow`: it is wider, and all of `narrow` lies inside it."""
    return (
        narrow[1] < wide[1] < LIFETIME_WIDTH
        and wide[0] <= narrow[0]
        and narrow[0] + narrow[1] <= wide[0] + wide[1]
    )


def expose(exposed: int, truth: int) -> int:
    """What a counter shows once its truth is `truth` and `exposed` has been shown before."""
    return max(exposed, truth)


class Overlaps:
    """Finds, among many buckets, those that cover a given one and those that it covers."""

    def __init__(self, buckets: Iterable[Bucket]) -> None:
        self._starts: dict[int, list[int]] = {}
        for start, width in sorted(buckets):
            self._starts.setdefault(width, []).append(start)

    def covering(self, bucket: Bucket) -> Iterator[Bucket]:
        """Those that stand in for `bucket`."""
        start, width = bucket
        for other, starts in self._starts.items():
            if other > width:
                # One that began earlier than this ends before `bucket` does.
                first = bisect_left(starts, start + width - other)
                for candidate in starts[first : bisect_right(starts, start)]:
                    if covers((candidate, other), bucket):
                        yield candidate, other

    def covered(self, bucket: Bucket) -> Iterator[Bucket]:
        """Those that `bucket` stands in for."""
        start, width = bucket
        if width == LIFETIME_WIDTH:
            return
        for other, starts in self._starts.items():
            if other < width:
                first = bisect_left(starts, start)
                for candidate in starts[first : bisect_left(starts, start + width)]:
                    if covers(bucket, (candidate, other)):
                        yield candidate, other


def finest_of(buckets: Iterable[Bucket]) -> int | None:
    """The least width among them (seconds); None when none can lie over another."""
    return min((width for _, width in buckets if width != LIFETIME_WIDTH), default=None)


def widths(feed: FeedState, buckets: Iterable[Bucket], wider_until: int) -> tuple[int | None, int]:
    """The feed's `finest` and `coarse_until` once these buckets are recorded.

    `wider_until` is the end of the last bucket in the ledger that is wider than the finest of
    these, 0 for none; it matters when they are finer than all before.
    """
    own = [bucket for bucket in buckets if bucket[1] != LIFETIME_WIDTH]
    least = finest_of(own)
    if least is None:
        return feed.finest, feed.coarse_until
    until = feed.coarse_until
    if feed.finest is not None and least < feed.finest:
        until = max(until, wider_until)
    finest = least if feed.finest is None else min(least, feed.finest)
    ends = (start + width for start, width in own if width > finest)
    return finest, max((until, *ends))
