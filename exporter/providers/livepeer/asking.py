"""How hours are asked for, and what the feeds have in common.

Windows are asked for by whole hours, which the vendor stores anyway, so that polls within an
hour send the same address and its five-minute cache is of use.
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
    """Ask `path` for the hours of `span`; `from` belongs to the window, `to` does not."""
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
    """`request` for the first and the second half of its hours; () for a single hour."""
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


def hour_of(milliseconds: int | float, request: Request, *, path: str) -> int | None:
    """The start of the hour that a row is about; None when it was not asked for."""
    start = Step.HOUR.floor(values.instant(milliseconds, path=path))
    span = request.span
    assert span is not None  # noqa: S101 - only requests with a window have such rows
    return start if span.window.start <= start < span.window.end else None


class LivepeerFeed(ABC):
    """What the feeds have in common; a feed of hours unless it says otherwise."""

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
        """The ids that these options name, in their order and each once."""
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
        """What to ask instead: half as many hours, where that is the remedy; an hour stands.

        Nothing for an asset, stream or playback id that is gone: it says nothing about the others.
        """
        if isinstance(error, NotFoundError) and request.subjects:
            return ()
        if isinstance(error, InvalidRequestError | TooLargeError) and request.span is not None:
            return halves(request) or None
        return None
