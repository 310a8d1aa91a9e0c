"""Parameters for windows, checks of the window of an answer, and paging."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from exporter.model import Request, Span, Window
from exporter.model.errors import SchemaError
from exporter.model.values import moment, whole
from exporter.providers.wowza.wire import Limits, Pagination

PER_PAGE: Final = ("per_page", "1000")

CLOCK_SKEW_SECONDS: Final = 300
"""How far the vendor's clock may lag behind ours."""


def window(request: Request) -> Window:
    """The window of a usage request, which is one bucket."""
    if request.span is None:
        raise ValueError(f"a usage request without a span: {request.path}")
    return request.span.window


def between(span: Span) -> tuple[tuple[str, str], ...]:
    """The parameters for a span. Windows begin and end at full hours, so nothing is rounded."""
    start, end = (
        datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:00:00")
        for instant in (span.window.start, span.window.end)
    )
    return ("from", start), ("to", end)


def check(asked: Window, *reported: Limits | None, now: int) -> bool:
    """Whether the window of the answer has begun: False when its end is not after its start.

    Raises SchemaError when the answer is about another window. The vendor truncates an open window
    to its own current time, which just after the hour may even lie before the window's start. So
    the end of an open window may be early. That of a closed one may be early by one second, which
    means an inclusive end.
    """
    begun = True
    for limits in reported:
        if limits is None:
            continue
        start = moment(limits.from_, path="$.limits.from")
        if start is not None and start // 1000 != asked.start:
            raise SchemaError("$.limits.from: not the beginning that was asked for")
        end = moment(limits.to, path="$.limits.to")
        if end is not None:
            open_for_vendor = asked.end > now - CLOCK_SKEW_SECONDS
            earliest = min(asked.start, now - CLOCK_SKEW_SECONDS)
            if not (earliest if open_for_vendor else asked.end - 1) <= end // 1000 <= asked.end:
                raise SchemaError("$.limits.to: not the end that was asked for")
            begun = begun and end // 1000 > asked.start
    return begun


def next_page(request: Request, pagination: Pagination | None, items: int) -> Request | None:
    """The request for the next page, for both of the vendor's kinds of paging; None at the end.

    A list ends with an empty page, without a key (absent, null or empty), with the same key again,
    or with the last of the numbered pages.
    """
    if pagination is None or not items:
        return None
    params = dict(request.params)
    key = pagination.next_page_key
    if key is not None and str(key).strip():
        if str(key) == params.get("next_page_key"):
            return None
        params["next_page_key"] = str(key)
    elif pagination.page is not None and pagination.total_pages is not None:
        page = int(params.get("page", "1"))
        if page >= whole(pagination.total_pages, path="$.pagination.total_pages"):
            return None
        params["page"] = str(page + 1)
    else:
        return None
    return Request(request.path, tuple(params.items()), request.span, request.subjects)
