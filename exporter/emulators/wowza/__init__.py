"""Wowza Video, emulated: `/api/v{version}/usage/…` and `/analytics/viewers/…`, v1.8 to v2.0.

Written from the vendor's OpenAPI 2.0, its swagger of 1.10 beta (18 January 2023), the usage pages
of v1.11 and the pages on paging, limits, caching and versions (read in November 2026).

Quirks, each off unless named:

limits-inside           `limits` inside the object, as the schemas have it; beside it by default
limits-whole-days       the window is widened to whole days, and `limits` says so
cuts-open-window        a usage window that reaches beyond now ends now, and `limits` says so
clock-behind            the vendor's clock is `behind` seconds behind, and usage windows end by it:
                        `limits` of a window that has not begun for it end before they begin
payload-version-number  `payload_version` is a number
page-key-null, page-key-empty   the last page's `next_page_key` is null or ""; absent by default
page-key-repeats        the last page names its own key again
overlapping-pages       a page begins with the last rows (two at most) of the page before, as when
                        a list grows at its beginning while it is read; both kinds of paging
pagination-missing      lists come whole and without `pagination`
unused-left-out         lists leave out rows whose amounts are all 0
integral-floats         amounts are written as floats: 22886.0
null-amounts            amounts that are 0 are null
absent-amounts          amounts that are 0 are left out: of an idle stream only its name is told
null-lists              empty lists are null
names-of-1.7            `viewing_time` and `bytes` for `viewing_seconds` and `viewing_bytes`
accounts-route          v1.11 and later serve `/usage/accounts` instead of `/usage/account`
accounts-key            the account's object is called `accounts`
cache                   identical requests are answered alike for 60 s (viewers up to 1 h: 10 s)
"""

import json
from collections.abc import Callable
from typing import Any

from exporter.emulators.http import Request, Response
from exporter.emulators.vendor import Amounts, Example, Paging
from exporter.emulators.world import World
from exporter.emulators.wowza import truth
from exporter.emulators.wowza.account import Account
from exporter.emulators.wowza.errors import CONTENT_TYPE, MISSING_TOKEN, Refusal, error_body, refuse
from exporter.emulators.wowza.paging import Pages
from exporter.emulators.wowza.spelling import spelled
from exporter.emulators.wowza.usage import ANALYTICS_SINCE, Usage
from exporter.emulators.wowza.viewers import TOP, Viewers
from exporter.emulators.wowza.window import HOUR, Window, round_up, viewers_window

QUIRKS = frozenset(
    {
        "limits-inside",
        "limits-whole-days",
        "cuts-open-window",
        "clock-behind",
        "payload-version-number",
        "page-key-null",
        "page-key-empty",
        "page-key-repeats",
        "overlapping-pages",
        "pagination-missing",
        "unused-left-out",
        "integral-floats",
        "null-amounts",
        "absent-amounts",
        "null-lists",
        "names-of-1.7",
        "accounts-route",
        "accounts-key",
        "cache",
    }
)

# By the vendor's life cycle: one current, the others on their way out.
VERSIONS = {
    (1, 8): "deprecated",
    (1, 9): "deprecated",
    (1, 10): "supported",
    (1, 11): "supported",
    (2, 0): "current",
}


