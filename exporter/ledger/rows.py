"""The rows that every database keeps of an account: how labels are written, what changes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from exporter.ledger.book import FeedState, Labels
from exporter.ledger.decision import Changes

decode_labels = msgspec.json.Decoder(tuple[str, ...]).decode
"""The labels of a row; raises msgspec.DecodeError for what is none."""

FEED_COLUMNS = {
    "began": "began",
    "polled_at": "polled_at",
    "revisited_at": "revisited_at",
    "resume": "resume",
    "newest": "newest",
    "finest": "finest",
    "coarse_until": "coarse_until",
    "compacted_until": "folded_until",
    "listed": "listed",
    "gaps_seen": "gaps_seen",
}
"""The columns of a feed's row by the fields of FeedState."""


class Damaged(Exception):
    """Rows contradict each other: the ledger is damaged."""


def encode_labels(labels: Labels) -> str:
    """The labels as they stand in a row: a JSON list."""
    return msgspec.json.encode(labels).decode()


def differing(before: FeedState, after: FeedState) -> dict[str, int | bool | None]:
    """The columns of a feed's row that change, with their new values."""
    return {
        column: value
        for name, column in FEED_COLUMNS.items()
        if (value := getattr(after, name)) != getattr(before, name)
    }


def new_series(
    changes: Changes,
) -> Iterator[tuple[int, str, str, int, int, int, int | None, float | None, bool]]:
    """(id, measure, labels, truth, exposed, created, held, held until, beyond) of each new series."""
    for series in changes.created:
        truth, exposed = changes.totals.get(series, (0, 0))
        held, until = changes.holds.get(series, (None, None))
        yield (
            series.id,
            series.measure.name,
            encode_labels(series.labels),
            truth,
            exposed,
            series.created,
            held,
            until,
            series.into is not None,
        )


def new_totals(changes: Changes) -> list[tuple[int, int, int]]:
    """(id, truth, exposed) of each known series that grew."""
    created = set(changes.created)
    return [
        (series.id, truth, exposed)
        for series, (truth, exposed) in changes.totals.items()
        if series not in created
    ]


def new_holds(changes: Changes) -> list[tuple[int, int, float]]:
    """(id, held, held until) of each known series that is held."""
    created = set(changes.created)
    return [(series.id, *held) for series, held in changes.holds.items() if series not in created]


def descriptions(changes: Changes) -> list[tuple[str, str, str]]:
    """(measure, identity, labels) of what is described anew."""
    return [
        (measure.name, encode_labels(identity), encode_labels(labels))
        for measure, things in changes.described.items()
        for identity, labels in things.items()
    ]
