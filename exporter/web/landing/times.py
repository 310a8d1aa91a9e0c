"""Instants and durations as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.web.landing.html import Html, tag

NONE = "–"
"""What has not happened."""

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


def instant(at: float | None, now: float, *, future: str | None = None) -> Html | str:
    """How long ago or ahead `at` is, the date itself on hovering; a dash for None.

    `future` is what to say instead of how far ahead.
    """
    if at is None:
        return NONE
    moment = datetime.fromtimestamp(at, UTC)
    distance = at - now
    if abs(distance) < 1:
        said = "now"
    elif distance > 0:
        said = future if future is not None else f"in {duration(distance)}"
    else:
        said = f"{duration(-distance)} ago"
    return tag(
        "time",
        said,
        datetime=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        title=date(at),
    )


def date(at: float) -> str:
    """The instant itself."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
