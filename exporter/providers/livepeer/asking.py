"""The requests for hourly data, and the base class of the feeds.

Windows are whole hours, which is also how the vendor stores data. So all polls within an hour
request the same URL, and the vendor's five-minute cache can answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from exporter.model import (
    DAY,
    HOUR,
    Answer,
    Ask,
    Measure,
    Options,
    Request,
    Resolution,
    Span,
    Step,
    Window,
    measures,
    values,
)
from exporter.model.errors import InvalidRequestError, NotFoundError, PollError, TooLargeError

BREAKDOWN: Final = "breakdownBy[]"  # the brackets are part of the name
ALL: Final = "all"
MINUTE: Final = 60 * measures.MILLISECONDS


def hourly(path: str, span: Span, *params: tuple[str, str], subject: str = "") -> Request:
    """The request to `path` for the hours of `span`; `from` is inclusive, `to` is exclusive."""
    window = span.window
    return Request(
        path,
        (
            *params,
            ("from", str(window.start * 1000)),
            ("to", str(window.end * 1000)),
            ("timeStep", "hour"),
        ),
        span,
        (subject,) if subject else (),
    )


def halves(request: Request) -> tuple[Request, ...]:
    """Two requests in place of `request`, one for each half of its hours; () for a single hour."""
    span = request.span
    assert span is not None  # noqa: S101 - only requests with a window are split
    window = span.window
    middle = window.start + (window.end - window.start) // HOUR // 2 * HOUR
    if middle == window.start:
        return ()
    kept = [pair for pair in request.params if pair[0] not in {"from", "to", "timeStep"}]
    subject = "".join(request.subjects)
    return tuple(
        hourly(request.path, Span(Window(start, end), span.step), *kept, subject=subject)
        for start, end in ((window.start, middle), (middle, window.end))
    )


class Hours:
    """The hours that the rows of the answer to `request` are of; `key` is where a row says it.

    Each instant is converted once: many rows are of few hours.
    """

    def __init__(self, request: Request, key: str = "timestamp") -> None:
        assert request.span is not None  # noqa: S101 - only requests with a window have such rows
        self._window = request.span.window
        self._key = key
        self._known: dict[int | float, int | None] = {}

    def of(self, milliseconds: int | float, index: int | None) -> int | None:
        """The start of the hour of row `index`; None when it lies outside the request's window.

        The index is None for an answer that is no list. Raises SchemaError for what is no instant.
        """
        try:
            return self._known[milliseconds]
        except KeyError:
            row = "$" if index is None else f"$[{index}]"
            start = Step.HOUR.floor(values.instant(milliseconds, path=f"{row}.{self._key}"))
            found = start if self._window.start <= start < self._window.end else None
            self._known[milliseconds] = found
            return found


class LivepeerFeed(ABC):
    """The base class of the feeds; its defaults are for a feed with hourly buckets."""

    name: ClassVar[str]
    measures: tuple[Measure, ...]
    resolutions: ClassVar[tuple[Resolution, ...]] = (
        Resolution(Step.HOUR, reach=None, longest=7 * DAY),
    )
    settling: ClassVar[int] = 3 * HOUR
    needs_streams: ClassVar[bool] = False
    discovers: ClassVar[bool] = False

    def __init__(self, options: Options) -> None:
        self._options = options

    def _ids(self, *keys: str) -> tuple[str, ...]:
        """The ids in these options, in their order and each once."""
        found: dict[str, None] = {}
        for key in keys:
            ids = self._options[key]
            assert isinstance(ids, tuple)  # noqa: S101 - as the provider declares them
            found.update(dict.fromkeys(ids))
        return tuple(found)

    @abstractmethod
    def requests(self, ask: Ask) -> Iterable[Request]:
        """See `Feed`."""

    @abstractmethod
    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        """See `Feed`."""

    def refused(self, request: Request, error: PollError) -> Sequence[Request] | None:
        """Halve the window of a request for too much data; for a single hour the error is raised.

        A request about an asset, stream or playback id that no longer exists is skipped.
        """
        if isinstance(error, NotFoundError) and request.subjects:
            return ()
        if isinstance(error, InvalidRequestError | TooLargeError) and request.span is not None:
            return halves(request) or None
        return None
