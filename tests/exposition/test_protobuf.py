"""Protobuf says what text says, read by Google's own library."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import AccountPage, Format, protobuf
from exporter.exposition.publisher import Publisher
from exporter.exposition.telemetry import AccountTelemetry, Telemetry
from exporter.ledger.thread import Worker
from exporter.model import Level, measures
from tests.exposition.plain import NASTY, Shelf
from tests.exposition.test_page import NOW, accounts, page_of, whole
from tests.support import metric_families


def text_samples(page):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in parse_text(page.decode())
        for sample in family.samples
    }


def both(pages):
    """The pages as text and as protobuf, which is rendered last."""
    text = b"".join(whole(pages, Format.TEXT).plain)
    for page in pages:
        page.render_protobuf()
    made = whole(pages, Format.PROTOBUF)
    plain = b"".join(made.plain)
    assert made.plain_length == len(plain)
    assert gzip.decompress(b"".join(made.gzip)) == plain
    return text, plain


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(accounts())
def test_every_sample_is_that_of_the_text(accounts):
    text, page = both([page_of(book, levels) for book, levels in accounts])
    assert metric_families.samples(page) == text_samples(text)
    families = {
        family.name: (metric_families.TYPES[family.type], family.help)
        for family in metric_families.families(page)
    }
    in_text = {
        f"{one.name}_total" if one.type == "counter" else one.name: (one.type, one.documentation)
        for one in parse_text(text.decode())
    }
    assert families == in_text
    assert list(families) == list(in_text), "each once, in the same order"


def test_what_is_rendered_later_is_rendered_as_protobuf_too():
    shelf = Shelf()
    book = shelf.book()
    page = page_of(book, {})
    page.render_protobuf()
    series = shelf.put(book, measures.STREAM_VIEWS, ("live", NASTY), 5)
    page.set_levels("feed", [Level(measures.VIEWERS, ("live",), 7)], at=NOW)
    page.render([measures.STREAM_VIEWS, measures.VIEWERS], NOW)
    series.exposed = 6
    page.render([measures.STREAM_VIEWS], NOW)
    text, made = both([page])
    assert metric_families.samples(made) == text_samples(text)
    assert 6.0 in metric_families.samples(made).values()
    page.drop_feed("feed")
    page.render([measures.VIEWERS], NOW)
    assert "media_viewers" not in {one.name for one in metric_families.families(both([page])[1])}


STREAM_VIEWS = measures.STREAM_VIEWS.name


@pytest.mark.parametrize(
    ("held", "created", "value", "start"),
    [
        (None, False, 5, None),
        ((0, NOW + 60), False, 0, 1001),
        ((0, NOW + 60), True, 5, 1001),
        ((0, NOW), False, 5, 1001),
        ((3, NOW + 60), True, 3, None),
        ((3, NOW), True, 5, None),
    ],
    ids=["baseline", "held", "not held", "no longer held", "after a pause", "after that"],
)
def test_a_series_that_began_at_0_says_when(held, created, value, start):
    """Without `_created` samples it is held at 0, as in text: who asked may not read timestamps."""
    shelf = Shelf()
    book = shelf.book()
    shelf.put(book, measures.STREAM_VIEWS, ("live", "a"), 5, held=held)
    page = page_of(book, {}, created=created)
    _, made = both([page])
    assert list(metric_families.samples(made).values()) == [value]
    assert metric_families.created(made) == {STREAM_VIEWS: [start]}


def test_a_histogram_begins_as_a_whole():
    shelf = Shelf()
    book = shelf.book()
    shelf.put_histogram(book, measures.JOB_QUEUE_SECONDS, ("/a",), sum=1500)
    for series in book.series[measures.JOB_QUEUE_SECONDS].values():
        series.created = 1234
        book.holds[series] = (0, NOW + 60)
    _, held = both([page_of(book, {})])
    assert set(metric_families.samples(held).values()) == {0}
    _, made = both([page_of(book, {}, created=True)])
    assert metric_families.created(made) == {measures.JOB_QUEUE_SECONDS.name: [1234]}
    (family,) = metric_families.families(made)
    (metric,) = family.metric
    assert metric.histogram.sample_sum == 1500 / measures.JOB_QUEUE_SECONDS.resolution
    assert metric.histogram.sample_count == len(measures.JOB_QUEUE_SECONDS.buckets) + 1


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 4095, 4096, 2**21, 2**60])
def test_numbers_of_any_size_are_read_back(number):
    encoded = protobuf.histogram(b"", count=number, sum=0.5, buckets=[(1.5, number)], created=None)
    page = protobuf.family_header("h", "histogram", "x" * min(number, 5000), len(encoded)) + encoded
    (family,) = metric_families.families(page)
    (metric,) = family.metric
    assert metric.histogram.sample_count == metric.histogram.bucket[0].cumulative_count == number
    assert len(family.help) == min(number, 5000)


class Stand:
    """A publisher with two accounts, and telemetry."""

    def __init__(self):
        self.worker = Worker()
        self.telemetry = Telemetry(clock=lambda: NOW, ledger_size=lambda: 4096)
        self.publisher = Publisher(worker=self.worker, telemetry=self.telemetry)
        self.shelf = Shelf()
        self.books = [self.shelf.book("millicast", "one"), self.shelf.book("wowza", "two")]
        self.pages = [AccountPage(book, level_seconds=1800) for book in self.books]
        self.show(2)

    def show(self, number):
        self.publisher.set_accounts(
            [
                (book.provider, book.account, page)
                for book, page in zip(self.books[:number], self.pages, strict=False)
            ]
        )

    def count(self, number, views):
        self.shelf.put(self.books[number], measures.VIEWS, ("live",), views)
        self.pages[number].render([measures.VIEWS], NOW)

    def samples(self, format, accounts=None):
        """Of accounts only: the process's own change from one moment to the next."""
        page = b"".join(self.publisher.page(format, accounts).plain)
        read = metric_families.samples if format is Format.PROTOBUF else text_samples
        return {key: value for key, value in read(page).items() if key[0].startswith("media_view")}


