"""The rule that makes counters exact, as pure functions on whole numbers.

A series is a set of buckets `(start, width) -> amount`, each the vendor's newest word on that
stretch of time. Its *truth* is what they add up to, where a wider bucket stands in for the
narrower ones inside it. What is *exposed* never falls: a downward revision is paid back out of
later growth, so that in the long run exposed and truth are equal.
"""

from __future__ import annotations

from collections.abc import Mapping


def covers(wide: tuple[int, int], narrow: tuple[int, int]) -> bool:
    """Whether the bucket `wide` supersedes the bucket `narrow`; both are (start, width)."""
    return (
        wide[1] > narrow[1] and wide[0] <= narrow[0] and narrow[0] + narrow[1] <= wide[0] + wide[1]
    )


def truth(buckets: Mapping[tuple[int, int], int]) -> int:
    """What the buckets `(start, width) -> amount` add up to, superseded ones left out."""
    return sum(
        amount
        for bucket, amount in buckets.items()
        if not any(covers(other, bucket) for other in buckets)
    )


def expose(exposed: int, truth: int) -> int:
    """What a counter shows once its truth is `truth` and `exposed` has been shown before."""
    return max(exposed, truth)
