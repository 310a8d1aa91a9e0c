"""The feed of current viewers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from exporter.model import Answer, Ask, Level, Measure, Request, measures, values
from exporter.model.errors import SchemaError
from exporter.providers.livepeer.asking import ALL, BREAKDOWN, LivepeerFeed
from exporter.providers.livepeer.wire import Now

_PATH: Final = "/data/views/now"
_MOST_ROWS: Final = 1001
"""The vendor truncates a realtime answer to this many rows, without saying so."""

_DECODER: Final = msgspec.json.Decoder(list[Now] | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breakdown:
    """A breakdown of current viewers: the vendor's key and the metric for it."""

    key: str
    measure: Measure
    subject: Callable[[Now], str | UnsetType | None]
    label: Callable[[str | None], str]


_BREAKDOWNS: Final = {
    breakdown.key: breakdown
    for breakdown in (
        _Breakdown(
            key="playbackId",
            measure=measures.STREAM_VIEWERS,
            subject=lambda row: row.playback_id,
            label=values.label,
        ),
        _Breakdown(
            key="country",
            measure=measures.COUNTRY_VIEWERS,
            subject=lambda row: row.country,
            label=values.country,
        ),
        _Breakdown(
            key="device",
            measure=measures.DEVICE_VIEWERS,
            subject=lambda row: row.device,
            label=values.device,
        ),
    )
}


class Realtime(LivepeerFeed):
    """Current viewers: in total, and in three breakdowns."""

    name = "realtime"
    measures = (
        measures.VIEWERS,
        measures.REALTIME_PLAYBACK_ERROR_RATIO,
        *(breakdown.measure for breakdown in _BREAKDOWNS.values()),
    )
    resolutions = ()
    settling = 0

    def requests(self, ask: Ask) -> Iterable[Request]:
        yield Request(_PATH)
        for key in _BREAKDOWNS:
            yield Request(_PATH, ((BREAKDOWN, key),))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _DECODER.decode(body) or []
        key = dict(request.params).get(BREAKDOWN)
        if key is None:
            return Answer(levels=self._whole(rows))
        return Answer(levels=self._parts(rows, _BREAKDOWNS[key]), remarks=self._cut_off(rows, key))

    @staticmethod
    def _whole(rows: list[Now]) -> list[Level]:
        levels: list[Level] = []
        for index, row in enumerate(rows):
            if row.view_count is not None:
                viewers = values.whole(row.view_count, path=f"$[{index}].viewCount")
                levels.append(Level(measures.VIEWERS, (ALL,), viewers))
            if row.error_rate is not None:
                ratio = values.level(row.error_rate, path=f"$[{index}].errorRate")
                levels.append(
                    Level(measures.REALTIME_PLAYBACK_ERROR_RATIO, (ALL,), ratio, merge="greatest")
                )
        return levels

    @staticmethod
    def _parts(rows: list[Now], breakdown: _Breakdown) -> list[Level]:
        """One level for each row. Rows with equal labels have disjoint sessions and are summed."""
        levels: list[Level] = []
        for index, row in enumerate(rows):
            subject = breakdown.subject(row)
            if subject is UNSET:
                raise SchemaError(
                    f"$[{index}]: no {breakdown.key!r} in an answer broken down by it"
                )
            if row.view_count is None:
                continue
            viewers = values.whole(row.view_count, path=f"$[{index}].viewCount")
            levels.append(Level(breakdown.measure, (ALL, breakdown.label(subject)), viewers))
        return levels

    @staticmethod
    def _cut_off(rows: list[Now], key: str) -> tuple[str, ...]:
        if len(rows) < _MOST_ROWS:
            return ()
        return (
            f"viewers now by {key}: the vendor lists no more than {_MOST_ROWS} rows and has"
            " reached that; what lies beyond them is missing",
        )
