"""The feeds of views: of the account, of single assets and streams, and over all time.

An empty list means that there is no data, not that there were no viewers: when the vendor switches
viewership off, it answers `[]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from exporter.model import (
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Answer,
    Ask,
    Level,
    Measure,
    Options,
    Request,
    Step,
    Usage,
    measures,
    values,
)
from exporter.model.errors import SchemaError
from exporter.providers.livepeer.asking import ALL, BREAKDOWN, MINUTE, Hours, LivepeerFeed, hourly
from exporter.providers.livepeer.wire import Total, Views

_VIEWS: Final = "/data/views/query"
_CREATOR: Final = "/data/views/query/creator"
_TOTAL: Final = "/data/views/query/total/"

_OWNED: Final = {"assets": "assetId", "live_streams": "streamId"}
"""The options that name what a creator owns, and the vendor's parameter for each."""

_VIEWS_DECODER: Final = msgspec.json.Decoder(list[Views] | None)
_TOTAL_DECODER: Final = msgspec.json.Decoder(Total)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Breakdown:
    """A breakdown of views: the vendor's key and the metrics for it."""

    key: str
    views: Measure
    viewing_seconds: Measure
    subject: Callable[[Views], str | UnsetType | None]
    label: Callable[[str | None], str] = values.label

    def read(self, rows: list[Views], request: Request) -> list[Usage]:
        """The usage of `rows`; rows with equal labels are summed later."""
        usage: list[Usage] = []
        hours = Hours(request)
        for index, row in enumerate(rows):
            subject = self.subject(row)
            if subject is UNSET:
                raise SchemaError(f"$[{index}]: no {self.key!r} in an answer broken down by it")
            labels = (ALL, self.label(subject))
            usage += _viewed(row, index, hours, self.views, self.viewing_seconds, labels)
        return usage


_BY_PLAYBACK_ID: Final = _Breakdown(
    key="playbackId",
    views=measures.STREAM_VIEWS,
    viewing_seconds=measures.STREAM_VIEWING_SECONDS,
    subject=lambda row: row.playback_id,
)
_BY_COUNTRY: Final = _Breakdown(
    key="country",
    views=measures.COUNTRY_VIEWS,
    viewing_seconds=measures.COUNTRY_VIEWING_SECONDS,
    subject=lambda row: row.country,
    label=values.country,
)
_BY_BROWSER: Final = _Breakdown(
    key="browser",
    views=measures.BROWSER_VIEWS,
    viewing_seconds=measures.BROWSER_VIEWING_SECONDS,
    subject=lambda row: row.browser,
)
_BREAKDOWNS: Final = {one.key: one for one in (_BY_PLAYBACK_ID, _BY_COUNTRY, _BY_BROWSER)}


class Viewership(LivepeerFeed):
    """Hourly views and their quality: in total, by playback id, by country, and by browser."""

    name = "viewership"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        by_option = (_BY_BROWSER,) if options["browsers"] else ()
        self._breakdowns = (_BY_PLAYBACK_ID, _BY_COUNTRY, *by_option)
        self.measures = (
            measures.VIEWS,
            measures.VIEWING_SECONDS,
            measures.EXITS_BEFORE_START,
            measures.TIME_TO_FIRST_FRAME,
            measures.REBUFFER_RATIO,
            measures.PLAYBACK_ERROR_RATIO,
            *(measure for one in self._breakdowns for measure in (one.views, one.viewing_seconds)),
        )

    def requests(self, ask: Ask) -> Iterable[Request]:
        for span in ask.spans:
            yield hourly(_VIEWS, span)
            for breakdown in self._breakdowns:
                yield hourly(_VIEWS, span, (BREAKDOWN, breakdown.key))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _VIEWS_DECODER.decode(body) or []
        key = dict(request.params).get(BREAKDOWN)
        if key is not None:
            usage = _BREAKDOWNS[key].read(rows, request)
            return Answer(usage=usage, remarks=_empty_list_remarks(rows, request))
        newest_complete = Step.HOUR.floor(ask.now) - HOUR
        usage = []
        levels: list[Level] = []
        hours = Hours(request)
        for index, row in enumerate(rows):
            path = f"$[{index}]"
            start = hours.of(row.timestamp, index)
            if start is None:
                continue
            usage += _viewed(
                row, index, hours, measures.VIEWS, measures.VIEWING_SECONDS, labels=(ALL,)
            )
            if row.exits_before_start is not None:
                exits = values.amount(
                    row.exits_before_start,
                    path=f"{path}.exitsBeforeStart",
                    scale=measures.EXITS_BEFORE_START.resolution,
                )
                usage.append(Usage(measures.EXITS_BEFORE_START, (ALL,), start, HOUR, exits))
            quality = self._quality(row, path)
            if start == newest_complete:
                levels += quality
        return Answer(usage=usage, levels=levels, remarks=_empty_list_remarks(rows, request))

    @staticmethod
    def _quality(row: Views, path: str) -> list[Level]:
        """Means over the row's hour; null where the vendor has too little data."""
        found = (
            (measures.TIME_TO_FIRST_FRAME, row.ttff_ms, "ttffMs", 1000),
            (measures.REBUFFER_RATIO, row.rebuffer_ratio, "rebufferRatio", 1),
            (measures.PLAYBACK_ERROR_RATIO, row.error_rate, "errorRate", 1),
        )
        return [
            Level(
                measure,
                (ALL,),
                values.level(value, path=f"{path}.{key}") / parts,
                merge="greatest",
            )
            for measure, value, key, parts in found
            if value is not None
        ]


