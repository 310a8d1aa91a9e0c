"""Livepeer's query parameters and its errors.

From the source of the vendor's data service (March 2026). Every error is `{"errors": [text]}`,
except that an unknown id gets a 404 without a body.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from exporter.emulators.http import Request, Response
from exporter.emulators.livepeer.spelling import spelled
from exporter.emulators.world import BEGINNING, DAY, HOUR

CONTENT_TYPE = "application/json; charset=utf-8"
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
WHOLE_NUMBER = re.compile(r"[+-]?\d+")
ADVICE = "consider decreasing your timeframe or increasing the time step"


class Refusal(Exception):
    """The vendor answers with this status; no message means no body."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(status: int, message: str | None) -> Response:
    """The whole error answer."""
    if message is None:
        return Response(status, b"", "text/plain; charset=utf-8")
    return rendered({"errors": [message]}, status)


def rendered(value: object, status: int = 200, *, quirks: frozenset[str] = frozenset()) -> Response:
    """JSON as the vendor's encoder writes it, with a line break at the end."""
    text = json.dumps(spelled(value, quirks), ensure_ascii=False, separators=(",", ":"))
    return Response(status, f"{text}\n".encode(), CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Query:
    """Parameters that the views and usage queries share. Times are Unix milliseconds."""

    start_ms: int | None
    end_ms: int | None
    step: str
    creator: str
    breakdown: tuple[str, ...]

    def window(self, now: int) -> tuple[int, int]:
        """[start, end) in whole seconds; open ends reach to the beginning and to now."""
        start = BEGINNING if self.start_ms is None else -(-self.start_ms // 1000)
        end = now if self.end_ms is None else min(now, -(-self.end_ms // 1000))
        return max(start, BEGINNING), end


def parse_query(request: Request) -> Query:
    """Refusal 400 for times that are neither RFC 3339 nor Unix milliseconds."""
    return Query(
        start_ms=milliseconds(request.first("from") or ""),
        end_ms=milliseconds(request.first("to") or ""),
        step=request.first("timeStep") or "",
        creator=request.first("creatorId") or "",
        breakdown=request.every("breakdownBy[]"),
    )


def milliseconds(text: str) -> int | None:
    if text == "":
        return None
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if found := RFC3339.fullmatch(text):
        whole, fraction, zone = found.groups()
        try:
            moment = datetime.fromisoformat(whole + zone)
        except ValueError:
            pass
        else:
            return int(moment.timestamp()) * 1000 + int(f"{fraction or '0':0<3}"[:3])
    raise Refusal(
        400,
        f'bad time "{text}". must be in RFC3339 or Unix Timestamp (millisecond) formats.'
        f' rfcErr: parsing time "{text}": cannot parse;'
        f' unixErr: strconv.ParseInt: parsing "{text}": invalid syntax',
    )


def buckets(step: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The steps that [start, end) touches: each step's own start, and what is inside of it.

    Weeks begin on Sunday, UTC.
    """
    at = step_start(step, start)
    while at < end:
        following = step_after(step, at)
        yield at, max(at, start), min(following, end)
        at = following


def step_start(step: str, moment: int) -> int:
    if step == "hour":
        return moment // HOUR * HOUR
    if step == "day":
        return moment // DAY * DAY
    if step == "week":
        # The epoch was a Thursday: four days later came the first Sunday after it.
        return (moment - 3 * DAY) // (7 * DAY) * (7 * DAY) + 3 * DAY
    first = datetime.fromtimestamp(moment // DAY * DAY, UTC).replace(day=1)
    return int((first if step == "month" else first.replace(month=1)).timestamp())


def step_after(step: str, start: int) -> int:
    if step in ("month", "year"):
        days = 31 if step == "month" else 366
        beyond = datetime.fromtimestamp(start, UTC) + timedelta(days=days)
        return step_start(step, int(beyond.timestamp()))
    return start + {"hour": HOUR, "day": DAY, "week": 7 * DAY}[step]


def too_many(limit: int) -> Refusal:
    return Refusal(500, f"query must return less than {limit} datapoints. {ADVICE}")
