"""Wowza Video's `/analytics/viewers` operations, from v1.11 on; `/total` from v2.0 on.

From the OpenAPI 2.0. `viewers` counts unique addresses: it is no sum over streams and none over
time. Without `from` and `to` the answer is live; lists then cover five minutes, and hold the 100
most viewed streams, no more and no paging. Asked for by itself, every stream answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.emulators.http import Request
from exporter.emulators.wowza.account import ACCOUNT_ID, COUNTRIES, DEVICES, RENDITIONS, Account
from exporter.emulators.wowza.errors import Refusal
from exporter.emulators.wowza.window import (
    DAY,
    HOUR,
    MINUTE,
    Window,
    month_so_far,
    stamp,
    viewers_window,
)

Body = dict[str, Any]

SINGLE = {
    "live_streams": "live_stream",
    "vod_streams": "vod_stream",
    "stream_targets": "stream_target",
}
LISTED = ("live_streams", "vod_streams")
TOP = 100
BREAKDOWNS = ("countries", "renditions", "devices")


@dataclass(frozen=True, slots=True)
class Viewers:
    """The operations of one version for one request. Lists hold `top` streams."""

    account: Account
    version: tuple[int, int]
    quirks: frozenset[str]
    request: Request
    top: int = TOP

    def answer(self, parts: tuple[str, ...]) -> Body:
        """The body for the path below `/analytics/viewers`; Refusal when there is none."""
        match parts:
            case (family,) if family in LISTED:
                return self._list(family)
            case ("account", *rest):
                owner = ("account", ACCOUNT_ID)
                return self._one("account", {}, owner, self.account.account_viewers, tuple(rest))
            case (family, identifier, *rest) if family in SINGLE:
                return self._stream(family, identifier, tuple(rest))
        raise Refusal(404)

    def _list(self, family: str) -> Body:
        now = self.account.now
        window = viewers_window(self.request, now=now) or Window(now - 5 * MINUTE, now)
        moment = min(window.end, now)
        most = self.account.most_viewed(family, moment, self.top)
        rows = [{"id": stream.id, "viewers": count} for stream, count in most]
        return {family: rows, "limits": window.limits}

    def _stream(self, family: str, identifier: str, rest: tuple[str, ...]) -> Body:
        stream = self.account.find(family, identifier)
        if stream is None:
            raise Refusal(404)

        def viewers(now: int) -> int:
            return self.account.viewers(family, stream, now)

        named = {"id": stream.id}
        return self._one(SINGLE[family], named, (family, stream.id), viewers, rest)

    def _one(
        self,
        key: str,
        named: Body,
        owner: tuple[str, ...],
        viewers: Callable[[int], int],
        rest: tuple[str, ...],
    ) -> Body:
        total = rest == ("total",) and self.version >= (2, 0)
        if rest and not total:
            raise Refusal(404)
        now = self.account.now
        asked = self._asked(BREAKDOWNS if total else (*BREAKDOWNS, "trend"))
        window = month_so_far(now) if total else viewers_window(self.request, now=now)
        window = window or Window(now - MINUTE, now)
        moment = min(window.end, now)
        row: Body = named | {"viewers": viewers(moment)}
        for name in BREAKDOWNS:
            if name in asked:
                row[name] = breakdown(self.account, name, owner, row["viewers"])
        row["time_zone"] = self.request.first("time_zone") or "Etc/UTC"
        if "trend" in asked:
            row["trend"] = [
                {"sampled_at": stamp(at), "viewers": viewers(at)} for at in samples(window, now)
            ]
        if "limits-inside" in self.quirks:
            return {key: row | {"limits": window.limits}}
        return {key: row, "limits": window.limits}

    def _asked(self, allowed: tuple[str, ...]) -> frozenset[str]:
        text = self.request.first("include") or ""
        asked = frozenset(name.strip() for name in text.split(",") if name.strip())
        if asked - set(allowed):
            raise Refusal(422, "include isn't valid")
        return asked


def breakdown(account: Account, name: str, owner: tuple[str, ...], viewers: int) -> list[Body]:
    """One breakdown of a viewers answer; its rows add up to `viewers`. Renditions are numbers."""
    names: Sequence[object]
    if name == "countries":
        label, names = "code", [code for code, _ in COUNTRIES]
    else:
        label, names = "name", RENDITIONS if name == "renditions" else DEVICES
    return [
        {label: part, "viewers": count}
        for part, count in account.share(owner, viewers, names).items()
    ]


def samples(window: Window, now: int) -> range:
    """When a viewers trend is sampled: every minute up to 8 hours, hour up to 24, then day.

    Beyond 175 days the vendor samples by month; 30 days stand for it.
    """
    span = window.end - window.start
    if span <= 8 * HOUR:
        step = MINUTE
    elif span <= DAY:
        step = HOUR
    else:
        step = DAY if span <= 175 * DAY else 30 * DAY
    return range(window.start, min(window.end, now), step)