def _viewed(
    row: Views,
    index: int,
    hours: Hours,
    views: Measure,
    viewing_seconds: Measure,
    labels: tuple[str, ...],
) -> list[Usage]:
    """The views and the viewing time of the answer's row `index`, without fields that are null.

    Empty when the row's hour lies outside the request's window.
    """
    start = hours.of(row.timestamp, index)
    if start is None:
        return []
    usage = []
    try:
        if row.view_count is not None:
            count = values.whole(row.view_count, path=".viewCount")
            usage.append(Usage(views, labels, start, HOUR, count))
        if row.playtime_mins is not None:
            time = values.amount(row.playtime_mins, path=".playtimeMins", scale=MINUTE)
            usage.append(Usage(viewing_seconds, labels, start, HOUR, time))
    except SchemaError as error:  # only now: a row's path takes as long to write as its values
        raise SchemaError(f"$[{index}]{error}") from None
    return usage


def _empty_list_remarks(rows: list[Views], request: Request) -> tuple[str, ...]:
    """The remark about an empty list, which may mean that viewership is switched off."""
    if rows:
        return ()
    return (
        f"{request.path} answered with an empty list: no views in the window, or the vendor has"
        " switched viewership off; nothing was recorded",
    )


class Creators(LivepeerFeed):
    """Views of the assets and live streams in the account's options."""

    name = "creators"
    measures = (measures.CREATOR_VIEWS, measures.CREATOR_VIEWING_SECONDS)

    @property
    def subjects(self) -> tuple[str, ...]:
        """See `Configured`."""
        return self._ids(*_OWNED)

    def requests(self, ask: Ask) -> Iterable[Request]:
        wanted = set(ask.streams)
        for span in ask.spans:
            for option, key in _OWNED.items():
                for subject in self._ids(option):
                    if subject in wanted:
                        yield hourly(_CREATOR, span, (key, subject), subject=subject)

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        rows = _VIEWS_DECODER.decode(body) or []
        labels = (ALL, *request.subjects)
        hours = Hours(request)
        usage = [
            found
            for index, row in enumerate(rows)
            for found in _viewed(row, index, hours, *self.measures, labels)
        ]
        return Answer(usage=usage, remarks=_empty_list_remarks(rows, request))


class PublicTotals(LivepeerFeed):
    """Views over all time of the playback ids in the account's options."""

    name = "public_totals"
    measures = (measures.LIFETIME_VIEWS, measures.LIFETIME_VIEWING_SECONDS)
    resolutions = ()
    settling = 0

    @property
    def subjects(self) -> tuple[str, ...]:
        """See `Configured`."""
        return self._ids("playback_ids")

    def requests(self, ask: Ask) -> Iterable[Request]:
        wanted = set(ask.streams)
        for subject in self.subjects:
            if subject in wanted:
                yield Request(_TOTAL + quote(subject, safe=""), subjects=(subject,))

    def parse(self, request: Request, body: bytes, ask: Ask) -> Answer:
        total = _TOTAL_DECODER.decode(body)
        if all(getattr(total, name) is UNSET for name in total.__struct_fields__):
            raise SchemaError("$: none of the documented keys")
        count, legacy, playtime = (
            None if value is UNSET else value
            for value in (total.view_count, total.legacy_view_count, total.playtime_mins)
        )
        if not count and not legacy and playtime is None:
            return Answer(
                remarks=(
                    f"{_TOTAL}… answered with no playing time and no views: the vendor may have"
                    " switched viewership off; nothing was recorded",
                )
            )
        found: list[tuple[Measure, int]] = []
        if count is not None:
            views = values.whole(count, path="$.viewCount")
            if legacy is not None:  # before 2023, not part of viewCount
                views += values.whole(legacy, path="$.legacyViewCount")
                values.amount(views, path="$.viewCount + $.legacyViewCount")  # not too many
            found.append((measures.LIFETIME_VIEWS, views))
        if playtime is not None:
            time = values.amount(playtime, path="$.playtimeMins", scale=MINUTE)
            found.append((measures.LIFETIME_VIEWING_SECONDS, time))
        return Answer(
            usage=[
                Usage(measure, request.subjects, LIFETIME_START, LIFETIME_WIDTH, amount)
                for measure, amount in found
            ]
        )
