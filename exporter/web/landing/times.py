"""Instants and durations in words."""

from __future__ import annotations

from datetime import UTC, datetime

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """The two largest units: `3 h 20 min`; not below `0 s`."""
    left = max(0, round(seconds))
    for position, (size, unit) in enumerate(UNITS):
        if left >= size:
            count, rest = divmod(left, size)
            more = ""
            if position + 1 < len(UNITS) and count < 10:
                smaller, name = UNITS[position + 1]
                more = f" {rest // smaller} {name}" if rest >= smaller else ""
            return f"{count} {unit}{more}"
    return "0 s"


def utc(at: float, pattern: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """The date and time of an instant."""
    return datetime.fromtimestamp(at, UTC).strftime(pattern)
