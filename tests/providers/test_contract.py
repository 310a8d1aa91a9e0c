"""What every provider does, whichever vendor it is for: those that exist and a fifth one."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from exporter import providers
from exporter.client.fetch import FEED_MAY_HANDLE
from exporter.emulators import http
from exporter.emulators.app import Emulators
from exporter.emulators.mutations import MUTATIONS
from exporter.emulators.vendor import Vendor
from exporter.emulators.world import World
from exporter.model import (
    DAY,
    LARGEST_AMOUNT,
    LIFETIME_WIDTH,
    Answer,
    Ask,
    Configured,
    Feed,
    Provider,
    Request,
    Window,
)
from exporter.model.errors import (
    REASONS,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    SchemaError,
    ServerError,
    TooLargeError,
)
from exporter.model.measures import CATALOGUE
from exporter.polling.windows import REVISIT_SECONDS, cover
from tests.fifth.emulator import Harbour
from tests.support.comparing import differences
from tests.support.simulation import ACCOUNTS, HOUR, START, Simulation

FIFTH = Path(__file__).parents[1] / "fifth" / "providers"
DOCUMENTATION = Path(__file__).parents[2] / "docs"
NOW = int(START)
UNREADABLE = (SchemaError, msgspec.DecodeError, UnicodeDecodeError)
GARBAGE = (
    *(b"", b"null", b"0", b'"text"', b"[]", b"{}", b"[[]]", b"[null]", b"<html>", b"\xff\xfe"),
    *(b'{"data": null}', b'{"data": 7, "status": "success"}', b'{"a":', b"[" * 500),
)


def everyone() -> dict[str, Provider]:
    """As `providers.load` finds them when the fifth one lies beside the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "__path__", [*providers.__path__, str(FIFTH)])
        return providers.load()


PROVIDERS = everyone()


def emulated(name: str) -> Vendor:
    world = World(streams=3)
    if name == "harbour":
        return Harbour(world, clock=lambda: NOW)
    return Emulators(world, clock=lambda: NOW).vendors[name]


def options(provider: Provider, vendor: Vendor) -> dict[str, Any]:
    """Every option at its default, but with names where a feed asks for nothing without any."""
    chosen: dict[str, Any] = {option.key: option.default for option in provider.options}
    for key, ids in (
        ("assets", "assets"),
        ("live_streams", "live_streams"),
        ("playback_ids", "playback_ids"),
    ):
        if key in chosen and hasattr(vendor, ids):
            chosen[key] = getattr(vendor, ids)()
    return chosen


FEEDS = [(name, feed) for name, provider in PROVIDERS.items() for feed in provider.feed_names]


def feed_of(name: str, feed: str) -> tuple[Feed, Vendor]:
    vendor = emulated(name)
    provider = PROVIDERS[name]
    (found,) = provider.feeds([feed], options(provider, vendor))
    return found, vendor


def ask_of(feed: Feed, *, back: int = 30 * HOUR) -> Ask:
    """Something to ask any feed."""
    if isinstance(feed, Configured):
        names = feed.subjects
    else:
        names = ("lobby", "stage 2") if feed.needs_streams else ()
    if not feed.resolutions:
        return Ask(NOW, (), names)
    step = feed.resolutions[0].step
    window = Window(step.floor(NOW - back), step.ceil(NOW))
    return Ask(NOW, cover(window, feed.resolutions, now=NOW).spans, names)


async def answered(
    feed: Feed, vendor: Vendor, ask: Ask, *, most: int = 40
) -> list[tuple[Request, bytes, Answer]]:
    """What the emulated vendor says to the feed's requests and those that follow."""
    base = "/api" if vendor.provider == "livepeer" else ""
    waiting = list(feed.requests(ask))
    found: list[tuple[Request, bytes, Answer]] = []
    while waiting and len(found) < most:
        request = waiting.pop(0)
        headers = (("authorization", "Bearer demo"),)
        path = base + unquote(request.path)
        response = await vendor.answer(http.Request("GET", path, request.params, headers))
        assert response.status == 200, request
        answer = feed.parse(request, response.body, ask)
        found.append((request, response.body, answer))
        waiting.extend(answer.follow)
    return found


def emitted(answers: Iterable[Answer]) -> Iterable[tuple[Any, tuple[str, ...]]]:
    """Every measure and its labels, whatever sort of fact it came with."""
    for answer in answers:
        for row in answer.usage:
            yield row.measure, row.labels
        for level in answer.levels:
            yield level.measure, level.labels
        for event in answer.events:
            yield from event.counts
            for measure, labels, _ in event.timings:
                yield measure, labels


each_provider = pytest.mark.parametrize("name", PROVIDERS)
each_feed = pytest.mark.parametrize(("name", "feed_name"), FEEDS)


