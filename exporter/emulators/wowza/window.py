"""Which window Wowza Video answers for: its rules for `from` and `to`.

From the VOD usage page of v1.11 and the OpenAPI 2.0. Usage windows are whole hours of at most 90
days, both ends rounded up; the default runs from the last billing date to the end of today. Viewer
windows are whole seconds. The vendor does not say what longer or reversed windows get: 422 here.
The emulated account is billed on the first of each month, UTC.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.emulators.http import Request
from exporter.emulators.wowza.errors import Refusal

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
LONGEST_USAGE = 90 * DAY
VIEWERS_DEFAULT = 30 * DAY


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in Unix seconds."""

    start: int
    end: int

    @property
    def limits(self) -> dict[str, object]:
        """The vendor's own echo of the window."""
        return {"from": stamp(self.start), "to": stamp(self.end)}

    def widened_to_days(self) -> "Window":
        return Window(self.start // DAY * DAY, round_up(self.end, DAY))

    def ended_by(self, now: int) -> "Window":
        """What of it is not after `now`; of a window that has not begun, one with nothing in it."""
        return Window(self.start, min(self.end, now))


def usage_window(request: Request, *, now: int) -> Window:
    """The window of a `/usage` operation; Refusal 422 when it breaks a rule."""
    start = given(request, "from", now=now)
    end = given(request, "to", now=now)
    billed = last_bill_date(now)
    tonight = round_up(now + 1, DAY)
    if start is not None:
        start = round_up(start, HOUR)
    if end is not None:
        end = round_up(end, HOUR)
    if start is None:
        if end is None:
            start, end = billed, tonight
        else:
            start = end - LONGEST_USAGE if billed > end else max(end - LONGEST_USAGE, billed)
    elif end is None:
        end = min(start + LONGEST_USAGE, tonight)
    if end - start > LONGEST_USAGE:
        raise Refusal(422, "The time range can't be longer than 90 days")
    return ordered(Window(start, end))


def viewers_window(request: Request, *, now: int) -> Window | None:
    """The window of an `/analytics/viewers` operation; None asks for what is live."""
    start = given(request, "from", now=now)
    end = given(request, "to", now=now)
    if start is None:
        if end is None:
            return None
        start = max(end - VIEWERS_DEFAULT, min(last_bill_date(now), end))
    elif end is None:
        end = min(start + VIEWERS_DEFAULT, round_up(now + 1, DAY))
    return ordered(Window(start, end))


def month_so_far(now: int) -> Window:
    """The window of the `/total` operations, by the OpenAPI's example."""
    return Window(last_bill_date(now), now)


def last_bill_date(now: int) -> int:
    """Midnight of the first of the current month."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0)
    return int(first.timestamp())


def stamp(second: int) -> str:
    """ISO 8601 with milliseconds and Z, as the vendor writes moments."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def round_up(second: int, unit: int) -> int:
    return -(-second // unit) * unit


def given(request: Request, name: str, *, now: int) -> int | None:
    """A moment parameter in Unix seconds: ISO, a date, a date and a time, `last_bill_date`."""
    text = request.first(name)
    if text is None or text == "":
        return None
    if text == "last_bill_date":
        return last_bill_date(now)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(422, f"{name} isn't a date") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return math.ceil(moment.timestamp())


def ordered(window: Window) -> Window:
    if window.end < window.start:
        raise Refusal(422, "from can't be after to")
    return window
