"""Other ways to write the same answer, which the vendor's schemas allow or do not rule out."""

from typing import Any

# What is measured or counted, wherever it stands in an answer; 1.7's names included.
AMOUNTS = frozenset(
    {
        "viewing_seconds",
        "viewing_bytes",
        "viewing_time",
        "egress_seconds",
        "egress_bytes",
        "egress_seconds_additional_targets",
        "avg_viewing_seconds",
        "bytes",
        "bytes_in",
        "bytes_out",
        "recording_bytes",
        "vod_stream_bytes",
        "viewers",
        "unique_viewers",
    }
)
QUIRKS = frozenset({"integral-floats", "null-amounts", "absent-amounts", "null-lists"})


def spelled(value: Any, quirks: frozenset[str]) -> Any:
    """A JSON value as the quirks write it; the same value without any of QUIRKS."""
    return written(value, quirks) if quirks & QUIRKS else value


def written(value: Any, quirks: frozenset[str]) -> Any:
    if isinstance(value, list):
        if not value and "null-lists" in quirks:
            return None
        return [written(member, quirks) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        name: amount(member, quirks) if name in AMOUNTS else written(member, quirks)
        for name, member in value.items()
        if not (name in AMOUNTS and member == 0 and "absent-amounts" in quirks)
    }


def amount(value: int, quirks: frozenset[str]) -> int | float | None:
    if value == 0 and "null-amounts" in quirks:
        return None
    return float(value) if "integral-floats" in quirks else value
