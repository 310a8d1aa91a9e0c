"""What a ledger consists of, by the names that both databases have for it; how copies are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["number", "text", "name"]
"""`name`: what a vendor calls something, which may hold any character."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table and the kinds of its columns."""

    name: str
    columns: dict[str, Kind]


def _table(name: str, columns: str) -> Table:
    """A table by `column` or `column:kind`; columns without a kind hold numbers, or 0 and 1."""
    pairs = (column.partition(":") for column in columns.split())
    return Table(name, {column: kind or "number" for column, _, kind in pairs})  # type: ignore[misc]


TABLES = (
    # Before the feeds: SQLite's triggers note what happens to buckets that are settled.
    _table("bucket", "feed start width series amount"),
    _table("account", "id provider:text name:text listed_at"),
    _table(
        "feed",
        "id account name:text began polled_at revisited_at resume newest finest coarse_until"
        " folded_until listed gaps_seen settled_until pushed_until",
    ),
    _table(
        "series",
        "id feed measure:text labels:text truth exposed created held held_until folded",
    ),
    _table("revision", "feed start width series before reported"),
    _table("event", "feed id:name since"),
    _table("unfinished", "feed id:name since"),
    _table("gap", "feed start until"),
    _table("stream", "account name:name seen_at folded"),
    _table("feed_stream", "feed name:name began left_at"),
    _table("description", "feed measure:text identity:text labels:text"),
)
"""All that a ledger holds, in the order in which it is copied."""


class Source(Protocol):
    """One state of a ledger that nobody writes to."""

    def rows(self, table: Table) -> Iterable[Row]:
        """All rows of a table, in the order of its columns."""
