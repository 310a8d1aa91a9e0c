"""An emulator of Harbour, over the same world as the other vendors'."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from exporter.emulators.http import Request, Response, json_answer
from exporter.emulators.vendor import Amounts, Example, Paging
from exporter.emulators.world import World

HOUR = 3600
ON_PAGE = 10


class Harbour:
    provider = "harbour"
    paging = (Paging("page", ("next",)),)
    example = Example("quay")

    def __init__(self, world: World, *, clock: Callable[[], float]) -> None:
        self.world = world
        self.clock = clock

    def accepts(self, request: Request) -> bool:
        return request.bearer == "demo"

    async def answer(self, request: Request) -> Response:
        if not self.accepts(request):
            return Response(401, *self.error(401))
        now = int(self.clock())
        if request.path == "/decks/main":
            return json_answer({"watching": self.watching(now)})
        if request.path != "/log":
            return Response(404, *self.error(404))
        first, end = int(request.first("from") or 0), int(request.first("to") or 0)
        rows = [
            {"hour": datetime.fromtimestamp(hour, UTC).isoformat(), "ship": ship, "bytes": amount}
            for hour in range(first, min(end, now), HOUR)
            for ship in self.ships(now)
            if (amount := self.carried(ship, hour, hour + HOUR, now))
        ]
        page = int(request.first("page") or 0)
        shown = rows[page * ON_PAGE : (page + 1) * ON_PAGE]
        following = str(page + 1) if len(rows) > (page + 1) * ON_PAGE else None
        return json_answer({"hours": shown, "next": following})

    def empty(self, request: Request) -> Response:
        return json_answer({"watching": 0} if "decks" in request.path else {"hours": []})

    def error(self, status: int) -> tuple[bytes, str]:
        return b"no", "text/plain"

    def truth(self, start: int, end: int, *, now: int) -> Amounts:
        name = "media_stream_delivered_bytes_total"
        return {
            (name, (("kind", "all"), ("stream", ship))): self.carried(ship, start, end, now)
            for ship in self.ships(now)
        }

    def levels(self, now: int) -> Amounts:
        return {("media_viewers", (("kind", "all"),)): self.watching(now)}

    def ships(self, now: int) -> list[str]:
        return [ship.name for ship in self.world.streams("harbour", "ships", now=now)]

    def carried(self, ship: str, start: int, end: int, now: int) -> int:
        return self.world.amount(("harbour", "ships", ship, "bytes"), start, end, now=now)

    def watching(self, now: int) -> int:
        return self.world.level(("harbour", "deck", "main", "viewers"), now=now)


EMULATOR = Harbour
