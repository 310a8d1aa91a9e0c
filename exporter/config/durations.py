"""Durations as Prometheus writes them: `30s`, `1h30m`, `400d`, `1w`, `500ms`, and a bare `0`."""

from __future__ import annotations

import re

UNITS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
"""Milliseconds in each unit, in the order in which a duration has to name them."""

PATTERN = "(?=.)" + "".join(f"(?:([0-9]+){unit})?" for unit in UNITS)
"""A regular expression (also in JavaScript's dialect) for every duration but `0`."""

_DURATION = re.compile(PATTERN)


def milliseconds(text: str) -> int:
    """The length of `text`; ValueError when it is not a duration."""
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("not a duration")
    return sum(
        int(number) * unit
        for number, unit in zip(match.groups(), UNITS.values(), strict=True)
        if number is not None
    )


def seconds(text: str) -> int:
    """As `milliseconds`, for durations of whole seconds."""
    whole, rest = divmod(milliseconds(text), 1000)
    if rest:
        raise ValueError("not whole seconds")
    return whole


def written(length_seconds: float) -> str:
    """The shortest way to write a duration in days and smaller units: `1h30m`, `400d`, `0s`."""
    rest = round(length_seconds * 1000)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        number, rest = divmod(rest, UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
