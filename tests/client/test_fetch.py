"""Fetching: every request once, every loop ended, every row counted as often as it should be."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pytest

from exporter.client.computing import MANY
from exporter.client.fetch import PollFetcher
from exporter.client.merge import Merge
from exporter.client.shared_requests import KEPT_BYTES
from exporter.model import (
    HOUR,
    LIFETIME_START,
    LIFETIME_WIDTH,
    Answer,
    Ask,
    Event,
    Level,
    Measure,
    Request,
    Resolution,
    Span,
    Step,
    Usage,
    Window,
)
from exporter.model.errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    SchemaError,
    ServerError,
    TooLargeError,
    TooManyPagesError,
)

BYTES = Measure("bytes_total", "counter", ("stream",), "Bytes.")
VIEWS = Measure("views_total", "counter", ("stream",), "Views.")
VIEWERS = Measure("viewers", "gauge", ("stream",), "Viewers.")
ASK = Ask(now=100 * HOUR)


class Row(msgspec.Struct):
    stream: str
    bytes: int
    kind: Literal["live", "vod"] = "live"


class Page(msgspec.Struct):
    rows: dict[str, list[Row]]


@dataclass
class SomeFeed:
    """Asks for `first`; answers come ready made, by path, or out of the body."""

    first: tuple[Request, ...] = (Request("/a"),)
    answers: dict[str, Answer] = field(default_factory=dict)
    instead: dict[str, tuple[Request, ...]] = field(default_factory=dict)
    name: str = "some"
    parsed: list[str] = field(default_factory=list)
    measures: tuple[Measure, ...] = (BYTES, VIEWS, VIEWERS)
    resolutions: tuple[Resolution, ...] = ()
    settling: int = 0
    needs_streams: bool = False
    discovers: bool = False

    def requests(self, ask):
        return self.first

    def parse(self, request, body, ask):
        self.parsed.append(request.path)
        return self.answers.get(request.path, Answer())

    def refused(self, request, error):
        return self.instead.get(request.path)


class Vendor:
    """Answers by path: bytes, an error, or an event to wait for before answering."""

    def __init__(self, **answers):
        self.answers = {f"/{path}": answer for path, answer in answers.items()}
        self.asked = []
        self.cancelled = []

    async def get(self, request, feed):
        self.asked.append((request.path, feed))
        await asyncio.sleep(0)
        answer = self.answers.get(request.path, b"{}")
        if isinstance(answer, asyncio.Event):
            try:
                await answer.wait()
            except asyncio.CancelledError:
                for _ in range(10):  # connections take their time to close
                    await asyncio.sleep(0)
                self.cancelled.append(request.path)
                raise
            return b"{}"
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def paths(self):
        return [path for path, _ in self.asked]


def requests(*paths):
    return tuple(Request(f"/{path}") for path in paths)


def hour(amount, *, stream="lobby", at=1, measure=BYTES, width=HOUR):
    return Usage(measure, (stream,), at * HOUR, width, amount)


async def fetch(feed, vendor=None, asks=(ASK,), **settings):
    return await PollFetcher((vendor or Vendor()).get, **settings).fetch(feed, asks)


# --- Merging --------------------------------------------------------------------------------------


async def test_rows_of_one_bucket_are_summed_within_an_answer():
    rows = [hour(1), hour(2, stream="stage"), hour(4), hour(8, measure=VIEWS), hour(16)]
    fetched = await fetch(SomeFeed(answers={"/a": Answer(usage=rows)}))
    assert fetched.usage == [hour(21), hour(2, stream="stage"), hour(8, measure=VIEWS)]


async def test_what_a_later_request_says_of_a_bucket_replaces_what_an_earlier_one_said():
    """Answers to different first requests say the same thing twice, in the order of the asking."""
    feed = SomeFeed(
        first=requests("a", "b"),
        answers={
            "/a": Answer(usage=[hour(1), hour(2, at=2)]),
            "/b": Answer(usage=[hour(5), hour(7, at=1, width=2 * HOUR)]),
        },
    )
    fetched = await fetch(feed)
    assert fetched.usage == [hour(5), hour(2, at=2), hour(7, at=1, width=2 * HOUR)]
    assert fetched.requests == 2


async def test_a_later_request_counts_even_when_an_earlier_one_is_answered_last():
    """The order of the questions decides, not that of the answers."""

    async def get(request, feed):
        for _ in range(20 if request.path == "/a" else 1):
            await asyncio.sleep(0)
        return b"{}"

    answers = {"/a": Answer(usage=[hour(1)]), "/b": Answer(usage=[hour(5)])}
    fetched = await PollFetcher(get).fetch(SomeFeed(requests("a", "b"), answers), [ASK])
    assert fetched.usage == [hour(5)]


async def test_rows_of_one_bucket_are_summed_over_the_pages_of_a_list():
    """A vendor may put the rows of one bucket on several pages of its answer."""
    vendor = Vendor(a=b"1", b=b"2", c=b"3")
    feed = SomeFeed(
        answers={
            "/a": Answer(usage=[hour(1), hour(2, at=2)], follow=requests("b")),
            "/b": Answer(usage=[hour(4), hour(8, at=3)], follow=requests("c")),
            "/c": Answer(usage=[hour(16)]),
        }
    )
    assert (await fetch(feed, vendor)).usage == [hour(21), hour(2, at=2), hour(8, at=3)]


async def test_what_is_asked_instead_of_a_refused_request_replaces_and_does_not_add():
    """Of two ways to ask for the same, only one counts."""
    feed = SomeFeed(
        answers={"/b": Answer(usage=[hour(3)]), "/c": Answer(usage=[hour(3)])},
        instead={"/a": requests("b", "c")},
    )
    fetched = await fetch(feed, Vendor(a=InvalidRequestError("no")))
    assert fetched.usage == [hour(3)]


async def test_a_page_that_comes_again_under_another_token_adds_nothing():
    """The same page twice, as from a vendor that ignores a token, is counted once."""

    class Stuck(SomeFeed):
        def parse(self, request, body, ask):
            level = Level(VIEWERS, ("lobby",), 3)
            again = [Request("/a", (("page", "again"),))]
            return Answer(usage=[hour(1)], levels=[level], follow=again)

    vendor = Vendor()
    fetched = await fetch(Stuck(), vendor)
    assert len(vendor.asked) == 2
    assert fetched.usage == [hour(1)]
    assert [level.value for level in fetched.levels] == [3]


@pytest.mark.parametrize(("merge", "value"), [("sum", 9), ("greatest", 5), ("least", 1)])
async def test_levels_of_one_series_become_one_over_all_answers(merge, value):
    def level(amount):
        return Level(VIEWERS, ("lobby",), amount, merge)

    feed = SomeFeed(
        answers={
            "/a": Answer(levels=[level(3), level(1)], follow=requests("b")),
            "/b": Answer(levels=[level(5), Level(VIEWERS, ("stage",), 2, merge)]),
        }
    )
    assert (await fetch(feed)).levels == [level(value), Level(VIEWERS, ("stage",), 2, merge)]


async def test_an_event_told_twice_is_one_event_as_told_last():
    def job(at):
        return Event("job-1", since=0, at=at, counts=())

    feed = SomeFeed(
        answers={
            "/a": Answer(events=[job(1)], follow=requests("b")),
            "/b": Answer(events=[job(2)]),
        }
    )
    assert (await fetch(feed)).events == [job(2)]


async def test_streams_and_remarks_come_once_each():
    feed = SomeFeed(
        answers={
            "/a": Answer(streams=["x", "y"], remarks=["odd"], follow=requests("b")),
            "/b": Answer(streams=["y", "z"], remarks=["odd"]),
        }
    )
    fetched = await fetch(feed)
    assert fetched.streams == ["x", "y", "z"]
    assert fetched.remarks == ["odd"]


@pytest.mark.parametrize(
    ("answer", "newest"),
    [
        (Answer(), None),
        (Answer(usage=[hour(1, at=1), hour(1, at=3), hour(1, at=2)]), 4 * HOUR),
        (Answer(usage=[hour(1)], newest=9 * HOUR), 9 * HOUR),
        (Answer(usage=[Usage(VIEWS, ("x",), LIFETIME_START, LIFETIME_WIDTH, 1)]), None),
        (Answer(newest=0), 0),
    ],
)
async def test_newest_is_the_end_of_the_newest_bucket_that_ever_ends(answer, newest):
    assert (await fetch(SomeFeed(answers={"/a": answer}))).newest == newest


# --- Walking --------------------------------------------------------------------------------------


async def test_a_page_that_names_itself_as_the_next_one_ends_the_list():
    vendor = Vendor()
    loop = {"/a": Answer(follow=requests("b")), "/b": Answer(follow=requests("a", "b"))}
    fetched = await fetch(SomeFeed(answers=loop), vendor)
    assert vendor.paths == ["/a", "/b"]
    assert fetched.requests == 2


class Endless(SomeFeed):
    pages = 10**9

    def parse(self, request, body, ask):
        page = int(request.params[0][1]) if request.params else 1
        if page == self.pages:
            return Answer()
        return Answer(follow=[Request("/a", (("page", str(page + 1)),))])


async def test_a_list_without_end_is_an_error_after_ten_thousand_pages():
    vendor = Vendor()
    with pytest.raises(TooManyPagesError, match=r"^/a: no end after 10,000 pages"):
        await fetch(Endless(), vendor)
    assert len(vendor.asked) == 10_000


async def test_a_list_of_just_ten_thousand_pages_is_whole():
    feed = Endless()
    feed.pages = 10_000
    assert (await fetch(feed)).requests == 10_000


async def test_lists_without_end_have_ten_thousand_pages_together():
    first = tuple(Request(f"/{number}") for number in range(50))

    class Each(SomeFeed):
        def parse(self, request, body, ask):
            page = int(request.params[0][1]) if request.params else 1
            return Answer(follow=[Request(request.path, (("page", str(page + 1)),))])

    vendor = Vendor()
    with pytest.raises(TooManyPagesError):
        await fetch(Each(first=first), vendor)
    assert len(vendor.asked) <= 10_000 + len(first)


async def test_parts_of_what_was_asked_for_are_no_pages():
    """A vendor that answers only single hours is asked for them by halves, of any window."""
    hours = 12_000

    def part(start, end):
        return Request(
            "/a", (("hours", f"{start}-{end}"),), span=Span(Window(start, end), Step.HOUR)
        )

    class Halves(SomeFeed):
        def parse(self, request, body, ask):
            window = request.span.window
            middle = (window.start + window.end) // 2
            if middle == window.start:
                return Answer()
            return Answer(follow=[part(window.start, middle), part(middle, window.end)])

    fetched = await fetch(Halves(first=(part(0, hours),)))
    assert fetched.requests == 2 * hours - 1


async def test_many_first_requests_are_no_endless_list():
    first = tuple(Request("/a", (("stream", str(number)),)) for number in range(10_001))
    assert (await fetch(SomeFeed(first=first))).requests == 10_001


async def test_a_listing_may_lead_to_more_details_than_a_list_may_have_pages():
    details = [Request(f"/{number}") for number in range(10_001)]
    fetched = await fetch(SomeFeed(answers={"/a": Answer(follow=details)}))
    assert fetched.requests == 10_002


async def test_requests_are_in_flight_together_up_to_the_bound_and_tasks_with_them():
    flying = most = tasks = 0

    async def get(request, feed):
        nonlocal flying, most, tasks
        flying += 1
        most = max(most, flying)
        tasks = max(tasks, len(asyncio.all_tasks()))
        await asyncio.sleep(0)
        flying -= 1
        return b"{}"

    details = [Request(f"/{number}") for number in range(1000)]
    feed = SomeFeed(answers={"/a": Answer(follow=details)})
    assert (await PollFetcher(get, concurrency=5).fetch(feed, [ASK])).requests == 1001
    assert most == 5
    assert tasks <= 12


async def test_workers_come_back_when_there_is_more_to_do_after_a_lull():
    flying = most = 0

    async def get(request, feed):
        nonlocal flying, most
        flying += 1
        most = max(most, flying) if request.path.startswith("/late") else 0
        for _ in range(20 if request.path == "/a" else 1):
            await asyncio.sleep(0)
        flying -= 1
        return b"{}"

    follow = requests(*(f"late-{number}" for number in range(20)))
    feed = SomeFeed(first=requests("a", "b", "c", "d"), answers={"/a": Answer(follow=follow)})
    fetcher = PollFetcher(get, concurrency=4)
    await fetcher.fetch(SomeFeed(first=requests("before")), [ASK])  # the first request goes alone
    await fetcher.fetch(feed, [ASK])
    assert most == 4


async def test_a_large_answer_is_read_off_the_event_loop_and_a_small_one_on_it():
    threads = {}

    class Feed(SomeFeed):
        def parse(self, request, body, ask):
            threads[request.path] = threading.current_thread()
            return Answer()

    await fetch(Feed(first=requests("a", "b")), Vendor(a=b"{}".rjust(300_000), b=b"{}"))
    assert threads["/a"] is not threading.main_thread()
    assert threads["/b"] is threading.main_thread()


async def test_thousands_of_rows_are_merged_in_another_thread_than_the_event_loops(monkeypatch):
    merging: list[threading.Thread] = []
    merged = Merge.fetched

    def noted(self, skipped):
        merging.append(threading.current_thread())
        return merged(self, skipped)

    monkeypatch.setattr(Merge, "fetched", noted)
    many = [Usage(BYTES, (f"s{number}",), 0, HOUR, 1) for number in range(MANY + 1)]
    for rows in (many, many[:-1]):
        fetched = await fetch(SomeFeed(answers={"/a": Answer(usage=rows)}), Vendor(a=b"{}"))
        assert fetched.usage == rows
    assert merging[0] is not threading.main_thread()
    assert merging[1] is threading.main_thread()


async def test_first_requests_are_put_together_as_they_are_needed():
    """Thousands at once would hold up the event loop."""
    put_together: list[str] = []
    ahead: list[int] = []

    class Feed(SomeFeed):
        def requests(self, ask):
            for number in range(100):
                put_together.append(f"/{number}")
                yield Request(f"/{number}")

    async def get(request, feed):
        ahead.append(len(put_together) - int(request.path[1:]))
        return b"{}"

    fetched = await PollFetcher(get, concurrency=4).fetch(Feed(), [ASK])
    assert fetched.requests == 100
    assert max(ahead) <= 2 * 4


# --- Refusals and broken answers ------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [InvalidRequestError, ForbiddenError, NotFoundError, ServerError, TooLargeError],
)
async def test_a_feed_may_ask_something_else_after_a_lasting_refusal(error):
    vendor = Vendor(a=error("no"), b=NotFoundError("no"))
    feed = SomeFeed(instead={"/a": requests("b", "c"), "/b": ()})
    fetched = await fetch(feed, vendor)
    assert vendor.paths == ["/a", "/b", "/c"]
    assert feed.parsed == ["/c"]
    assert fetched.requests == 1


async def test_a_feed_whose_every_request_is_refused_fails_with_the_first_refusal():
    """To do without everything is to have been told nothing."""
    error = NotFoundError("host/a: answered 404")
    vendor = Vendor(a=error, b=InvalidRequestError("no"), c=NotFoundError("no"))
    feed = SomeFeed(first=requests("a", "b"), instead={"/a": requests("c"), "/b": (), "/c": ()})
    with pytest.raises(NotFoundError) as caught:
        await fetch(feed, vendor)
    assert caught.value is error


async def test_what_is_asked_instead_is_asked_at_once():
    """Alternatives go before what was waiting, so a tree of them is walked depth first."""
    vendor = Vendor(a=InvalidRequestError("no"), b=InvalidRequestError("no"))
    instead = {"/a": requests("b", "e"), "/b": requests("c", "d")}
    await fetch(SomeFeed(requests("a", "f"), instead=instead), vendor, concurrency=1)
    assert vendor.paths == ["/a", "/b", "/c", "/d", "/e", "/f"]


async def test_what_a_feed_does_without_is_remarked_on():
    """A subject that was refused is named, unless another answer told of it."""
    first = tuple(
        Request(f"/{path}", subjects=(subject,))
        for path, subject in (("a", "gone"), ("b", "found"), ("c", "found"))
    )
    vendor = Vendor(a=NotFoundError("answered 404"), b=NotFoundError("answered 404"))
    fetched = await fetch(SomeFeed(first, instead={"/a": (), "/b": ()}), vendor)
    assert fetched.remarks == ["does without 'gone': answered 404"]


async def test_few_of_many_refused_subjects_are_named():
    """A thousand unknown names do not make a thousand lines."""
    paths = [str(number) for number in range(1000)]
    vendor = Vendor(**{path: NotFoundError("no") for path in paths})
    feed = SomeFeed(requests("a", *paths), instead={f"/{path}": () for path in paths})
    assert len((await fetch(feed, vendor)).remarks) == 5


@pytest.mark.parametrize("error", [AuthError, RateLimitedError, NetworkError])
async def test_a_feed_is_not_asked_about_refusals_that_it_can_do_nothing_about(error):
    feed = SomeFeed(instead={"/a": ()})
    with pytest.raises(error):
        await fetch(feed, Vendor(a=error("no")))


async def test_an_error_that_the_feed_lets_stand_is_the_fetchs():
    error = NotFoundError("host/a: answered 404")
    with pytest.raises(NotFoundError) as caught:
        await fetch(SomeFeed(), Vendor(a=error))
    assert caught.value is error


DEEP = b"[" * 100_000


class Deep(SomeFeed):
    def parse(self, request, body, ask):
        json.loads(body)


class Strict(SomeFeed):
    def parse(self, request, body, ask):
        msgspec.json.decode(body, type=Page)
        return Answer()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "/a: an empty answer"),
        (b"<html>", "/a: not JSON"),
        (b'{"rows": \xff}', "/a: not JSON"),
        (b'{"rows": {"k\xff": []}}', "/a: not JSON"),
        (DEEP, "/a: nested too deeply"),
        (b"{}", "/a: Object missing required field `rows`"),
        (
            b'{"rows": {"private": [{"stream": "private", "bytes": "private"}]}}',
            "/a: Expected `int`, got `str` at $.rows[...][0].bytes",
        ),
        (
            b'{"rows": {"private": [{"stream": "x", "bytes": 1, "kind": "private"}]}}',
            "/a: a value that is not allowed at $.rows[...][0].kind",
        ),
    ],
)
async def test_a_broken_answer_says_where_and_quotes_nothing(body, message):
    feed = Deep() if body == DEEP else Strict()
    with pytest.raises(SchemaError) as caught:
        await fetch(feed, Vendor(a=body))
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


async def test_a_providers_own_schema_error_gets_the_path_of_the_request():
    class Feed(SomeFeed):
        def parse(self, request, body, ask):
            raise SchemaError("no list of paths")

    with pytest.raises(SchemaError, match=r"^/a: no list of paths$"):
        await fetch(Feed())


async def test_a_programming_error_in_a_provider_is_not_disguised():
    class Feed(SomeFeed):
        def parse(self, request, body, ask):
            raise KeyError("stream")

    with pytest.raises(KeyError):
        await fetch(Feed())


async def test_the_first_error_ends_the_other_requests_at_once():
    vendor = Vendor(a=asyncio.Event(), b=NetworkError("gone"), c=asyncio.Event())
    paths = ("a", "b", "c", *(f"more-{number}" for number in range(100)))
    with pytest.raises(NetworkError):
        await fetch(SomeFeed(first=requests(*paths)), vendor, concurrency=3, first_seconds=0)
    assert sorted(vendor.cancelled) == ["/a", "/c"]
    assert vendor.paths == ["/a", "/b", "/c"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- Sharing --------------------------------------------------------------------------------------


async def test_feeds_of_one_round_share_the_answer_to_an_equal_request():
    vendor = Vendor()
    polls = PollFetcher(vendor.get)
    one, two, late = (SomeFeed(name=name) for name in ("one", "two", "late"))
    await asyncio.gather(polls.fetch(one, [ASK]), polls.fetch(two, [ASK]))
    await polls.fetch(late, [ASK])
    assert vendor.asked == [("/a", "one")]
    assert one.parsed == two.parsed == late.parsed == ["/a"]


async def test_requests_that_differ_in_a_parameter_are_not_shared():
    vendor = Vendor()
    await fetch(SomeFeed(first=(Request("/a"), Request("/a", (("page", "2"),)))), vendor)
    assert len(vendor.asked) == 2


async def test_an_error_is_shared_like_an_answer():
    vendor = Vendor(a=NotFoundError("no"))
    polls = PollFetcher(vendor.get)
    outcomes = await asyncio.gather(
        *(polls.fetch(SomeFeed(name=name), [ASK]) for name in ("one", "two")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [NotFoundError, NotFoundError]
    assert vendor.asked == [("/a", "one")]


async def test_a_feed_that_fails_leaves_a_request_alone_that_another_feed_waits_for():
    answered = asyncio.Event()
    vendor = Vendor(shared=answered, bad=NetworkError("gone"))
    polls = PollFetcher(vendor.get, first_seconds=0)
    failing = SomeFeed(name="failing", first=requests("shared", "later", "bad"))
    healthy = SomeFeed(name="healthy", first=requests("shared"))
    failed = asyncio.create_task(polls.fetch(failing, [ASK]))
    waiting = asyncio.create_task(polls.fetch(healthy, [ASK]))
    with pytest.raises(NetworkError):
        await failed
    assert vendor.cancelled == []
    answered.set()
    assert (await waiting).requests == 1
    assert vendor.paths.count("/shared") == 1


async def test_a_request_that_was_cancelled_with_its_feed_is_made_anew_for_the_next():
    vendor = Vendor(a=asyncio.Event())
    polls = PollFetcher(vendor.get)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await polls.fetch(SomeFeed(name="one"), [ASK])
    assert vendor.cancelled == ["/a"]
    vendor.answers["/a"] = b"{}"
    assert (await polls.fetch(SomeFeed(name="two"), [ASK])).requests == 1


async def test_a_round_keeps_no_more_answers_than_it_has_room_for():
    half = b"{}".rjust(KEPT_BYTES // 2)
    vendor = Vendor(a=half, b=half, c=half)
    polls = PollFetcher(vendor.get)
    for path in ("a", "b", "c", "c", "b", "a"):
        await polls.fetch(SomeFeed(first=requests(path)), [ASK])
    assert vendor.paths == ["/a", "/b", "/c", "/a"]