class Wowza:
    """The vendor over one world.

    `clock` gives Unix seconds; `page_size` is the largest page; `top` is how many streams a list
    of viewers holds at most; `behind` is by how many seconds the vendor's clock is behind `clock`
    with the quirk `clock-behind`.
    """

    provider = "wowza"
    example = Example("vod")
    paging: tuple[Paging, ...] = (
        Paging("next_page_key", ("pagination", "next_page_key")),
        Paging("page", ("pagination", "total_pages"), counted=True),
    )

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], float],
        credential: str = "demo",
        quirks: frozenset[str] = frozenset(),
        page_size: int = 1000,
        top: int = TOP,
        behind: int = 20,
    ) -> None:
        if unknown := quirks - QUIRKS:
            raise ValueError(f"unknown quirks: {', '.join(sorted(unknown))}")
        self._world = world
        self._clock = clock
        self._behind = behind if "clock-behind" in quirks else 0
        self._credential = credential
        self._quirks = quirks
        self._top = top
        self._pages = Pages(page_size, quirks)
        self._cached: dict[Request, tuple[float, Response]] = {}

    def accepts(self, request: Request) -> bool:
        """Whether the bearer token is the account's; the list of versions needs none."""
        return request.path == "/api/versions" or request.bearer == self._credential

    async def answer(self, request: Request) -> Response:
        if request.bearer is None and not self.accepts(request):
            return refuse(401, code=MISSING_TOKEN)
        if not self.accepts(request):
            return refuse(401)
        now = self._clock() - self._behind
        if "cache" in self._quirks:
            until, kept = self._cached.get(request, (0.0, None))
            if kept is not None and now < until:
                return kept
        try:
            response = self._rendered(self._body(request, int(now)))
            kept_for = self._kept_seconds(request, int(now))
        except Refusal as refusal:
            return refuse(refusal.status, reason=refusal.reason)
        if "cache" in self._quirks:
            self._cached[request] = (now + kept_for, response)
        return response

    def empty(self, request: Request) -> Response:
        """The same answer for an account without streams and traffic."""
        try:
            return self._rendered(emptied(self._body(request, int(self._clock() - self._behind))))
        except Refusal as refusal:
            return refuse(refusal.status, reason=refusal.reason)

    def error(self, status: int) -> tuple[bytes, str]:
        return error_body(status), CONTENT_TYPE

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        """What accrued in [start, end), which the vendor only tells for whole hours.

        `now` is the client's: a vendor whose clock is behind has less by then.
        """
        return truth.accrued(self._account(now), Window(start, end))

    def levels(self, now: int) -> Amounts:
        """The gauges at `now`; by stream those that the lists of viewers hold."""
        return truth.levels(self._account(now), top=self._top)

    def described(self, since: int, now: int) -> dict[tuple[str, str], tuple[str, str]]:
        """(name, archived) by (kind, stream) of what the list of any hour since `since` held.

        An hour that has begun by `since` counts. `archived` is `true`, `false` or, where the
        vendor does not say, `unknown`.
        """
        account = self._account(now)
        window = Window(since // HOUR * HOUR, round_up(account.now + 1, HOUR))
        if "limits-whole-days" in self._quirks:
            window = window.widened_to_days()
        used_only = "unused-left-out" in self._quirks
        return truth.described(account, window, used_only=used_only)

    def _account(self, now: int) -> Account:
        """The account as the vendor has it when it is `now` for its clients."""
        return Account(self._world, now - self._behind)

    def _body(self, request: Request, now: int) -> dict[str, Any]:
        match request.path.strip("/").split("/"):
            case ["api", "versions"]:
                return {
                    name: {"status": status, "base_uri": f"/api/v{name}"}
                    for name, status in (
                        (f"{major}.{minor}", status) for (major, minor), status in VERSIONS.items()
                    )
                }
            case ["api", served, *parts] if request.method == "GET":
                version = parse_version(served)
            case _:
                raise Refusal(404)
        account = Account(self._world, now)
        if parts[:1] == ["usage"]:
            usage = Usage(account, version, self._pages, self._quirks, request)
            return usage.answer(tuple(parts[1:]))
        if parts[:2] == ["analytics", "viewers"] and version >= ANALYTICS_SINCE:
            viewers = Viewers(account, version, self._quirks, request, self._top)
            return viewers.answer(tuple(parts[2:]))
        raise Refusal(404)

    def _rendered(self, body: dict[str, Any]) -> Response:
        text = json.dumps(spelled(body, self._quirks), ensure_ascii=False)
        return Response(200, text.encode(), CONTENT_TYPE)

    def _kept_seconds(self, request: Request, now: int) -> int:
        """How long the vendor's cache keeps an answer, by its page on response caching."""
        if request.path.endswith("/live"):
            return 1
        if "/analytics/" not in request.path:
            return 60
        window = viewers_window(request, now=now)
        return 60 if window is not None and window.end - window.start >= HOUR else 10


def parse_version(text: str) -> tuple[int, int]:
    """(1, 11) of `v1.11`; Refusal 404 for a version that is not served."""
    found = next((one for one in VERSIONS if text == f"v{one[0]}.{one[1]}"), None)
    if found is None:
        raise Refusal(404)
    return found


def emptied(body: dict[str, Any]) -> dict[str, Any]:
    """The answer with its rows gone and its amounts 0; what it says of its window stays."""
    left: dict[str, Any] = {}
    for key, value in body.items():
        if key == "limits":
            left[key] = value
        elif key == "pagination":
            left[key] = {name: 0 if "total" in name else held for name, held in value.items()}
            left[key].pop("next_page_key", None)
        elif isinstance(value, dict):
            left[key] = emptied(value)
        elif isinstance(value, list):
            left[key] = []
        elif isinstance(value, int) and not isinstance(value, bool):
            left[key] = 0
        else:
            left[key] = value
    return left


EMULATOR = Wowza