@pytest.fixture
def stand():
    stand = Stand()
    yield stand
    stand.worker.close()


async def test_protobuf_is_prepared_when_it_is_first_asked_for(stand):
    stand.count(0, 5)
    await stand.publisher.publish()
    assert stand.publisher.is_ready(Format.OPENMETRICS)
    assert not stand.pages[0].blocks(Format.PROTOBUF), "it takes no memory before"
    assert not stand.publisher.is_ready(Format.PROTOBUF)
    assert not stand.publisher.is_ready(Format.PROTOBUF)
    await stand.publisher._preparing
    assert stand.publisher.is_ready(Format.PROTOBUF)
    assert stand.samples(Format.PROTOBUF) == stand.samples(Format.TEXT) != {}
    for changed, views in ((1, 7), (0, 6), (1, 8)):
        stand.count(changed, views)
        await stand.publisher.publish()
        for chosen in (None, frozenset({"one"}), frozenset({"two"})):
            assert stand.samples(Format.PROTOBUF, chosen) == stand.samples(Format.TEXT, chosen)


async def test_accounts_that_come_later_are_there_too(stand):
    stand.show(1)
    stand.count(0, 5)
    stand.count(1, 7)
    await stand.publisher.publish()
    stand.publisher.is_ready(Format.PROTOBUF)
    await stand.publisher._preparing
    stand.show(2)
    await stand.publisher.publish()
    assert stand.samples(Format.PROTOBUF) == stand.samples(Format.TEXT)
    assert len(stand.samples(Format.PROTOBUF)) == 2


def test_the_exporters_own_metrics_are_the_same():
    telemetry = Telemetry(clock=lambda: NOW, ledger_size=lambda: 4096, process_metrics=False)
    account = AccountTelemetry(
        provider="millicast", account="one", feeds=["usage"], cadence_seconds=900
    )
    telemetry.set_accounts([account])
    account.poll("usage", seconds=1.5, failure="timeout", at=NOW)

    def read(format):
        return b"".join(telemetry.section(format, None).plain)

    page = read(Format.PROTOBUF)
    assert metric_families.samples(page) == text_samples(read(Format.TEXT))
    started = metric_families.created(page)["media_exporter_polls_total"]
    assert all(at is not None for at in started)
    account.poll("usage", seconds=2.5, failure=None, at=NOW)
    later = AccountTelemetry(provider="wowza", account="two", feeds=["usage"], cadence_seconds=900)
    telemetry.set_accounts([account, later])
    page = read(Format.PROTOBUF)
    assert metric_families.samples(page) == text_samples(read(Format.TEXT))
    assert b"two" in page
