"""The cost of polling an account: requests in a poll and in a day, before any paging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.ledger import FeedState
from exporter.ledger.thread import Worker
from exporter.model import DAY, HOUR, Ask, Feed, Request
from exporter.polling.planner import plan_asks
from exporter.polling.windows import cover

_A_MIDNIGHT = 20_000 * DAY
_MOST_TICKS = 1440
_FEW_TICKS = 96
_STREAMS = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests of an ordinary poll, and of a day, which has one poll with the daily revisit.

    Further pages of lists and details of what they list are not included: their number is not
    known in advance.
    """

    per_poll: int
    per_day: int


def cost(
    feeds: Sequence[Feed],
    *,
    streams: Sequence[str],
    cadence_seconds: int,
    delay_seconds: int,
    most_ticks: int = _MOST_TICKS,
) -> Cost:
    """The cost of polling `feeds` together, with these stream names known.

    Equal requests of several feeds are made once, so the cost of all may be less than the sum of
    the single feeds' costs. At most `most_ticks` polls of the day are computed.
    """
    ticks = min(DAY // cadence_seconds, most_ticks) or 1
    every = max(DAY // cadence_seconds // ticks, 1) * cadence_seconds
    start = _A_MIDNIGHT + HOUR + delay_seconds
    ordinary = [
        len(_requests(feeds, streams, start + tick * every, cadence_seconds, False))
        for tick in range(ticks)
    ]
    long = len(_requests(feeds, streams, start, cadence_seconds, True))
    per_poll = max(ordinary)
    polls = max(1.0, DAY / cadence_seconds)
    per_day = round(sum(ordinary) / ticks * polls) - ordinary[0] + long
    return Cost(per_poll, per_day)


def estimate(
    feeds: Sequence[Feed], *, streams: int, cadence_seconds: int, delay_seconds: int
) -> Cost:
    """As `cost` with `streams` streams, but extrapolated from few of them, which is fast.

    Every further twenty streams cost the same: a request is about one stream or about ten.
    """

    def exact(number: int) -> Cost:
        return cost(
            feeds,
            streams=[str(position) for position in range(number)],
            cadence_seconds=cadence_seconds,
            delay_seconds=delay_seconds,
            most_ticks=_FEW_TICKS,
        )

    if streams < 2 * _STREAMS:
        return exact(streams)
    twenties, rest = divmod(streams, _STREAMS)
    fewer, more = exact(_STREAMS + rest), exact(2 * _STREAMS + rest)
    further = twenties - 2
    return Cost(
        more.per_poll + further * (more.per_poll - fewer.per_poll),
        more.per_day + further * (more.per_day - fewer.per_day),
    )


class CostEstimate:
    """The cost of polling an account, estimated while no poll has shown it."""

    def __init__(
        self, feeds: Sequence[Feed], *, cadence_seconds: int, delay_seconds: int, worker: Worker
    ) -> None:
        self._feeds = feeds
        self._cadence_seconds = cadence_seconds
        self._delay_seconds = delay_seconds
        self._worker = worker
        self.cost: Cost | None = None
        """None until it is estimated."""

    async def make(self, streams: int) -> None:
        """Estimate it, with so many streams."""
        self.cost = await self._worker.run(
            lambda: estimate(
                self._feeds,
                streams=streams,
                cadence_seconds=self._cadence_seconds,
                delay_seconds=self._delay_seconds,
            )
        )


def _requests(
    feeds: Sequence[Feed], streams: Sequence[str], now: int, cadence: int, revisit: bool
) -> set[object]:
    identities: set[object] = set()
    for feed in feeds:
        state = FeedState(
            id=0,
            name=feed.name,
            polled_at=now - cadence,
            revisited_at=None if revisit else now,
            streams=dict.fromkeys(streams),
        )
        asked = plan_asks(
            feed,
            state,
            streams=streams,
            now=now,
            history=DAY,
            cadence_seconds=cadence,
        )
        asks = list(asked.asks)
        if asked.planned is not None and asked.planned.gap is not None:
            # The gap is requested after the current data, in the same poll where time allows.
            asks.append(Ask(now, cover(asked.planned.gap, feed.resolutions, now=now).spans))
        found: list[Request] = [request for ask in asks for request in feed.requests(ask)]
        identities.update(request.identity for request in found)
    return identities
