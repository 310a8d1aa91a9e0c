"""Wowza Video's `/usage` operations, v1.8 to v2.0.

From the OpenAPI 2.0, the swagger of 1.10 beta (18 January 2023) and the VOD usage page of v1.11.
Bodies follow the documented examples, which are right where the schemas are not. Every amount is a
whole number of bytes or seconds accrued in the window.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from exporter.emulators.http import Request
from exporter.emulators.world import Stream
from exporter.emulators.wowza.account import (
    ACCOUNT_ID,
    ADDITIONAL,
    COUNTRIES,
    EGRESS,
    FAMILIES,
    RENDITIONS,
    VENDOR,
    VIEWING,
    Account,
    Family,
    transcoder_settings,
)
from exporter.emulators.wowza.errors import Refusal
from exporter.emulators.wowza.paging import Pages
from exporter.emulators.wowza.window import DAY, HOUR, MINUTE, Window, stamp, usage_window

Body: TypeAlias = dict[str, Any]

ANALYTICS_SINCE = (1, 11)
RESOURCES = ("transcoders", "vod_streams")
TREND_REACH = 30 * DAY
RETIRED = ("trend", "live", "countries", "renditions")  # below /usage/{family}/{id}, before 1.11


@dataclass(frozen=True, slots=True)
class Usage:
    """The operations of one version for one request."""

    account: Account
    version: tuple[int, int]
    pages: Pages
    quirks: frozenset[str]
    request: Request

    @property
    def legacy(self) -> bool:
        """Up to 1.10: unique viewers, `/accounts`, and the operations that 1.11 retired."""
        return self.version < ANALYTICS_SINCE

    def answer(self, parts: tuple[str, ...]) -> Body:
        """The body for the path below `/usage`; Refusal when there is none."""
        match parts:
            case ("storage", "peak"):
                return self._stored_peak()
            case ("storage", "current") if self.version >= (2, 0):
                return self._stored_now()
            case ("account" | "accounts" as route,) if route == self._account_route:
                return self._account()
            case ("accounts", operation) if operation in RETIRED:
                return self._account_operation(operation)
            case ("vod_streams", "egress", *rest) if len(rest) < 2:
                return self._egress(tuple(rest))
            case (name,) if name in FAMILIES:
                return self._list(FAMILIES[name], FAMILIES[name].listed)
            case (name, "summary") if name in FAMILIES:
                return self._summary(FAMILIES[name])
            case (name, identifier) if name in FAMILIES:
                return self._detail(FAMILIES[name], identifier)
            case (name, identifier, operation) if name in FAMILIES and operation in RETIRED:
                return self._operation(FAMILIES[name], identifier, operation)
        raise Refusal(404)

    # -- one family -----------------------------------------------------------------------------

    def _list(self, family: Family, fields: tuple[str, ...]) -> Body:
        window = self._window()
        rows: list[Body] = []
        for stream in self.account.streams(family.plural, window):
            amounts = self._amounts(family, stream, fields, window)
            if "unused-left-out" in self.quirks and not any(amounts.values()):
                continue
            audience = self._unique_viewers(family, stream, amounts, window)
            rows.append(self._named(family, stream) | audience | amounts)
        cut = self.pages.by_number if family.counted_pages else self.pages.by_key
        page, pagination = cut(rows, self.request)
        page = [self._with_old_names(row) for row in page]
        body: Body = {family.plural: page, "pagination": pagination, "limits": window.limits}
        if "pagination-missing" in self.quirks:
            del body["pagination"]
            body[family.plural] = [self._with_old_names(row) for row in rows]
        return body

    def _detail(self, family: Family, identifier: str) -> Body:
        window = self._window()
        stream = self._found(family, identifier)
        amounts = self._amounts(family, stream, family.listed + family.detailed, window)
        audience = self._unique_viewers(family, stream, amounts, window, detail=True)
        row = self._named(family, stream) | audience | amounts
        if family.trended and not self.legacy and self._trend_asked:
            row["trend"] = self._trend(family, [stream], window)
        if family.plural == "stream_targets":
            row["zones"] = zones(amounts)
        return self._within(family.single, self._with_old_names(row), window)

    def _summary(self, family: Family) -> Body:
        window = self._window()
        if family.plural == "real_time_streams" and self.legacy:
            raise Refusal(404)
        fields = VIEWING if self.legacy and family.plural == "vod_streams" else family.summed
        amounts = {name: self.account.sum(family.plural, name, window) for name in fields}
        summary: Body = dict(amounts)
        if family.unique_viewers and self.legacy:
            summary = self._with_viewers((family.plural,), amounts, window) | summary
        if family.plural == "stream_targets":
            summary["zones"] = zones(amounts)
        if family.plural == "transcoders":
            summary["configurations"] = self._configurations(window)
        return self._within("summary", self._with_old_names(summary), window)

    def _egress(self, rest: tuple[str, ...]) -> Body:
        """Egress of on-demand streams on its own: bytes only, retired in 1.11."""
        self._before_retirement()
        family, window = FAMILIES["vod_streams"], self._window()
        match rest:
            case ():
                return self._list(family, ("egress_bytes",))
            case ("summary",):
                total = self.account.sum("vod_streams", "egress_bytes", window)
                return self._within("summary", {"egress_bytes": total}, window)
            case _:
                pass
        stream = self._found(family, rest[0])
        amounts = self._amounts(family, stream, ("egress_bytes",), window)
        return self._within(family.single, self._named(family, stream) | amounts, window)

    def _operation(self, family: Family, identifier: str, operation: str) -> Body:
        """`/{id}/trend`, `/live`, `/countries`, `/renditions`: retired in 1.11."""
        if family.plural == "real_time_streams":
            raise Refusal(404)
        self._before_retirement()
        stream = self._found(family, identifier)
        if operation == "live":
            return {family.single: {"id": stream.id} | self._live(family, stream)}
        window = self._window()
        if operation == "trend":
            trend = self._trend(family, [stream], window)
            return {"trend": [self._with_old_names(row) for row in trend], "limits": window.limits}
        amounts = self._amounts(family, stream, VIEWING, window)
        return self._split(operation, (family.plural, stream.id), amounts, window)

    def _live(self, family: Family, stream: Stream) -> Body:
        def viewers(now: int) -> int:
            return self.account.viewers(family.plural, stream, now)

        return self._live_viewers((family.plural, stream.id), viewers)

    # -- the account ----------------------------------------------------------------------------

    @property
    def _account_route(self) -> str:
        return "accounts" if self.legacy or "accounts-route" in self.quirks else "account"

    def _account(self) -> Body:
        window = self._window()
        resources = self._resources()
        fields = (*VIEWING, "egress_seconds", ADDITIONAL, "egress_bytes")
        amounts = {name: self.account.total(name, window, resources) for name in fields}
        if self.legacy:
            row = self._with_viewers(("account",), amounts, window) | amounts
        else:
            row = {"id": ACCOUNT_ID} | amounts
            if self._trend_asked:
                row["trend"] = self._account_trend(window, resources)
        key = "accounts" if "accounts-key" in self.quirks else "account"
        body = self._within(key, self._with_old_names(row), window)
        limits = body["limits"] if "limits" in body else body[key]["limits"]
        limits["resources"] = list(resources)
        return body

    def _account_operation(self, operation: str) -> Body:
        self._before_retirement()
        if operation == "live":
            live = self._live_viewers(("account",), self.account.account_viewers)
            return {"account": {"id": ACCOUNT_ID} | live}
        if operation == "renditions":
            raise Refusal(404)
        window = self._window()
        resources = self._resources()
        if operation == "trend":
            trend = [self._with_old_names(row) for row in self._account_trend(window, resources)]
            return {"trend": trend, "limits": window.limits}
        amounts = {name: self.account.total(name, window, resources) for name in VIEWING}
        return self._split(operation, ("account",), amounts, window)

    def _resources(self) -> tuple[str, ...]:
        """The resources that the filter leaves: `filter[0][field]=resource`, `[eq]` or `[in]`."""
        field = self.request.first("filter[0][field]")
        if field is None:
            return RESOURCES
        chosen = self.request.first("filter[0][eq]") or self.request.first("filter[0][in]") or ""
        names = tuple(chosen.split(","))
        if field != "resource" or not set(names) <= set(RESOURCES):
            raise Refusal(422, "The filter isn't valid")
        return names

    def _account_trend(self, window: Window, resources: tuple[str, ...]) -> list[Body]:
        return [
            {"sampled_at": stamp(step.start)}
            | {name: self.account.total(name, step, resources) for name in VIEWING}
            for step in trend_steps(window, self.account.now)
        ]

    # -- storage --------------------------------------------------------------------------------

    def _stored_peak(self) -> Body:
        window = self._window()
        stored = self._stored("recordings", window.end) + self._stored("vod_streams", window.end)
        return {"bytes": stored, "limits": window.limits}

    def _stored_now(self) -> Body:
        return {
            "recording_bytes": self._stored("recordings", self.account.now),
            "vod_stream_bytes": self._stored("vod_streams", self.account.now),
        }

    def _stored(self, what: str, moment: int) -> int:
        key = (VENDOR, "storage", what, "stored_bytes")
        return 1_000_000 * self.account.world.level(key, now=moment, top=1_000_000)

    # -- pieces ---------------------------------------------------------------------------------

    @property
    def _trend_asked(self) -> bool:
        asked = [name for name in (self.request.first("include") or "").split(",") if name]
        if set(asked) - {"trend"}:
            raise Refusal(422, "include isn't valid")
        return bool(asked)

    def _window(self) -> Window:
        window = usage_window(self.request, now=self.account.now)
        if "limits-whole-days" in self.quirks:
            window = window.widened_to_days()
        if self.quirks & {"cuts-open-window", "clock-behind"}:
            window = window.ended_by(self.account.now)
        return window

    def _before_retirement(self) -> None:
        if not self.legacy:
            raise Refusal(410)

    def _found(self, family: Family, identifier: str) -> Stream:
        stream = self.account.find(family.plural, identifier)
        if stream is None:
            raise Refusal(404)
        return stream

    def _amounts(
        self, family: Family, stream: Stream, fields: Iterable[str], window: Window
    ) -> dict[str, int]:
        return {name: self.account.amount(family.plural, stream, name, window) for name in fields}

    def _named(self, family: Family, stream: Stream) -> Body:
        row: Body = {"id": stream.id, "name": stream.name}
        if family.plural == "real_time_streams":
            return row
        row["archived"] = stream.archived
        if family.plural == "transcoders":
            return row | transcoder_settings(self.account, stream)
        return row | {"type": "fastly"}

    def _unique_viewers(
        self,
        family: Family,
        stream: Stream,
        amounts: Mapping[str, int],
        window: Window,
        *,
        detail: bool = False,
    ) -> Body:
        """The fields on unique viewers that versions up to 1.10 have; none for later ones."""
        if not self.legacy or "viewing_seconds" not in amounts:
            return {}
        if not (family.unique_viewers or detail):
            return {}
        return self._with_viewers((family.plural, stream.id), amounts, window)

    def _with_viewers(
        self, owner: tuple[str, ...], amounts: Mapping[str, int], window: Window
    ) -> Body:
        key = (VENDOR, *owner, "unique_viewers")
        viewers = 1 + self.account.world.level(key, now=window.end, top=500)
        average = amounts["viewing_seconds"] // viewers
        return {"unique_viewers": viewers, "avg_viewing_seconds": average}

    def _live_viewers(self, owner: tuple[str, ...], viewers: Callable[[int], int]) -> Body:
        """Viewers of the last hour, minute by minute: the retired `/live` operations."""
        now = self.account.now
        countries = self.account.share(owner, viewers(now), [code for code, _ in COUNTRIES])
        minute = now // MINUTE * MINUTE
        return {
            "unique_viewers": viewers(now),
            "countries": [
                {"code": code, "unique_viewers": count} for code, count in countries.items()
            ],
            "viewer_trend": [
                {"sampled_at": stamp(at), "unique_viewers": viewers(at)}
                for at in range(minute - HOUR + MINUTE, minute + MINUTE, MINUTE)
            ],
        }

    def _split(
        self, operation: str, owner: tuple[str, ...], amounts: Mapping[str, int], window: Window
    ) -> Body:
        """Viewing by country or rendition: the retired breakdowns."""
        names: dict[str, Body] = {code: {"code": code, "name": name} for code, name in COUNTRIES}
        if operation == "renditions":
            names = {str(height): {"name": str(height)} for height in RENDITIONS}
        shares = {
            field: self.account.share(owner, amounts[field], list(names)) for field in VIEWING
        }
        rows = []
        for name, row in names.items():
            part = {field: shares[field].get(name, 0) for field in VIEWING}
            viewers = self._with_viewers((*owner, name), part, window)
            rows.append(self._with_old_names(row | viewers | part))
        return {operation: rows, "limits": window.limits}

    def _configurations(self, window: Window) -> list[Body]:
        """Transcoder egress by type and billing mode."""
        groups: dict[tuple[str, str], dict[str, int]] = {}
        for stream in self.account.streams("transcoders", window):
            settings = transcoder_settings(self.account, stream)
            group = groups.setdefault(
                (settings["transcoder_type"], settings["billing_mode"]), dict.fromkeys(EGRESS, 0)
            )
            for name in EGRESS:
                group[name] += self.account.amount("transcoders", stream, name, window)
        return [
            {"transcoder_type": sort, "billing_mode": billing} | amounts
            for (sort, billing), amounts in groups.items()
        ]

    def _trend(self, family: Family, streams: list[Stream], window: Window) -> list[Body]:
        return [
            {"sampled_at": stamp(step.start)}
            | {
                name: sum(
                    self.account.amount(family.plural, stream, name, step) for stream in streams
                )
                for name in VIEWING
            }
            for step in trend_steps(window, self.account.now)
        ]

    def _within(self, key: str, row: Body, window: Window) -> Body:
        """`limits` beside the object, as in the examples; inside it, as in the schemas, by quirk."""
        if "limits-inside" in self.quirks:
            return {key: row | {"limits": window.limits}}
        return {key: row, "limits": window.limits}

    def _with_old_names(self, row: Mapping[str, Any]) -> Body:
        """A row with the names of 1.7, by quirk."""
        if "names-of-1.7" not in self.quirks:
            return dict(row)
        older = {"viewing_seconds": "viewing_time", "viewing_bytes": "bytes"}
        return {
            older.get(name, name): value
            for name, value in row.items()
            if name != "avg_viewing_seconds"
        }


def zones(amounts: Mapping[str, int]) -> list[Body]:
    """Delivery zones of stream targets: the one that the examples show."""
    return [{"name": "global", "type": "fastly", "viewing_bytes": amounts["viewing_bytes"]}]


def trend_steps(window: Window, now: int) -> list[Window]:
    """A usage trend's samples: by minute up to 3 hours, by hour up to a day, else by day.

    Only the past 30 days have them, and nothing has happened yet after `now`.
    """
    span = window.end - window.start
    step = MINUTE if span <= 3 * HOUR else HOUR if span <= DAY else DAY
    start = max(window.start, (now - TREND_REACH) // step * step)
    end = min(window.end, now)
    return [Window(at, min(at + step, end)) for at in range(start, end, step)]
