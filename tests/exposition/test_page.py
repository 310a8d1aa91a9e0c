"""The page put together from cached blocks is the page that one would write by hand."""

import gzip
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import TEXT_FORMATS, AccountPage, Family, Format, assemble, build_page
from exporter.exposition.page import Section
from exporter.model import Level, measures
from exporter.model.measures import CATALOGUE
from tests.exposition import plain
from tests.exposition.plain import Shelf

NOW = 1_704_067_200.0
FAMILIES = tuple((measure, Family.of(measure)) for measure in CATALOGUE)
NO_TAIL = Section((), (), 0, 0)
COUNTERS = [measure for measure in CATALOGUE if measure.type == "counter"]
GAUGES = [m for m in CATALOGUE if m.type == "gauge" and not m.identity]

label_values = some.one_of(some.sampled_from(["a", "b", plain.NASTY]), some.text(max_size=8))


@some.composite
def accounts(draw):
    shelf = Shelf()
    found = []
    for number in range(draw(some.integers(0, 4))):
        book = shelf.book(draw(some.sampled_from(["millicast", "wowza"])), f"account {number}")
        for measure in draw(some.lists(some.sampled_from(COUNTERS), max_size=4, unique=True)):
            values = some.tuples(*(label_values for _ in measure.labels))
            for labels in draw(some.lists(values, max_size=4, unique=True)):
                held = draw(some.sampled_from([None, None, (1, NOW + 5), (1, NOW)]))
                shelf.put(book, measure, labels, draw(some.integers(1, 2**60)), held=held)
        if draw(some.booleans()):
            for path in ("/b", "/a\n"):
                total = draw(some.integers(0, 10**9))
                shelf.put_histogram(book, measures.JOB_QUEUE_SECONDS, (path,), sum=total)
        levels: dict = {}
        for measure in draw(some.lists(some.sampled_from(GAUGES), max_size=3, unique=True)):
            values = some.tuples(*(label_values for _ in measure.labels))
            for labels in draw(some.lists(values, max_size=3, unique=True)):
                level = some.one_of(some.integers(0, 10**9), some.floats(0, 1e18))
                levels.setdefault(measure, {})[labels] = draw(level)
        found.append((book, levels))
    return found


def page_of(book, levels, *, created=False):
    page = AccountPage(book, level_seconds=1800, created_timestamps=created)
    told = [
        Level(measure, labels, value)
        for measure, named in levels.items()
        for labels, value in named.items()
    ]
    page.set_levels("feed", told, at=NOW)
    page.render_all(NOW)
    return page


def whole(pages, format):
    section = assemble(FAMILIES, [page.blocks(format) for page in pages], format)
    return build_page(section, NO_TAIL, format)


def end(format):
    return "# EOF\n" if format is Format.OPENMETRICS else ""


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(accounts(), some.booleans())
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_a_page_is_what_one_would_write_by_hand(format, accounts, created):
    pages = [page_of(book, levels, created=created) for book, levels in accounts]
    expected = plain.page(accounts, format, NOW, created=created) + end(format)
    page = whole(pages, format)
    as_bytes = b"".join(page.plain)
    assert as_bytes.decode() == expected
    assert page.plain_length == len(as_bytes)

    packed = b"".join(page.gzip)
    assert page.gzip_length == len(packed)
    assert gzip.decompress(packed) == as_bytes
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed) == as_bytes
    assert one.eof
    assert one.unused_data == b"", "one member, which every client reads to its end"

    parse = parse_text if format is Format.TEXT else parse_openmetrics
    families = list(parse(expected))
    names = [family.name for family in families]
    assert len(set(names)) == len(names), "every family once"
    series = sum(page.series for page in pages)
    created_lines = expected.count("_created{")
    assert sum(len(family.samples) for family in families) == series + created_lines


@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_every_metric_there_is_parses(format):
    shelf = Shelf()
    book = shelf.book()
    levels: dict = {}
    for number, measure in enumerate(CATALOGUE):
        labels = tuple(f"{name} {plain.NASTY}" for name in measure.labels)
        if measure.identity:
            book.described["feed", measure] = {labels[: measure.identity]: labels}
        elif measure.type == "gauge":
            levels[measure] = {labels: number + 0.5}
        elif measure.type == "histogram":
            shelf.put_histogram(book, measure, labels, sum=1001)
        else:
            shelf.put(book, measure, labels, number * 1001)
    page = b"".join(whole([page_of(book, levels, created=True)], format).plain).decode()
    parse = parse_text if format is Format.TEXT else parse_openmetrics
    types = {family.name: family.type for family in parse(page)}
    assert types == {measure.name.removesuffix("_total"): measure.type for measure in CATALOGUE}


@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_large_pages_come_in_chunks_that_are_neither_tiny_nor_joined_in_vain(format):
    shelf = Shelf()
    book = shelf.book()
    for number in range(3000):
        shelf.put(book, measures.STREAM_VIEWS, ("live", f"stream {number}"), number)
    for measure in COUNTERS:
        if not measure.labels:
            shelf.put(book, measure, (), 1)
    pages = [page_of(book, {})] * 3
    page = whole(pages, format)
    large = pages[0].blocks(format)[measures.STREAM_VIEWS].plain
    assert sum(chunk is large for chunk in page.plain) == 3, "sent as it is, not copied"
    assert len(page.plain) < 10
    assert gzip.decompress(b"".join(page.gzip)) == b"".join(page.plain)


@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_an_empty_page_is_valid(format):
    page = whole([], format)
    assert b"".join(page.plain) == end(format).encode()
    assert gzip.decompress(b"".join(page.gzip)) == end(format).encode()
