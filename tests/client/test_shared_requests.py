"""A rejected credential is asked once a poll; a rejected address does not stop other feeds."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client.fetch import PollFetcher
from exporter.client.shared_requests import FIRST_SECONDS, SharedRequests
from exporter.model import Answer, Ask, Request
from exporter.model.errors import (
    AuthError,
    ForbiddenError,
    NetworkError,
    PollTimeoutError,
    RateLimitedError,
    ServerError,
)
from tests.support.virtual_time import loop_time, run


class Vendor:
    """Answers by the first part of the path: with an error, or after some seconds, or at once.

    What has an event is answered when that is set.
    """

    def __init__(self, *, errors=None, seconds=None, events=None, otherwise=None):
        self.errors = errors or {}
        self.seconds = seconds or {}
        self.events = events or {}
        self.otherwise = otherwise
        self.asked = []
        self.at = {}

    async def get(self, request, feed):
        self.asked.append(request.path)
        self.at[request.path] = loop_time()
        start = request.path.split("/")[1]
        await asyncio.sleep(self.seconds.get(start, 0))
        if start in self.events:
            await self.events[start].wait()
        error = self.errors.get(start, self.otherwise)
        if error is not None:
            raise error(f"vendor.test{request.path}: answered so")
        return b"{}"


REJECTING = {"otherwise": AuthError}


def windows(shared, feed, number=1, *, path=None):
    """So many requests of a feed, as tasks."""
    return [
        asyncio.create_task(shared.get(Request(f"/{path or feed}/{window}"), feed))
        for window in range(number)
    ]


async def outcomes(*tasks):
    """Types of errors, or None for answers."""
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(one) if isinstance(one, BaseException) else None for one in found]


# --- A rejected credential ------------------------------------------------------------------------


async def test_a_rejected_credential_is_asked_once_however_many_windows_there_are():
    vendor = Vendor(**REJECTING)
    shared = SharedRequests(vendor.get)
    tasks = [task for feed in ("a", "b", "c") for task in windows(shared, feed, 8)]
    assert await outcomes(*tasks) == [AuthError] * 24
    assert vendor.asked == ["/a/0"]


async def test_what_comes_later_in_the_poll_is_not_asked_either():
    vendor = Vendor(**REJECTING)
    shared = SharedRequests(vendor.get)
    await outcomes(*windows(shared, "a"))
    assert await outcomes(*windows(shared, "b", 2)) == [AuthError] * 2
    assert vendor.asked == ["/a/0"]


async def test_what_was_not_asked_says_what_was_rejected_and_where():
    shared = SharedRequests(Vendor(**REJECTING).get)
    await outcomes(*windows(shared, "a"))
    with pytest.raises(AuthError) as caught:
        await shared.get(Request("/b"), "b")
    assert str(caught.value) == "vendor.test/a/0: answered so; not asked again in this poll"


async def test_the_same_request_of_another_feed_is_not_asked_again():
    vendor = Vendor(**REJECTING)
    shared = SharedRequests(vendor.get)
    tasks = [*windows(shared, "a"), *windows(shared, "b", path="a")]
    assert await outcomes(*tasks) == [AuthError] * 2
    assert await outcomes(*windows(shared, "c", path="a")) == [AuthError]
    assert vendor.asked == ["/a/0"]
    assert shared.rejected == {"a", "b", "c"}


class Feed:
    """Asks for 8 windows."""

    measures = resolutions = ()
    settling = 0
    needs_streams = discovers = False

    def __init__(self, name):
        self.name = name

    def requests(self, ask):
        return [Request(f"/{self.name}/{window}") for window in range(8)]

    def parse(self, request, body, ask):
        return Answer()

    def refused(self, request, error):
        return None


async def fetch(polls, *names):
    """What became of feeds that are fetched in one poll."""
    return await outcomes(*(polls.fetch(Feed(name), [Ask(now=0)]) for name in names))


async def test_feeds_of_a_round_learn_from_each_other_that_the_credential_is_rejected():
    vendor = Vendor(**REJECTING)
    polls = PollFetcher(vendor.get)
    assert await fetch(polls, "a", "b", "c") == [AuthError] * 3
    assert vendor.asked == ["/a/0"]
    assert polls.rejected == {"a"}
    polls = PollFetcher(vendor.get, last_feeds=polls.rejected)
    assert await fetch(polls, "a", "b", "c") == [AuthError] * 3
    assert vendor.asked == ["/a/0", "/b/0"]
    assert polls.rejected == {"a", "b"}


def test_how_long_others_wait_can_be_shortened_for_short_rounds():
    vendor = Vendor(seconds={"a": 30})
    assert run(fetch(PollFetcher(vendor.get, first_seconds=0.25), "a", "b")) == [None] * 2
    assert vendor.at["/a/0"] == 0.0
    assert vendor.at["/b/0"] == vendor.at["/a/1"] == 0.25


# --- The first request ----------------------------------------------------------------------------


async def test_the_first_request_goes_alone_and_the_others_when_it_is_answered():
    answered = asyncio.Event()
    vendor = Vendor(events={"a": answered})
    shared = SharedRequests(vendor.get)
    tasks = [*windows(shared, "a", 3), *windows(shared, "b", 3)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert vendor.asked == ["/a/0"]
    answered.set()
    assert await outcomes(*tasks) == [None] * 6
    assert len(vendor.asked) == 6


@pytest.mark.parametrize(
    "error", [NetworkError, PollTimeoutError, ServerError, RateLimitedError, ForbiddenError]
)
async def test_any_other_failure_of_the_first_request_concerns_that_one_alone(error):
    shared = SharedRequests(Vendor(errors={"a": error}).get)
    tasks = [*windows(shared, "a"), *windows(shared, "b", 3)]
    assert await outcomes(*tasks) == [error, None, None, None]
    assert shared.rejected == frozenset()


def test_a_slow_first_request_holds_the_others_up_for_two_seconds_and_no_longer():
    vendor = Vendor(seconds={"a": 30})

    async def poll():
        shared = SharedRequests(vendor.get)
        tasks = [*windows(shared, "a"), *windows(shared, "b", 2)]
        await asyncio.sleep(10)
        return await outcomes(*tasks, *windows(shared, "c"))

    assert run(poll()) == [None] * 4
    assert vendor.at == {"/a/0": 0.0, "/b/0": 2.0, "/b/1": 2.0, "/c/0": 10.0}
    assert FIRST_SECONDS == 2.0


def test_a_rejection_that_is_slow_to_come_still_stops_what_was_not_asked():
    vendor = Vendor(seconds={"a": 3, "b": 3}, **REJECTING)

    async def poll():
        shared = SharedRequests(vendor.get)
        tasks = [*windows(shared, "a"), *windows(shared, "b", 2)]
        await asyncio.sleep(4)
        return await outcomes(*tasks, *windows(shared, "c", 4))

    assert run(poll()) == [AuthError] * 7
    assert vendor.asked == ["/a/0", "/b/0", "/b/1"]


def test_requests_in_flight_finish_as_they_do_and_show_that_the_credential_is_good():
    vendor = Vendor(errors={"a": AuthError}, seconds={"a": 3, "b": 2})

    async def poll():
        shared = SharedRequests(vendor.get)
        early = [*windows(shared, "a"), *windows(shared, "b")]
        await asyncio.sleep(3.5)
        stopped = windows(shared, "c")
        await asyncio.sleep(1)
        return await outcomes(*early, *stopped, *windows(shared, "d"))

    assert run(poll()) == [AuthError, None, AuthError, None]


async def test_a_first_request_that_is_cancelled_holds_nobody_up():
    vendor = Vendor(events={"a": asyncio.Event()})
    shared = SharedRequests(vendor.get, first_seconds=1000)
    (first,) = windows(shared, "a")
    others = windows(shared, "b", 2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert await outcomes(first, *others) == [asyncio.CancelledError, None, None]


async def test_who_is_cancelled_while_it_waits_for_the_first_leaves_no_request_behind():
    answered = asyncio.Event()
    vendor = Vendor(events={"a": answered})
    shared = SharedRequests(vendor.get)
    (first,) = windows(shared, "a")
    (other,) = windows(shared, "b")
    await asyncio.sleep(0)
    other.cancel()
    answered.set()
    assert await outcomes(first, other) == [None, asyncio.CancelledError]
    assert vendor.asked == ["/a/0"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- A good credential, and an address that always rejects it -------------------------------------


async def test_after_any_answer_a_rejection_concerns_its_own_request_alone():
    vendor = Vendor(errors={"bad": AuthError})
    shared = SharedRequests(vendor.get)
    assert await outcomes(*windows(shared, "good")) == [None]
    assert await outcomes(*windows(shared, "bad", 3)) == [AuthError] * 3
    assert await outcomes(*windows(shared, "good too", 3)) == [None] * 3
    assert len(vendor.asked) == 7
    assert shared.rejected == {"bad"}


@pytest.mark.parametrize("error", [ForbiddenError, ServerError])
async def test_an_error_that_the_vendor_answers_with_shows_that_the_credential_is_good(error):
    shared = SharedRequests(Vendor(errors={"a": error, "bad": AuthError}).get)
    assert await outcomes(*windows(shared, "a")) == [error]
    assert await outcomes(*windows(shared, "bad")) == [AuthError]
    assert await outcomes(*windows(shared, "c", 3)) == [None] * 3


async def test_a_feed_of_which_one_request_of_several_is_rejected_counts_as_rejected():
    """It must not go first with that one the next time."""
    shared = SharedRequests(Vendor(errors={"bad": AuthError}).get)
    await outcomes(*windows(shared, "good"))
    for path in ("fine", "bad", "fine too"):
        await outcomes(*windows(shared, "mixed", path=path))
    assert shared.rejected == {"mixed"}


async def test_a_feed_that_was_rejected_last_time_does_not_go_first():
    vendor = Vendor(errors={"bad": AuthError})
    shared = SharedRequests(vendor.get, last_feeds={"bad"})
    tasks = [*windows(shared, "bad", 2), *windows(shared, "good", 3)]
    assert await outcomes(*tasks) == [AuthError, AuthError, None, None, None]
    assert vendor.asked[0] == "/good/0"
    assert shared.rejected == {"bad"}


def test_a_feed_that_was_rejected_last_time_is_not_asked_after_another_was_rejected():
    vendor = Vendor(**REJECTING)

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"a"})
        tasks = [*windows(shared, "a", 8), *windows(shared, "b", 8)]
        return await outcomes(*tasks), loop_time(), shared.rejected

    assert run(poll()) == ([AuthError] * 16, 0.0, {"a", "b"})
    assert vendor.asked == ["/b/0"]


def test_a_feed_that_was_rejected_last_time_goes_first_when_no_other_asks():
    vendor = Vendor(**REJECTING)

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"a", "b"})
        return await outcomes(*windows(shared, "a", 8), *windows(shared, "b", 8))

    assert run(poll()) == [AuthError] * 16
    assert vendor.at == {"/a/0": 2.0}


def test_a_feed_that_goes_first_after_all_stops_only_those_that_were_rejected_too():
    """The others have not had their say: they may have waited for something else until now."""
    vendor = Vendor(errors={"bad": AuthError})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"bad"})
        bad = windows(shared, "bad", 2)
        await asyncio.sleep(3)
        return await outcomes(*bad, *windows(shared, "good", 3))

    assert run(poll()) == [AuthError, AuthError, None, None, None]
    assert vendor.at["/bad/0"] == 2.0
    assert "/bad/1" not in vendor.at


def test_a_rejected_feed_does_not_stop_others_while_the_first_request_is_slow():
    vendor = Vendor(errors={"bad": AuthError}, seconds={"slow": 10})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"bad"})
        early = [*windows(shared, "bad"), *windows(shared, "slow")]
        await asyncio.sleep(5)
        return await outcomes(*early, *windows(shared, "good", 3))

    assert run(poll()) == [AuthError, None, None, None, None]
    assert vendor.at == {f"/good/{n}": 5.0 for n in range(3)} | {"/slow/0": 0.0, "/bad/0": 2.0}


def test_of_feeds_that_go_after_a_slow_request_one_goes_first_again():
    vendor = Vendor(errors={"bad": AuthError}, seconds={"slow": 10})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"bad"})
        return await outcomes(*windows(shared, "bad", 8), *windows(shared, "slow"))

    assert run(poll()) == [*[AuthError] * 8, None]
    assert vendor.at == {"/slow/0": 0.0, "/bad/0": 2.0}


def test_who_comes_later_does_not_wait_as_long_again():
    vendor = Vendor(seconds={"a": 10})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"a"})
        early = windows(shared, "a")
        await asyncio.sleep(3)
        late = windows(shared, "a", path="late")
        return await outcomes(*early, *late)

    assert run(poll()) == [None, None]
    assert vendor.at == {"/a/0": 2.0, "/late/0": 4.0}


@pytest.mark.parametrize("slow", ["early", "late"])
def test_any_answer_lets_all_go_that_wait(slow):
    """Be it that of a feed that was rejected last time, or that of another."""
    vendor = Vendor(seconds={"early": 1, "late": 1, slow: 10})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"early"})
        early = windows(shared, "early", 2)
        await asyncio.sleep(2.5)
        return await outcomes(*early, *windows(shared, "late", 2))

    assert run(poll()) == [None] * 4
    first = {"early": 3.5, "late": 3.0}[slow]
    assert vendor.at == {"/early/0": 2.0, "/late/0": 2.5, "/early/1": first, "/late/1": first}


def test_a_feed_that_waits_is_asked_as_soon_as_another_was_answered():
    vendor = Vendor(seconds={"good": 0.5})

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds={"mended"})
        tasks = [*windows(shared, "mended"), *windows(shared, "good")]
        assert await outcomes(*tasks) == [None, None]
        return shared.rejected

    assert run(poll()) == frozenset()
    assert vendor.at == {"/good/0": 0.0, "/mended/0": 0.5}


async def test_a_feed_that_had_no_answer_stays_among_the_last():
    vendor = Vendor(errors={"bad": NetworkError, "good": NetworkError})
    shared = SharedRequests(vendor.get, last_feeds={"bad"})
    await outcomes(*windows(shared, "bad"), *windows(shared, "good"))
    assert shared.rejected == {"bad"}


def test_several_addresses_that_are_always_rejected_keep_nobody_from_being_polled_for_long():
    vendor = Vendor(errors={"bad": AuthError, "worse": AuthError})

    async def polls():
        last_feeds: frozenset[str] = frozenset()
        good = []
        for _ in range(6):
            shared = SharedRequests(vendor.get, last_feeds=last_feeds)
            tasks = [task for feed in ("bad", "worse", "good") for task in windows(shared, feed, 3)]
            good.append(await outcomes(*tasks[6:]))
            await outcomes(*tasks)
            last_feeds = shared.rejected
        return good

    assert run(polls()) == [[AuthError] * 3] * 2 + [[None] * 3] * 4


def test_a_credential_that_stays_rejected_is_asked_once_in_each_poll_until_it_is_mended():
    vendor = Vendor(**REJECTING)

    async def polls():
        last_feeds: frozenset[str] = frozenset()
        asked = []
        found = []
        for number in range(6):
            if number == 5:
                vendor.otherwise = None
            vendor.asked.clear()
            shared = SharedRequests(vendor.get, last_feeds=last_feeds)
            tasks = [task for feed in ("a", "b", "c") for task in windows(shared, feed, 8)]
            found = await outcomes(*tasks)
            asked.append(len(vendor.asked))
            last_feeds = shared.rejected
        return asked, found, last_feeds

    assert run(polls()) == ([1, 1, 1, 1, 1, 24], [None] * 24, frozenset())


FEEDS = st.sampled_from(["a", "b", "c"])
ERRORS = st.sampled_from([None, AuthError, NetworkError, ForbiddenError])


@given(
    asks=st.lists(st.tuples(FEEDS, st.floats(0, 6)), min_size=1, max_size=12),
    seconds=st.dictionaries(FEEDS, st.floats(0, 40)),
    errors=st.dictionaries(FEEDS, ERRORS),
    last_feeds=st.sets(FEEDS),
)
def test_nobody_waits_for_longer_than_twice_two_seconds(asks, seconds, errors, last_feeds):
    """Once for another feed, once for the first of those that were rejected; then it is asked."""
    vendor = Vendor(seconds=seconds, errors=errors)

    async def one(shared, number, feed, pause):
        await asyncio.sleep(pause)
        path = f"/{feed}/{number}"
        await outcomes(shared.get(Request(path), feed))
        return (vendor.at[path] if path in vendor.at else loop_time()) - pause

    async def poll():
        shared = SharedRequests(vendor.get, last_feeds=last_feeds)
        return await asyncio.gather(*(one(shared, number, *ask) for number, ask in enumerate(asks)))

    assert max(run(poll())) <= 2 * FIRST_SECONDS + 1e-6
