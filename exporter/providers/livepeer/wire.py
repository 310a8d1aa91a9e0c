# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""What Livepeer Studio sends, as far as it is read.

A key that is absent was not asked for, null means unknown.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Now(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: int
    error_rate: int | float | None = None
    playback_id: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    device: str | UnsetType | None = UNSET


class Views(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    timestamp: int | float
    view_count: int
    playtime_mins: int | float | None = None
    ttff_ms: int | float | None = None
    rebuffer_ratio: int | float | None = None
    error_rate: int | float | None = None
    exits_before_start: int | float | None = None
    playback_id: str | UnsetType | None = UNSET


class Total(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    view_count: int
    legacy_view_count: int | None = None
    playtime_mins: int | float | None = None


class Billed(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    time_interval: int | float | None = None
    delivery_usage_mins: int | float | None = None
    total_usage_mins: int | float | None = None
    storage_usage_mins: int | float | None = None
