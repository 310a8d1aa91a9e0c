# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""The parts of Livepeer Studio's answers that are read.

A key that is absent was not asked for; null means unknown. A list without rows may be null, because
the vendor's server encodes an unset list so.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

Amount = int | float | None
"""A number or null; the functions in `exporter.model.values` check and convert it."""


class Now(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: Amount
    error_rate: Amount = None
    playback_id: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    device: str | UnsetType | None = UNSET


class Views(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    timestamp: int | float
    view_count: Amount
    playtime_mins: Amount = None
    ttff_ms: Amount = None
    rebuffer_ratio: Amount = None
    error_rate: Amount = None
    exits_before_start: Amount = None
    playback_id: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    browser: str | UnsetType | None = UNSET


class Total(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: Amount | UnsetType = UNSET
    legacy_view_count: Amount | UnsetType = UNSET
    playtime_mins: Amount | UnsetType = UNSET
    playback_id: object = UNSET
    d_storage_url: object = UNSET


class Billed(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    time_interval: Amount | UnsetType = UNSET
    delivery_usage_mins: Amount | UnsetType = UNSET
    total_usage_mins: Amount | UnsetType = UNSET
    storage_usage_mins: Amount | UnsetType = UNSET
    user_id: object = msgspec.field(name="UserID", default=UNSET)
    creator_id: object = msgspec.field(name="CreatorID", default=UNSET)

    @property
    def documented(self) -> bool:
        """Whether it has any of the keys that a row of usage has."""
        return any(getattr(self, name) is not UNSET for name in self.__struct_fields__)