@each_provider
def test_a_provider_says_who_it_is_and_where(name: str) -> None:
    """Its name is a label value, its addresses are safe, it has a way to sign in."""
    provider = PROVIDERS[name]
    assert provider.name == name
    assert re.fullmatch("[a-z][a-z0-9_]*", name)
    assert provider.url.startswith("https://")
    assert not provider.url.endswith("/")
    assert provider.auth_url is None or provider.auth_url.startswith("https://")
    assert provider.authentication
    assert all(isinstance(value, str) for value in provider.headers.values())


@each_provider
def test_default_feeds_are_some_of_the_feeds_in_their_order(name: str) -> None:
    """Feeds come by name, in the order asked for; the default ones are among them."""
    provider = PROVIDERS[name]
    names = provider.feed_names
    assert len(set(names)) == len(names)
    assert provider.default_feeds
    assert [feed for feed in names if feed in provider.default_feeds] == list(
        provider.default_feeds
    )
    chosen = {option.key: option.default for option in provider.options}
    for asked in (names, names[::-1], names[:1], ()):
        assert [feed.name for feed in provider.feeds(asked, chosen)] == list(asked)


@each_provider
def test_every_option_is_explained_and_its_default_is_of_its_type(name: str) -> None:
    """An option's help is a phrase; what it is by default could have been configured."""
    types = {"string": str, "strings": tuple, "boolean": bool}
    for option in PROVIDERS[name].options:
        assert re.fullmatch("[a-z][a-z0-9_]*", option.key)
        assert len(option.help.split()) > 2
        assert isinstance(option.default, types[option.type])
        assert not option.choices or option.default in option.choices


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name != "harbour"])
def test_every_feed_and_option_is_documented(name: str) -> None:
    """The vendor's page names each feed with its call, and each option."""
    page = (DOCUMENTATION / "providers" / f"{name}.md").read_text(encoding="utf-8")
    for feed in PROVIDERS[name].feed_names:
        assert f"| `{feed}`" in page
    for option in PROVIDERS[name].options:
        assert f"`{option.key}" in page


@each_feed
def test_a_feeds_measures_are_in_the_catalogue(name: str, feed_name: str) -> None:
    """What a feed can give is known beforehand, each measure once."""
    feed, _ = feed_of(name, feed_name)
    assert feed.name == feed_name
    assert feed.measures
    assert len(set(feed.measures)) == len(feed.measures)
    assert set(feed.measures) <= set(CATALOGUE)


@each_feed
def test_a_feeds_steps_and_settling_fit_the_schedule(name: str, feed_name: str) -> None:
    """The first resolution is the finest and is used alone for the daily revisit; buckets settle
    within it; feeds of levels have neither.
    """
    feed, _ = feed_of(name, feed_name)
    if not feed.resolutions:
        assert feed.settling == 0
        return
    finest = feed.resolutions[0]
    widths = [resolution.step.width(0) for resolution in feed.resolutions]
    assert widths[0] == min(widths)
    assert all(
        resolution.longest >= width
        for resolution, width in zip(feed.resolutions, widths, strict=True)
    )
    assert all(resolution.reach is None for resolution in feed.resolutions[-1:]) or finest.reach
    assert 0 < feed.settling <= REVISIT_SECONDS
    for hour in range(24):
        now = NOW // DAY * DAY + hour * HOUR + 61
        window = Window(finest.step.floor(now - REVISIT_SECONDS), finest.step.ceil(now))
        found = cover(window, feed.resolutions, now=now)
        assert found.lost is None
        assert {span.step for span in found.spans} == {finest.step}


@each_feed
def test_equal_questions_make_equal_requests(name: str, feed_name: str) -> None:
    """A request is a path and its parameters, about a span that was asked for."""
    feed, _ = feed_of(name, feed_name)
    ask = ask_of(feed)
    requests = list(feed.requests(ask))
    assert requests == list(feed.requests(ask))
    assert len({request.identity for request in requests}) == len(requests)
    for request in requests:
        assert request.path.startswith("/")
        assert all(isinstance(part, str) for pair in request.params for part in pair)
        assert request.span in (None, *ask.spans)
        assert hash(request.identity)


@each_feed
async def test_answers_keep_to_the_window_and_to_the_feeds_measures(
    name: str, feed_name: str
) -> None:
    """Usage lies in buckets of the span that was asked for; labels are as many as the measure's."""
    feed, vendor = feed_of(name, feed_name)
    ask = ask_of(feed)
    found = await answered(feed, vendor, ask)
    seen = list(emitted(answer for _, _, answer in found))
    assert bool(seen) == bool(found)
    for measure, labels in seen:
        assert measure in feed.measures
        assert len(labels) == len(measure.labels)
        assert all(labels)
    for request, _, answer in found:
        for row in answer.usage:
            assert 0 <= row.amount <= LARGEST_AMOUNT
            if row.width == LIFETIME_WIDTH:
                continue
            assert request.span is not None
            window, step = request.span.window, request.span.step
            assert window.start <= row.start
            assert row.start + row.width <= window.end
            assert (row.start, row.width) == (step.floor(row.start), step.width(row.start))


