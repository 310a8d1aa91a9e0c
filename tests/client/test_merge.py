"""One thing listed twice counts once; two things with the same labels add up."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from dataclasses import replace

import pytest

from exporter.client.fetch import PollFetcher
from exporter.client.merge import Fetched, merge_fetched
from exporter.client.parse import read_answer
from exporter.model import HOUR, Answer, Event, Item, Level, Request, Span, Step, Window, measures
from exporter.model.errors import SchemaError
from exporter.providers.livepeer import PROVIDER
from tests.client.test_fetch import ASK, VIEWERS, SomeFeed, Vendor, hour, requests


async def fetched(answers: dict[str, Answer], *first: str) -> Fetched:
    feed = SomeFeed(answers=answers, first=requests(*(first or ("a",))))
    return await PollFetcher(
        Vendor(**{path[1:]: json.dumps(path).encode() for path in answers}).get
    ).fetch(feed, [ASK])


def item(identity: str, amount: int, *, stream: str = "lobby", at: int = 1) -> Item:
    return Item(
        identity,
        usage=(hour(amount, stream=stream, at=at),),
        levels=(Level(VIEWERS, (stream,), amount),),
        events=(Event(f"{identity} ended", since=0, at=amount, counts=()),),
        unfinished=amount,
    )


async def test_a_row_that_stands_on_two_pages_counts_once_as_told_last() -> None:
    """A list may shift while its pages are read."""
    found = await fetched(
        {
            "/a": Answer(items=[item("x", 3), item("y", 4, stream="stage")], follow=requests("b")),
            "/b": Answer(items=[item("y", 5, stream="stage"), item("z", 6, stream="hall")]),
        }
    )
    assert sorted(row.amount for row in found.usage) == [3, 5, 6]
    assert sorted(level.value for level in found.levels) == [3, 5, 6]
    assert {event.id: event.at for event in found.events} == {
        "x ended": 3,
        "y ended": 5,
        "z ended": 6,
    }
    assert found.unfinished == {"x": 3, "y": 5, "z": 6}


async def test_rows_of_two_things_with_the_same_labels_add_up() -> None:
    found = await fetched(
        {
            "/a": Answer(items=[item("x", 3), item("y", 4)], follow=requests("b")),
            "/b": Answer(items=[item("z", 5)]),
        }
    )
    assert [row.amount for row in found.usage] == [12]
    assert [level.value for level in found.levels] == [12]


async def test_a_list_that_is_asked_for_anew_replaces_what_was_read_of_it() -> None:
    """After a refusal in the middle of it, smaller pages begin from the first again."""
    found = await fetched(
        {"/a": Answer(items=[item("x", 3)]), "/b": Answer(items=[item("x", 3)])}, "a", "b"
    )
    assert [level.value for level in found.levels] == [3]
    assert [row.amount for row in found.usage] == [3]


async def test_one_thing_in_two_windows_is_told_of_each_of_them() -> None:
    spans = [Span(Window(at * HOUR, (at + 1) * HOUR), Step.HOUR) for at in (1, 2)]
    first = tuple(replace(Request(f"/{at}"), span=span) for at, span in enumerate(spans))
    feed = SomeFeed(
        first=first,
        answers={f"/{at}": Answer(items=[item("x", 3, at=at + 1)]) for at in range(2)},
    )
    found = await PollFetcher(Vendor().get).fetch(feed, [ASK])
    assert sorted(row.start for row in found.usage) == [HOUR, 2 * HOUR]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_of_two_descriptions_the_one_of_the_newest_window_stands(
    order: tuple[int, int],
) -> None:
    def info(name: str) -> Level:
        return Level(measures.STREAM_INFO, ("vod", "x", name, "false"), 1, merge="greatest")

    first = tuple(
        Request(f"/{at}", span=Span(Window(at * HOUR, (at + 1) * HOUR), Step.HOUR)) for at in order
    )
    answers = {
        f"/{at}": Answer(items=[Item("x", levels=(info(f"name of hour {at}"),))]) for at in order
    }
    found = await PollFetcher(Vendor().get).fetch(SomeFeed(first=first, answers=answers), [ASK])
    assert found.levels == [info("name of hour 2")]


async def test_a_bucket_of_nothing_is_not_data() -> None:
    """Vendors write zeros for hours that have yet to come."""
    usage = [hour(7, at=1), hour(0, at=2), hour(0, at=30)]
    assert (await fetched({"/a": Answer(usage=usage)})).newest == 2 * HOUR
    nothing = Item("x", usage=(hour(0, at=5),))
    assert (await fetched({"/a": Answer(items=[nothing])})).newest is None
    something = Item("x", usage=(hour(1, at=5),))
    assert (await fetched({"/a": Answer(items=[something])})).newest == 6 * HOUR


async def test_equal_answers_about_two_windows_are_two_answers() -> None:
    """And an equal page of the same window, under another token, is none."""
    windows = [Window(at * HOUR, (at + 1) * HOUR) for at in (1, 2)]
    halves = tuple(
        Request("/half", (("from", str(window.start)),), Span(window, Step.HOUR))
        for window in windows
    )
    page = replace(halves[0], params=(("token", "again"),))

    class Splits(SomeFeed):
        def parse(self, request: Request, body: bytes, ask: object) -> Answer:
            if request.path == "/a":
                return Answer(follow=(*halves, page))
            assert request.span is not None
            return Answer(usage=[hour(60, at=request.span.window.start // HOUR)])

    found = await PollFetcher(Vendor().get).fetch(Splits(), [ASK])
    assert {row.start: row.amount for row in found.usage} == {HOUR: 60, 2 * HOUR: 60}


def test_two_fetches_of_one_poll_are_put_together() -> None:
    one = Fetched(usage=[hour(1)], remarks=["a"], newest=5, requests=2, refused=frozenset("x"))
    other = Fetched(usage=[hour(2, stream="b")], streams=["s"], newest=7, requests=3)
    both = merge_fetched(one, other)
    assert both.usage == [*one.usage, *other.usage]
    assert (both.newest, both.requests, both.streams, both.remarks) == (7, 5, ["s"], ["a"])
    assert both.refused == {"x"}
    assert merge_fetched(Fetched(), Fetched()).newest is None


def test_a_byte_order_mark_before_an_answer_is_passed_over() -> None:
    (feed,) = PROVIDER.feeds(
        ["realtime"], {"assets": (), "live_streams": (), "playback_ids": (), "browsers": False}
    )
    request = Request("/data/views/now")
    body = b'[{"viewCount": 3, "errorRate": 0}]'
    answer, _ = read_answer(feed, request, BOM_UTF8 + body, ASK)
    assert answer.levels[0].value == 3
    with pytest.raises(SchemaError, match="not JSON"):
        read_answer(feed, request, BOM_UTF8 + BOM_UTF8 + body, ASK)
