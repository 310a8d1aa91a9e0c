"""Scrapers get whole pages, at any time, of all accounts or of some."""

import asyncio
import gzip
import threading
import zlib
from collections import Counter

import pytest

from exporter.exposition import TEXT_FORMATS, AccountPage, Format
from exporter.exposition.publisher import KEPT_PAGES, Publisher
from exporter.exposition.telemetry import AccountTelemetry, Telemetry
from exporter.ledger.thread import Worker
from exporter.model import measures
from tests.exposition import plain
from tests.exposition.plain import Shelf

NOW = 1_704_067_200.0


class Stand:
    """Two accounts with a page and a telemetry each."""

    def __init__(self):
        self.now = NOW
        self.worker = Worker()
        self.telemetry = Telemetry(clock=lambda: self.now, ledger_size=lambda: 4096)
        self.publisher = Publisher(worker=self.worker, telemetry=self.telemetry)
        self.shelf = Shelf()
        self.books = [
            self.shelf.book("millicast", "one"),
            self.shelf.book("wowza", "two"),
        ]
        self.pages = [AccountPage(book, level_seconds=1800) for book in self.books]
        self.of_accounts = [
            AccountTelemetry(
                provider=book.provider, account=book.account, feeds=["usage"], cadence_seconds=900
            )
            for book in self.books
        ]
        self.telemetry.set_accounts(self.of_accounts)
        self.publisher.set_accounts(
            [
                (book.provider, book.account, page)
                for book, page in zip(self.books, self.pages, strict=True)
            ]
        )

    def count(self, number, views):
        self.shelf.put(self.books[number], measures.VIEWS, ("live",), views)
        self.pages[number].render([measures.VIEWS], self.now)

    def vendor_text(self, format=Format.TEXT, accounts=None):
        page = b"".join(self.publisher.page(format, accounts).plain).decode()
        return page[: page.index("# HELP media_exporter_")]


@pytest.fixture
def stand():
    stand = Stand()
    yield stand
    stand.worker.close()


async def test_what_was_rendered_is_shown_once_it_is_published(stand):
    stand.count(0, 5)
    assert "media_views_total" not in stand.vendor_text()
    await stand.publisher.publish()
    assert stand.vendor_text() == plain.page([(book, {}) for book in stand.books], Format.TEXT, NOW)


@pytest.mark.parametrize("format", TEXT_FORMATS)
async def test_each_publishing_shows_what_changed_since_the_one_before(stand, format):
    for changed, views in ((0, 5), (1, 7), (1, 8), (0, 9)):
        stand.count(changed, views)
        await stand.publisher.publish()
        for accounts, shown in ((None, (0, 1)), ({"one"}, (0,)), ({"two"}, (1,))):
            page = stand.publisher.page(format, None if accounts is None else frozenset(accounts))
            vendors = plain.page([(stand.books[number], {}) for number in shown], format, NOW)
            assert b"".join(page.plain).decode().startswith(vendors)


@pytest.mark.parametrize("format", TEXT_FORMATS)
@pytest.mark.parametrize(
    ("accounts", "shown"),
    [(None, (0, 1)), ({"one"}, (0,)), ({"two"}, (1,)), ({"one", "two"}, (0, 1)), (set(), ())],
)
async def test_a_page_can_be_narrowed_to_accounts(stand, format, accounts, shown):
    stand.count(0, 5)
    stand.count(1, 7)
    await stand.publisher.publish()
    chosen = None if accounts is None else frozenset(accounts)
    page = stand.publisher.page(format, chosen)
    text = b"".join(page.plain).decode()
    vendors = plain.page([(stand.books[number], {}) for number in shown], format, NOW)
    assert text.startswith(vendors)
    own = {line for line in text[len(vendors) :].splitlines() if "account=" in line}
    assert {line.split('account="')[1].split('"')[0] for line in own} == {
        stand.books[number].account for number in shown
    }
    assert ("media_exporter_build_info" in text) == (accounts is None)
    packed = b"".join(page.gzip)
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed).decode() == text
    assert one.unused_data == b""
    assert gzip.decompress(packed).decode() == text
    assert text.endswith("# EOF\n") == (format is Format.OPENMETRICS)


