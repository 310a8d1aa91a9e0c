"""An account's blocks show its book and its newest levels, and change when those do."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from exporter.exposition import TEXT_FORMATS, AccountPage, Format
from exporter.ledger import OTHER_STREAM
from exporter.model import Level, measures
from tests.exposition.plain import Shelf

NOW = 1_704_067_200.0
LEVEL_SECONDS = 1800


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def book(shelf):
    return shelf.book()


@pytest.fixture
def page(book):
    return AccountPage(book, level_seconds=LEVEL_SECONDS)


def text(page, measure, format=Format.TEXT):
    block = page.blocks(format).get(measure)
    return None if block is None else block.plain.decode()


def viewers(stream, value):
    return Level(measures.STREAM_VIEWERS, ("live", stream), value)


def show(page, feed, levels, *, at):
    page.render(page.set_levels(feed, levels, at=at), at)


def test_a_gauge_is_told_as_it_is_on_the_page(page):
    """Until it expires; what the page leaves out is left out."""
    levels = [
        Level(measures.VIEWERS, ("live",), 7),
        Level(measures.VIEWERS, ("vod",), math.nan),
        viewers("lobby", 3),
    ]
    show(page, "viewers", levels, at=NOW)
    assert page.gauge(measures.VIEWERS) == {("live",): 7}
    assert text(page, measures.VIEWERS).endswith('kind="live"} 7\n')
    assert page.gauge(measures.STREAM_VIEWERS) == {}, "streams may be many"
    later = NOW + LEVEL_SECONDS
    page.render(page.due(later), later)
    assert page.gauge(measures.VIEWERS) == {}
    assert text(page, measures.VIEWERS) is None


def test_a_counter_is_a_line_per_series(shelf, book, page):
    shelf.put(book, measures.VIEWING_SECONDS, ("live",), 1500)
    shelf.put(book, measures.VIEWING_SECONDS, ("vod",), 2000)
    page.render([measures.VIEWING_SECONDS], NOW)
    assert text(page, measures.VIEWING_SECONDS) == (
        'media_viewing_seconds_total{provider="millicast",account="studio",kind="live"} 1.5\n'
        'media_viewing_seconds_total{provider="millicast",account="studio",kind="vod"} 2\n'
    )
    assert page.series == 2


def test_a_measure_without_labels_of_its_own_has_those_of_the_account(shelf, book, page):
    shelf.put(book, measures.RESTREAM_SECONDS, (), 1000)
    page.render([measures.RESTREAM_SECONDS], NOW)
    line = 'media_restream_seconds_total{provider="millicast",account="studio"} 1\n'
    assert text(page, measures.RESTREAM_SECONDS) == line


def test_a_histogram_has_buckets_in_order_then_count_and_sum(shelf, book, page):
    shelf.put_histogram(book, measures.JOB_QUEUE_SECONDS, ("/b",), sum=1250)
    shelf.put_histogram(book, measures.JOB_QUEUE_SECONDS, ("/a",), sum=500)
    page.render([measures.JOB_QUEUE_SECONDS], NOW)
    lines = (text(page, measures.JOB_QUEUE_SECONDS) or "").splitlines()
    of_a, of_b = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert all('path="/a"' in line for line in of_a)
    assert all('path="/b"' in line for line in of_b)
    bounds = [line.split('le="')[1].split('"')[0] for line in of_b[:-2]]
    assert bounds == [*map(str, map(float, measures.JOB_QUEUE_SECONDS.buckets)), "+Inf"]
    assert [line.split("{")[0] for line in of_b[-2:]] == [
        "media_job_queue_seconds_count",
        "media_job_queue_seconds_sum",
    ]
    assert of_b[-1].endswith(" 1.25")


def test_a_hold_that_has_ended_does_not_begin_again_when_the_clock_is_set_back(shelf, book, page):
    shelf.put(book, measures.VIEWS, ("live",), 9, held=(4, NOW + 100))
    for now, value in ((NOW, "4"), (NOW + 100, "9"), (NOW - 3600, "9"), (NOW + 200, "9")):
        page.render([measures.VIEWS], now)
        assert text(page, measures.VIEWS).split()[-1] == value


def test_a_held_counter_shows_its_earlier_total_until_it_is_due(shelf, book, page):
    shelf.put(book, measures.VIEWS, ("live",), 9, held=(4, NOW + 100))
    shelf.put(book, measures.VIEWS, ("vod",), 7, held=(0, NOW + 50))
    page.render([measures.VIEWS], NOW)

    def shown():
        return [line.split()[-1] for line in (text(page, measures.VIEWS) or "").splitlines()]

    assert shown() == ["4", "0"]
    for now, value in ((NOW + 50, ["4", "7"]), (NOW + 100, ["9", "7"])):
        assert page.next_due() == now
        assert page.due(now - 1) == set()
        assert page.due(now) == {measures.VIEWS}
        page.render(page.due(now), now)
        assert shown() == value
    assert page.next_due() is None


def test_levels_vanish_when_they_are_too_old(shelf, book, page):
    shelf.put(book, measures.VIEWS, ("live",), 9)
    page.render_all(NOW)
    show(page, "viewers", [viewers("a", 3)], at=NOW)
    assert page.next_due() == NOW + LEVEL_SECONDS
    assert page.due(NOW + LEVEL_SECONDS - 1) == set()
    page.render(page.due(NOW + LEVEL_SECONDS), NOW + LEVEL_SECONDS)
    assert text(page, measures.STREAM_VIEWERS) is None
    assert text(page, measures.VIEWS) is not None, "counters stay"
    assert page.next_due() is None
    assert page.series == 1


def test_levels_that_a_feed_says_no_more_vanish_at_once(page):
    show(page, "viewers", [viewers("a", 3), Level(measures.VIEWERS, ("live",), 3)], at=NOW)
    show(page, "viewers", [viewers("b", 4)], at=NOW + 900)
    assert text(page, measures.VIEWERS) is None
    line = 'media_stream_viewers{provider="millicast",account="studio",kind="live",stream="b"} 4\n'
    assert text(page, measures.STREAM_VIEWERS) == line


def test_the_levels_of_one_feed_age_apart_from_anothers(page):
    show(page, "one", [viewers("a", 1)], at=NOW)
    show(page, "two", [viewers("b", 2)], at=NOW + 900)
    page.render(page.due(NOW + LEVEL_SECONDS), NOW + LEVEL_SECONDS)
    assert 'stream="b"' in (text(page, measures.STREAM_VIEWERS) or "")
    assert 'stream="a"' not in (text(page, measures.STREAM_VIEWERS) or "")
    page.render(page.drop_feed("two"), NOW + LEVEL_SECONDS)
    assert text(page, measures.STREAM_VIEWERS) is None


def test_levels_of_folded_streams_are_summed_where_a_sum_says_something(book, page):
    book.folded |= {"x", "y"}
    info = ("live", "x", "X", "false")
    book.described["more", measures.STREAM_INFO] = {info[:2]: info}
    unique = Level(measures.STREAM_COUNTRY_VIEWERS, ("live", "x", "DE"), 5, merge="greatest")
    show(page, "viewers", [viewers("x", 2), viewers("y", 3), viewers("a", 9)], at=NOW)
    show(page, "more", [unique], at=NOW)
    page.render([measures.STREAM_INFO], NOW)
    lines = (text(page, measures.STREAM_VIEWERS) or "").splitlines()
    assert [line.split('stream="')[1] for line in lines] == [f'{OTHER_STREAM}"}} 5', 'a"} 9']
    assert text(page, measures.STREAM_INFO) is None
    assert text(page, measures.STREAM_COUNTRY_VIEWERS) is None


def test_a_description_lasts_longer_than_the_levels_of_its_feed(book, page):
    """An idle stream keeps its last known name."""
    labels = ("vod", "a", "Film", "false")
    book.described["vod_streams", measures.STREAM_INFO] = {labels[:2]: labels}
    show(page, "vod_streams", [Level(measures.STREAM_INFO, labels, 1), viewers("a", 1)], at=NOW)
    page.render_all(NOW)
    page.render(page.due(NOW + LEVEL_SECONDS), NOW + LEVEL_SECONDS)
    assert text(page, measures.STREAM_VIEWERS) is None
    assert 'stream="a",name="Film",archived="false"} 1' in (text(page, measures.STREAM_INFO) or "")


def test_of_two_feeds_that_tell_one_level_the_greatest_is_shown(page):
    """A list of those watched most may not have a stream whose details another feed asks for."""
    show(page, "viewers", [viewers("a", 7), viewers("c", 6)], at=NOW)
    show(page, "stream_viewers", [viewers("a", 8), viewers("b", 1), viewers("c", 5)], at=NOW)
    lines = (text(page, measures.STREAM_VIEWERS) or "").splitlines()
    shown = sorted(line.rpartition("stream=")[2] for line in lines)
    assert shown == ['"a"} 8', '"b"} 1', '"c"} 6']


def test_devices_beyond_the_limit_are_summed(book, page):
    book.label_limit = 2
    devices = {"phone": 5, "tablet": 4, "tv": 3, "fridge": 2}
    told = [Level(measures.DEVICE_VIEWERS, ("all", name), count) for name, count in devices.items()]
    show(page, "realtime", told, at=NOW)
    shown = 'all",device="'
    lines = (text(page, measures.DEVICE_VIEWERS) or "").splitlines()
    assert [line.split(shown)[1] for line in lines] == [
        'phone"} 5',
        'tablet"} 4',
        f'{OTHER_STREAM}"}} 5',
    ]
    show(page, "realtime", told[::-1], at=NOW + 900)
    assert f'{shown}phone"}} 5' in (text(page, measures.DEVICE_VIEWERS) or ""), "decided once"


def test_what_is_not_a_number_is_not_shown(page):
    show(page, "viewers", [viewers("a", math.nan), viewers("b", 0)], at=NOW)
    assert page.series == 1


def test_blocks_handed_out_do_not_change_afterwards(shelf, book, page):
    shelf.put(book, measures.VIEWS, ("live",), 9)
    page.render_all(NOW)
    before = page.blocks(Format.TEXT)
    frozen = dict(before)
    shelf.put(book, measures.VIEWS, ("vod",), 1)
    show(page, "viewers", [viewers("a", 3)], at=NOW)
    page.render_all(NOW)
    assert before == frozen
    assert page.blocks(Format.TEXT) != frozen


def test_folded_series_have_no_line(shelf, book, page):
    other = shelf.put(book, measures.STREAM_VIEWS, ("live", OTHER_STREAM), 5)
    shelf.put(book, measures.STREAM_VIEWS, ("live", "x"), 5, into=other)
    page.render_all(NOW)
    assert page.series == 1


def test_created_timestamps_stand_behind_each_counter_in_openmetrics_alone(shelf, book):
    page = AccountPage(book, level_seconds=LEVEL_SECONDS, created_timestamps=True)
    one = shelf.put(book, measures.VIEWS, ("live",), 9)
    show(page, "viewers", [viewers("a", 3)], at=NOW)
    page.render_all(NOW)
    labels = '{provider="millicast",account="studio",kind="live"}'
    line = f"media_views_total{labels} 9\n"
    assert text(page, measures.VIEWS) == line
    assert text(page, measures.VIEWS, Format.OPENMETRICS) == (
        f"{line}media_views_created{labels} {one.created}\n"
    )
    assert "_created" not in (text(page, measures.STREAM_VIEWERS, Format.OPENMETRICS) or "")


steps = some.lists(
    some.one_of(
        some.tuples(some.just("wait"), some.integers(0, 2000)),
        some.tuples(some.just("levels"), some.integers(0, 3)),
        some.tuples(some.just("hold"), some.integers(1, 200)),
    ),
    max_size=15,
)


@settings(deadline=None)
@given(steps)
def test_a_page_that_is_freshened_when_due_equals_one_rendered_afresh(steps):
    shelf = Shelf()
    book = shelf.book()
    kept = AccountPage(book, level_seconds=LEVEL_SECONDS)
    levels: dict[str, tuple[float, list[Level]]] = {}
    now = NOW
    for position, (what, amount) in enumerate(steps):
        if what == "wait":
            now += amount
        elif what == "levels":
            feed = f"feed {amount}"
            levels[feed] = (now, [viewers(feed, position)])
            kept.render(kept.set_levels(feed, levels[feed][1], at=now), now)
        else:
            shelf.put(book, measures.VIEWS, (f"{position}",), 5, held=(1, now + amount))
            kept.render([measures.VIEWS], now)
        while (due := kept.next_due()) is not None and due <= now:
            kept.render(kept.due(now), now)
        fresh = AccountPage(book, level_seconds=LEVEL_SECONDS)
        for feed, (at, told) in levels.items():
            if at + LEVEL_SECONDS > now:
                fresh.set_levels(feed, told, at=at)
        fresh.render_all(now)
        for kind in TEXT_FORMATS:
            mine = {
                measure: set(block.plain.splitlines())
                for measure, block in kept.blocks(kind).items()
            }
            theirs = {
                measure: set(block.plain.splitlines())
                for measure, block in fresh.blocks(kind).items()
            }
            assert mine == theirs
        assert kept.series == fresh.series
