"""How the vendor's encoder writes an answer, and other ways that its schemas allow."""

from typing import Any, TypeVar

T = TypeVar("T")

# What is counted or summed up. Means, ratios and times are no amounts.
AMOUNTS = frozenset(
    {
        "viewCount",
        "legacyViewCount",
        "playtimeMins",
        "exitsBeforeStart",
        "DeliveryUsageMins",
        "TotalUsageMins",
        "StorageUsageMins",
    }
)


def spelled(value: Any, quirks: frozenset[str] = frozenset()) -> Any:
    """An answer as it is written: 10 for 10.0, and whatever the quirks change of it."""
    if value == [] and "null-lists" in quirks:
        return None
    if isinstance(value, list):
        return [spelled(member, quirks) for member in value]
    if isinstance(value, dict):
        return {
            name: amount(member, quirks) if name in AMOUNTS else spelled(member, quirks)
            for name, member in value.items()
        }
    return plain_number(value)


def amount(value: float | None, quirks: frozenset[str]) -> float | None:
    """`value` is None where the vendor itself tells null."""
    if value == 0 and "null-amounts" in quirks:
        return None
    if value is None or "integral-floats" not in quirks:
        return plain_number(value)
    return float(value)


def plain_number(value: T) -> T | int:
    return int(value) if isinstance(value, float) and value.is_integer() else value