async def test_the_same_page_is_not_put_together_twice(stand):
    stand.count(0, 5)
    await stand.publisher.publish()
    for accounts in (None, frozenset({"one"})):
        assert stand.publisher.page(Format.TEXT, accounts) is stand.publisher.page(
            Format.TEXT, accounts
        )
    before = stand.publisher.page(Format.TEXT, None)
    stand.count(0, 6)
    await stand.publisher.publish()
    assert stand.publisher.page(Format.TEXT, None) is not before
    assert b"} 5" in b"".join(before.plain), "who reads an old page reads it to its end"


async def test_pages_narrowed_in_ever_new_ways_are_not_kept_for_ever(stand):
    await stand.publisher.publish()
    for number in range(5 * KEPT_PAGES):
        stand.publisher.page(Format.TEXT, frozenset({"one", f"unknown {number}"}))
    assert len(stand.publisher._sections) <= KEPT_PAGES + len(Format)
    assert len(stand.publisher._finished) <= KEPT_PAGES + 1
    assert len(stand.telemetry._sections) <= 2 * KEPT_PAGES


async def test_changes_while_a_page_is_put_together_share_the_next_one(stand, monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def block():
        started.set()
        go_on.wait(10)

    assembled: Counter[AccountPage] = Counter()
    original = AccountPage.take_changed

    def take_changed(page):
        assembled[page] += 1
        return original(page)

    monkeypatch.setattr(AccountPage, "take_changed", take_changed)
    blocked = asyncio.create_task(stand.worker.run(block))
    await asyncio.to_thread(started.wait, 10)
    publishing = [asyncio.create_task(stand.publisher.publish()) for _ in range(10)]
    await asyncio.sleep(0)
    stand.count(0, 5)
    go_on.set()
    await asyncio.gather(blocked, *publishing)
    assert assembled == dict.fromkeys(stand.pages, 1)
    assert "media_views_total" in stand.vendor_text()


async def test_publishing_goes_on_after_a_publisher_was_cancelled(stand):
    """As when the configuration is reloaded while the worker is busy."""
    started, go_on = threading.Event(), threading.Event()

    def block():
        started.set()
        go_on.wait(10)

    blocked = asyncio.create_task(stand.worker.run(block))
    await asyncio.to_thread(started.wait, 10)
    publishing = asyncio.create_task(stand.publisher.publish())
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    go_on.set()
    await blocked
    stand.count(0, 5)
    await stand.publisher.publish()
    assert "media_views_total" in stand.vendor_text()


async def test_accounts_come_and_go_with_a_new_configuration(stand):
    stand.count(0, 5)
    stand.count(1, 7)
    await stand.publisher.publish()
    assert stand.publisher.accounts == (("millicast", "one"), ("wowza", "two"))
    stand.publisher.set_accounts([("wowza", "two", stand.pages[1])])
    stand.telemetry.set_accounts([stand.of_accounts[1]])
    await stand.publisher.publish()
    text = b"".join(stand.publisher.page(Format.TEXT, None).plain).decode()
    assert 'account="one"' not in text
    assert 'account="two"' in text


async def test_scrapes_see_whole_pages_while_polls_publish(stand):
    """Both accounts are always of the same publishing."""
    for number in (0, 1):
        stand.count(number, 0)
    await stand.publisher.publish()
    stop = threading.Event()
    seen: set[int] = set()
    wrong: list[str] = []

    def scrape():
        while not stop.is_set():
            page = stand.publisher.page(Format.TEXT, None)
            text = gzip.decompress(b"".join(page.gzip)).decode()
            if text.encode() != b"".join(page.plain):
                wrong.append("gzip and plain differ")
            values = {
                line.split()[-1] for line in text.splitlines() if line.startswith("media_views")
            }
            if len(values) != 1:
                wrong.append(text)
            seen.update(map(int, values))

    scraping = asyncio.create_task(asyncio.to_thread(scrape))

    def change(value):
        for number in (0, 1):
            stand.count(number, value)

    for value in range(1, 60):
        await stand.worker.run(change, value)
        await stand.publisher.publish()
    stop.set()
    await scraping
    assert not wrong
    assert seen


async def test_nothing_new_is_the_same_page(stand):
    """A publication without a change costs nothing, and scrapers' pages stay as they are."""
    stand.count(0, 5)
    await stand.publisher.publish()
    before = stand.publisher.page(Format.TEXT, None)
    await stand.publisher.publish()
    assert stand.publisher.page(Format.TEXT, None) is before