@each_feed
async def test_what_cannot_be_read_is_refused_as_such(name: str, feed_name: str) -> None:
    """Whatever a vendor sends, a provider reads it or says that it cannot; it does not stumble,
    and makes no impossible number of it.
    """
    feed, vendor = feed_of(name, feed_name)
    ask = ask_of(feed)
    for request, body, _ in (await answered(feed, vendor, ask, most=4)) or []:
        spoilt = [change(body) for change in MUTATIONS.values()]
        for answer in (*GARBAGE, *spoilt, body[:-1], body + b"]"):
            try:
                read = feed.parse(request, answer, ask)
            except UNREADABLE:
                continue
            assert answer not in GARBAGE or not any(row.amount for row in read.usage)
            assert all(0 <= row.amount <= LARGEST_AMOUNT for row in read.usage)
            assert all(0 <= level.value <= LARGEST_AMOUNT for level in read.levels)


@each_feed
async def test_an_empty_answer_counts_nothing(name: str, feed_name: str) -> None:
    """From an account without any use there is nothing to add, and no end of pages to follow."""
    feed, vendor = feed_of(name, feed_name)
    ask = ask_of(feed)
    base = "/api" if name == "livepeer" else ""
    for request in feed.requests(ask):
        headers = (("authorization", "Bearer demo"),)
        empty = vendor.empty(http.Request("GET", base + request.path, request.params, headers))
        answer = feed.parse(request, empty.body, ask)
        assert not any(row.amount for row in answer.usage)
        assert not answer.follow
        assert not answer.events


@each_feed
@pytest.mark.parametrize(
    "error", [InvalidRequestError, ForbiddenError, NotFoundError, ServerError, TooLargeError]
)
def test_a_refusal_leads_to_other_requests_and_to_an_end(
    name: str, feed_name: str, error: type[InvalidRequestError]
) -> None:
    """Of what is asked instead, nothing was asked before, and it gets less each time."""
    assert error in FEED_MAY_HANDLE
    feed, _ = feed_of(name, feed_name)
    waiting = list(feed.requests(ask_of(feed)))
    asked = {request.identity for request in waiting}
    for _ in range(10_000):
        if not waiting:
            return
        instead = feed.refused(waiting.pop(), error("no"))
        if instead is None:
            continue
        assert not asked & {request.identity for request in instead}
        asked |= {request.identity for request in instead}
        waiting.extend(instead)
    raise AssertionError("no end of alternatives")


@each_provider
def test_errors_are_classified_whatever_their_body(name: str) -> None:
    """A status and any body lead to a known reason, or to what the status means anyway."""
    provider = PROVIDERS[name]
    for status in (400, 401, 403, 404, 410, 422, 429, 500, 502, 503):
        for body in (*GARBAGE, b'{"meta": 1}', b'{"data": {"message": 7}}', b'{"errors": ["x"]}'):
            assert provider.classify(status, body) in (None, *REASONS)
        assert provider.retries(status) in (None, 0, 1, 2, 3)


@pytest.fixture
def with_a_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(FIFTH)])
    monkeypatch.setitem(ACCOUNTS, "harbour", "port")


@pytest.mark.usefixtures("with_a_fifth")
async def test_a_fifth_provider_is_one_module_and_nothing_more(tmp_path: Path) -> None:
    """Found in the package, configured by name, polled and counted exactly, over a restart."""
    simulation = Simulation(tmp_path, providers=["harbour"], world=World(streams=3))
    vendor = Harbour(simulation.world, clock=simulation.clock)
    simulation.emulators.vendors = {"harbour": vendor}
    since = (int(START) - DAY) // HOUR * HOUR
    for _ in range(2):
        async with simulation.running():
            for _ in range(2):
                assert await simulation.poll()
                watching = simulation.value(
                    "media_viewers", provider="harbour", account="port", kind="all"
                )
                assert watching == vendor.watching(int(simulation.now))
                shown = simulation.usage("harbour")
                assert shown
                assert differences(shown, simulation.truth("harbour", since)) == {}
                simulation.now += 900


def test_the_guide_shows_the_fifth_provider_as_it_is() -> None:
    """The code in the guide to adding a provider is the code that is tested here."""
    guide = (DOCUMENTATION / "adding-a-provider.md").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^`(tests/\S+)`:\n\n```python\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE
    )
    assert [path for path, _ in blocks] == [
        "tests/fifth/providers/harbour.py",
        "tests/fifth/emulator.py",
    ]
    for path, code in blocks:
        assert code == Path(__file__).parents[2].joinpath(path).read_text(encoding="utf-8")
    for name in re.findall(r"`(exporter\.[a-z_.]+)`", guide):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute) or importlib.import_module(name)
