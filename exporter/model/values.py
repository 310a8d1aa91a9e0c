"""Reads amounts, instants and labels in vendors' formats, exactly, or raises SchemaError.

`path` is always the JSON path of the value, for the log: `$.data.bandwidth[…].bytesOut`.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from exporter.model import LARGEST_AMOUNT
from exporter.model.countries import code_of
from exporter.model.errors import SchemaError

Number = (
    Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]
    | Annotated[float, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]
)
"""Seconds, minutes and ratios in a msgspec.Struct; `amount` converts them to whole parts."""

Count = Number
"""Bytes and counts in a msgspec.Struct; `whole` converts them to `int`, since JSON has only one
type of number and a vendor may write 22886 as 22886.0."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]
"""Counts that are written without a fraction."""

EARLIEST_MILLISECONDS: Final = 946_684_800_000
"""The year 2000. Some servers write an instant before it to mean that there is none."""

Empty = Annotated[list[object], msgspec.Meta(max_length=0)]
"""`[]` in place of an object: some servers write an object without keys so."""

UNKNOWN: Final = "unknown"
"""The value of a label that the vendor leaves null or empty."""


def amount(value: int | float, *, path: str, scale: int = 1) -> int:
    """`value * scale` as a whole number; `scale` is 1000 for seconds, 60,000 for minutes.

    Fractions are scaled in decimal arithmetic and rounded to the nearest part.
    Raises SchemaError for anything negative, not finite, or above LARGEST_AMOUNT.
    """
    if not 0 <= value <= LARGEST_AMOUNT:  # false for NaN, too
        raise SchemaError(f"{path}: an amount must lie between 0 and 2^53, not {value!r}")
    if isinstance(value, int) or value.is_integer():
        parts = int(value) * scale
    else:
        parts = int((Decimal(repr(value)) * scale).to_integral_value())
    if parts > LARGEST_AMOUNT:
        raise SchemaError(f"{path}: {value!r} is more than can be counted exactly")
    return parts


def whole(value: int | float, *, path: str) -> int:
    """A count: `value` as an `int`.

    Raises SchemaError as `amount` does, and for a fraction.
    """
    if type(value) is int and 0 <= value <= LARGEST_AMOUNT:
        return value
    parts = amount(value, path=path)
    if parts != value:
        raise SchemaError(f"{path}: expected a whole number, not {value!r}")
    return parts


def level(value: int | float, *, path: str) -> int | float:
    """`value` itself, once it is checked. Raises SchemaError as `amount` does."""
    if not 0 <= value <= LARGEST_AMOUNT:
        raise SchemaError(f"{path}: a level must lie between 0 and 2^53, not {value!r}")
    return value


def milliseconds(value: str | int | float, *, path: str) -> int:
    """Unix milliseconds, UTC, of an ISO 8601 date or time, or of Unix milliseconds themselves.

    A time without a zone is UTC; digits beyond the millisecond are cut off.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise SchemaError(f"{path}: expected an ISO 8601 time") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = int(moment.replace(microsecond=0).timestamp())
        return seconds * 1000 + moment.microsecond // 1000
    if not math.isfinite(value) or not 0 <= value <= LARGEST_AMOUNT:
        raise SchemaError(f"{path}: not a time in Unix milliseconds: {value!r}")
    return int(value)


def moment(value: str | int | float | None, *, path: str) -> int | None:
    """Unix milliseconds as `milliseconds` reads them, or None for "no instant".

    Vendors write that as null, as an empty text, or as a time before the year 2000, such as
    `0001-01-01T00:00:00Z`.
    """
    if value is None or value == "":
        return None
    found = milliseconds(value, path=path)
    return None if found < EARLIEST_MILLISECONDS else found


def instant(value: str | int | float, *, path: str) -> int:
    """Whole Unix seconds, UTC, of what `milliseconds` reads; fractions are cut off."""
    return milliseconds(value, path=path) // 1000


def label(value: str | int | float | None) -> str:
    """A label's value: stripped, numbers as they are written, `unknown` for null and empty."""
    if value is None:
        return UNKNOWN
    return str(value).strip() or UNKNOWN


def country(value: str | None) -> str:
    """ISO 3166-1 alpha-2 of a code in any case or a known name, else the vendor's name as it is."""
    name = label(value)
    if len(name) == 2 and name.isascii() and name.isalpha():
        return name.upper()
    return code_of(name) or name


_DEVICES: Final = {
    _sort.replace(" ", "").casefold(): _sort
    for _sort in (
        "Desktop",
        "Mobile",
        "Tablet",
        "TV",
        "Smart TV",
        "Console",
        "Wearable",
        "Embedded",
    )
}


def device(value: str | None) -> str:
    """A sort of device as Wowza spells it, in whatever case and with whatever between its words.

    Anything else, such as a model, is the vendor's name as it is.
    """
    name = label(value)
    plain = "".join(letter for letter in name if letter not in " -_").casefold()
    return _DEVICES.get(plain, name)


def refuse_repeated_keys(body: bytes) -> None:
    """Raise SchemaError when an object in `body` has a key twice, since its value is ambiguous.

    Raises msgspec's decoding error when `body` is not JSON.
    """
    # Decoding drops a repeated key, and with it a colon. Colons in strings are kept.
    if body.count(b":") != msgspec.json.encode(msgspec.json.decode(body)).count(b":"):
        json.loads(
            body, object_pairs_hook=_once_each, parse_int=str
        )  # or a colon was written as an escape


def _once_each(members: list[tuple[str, object]]) -> None:
    if len({key for key, _ in members}) < len(members):
        raise SchemaError("an object has a key twice")
