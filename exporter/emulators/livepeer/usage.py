"""Livepeer's `/usage/query`: delivered, transcoded and stored minutes by hour.

From the source of the vendor's data service (March 2026). An hour counts when it begins in
[from, to). `TotalUsageMins` are transcoded minutes; `StorageUsageMins` is a mean over hours.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from exporter.emulators.livepeer.library import CREATORS, USER_ID, Library
from exporter.emulators.livepeer.query import Query, Refusal, buckets, too_many
from exporter.emulators.world import HOUR

Row: TypeAlias = dict[str, Any]
Creators: TypeAlias = tuple[str | None, ...]

STEPS = ("hour", "day")


@dataclass(frozen=True, slots=True)
class Usage:
    """The operation at one moment. `always_object`: whatever is asked, one sum is the answer."""

    library: Library
    rows: int
    always_object: bool = False

    def query(self, query: Query) -> Row | list[Row]:
        """An object, or an array as soon as a time step or a breakdown is asked for."""
        if query.step and query.step not in STEPS:
            raise build_error(f"invalid time step: {query.step}")
        for field in query.breakdown:
            if field != "creatorId":
                raise build_error(f"invalid breakdown field: {field}")
        start, end = self._hours(query)
        if self.always_object:
            query = replace(query, step="", breakdown=())
        if not (query.step or query.breakdown):
            row = self._row(query, self._chosen(query), start, end)
            return row or zero_usage(query)
        steps = buckets(query.step, start, end) if query.step else [(0, start, end)]
        split = "creatorId" in query.breakdown and not query.creator
        groups: list[Creators] = (
            [(creator,) for creator in CREATORS] if split else [self._chosen(query)]
        )
        if query.step == "hour" and (end - start) // HOUR * len(groups) > self.rows:
            raise too_many(self.rows)
        found: list[Row] = []
        for at, inner_start, inner_end in steps:
            for group in groups:
                row = self._row(query, group, inner_start, inner_end)
                if row is not None:
                    found.append(({"TimeInterval": at * 1000} if query.step else {}) | row)
        if len(found) > self.rows:
            raise too_many(self.rows)
        return found

    def _hours(self, query: Query) -> tuple[int, int]:
        """From the first to after the last hour that begins in the window and has data."""
        start, end = query.window(self.library.world.edge(self.library.now))
        return -(-start // HOUR) * HOUR, -(-end // HOUR) * HOUR

    def _chosen(self, query: Query) -> Creators:
        return tuple(one for one in CREATORS if not query.creator or one == query.creator)

    def _row(self, query: Query, creators: Creators, start: int, end: int) -> Row | None:
        """One group's sums; None without an hour or a creator."""
        hours = range(start, end, HOUR)
        if not hours or not creators:
            return None
        delivered = self.library.usage(creators, "delivered_milliseconds", start, end)
        transcoded = self.library.usage(creators, "transcoded_milliseconds", start, end)
        stored = sum(self.library.stored(creators, hour) for hour in hours)
        named = {"CreatorID": creators[0]} if query.creator or query.breakdown else {}
        return (
            {"UserID": USER_ID}
            | named
            | {
                "DeliveryUsageMins": delivered / 60000,
                "TotalUsageMins": transcoded / 60000,
                "StorageUsageMins": stored / len(hours) / 60000,
            }
        )


def zero_usage(query: Query) -> Row:
    """The object of a query that found nothing."""
    named = {"CreatorID": query.creator} if query.creator else {}
    measures = ("DeliveryUsageMins", "TotalUsageMins", "StorageUsageMins")
    return {"UserID": USER_ID} | named | dict.fromkeys(measures, 0)


def build_error(message: str) -> Refusal:
    return Refusal(500, f"error building usage summary query: {message}")
