"""How many requests a poll makes of an account of which few streams live."""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import uvloop

from benchmarks.fixtures import configuration
from benchmarks.results import Result
from exporter import providers
from exporter.app import Exporter
from exporter.config import load
from exporter.model import DAY, HOUR

CADENCE = 900
BYTES = 1_000
"""What each live stream delivers and receives in an hour."""


class Millicast:
    """Answers in memory, on a clock that is moved: `known` streams, `live` of them at any time.

    The account's hours are the sum of its streams' where `proves`, else one byte more.
    """

    def __init__(self, known: int, live: int, *, proves: bool) -> None:
        self.now = time.time() // DAY * DAY + 60.0
        self.requests = 0
        self.listed = [f"stream-{number:06d}" for number in range(known)]
        self._live = live
        self._surplus = 0 if proves else 1

    def end_most(self) -> None:
        """From now on only so many streams as live are listed."""
        self.listed = self.listed[: self._live]

    def clock(self) -> float:
        return self.now

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        params = request.url.params
        path = request.url.path
        if path.endswith("/summary"):
            return self._listing(int(params["page"]), int(params["itemsOnPage"]))
        if "geo" in path:
            return _success({"geo": {}})
        hour = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(self.now))
        one = {hour: {"bytesIn": BYTES, "bytesOut": BYTES}}
        if "account" in path:
            total = self._live * BYTES + self._surplus
            return _success({"bandwidth": {hour: {"bytesIn": total, "bytesOut": total}}})
        names = params.get_list("streamNames")
        live = {name for name in names if int(name[-6:]) < self._live}
        return _success({name: {"bandwidth": one if name in live else {}} for name in names})

    def _listing(self, page: int, size: int) -> httpx.Response:
        rows = [
            {"streamId": name, "streamName": name, "live": True, "viewerCount": 1}
            for name in self.listed[(page - 1) * size : page * size]
        ]
        pages = -(-len(self.listed) // size)
        return _success({"data": rows, "pagination": {"totalPages": pages}})


def _success(data: object) -> httpx.Response:
    return httpx.Response(200, content=json.dumps({"status": "success", "data": data}))


async def polls(folder: Path, vendor: Millicast) -> list[int]:
    """The requests of each poll of a day that begins hours after most streams have ended."""
    path = configuration(
        folder, "http://vendor", feeds=("account", "streams", "countries", "viewers")
    )
    exporter = await Exporter.open(
        load(path, providers.load()),
        clock=vendor.clock,
        transport=httpx.MockTransport(vendor.answer),
    )
    found: list[int] = []
    try:
        assert await exporter.once()
        vendor.end_most()
        for number in range((5 * HOUR + DAY) // CADENCE):
            vendor.now += CADENCE
            vendor.requests = 0
            assert await exporter.once()
            if number >= 5 * HOUR // CADENCE:
                found.append(vendor.requests)
    finally:
        await exporter.close()
    return found


def measure(known: int = 10_000, live: int = 100) -> list[Result]:
    """A day's polls, without and with an account's total that proves the rest."""
    results = []
    for proves, target in ((False, 270), (True, 20)):
        with TemporaryDirectory() as name:
            found = uvloop.run(polls(Path(name), Millicast(known, live, proves=proves)))
        rest = "the account's total proves the rest" if proves else "nothing proves the rest"
        results.append(
            Result(
                f"requests of the costliest poll of a day, {rest}",
                f"{known:,} known, {live:,} live",
                max(found),
                target=target,
                at_least=False,
                note=f"{sum(found):,} in the day's {len(found)} polls",
            )
        )
    return results
