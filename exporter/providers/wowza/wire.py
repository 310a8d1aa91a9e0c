# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""What Wowza Video sends, as far as it is read.

The vendor's schemas call lists objects and ids numbers; shapes are taken from its examples.
"""

from __future__ import annotations

import msgspec

from exporter.reading import Number, Whole


class Limits(msgspec.Struct, rename={"from_": "from"}):
    from_: str | None = None
    to: str | None = None


class Pagination(msgspec.Struct):
    next_page_key: str | int | None = None
    page: int | None = None
    total_pages: int | None = None


class Amounts(msgspec.Struct):
    """Every amount of every resource; `viewing_time` and `bytes` are the names before 1.8."""

    viewing_seconds: Number | None = None
    viewing_time: Number | None = None
    viewing_bytes: Whole | None = None
    bytes: Whole | None = None
    bytes_in: Whole | None = None
    bytes_out: Whole | None = None
    egress_seconds: Number | None = None
    egress_bytes: Whole | None = None
    limits: Limits | None = None


class Item(Amounts, kw_only=True):
    id: str | int
    name: str | int | None = None
    archived: bool | None = None


class Listing(msgspec.Struct):
    vod_streams: list[Item] | None = None
    stream_targets: list[Item] | None = None
    transcoders: list[Item] | None = None
    real_time_streams: list[Item] | None = None
    pagination: Pagination | None = None
    limits: Limits | None = None


class Summary(msgspec.Struct):
    summary: Amounts
    limits: Limits | None = None


class Detail(msgspec.Struct):
    vod_stream: Amounts
    limits: Limits | None = None


class Account(msgspec.Struct):
    account: Amounts | list[Amounts] | None = None
    accounts: Amounts | list[Amounts] | None = None
    limits: Limits | None = None


class Share(msgspec.Struct):
    """`unique_viewers` is the name before 1.11."""

    code: str | None = None
    name: str | int | None = None
    viewers: Whole | None = None
    unique_viewers: Whole | None = None


class Audience(msgspec.Struct):
    viewers: Whole | None = None
    unique_viewers: Whole | None = None
    countries: list[Share] | None = None
    renditions: list[Share] | None = None
    devices: list[Share] | None = None


class Audiences(msgspec.Struct):
    account: Audience | None = None
    live_stream: Audience | None = None
    vod_stream: Audience | None = None
    stream_target: Audience | None = None


class Watched(msgspec.Struct, kw_only=True):
    id: str | int
    viewers: Whole


class TopStreams(msgspec.Struct):
    live_streams: list[Watched] | None = None
    vod_streams: list[Watched] | None = None


class Meta(msgspec.Struct):
    code: str | int | None = None


class Failure(msgspec.Struct):
    meta: Meta | None = None
