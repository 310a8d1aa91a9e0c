"""StreamPoll: evenly spaced, in order, and none is lost."""

import asyncio
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client.pacing import Pacing
from exporter.model.errors import PollTimeoutError


class Clock:
    """Shows the time that was slept through; at times a timer is a little early."""

    def __init__(self, early=0.0):
        self.now = 0.0
        self.early = early

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        await asyncio.sleep(0)
        self.now += max(0.0, seconds - self.early)

    def pacing(self, per_second):
        return Pacing(per_second, sleep=self.sleep, clock=self)


async def start(pacing, clock, starts, deadline=None):
    async with pacing.turn(deadline):
        pass
    starts.append(clock.now)


def crowded(starts, per_second):
    """The pairs between which there are more starts than there may be in so much time."""
    return [
        (first, last)
        for begin, first in enumerate(starts)
        for end, last in enumerate(starts[begin:], start=begin)
        if end - begin + 1 > math.ceil(per_second * (last - first) + 1e-6) + 1
    ]


PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 10)), max_size=30)


@given(
    per_second=st.floats(0.05, 1000),
    pauses=PAUSES,
    busy=st.lists(st.booleans(), min_size=30, max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
)
def test_in_no_stretch_of_time_are_there_more_starts_than_allowed(
    per_second, pauses, busy, cancelled
):
    """Whatever comes together, waits for a place as well, or is cancelled in between."""
    clock = Clock()
    starts = []

    async def one(pacing, occupied):
        async with pacing.turn(None):
            if occupied:
                clock.now += 0.3
        starts.append(clock.now)

    async def all_of_them():
        pacing = clock.pacing(per_second)
        tasks = []
        for pause, occupied in zip(pauses, busy, strict=False):
            clock.now += pause
            tasks.append(asyncio.create_task(one(pacing, occupied)))
            if pause:
                await asyncio.sleep(0)
        for number in cancelled & set(range(len(tasks))):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())
    assert starts == sorted(starts)
    assert crowded(starts, per_second) == []


async def test_starts_are_evenly_spaced_in_the_order_of_the_asking():
    clock = Clock()
    pacing = clock.pacing(4)
    order = []

    async def one(number):
        async with pacing.turn(None):
            order.append((number, clock.now))

    await asyncio.gather(*(one(number) for number in range(4)))
    assert order == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]


async def test_time_in_which_nothing_was_asked_is_not_saved_up():
    clock = Clock()
    pacing = clock.pacing(1)
    starts: list[float] = []
    await start(pacing, clock, starts)
    clock.now = 100.0
    await asyncio.gather(*(start(pacing, clock, starts) for _ in range(3)))
    assert starts == [0.0, 100.0, 101.0, 102.0]


async def test_timers_that_are_early_do_not_add_up():
    clock = Clock(early=0.01)
    pacing = clock.pacing(1)
    starts: list[float] = []
    await asyncio.gather(*(start(pacing, clock, starts) for _ in range(101)))
    assert starts[-1] == pytest.approx(100, abs=0.02)


async def test_a_turn_that_would_come_too_late_is_refused_at_once():
    clock = Clock()
    pacing = clock.pacing(0.5)
    starts: list[float] = []
    outcomes = await asyncio.gather(
        *(start(pacing, clock, starts, deadline=6.0) for _ in range(5)), return_exceptions=True
    )
    assert starts == [0.0, 2.0, 4.0]
    refusals = [outcome for outcome in outcomes if outcome is not None]
    assert [type(refusal).__base__ for refusal in refusals] == [PollTimeoutError] * 2
    assert str(refusals[0]) == "0.5 requests a second leave no turn before the deadline"


async def test_a_refused_turn_is_not_used_up():
    clock = Clock()
    pacing = clock.pacing(1)
    starts: list[float] = []
    await start(pacing, clock, starts)
    with pytest.raises(PollTimeoutError):
        await start(pacing, clock, starts, deadline=1.0)
    await start(pacing, clock, starts)
    assert starts == [0.0, 1.0]


@pytest.mark.parametrize("cancelled", [{1}, {2, 3}, {1, 2, 3, 4}])
async def test_turns_of_the_cancelled_go_to_those_behind_them(cancelled):
    clock = Clock()
    pacing = clock.pacing(1)
    starts: list[float] = []
    tasks = [asyncio.create_task(start(pacing, clock, starts)) for _ in range(6)]
    await asyncio.sleep(0)
    for number in cancelled:
        tasks[number].cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert starts == [float(second) for second in range(6 - len(cancelled))]


async def test_a_turn_whose_block_fails_is_given_to_the_next():
    clock = Clock()
    pacing = clock.pacing(1)
    starts: list[float] = []
    with pytest.raises(KeyError):
        async with pacing.turn(None):
            raise KeyError
    await start(pacing, clock, starts)
    assert starts == [0.0]


async def test_the_space_between_starts_is_kept_when_a_start_is_late():
    """What waits for something else within its turn starts when that is there."""
    clock = Clock()
    pacing = clock.pacing(1)
    starts: list[float] = []
    await start(pacing, clock, starts)
    async with pacing.turn(None):
        clock.now = 50.0
    starts.append(clock.now)
    await asyncio.gather(*(start(pacing, clock, starts) for _ in range(2)))
    assert starts == [0.0, 50.0, 51.0, 52.0]
