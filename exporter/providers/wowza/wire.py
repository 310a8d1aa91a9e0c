# ruff: noqa: D101 -- the names say what they are, the fields are the vendor's
"""The parts of Wowza Video's answers that are read.

The vendor's schemas are wrong about types (lists are called objects, ids numbers), so types are
taken from its examples. Only the id of a list's row is required. Null means that a value is
unknown, and an object without any documented key is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from exporter.model.errors import SchemaError
from exporter.model.values import Count, Number

Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\S")] | int
Counted: TypeAlias = Count | UnsetType | None
Measured: TypeAlias = Number | UnsetType | None
Unread: TypeAlias = object
"""A key whose value is not read, but which shows that the object is the documented one."""

Found = TypeVar("Found", bound=msgspec.Struct)


def documented(found: Found, keys: Iterable[str], path: str) -> Found:
    """`found` itself, if it has any of `keys`, even null; raises SchemaError otherwise."""
    if all(getattr(found, key) is UNSET for key in keys):
        raise SchemaError(f"{path}: none of the documented keys")
    return found


def documented_or_empty(
    found: Found, keys: Iterable[str], path: str, *, body: bytes, key: str
) -> Found | None:
    """As `documented`, but None for an object without any keys, as an idle account has."""
    try:
        return documented(found, keys, path)
    except SchemaError:
        if msgspec.json.decode(body, type=dict[str, object]).get(key) == {}:
            return None
        raise


class Limits(msgspec.Struct, rename={"from_": "from"}):
    from_: str | None = None
    to: str | None = None


class Pagination(msgspec.Struct):
    next_page_key: str | int | None = None
    page: Count | None = None
    total_pages: Count | None = None


class Amounts(msgspec.Struct, kw_only=True):
    """Every amount of every resource; `viewing_time` and `bytes` are the names before 1.8."""

    viewing_seconds: Measured = UNSET
    viewing_time: Measured = UNSET
    viewing_bytes: Counted = UNSET
    bytes: Counted = UNSET
    bytes_in: Counted = UNSET
    bytes_out: Counted = UNSET
    egress_seconds: Measured = UNSET
    egress_bytes: Counted = UNSET


class Row(Amounts, kw_only=True):
    id: Id
    name: str | int | None = None
    archived: bool | None = None


class Total(Amounts, kw_only=True):
    """A summary, the details of one stream, or the account."""

    id: Unread = UNSET
    name: Unread = UNSET
    archived: Unread = UNSET
    zones: Unread = UNSET
    configurations: Unread = UNSET
    limits: Limits | None = None


class Listing(msgspec.Struct):
    vod_streams: list[Row] | UnsetType | None = UNSET
    stream_targets: list[Row] | UnsetType | None = UNSET
    transcoders: list[Row] | UnsetType | None = UNSET
    real_time_streams: list[Row] | UnsetType | None = UNSET
    pagination: Pagination | None = None
    limits: Limits | None = None


class Summary(msgspec.Struct):
    summary: Total | None
    limits: Limits | None = None


class Detail(msgspec.Struct):
    vod_stream: Total | None
    limits: Limits | None = None


class Account(msgspec.Struct):
    account: Total | list[Total] | UnsetType | None = UNSET
    accounts: Total | list[Total] | UnsetType | None = UNSET
    limits: Limits | None = None


class Share(msgspec.Struct):
    """`unique_viewers` is the name before 1.11."""

    code: str | UnsetType | None = UNSET
    name: str | int | UnsetType | None = UNSET
    viewers: Counted = UNSET
    unique_viewers: Counted = UNSET


class Audience(msgspec.Struct):
    id: Unread = UNSET
    viewers: Counted = UNSET
    unique_viewers: Counted = UNSET
    countries: list[Share] | UnsetType | None = UNSET
    renditions: list[Share] | UnsetType | None = UNSET
    devices: list[Share] | UnsetType | None = UNSET


class Audiences(msgspec.Struct):
    account: Audience | UnsetType | None = UNSET
    live_stream: Audience | UnsetType | None = UNSET
    vod_stream: Audience | UnsetType | None = UNSET
    stream_target: Audience | UnsetType | None = UNSET


class Watched(msgspec.Struct, kw_only=True):
    id: Id
    viewers: Count | None = None


class TopStreams(msgspec.Struct):
    live_streams: list[Watched] | UnsetType | None = UNSET
    vod_streams: list[Watched] | UnsetType | None = UNSET


class Meta(msgspec.Struct):
    code: str | int | None = None


class Failure(msgspec.Struct):
    meta: Meta | None = None
