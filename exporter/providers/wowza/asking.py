"""How windows are asked for and checked, and how lists go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from exporter.errors import SchemaError
from exporter.model import Request, Span, Window
from exporter.providers.wowza.wire import Limits, Pagination
from exporter.reading import instant, whole

PER_PAGE: Final = ("per_page", "1000")


def window(request: Request) -> Window:
    """The one bucket that a usage request is about: its whole span."""
    if request.span is None:
        raise ValueError(f"a usage request without a span: {request.path}")
    return request.span.window


def between(span: Span) -> tuple[tuple[str, str], ...]:
    """The parameters for a span; windows begin and end on the hour, so nothing is rounded."""
    start, end = (
        datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:00:00")
        for instant in (span.window.start, span.window.end)
    )
    return ("from", start), ("to", end)


def check(asked: Window, *reported: Limits | None, now: int) -> None:
    """Raises SchemaError when the answer is about another window than the one asked for.

    Only of a window that is still open may the end lie earlier than asked, as the vendor cuts
    it to what there is yet. An end one second (or less) early is an inclusive one.
    """
    for limits in reported:
        if limits is None:
            continue
        if limits.from_ is not None:
            start = instant(limits.from_, path="$.limits.from")
            if start != asked.start:
                raise SchemaError(f"$.limits.from: {limits.from_} was not asked for")
        if limits.to is not None:
            end = instant(limits.to, path="$.limits.to")
            earliest = asked.start if asked.end > now else asked.end - 1
            if not earliest <= end <= asked.end:
                raise SchemaError(f"$.limits.to: {limits.to} was not asked for")


def next_page(request: Request, pagination: Pagination | None, items: int) -> Request | None:
    """The request for the next page, of whichever of the vendor's two kinds of paging.

    A list ends with an empty page, without a key (absent, null or empty), when a key comes
    back, or with the last of the numbered pages.
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
