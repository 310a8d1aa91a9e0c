"""What a ledger promises, in the plainest terms, to compare with what it does."""


def covers(wide, narrow):
    """Whether all hours of `narrow` lie in the wider `wide`."""
    return wide[1] > narrow[1] and range(narrow[0], sum(narrow)) == range(
        max(wide[0], narrow[0]), min(sum(wide), sum(narrow))
    )


def truth(buckets):
    """What the buckets `(start, width) -> amount` add up to, those inside wider ones left out."""
    return sum(
        amount
        for bucket, amount in buckets.items()
        if not any(covers(other, bucket) for other in buckets)
    )
