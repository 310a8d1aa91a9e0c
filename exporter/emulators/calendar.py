"""Unix seconds from and to the ways in which vendors write UTC times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from exporter.emulators.world import DAY, HOUR


def seconds(text: str) -> int:
    """Unix seconds of an ISO 8601 date or time, UTC unless it says otherwise; or ValueError."""
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp())


def iso(moment: int) -> str:
    """Such as 2020-03-01T00:00:00Z."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(milliseconds: int) -> str:
    """Such as 2020-03-01T00:00:00.042Z, from Unix milliseconds."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{iso(whole)[:-1]}.{rest:03d}Z"


def midnight(moment: int) -> int:
    """The start of the UTC day that contains `moment`."""
    return moment // DAY * DAY


def month_start(moment: int) -> int:
    """The start of the UTC month that contains `moment`."""
    first = datetime.fromtimestamp(moment, UTC).replace(day=1)
    return midnight(int(first.timestamp()))


def next_month(moment: int) -> int:
    """The start of the month after the one that contains `moment`."""
    first = datetime.fromtimestamp(month_start(moment), UTC)
    return month_start(int((first + timedelta(days=31)).timestamp()))


def buckets(start: int, end: int, resolution: str) -> Iterator[tuple[int, int]]:
    """The whole hours, days or months (`Hour`, `Day`, `Month`) that overlap [start, end)."""
    if resolution == "Month":
        start = month_start(start)
        while start < end:
            yield start, next_month(start)
            start = next_month(start)
        return
    width = {"Hour": HOUR, "Day": DAY}[resolution]
    for begin in range(start // width * width, end, width):
        yield begin, begin + width
