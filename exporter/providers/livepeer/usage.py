"""The feed of billed usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from exporter.model import (
    HOUR,
    Answer,
    Ask,
    Level,
    Request,
    Span,
    Step,
    Usage,
    Window,
    measures,
    values,
)
from exporter.model.errors import SchemaError
from exporter.providers.livepeer.asking import MINUTE, Hours, LivepeerFeed, halves, hourly
from exporter.providers.livepeer.wire import Billed

_PATH: Final = "/data/usage/query"
_DECODER: Final = msgspec.json.Decoder(list[Billed] | Billed | None)


class BilledUsage(LivepeerFeed):
    """Delivered, transcoded and stored time by the hour, as billed."""

    name = "usage"
    measures = (
        measures.USAGE_DELIVERED_SECONDS,
        measures.TRANSCODED_SECONDS,
        measures.STORED_SECONDS,
    )

    def requests(self, ask: Ask) -> Iterable[Request]:
        return (hourly(_PATH, span) for span in ask.spans)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        answer = _DECODER.decode(body) or []
        span = request.span
        assert span is not None  # noqa: S101 - this feed's own request
        listed = isinstance(answer, list)
        rows = answer if isinstance(answer, list) else [answer]
        usage: list[Usage] = []
        stored: dict[int, int] = {}
        hours = Hours(request, "TimeInterval")
        for index, row in enumerate(rows):
            path = f"$[{index}]" if listed else "$"
            if not row.documented:
                raise SchemaError(f"{path}: none of the documented keys")
            if row.time_interval is not UNSET and row.time_interval is not None:
                start = hours.of(row.time_interval, index if listed else None)
            elif listed:
                raise SchemaError(f"{path}: no 'TimeInterval' in an answer by the hour")
            elif parts := halves(request):
                return Answer(
                    follow=parts
                )  # one sum of the whole window: halve down to single hours
            else:
                start = span.window.start
            if start is None:
                continue
            for measure, value, key in (
                (measures.USAGE_DELIVERED_SECONDS, row.delivery_usage_mins, "DeliveryUsageMins"),
                # Despite its name, this field has only transcoding.
                (measures.TRANSCODED_SECONDS, row.total_usage_mins, "TotalUsageMins"),
            ):
                if value is not None and value is not UNSET:
                    time = values.amount(value, path=f"{path}.{key}", scale=MINUTE)
                    usage.append(Usage(measure, (), start, HOUR, time))
            if row.storage_usage_mins is not None and row.storage_usage_mins is not UNSET:
                time = values.amount(
                    row.storage_usage_mins, path=f"{path}.StorageUsageMins", scale=MINUTE
                )
                stored[start] = stored.get(start, 0) + time
        return Answer(usage=usage, levels=self._stored(stored, span, ask))

    def totals(self, window: Window) -> Iterable[Request]:
        params = (("from", str(window.start * 1000)), ("to", str(window.end * 1000)))
        yield Request(_PATH, params, Span(window, Step.HOUR))

    def read_totals(self, request: Request, body: bytes, *, now: int) -> Answer:
        row = _DECODER.decode(body)
        if not isinstance(row, Billed) or request.span is None:
            raise SchemaError("$: not the one total that was asked for")
        if not row.documented:
            raise SchemaError("$: none of the documented keys")
        window = request.span.window
        return Answer(
            usage=[
                Usage(
                    measure,
                    (),
                    window.start,
                    window.end - window.start,
                    values.amount(value, path=path, scale=MINUTE),
                )
                for measure, value, path in (
                    (
                        measures.USAGE_DELIVERED_SECONDS,
                        row.delivery_usage_mins,
                        "$.DeliveryUsageMins",
                    ),
                    (measures.TRANSCODED_SECONDS, row.total_usage_mins, "$.TotalUsageMins"),
                )
                if value is not None and value is not UNSET
            ]
        )

    @staticmethod
    def _stored(by_hour: Mapping[int, int], span: Span, ask: Ask) -> list[Level]:
        """The stored time of the newest complete hour. It is a mean, so hours are not summed.

        Only the answer to the newest window has that hour.
        """
        current = Step.HOUR.floor(ask.now)
        complete = [hour for hour in by_hour if hour < current]
        if not complete or span.window.end < max(asked.window.end for asked in ask.spans):
            return []
        value = by_hour[max(complete)] / measures.MILLISECONDS
        return [Level(measures.STORED_SECONDS, (), value, merge="greatest")]
