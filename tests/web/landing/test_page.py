"""The page's HTML: everything is on it, nothing can break out of it, nothing needs a script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter.exposition.own_metrics import LEDGER_REASON
from exporter.model.errors import REASONS
from exporter.polling import advice
from exporter.polling.status import FeedStatus, LeasesStatus, ReplicaStatus
from exporter.web.landing import content_security_policy, landing_page
from tests.web.landing.statuses import (
    FIGURES,
    HOUR,
    NOTHING_TO_ASK,
    NOW,
    WAITING,
    WORKING,
    account,
    every_account,
    failing,
    in_trouble,
    named,
)

EVIL = "</style></title><script>alert(1)</script><img src=x onerror='a\"b'>&amp;"
ALL_REASONS = (*REASONS, LEDGER_REASON)


class Reading(HTMLParser):
    """Every element with its attributes, the text, and whether all that opens is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(*accounts, **options) -> Reading:
    return Reading(
        landing_page(accounts, NOW, options.pop("telemetry_path", "/metrics"), **options)
    )


def shape(reading: Reading) -> list[str]:
    return [name for name, _ in reading.elements]


@pytest.mark.parametrize(
    "where",
    ["account", "provider", "feed", "reason", "error", "problem", "reload", "charge", "currency"],
)
def test_no_string_becomes_markup(where: str) -> None:
    """Whatever is in a name or an error, the page has the elements it has anyway, and the words."""

    def page(words: str) -> Reading:
        told = {"account": "a", "provider": "p", "feed": "f", "reason": "r", "error": "e"}
        told |= {"reload": "l", "charge": "c", "currency": "EUR"}
        told |= {where: words}
        feed = replace(failing(told["reason"], told["error"]), name=told["feed"])
        return read(
            account(
                feed,
                name=told["account"],
                provider=told["provider"],
                figures=replace(
                    FIGURES,
                    included_used_charge=told["charge"],
                    month_to_date_cost={told["currency"]: 1},
                ),
            ),
            problem=words if where == "problem" else None,
            reload_failure=told["reload"],
        )

    harmless, harmful = page("harmless"), page(EVIL)
    assert shape(harmful) == shape(harmless)
    titles = [has.get("title") or "" for _, has in harmful.elements]
    assert EVIL in ("".join(titles) if where == "charge" else "".join(harmful.words))
    assert not any(name.startswith("on") for _, has in harmful.elements for name in has)


@pytest.mark.parametrize("path", [EVIL, "//elsewhere.example/", "/a b?c"])
def test_a_telemetry_path_is_a_path_of_this_server(path: str) -> None:
    """The link leads to a path, whatever that is called."""
    (link,) = (
        href
        for href in (one.get("href") or "" for one in read(account(), telemetry_path=path).all("a"))
        if href not in ("/config", "/api/v1/status", "#help")
    )
    assert re.fullmatch(r"/[\w%./-]*", link)
    assert not link.startswith("//")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Neither scripts nor styles in attributes; every address is on the page or on this server."""
    reading = read(*in_trouble())
    assert reading.all("script") == [{}]
    for name, has in reading.elements:
        assert "style" not in has
        for address in (has.get("href"), has.get("src")):
            assert address is None or re.match(r"/(?!/)|#|data:image/svg", address), (name, has)
    css = landing_page((), NOW, "/metrics").partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


@pytest.mark.parametrize("tag", ["style", "script"])
def test_the_policy_allows_style_and_script_by_their_hashes(tag: str) -> None:
    """The hash in the header is that of what is between the tags, whoever the accounts are."""
    page = landing_page(in_trouble(), NOW, "/metrics")
    text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = content_security_policy()
    assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_page_is_accessible() -> None:
    """Language, title, landmarks, headers of cells, names of sections, instants with dates."""
    reading = read(*in_trouble())
    assert reading.all("html") == [{"lang": "en"}]
    assert len(reading.all("h1")) == len(reading.all("main")) == 1
    assert {"http-equiv": "refresh", "content": "60"} in reading.all("meta")
    assert {has.get("scope") for has in reading.all("th")} == {"col", "row"}
    ids = [has["id"] for _, has in reading.elements if "id" in has]
    assert len(ids) == len(set(ids))
    for _, has in reading.elements:
        assert has.get("aria-labelledby", ids[0]) in ids
    for moment in reading.all("time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment["datetime"] or "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", moment["title"] or "")


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (WORKING, "✓ working"),
        (WAITING, "… waiting"),
        (replace(WORKING, backlog_seconds=30 * HOUR), "… catching up"),
        (NOTHING_TO_ASK, "– nothing to ask"),
        (failing("server"), "✕ failing for 2 h 1 min"),
    ],
)
def test_a_state_is_said_in_words_and_with_a_sign(feed, said: str) -> None:
    """Nobody has to see a colour."""
    assert said in read(account(feed)).text


def test_an_account_says_when_and_how_much() -> None:
    """Next poll, cadence, requests, series, folded streams, the feeds' times and backlog."""
    feed = replace(WORKING, backlog_seconds=30 * HOUR)
    text = read(account(feed, folded=12)).text
    for said in (
        "Next pollin 13 min",
        "Polled every15 min",
        "Requests a poll13 measured",
        "Requests a day1,248 measured",
        "Series1,234",
        "Streams folded! 12",
        "1 min 5 s ago",
        "13 min ago",
        "1 d 6 h",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"polling": True, "next_poll": NOW - 1}, "Next pollunder way"),
        ({"next_poll": None}, "Next poll–"),
        ({"next_poll": NOW - 5}, "Next polldue"),
        ({"requests_measured_polls": 0}, "Requests a poll13 estimated"),
        ({"requests_measured_polls": 0}, "Requests a day1,248 estimated"),
        ({"requests_per_day": None}, "Requests a day–"),
    ],
)
def test_what_is_not_known_yet_is_not_made_up(change, said: str) -> None:
    """Before the first poll is over, and while one is under way."""
    assert said in read(replace(account(), **change)).text


def test_data_of_a_bucket_that_is_not_over_is_up_to_now() -> None:
    """A day that ends tonight is not told as data out of the future."""
    text = read(account(replace(WORKING, newest_data=int(NOW) + 1600))).text
    assert "up to now" in text
    assert "in 26 min" not in text


def test_a_failed_reload_is_on_the_page_with_its_error() -> None:
    """In the verdict, and with it in the window's title."""
    page = landing_page(every_account(), NOW, "/metrics", None, "config.yaml:3: unknown key")
    assert "<title>! The old configuration is in force" in page
    assert "<code>config.yaml:3: unknown key</code>" in page
    assert "✓ Everything works" not in page


def test_every_reason_has_advice() -> None:
    """The table and the metric's label have the same reasons, each with its own words."""
    assert set(advice.ADVICE) == set(ALL_REASONS)
    assert len({one.what for one in advice.ADVICE.values()}) == len(ALL_REASONS)
    for one in advice.ADVICE.values():
        assert one.todo.endswith(".")
        assert one.todo.count("`") % 2 == 0
        assert not one.what.endswith(".")


@pytest.mark.parametrize("reason", ALL_REASONS)
def test_a_failure_says_whose_fault_it_is_and_what_to_do(reason: str) -> None:
    """Reason, account, feed, since when, the error, the party and the advice are on the page."""
    reading = read(account(*named(failing(reason, "it went wrong"), "streams"), name="studio"))
    trouble = reading.text.partition("What to do")[2].partition("What the words mean")[0]
    given = advice.ADVICE[reason]
    assert f"millicast: {given.what}" in trouble
    assert given.todo.replace("`", "") in trouble
    assert "studio: streams, for 2 h 1 min" in trouble
    assert f"{reason}: it went wrong" in trouble
    owners = {"you": "Yours", "vendor": "The vendor's", "network": "The network's"}
    assert owners.get(given.party, "The exporter's") in trouble


def test_an_unknown_reason_is_shown_all_the_same() -> None:
    """A reason that is not in the table is ours to explain."""
    text = read(account(failing("moonlight"))).text
    assert "millicast: the poll failed" in text
    assert "Look at the exporter's log" in text
    assert "moonlight: " in text


def test_what_goes_wrong_alike_is_told_once() -> None:
    """Feeds of one vendor that fail for one reason share an entry; another vendor has its own."""
    accounts = (
        account(*named(failing("auth"), "account", "streams"), name="one"),
        account(*named(failing("auth"), "account"), name="two"),
        account(*named(failing("auth"), "usage"), name="three", provider="livepeer"),
    )
    reading = read(*accounts)
    assert shape(reading).count("article") == 2


def test_a_page_of_working_feeds_has_no_troubles() -> None:
    """Nothing to do, nothing said of it."""
    reading = read(*every_account())
    assert "What to do" not in reading.text
    assert shape(reading).count("article") == 0


def test_ids_do_not_come_from_names() -> None:
    """An account may be called what something else on the page is called."""
    reading = read(*(account(failing("auth"), name=name) for name in ("help", "troubles-heading")))
    ids = [has["id"] for _, has in reading.elements if "id" in has]
    assert len(ids) == len(set(ids))


def test_replicas_and_what_each_holds_are_shown_and_what_nobody_holds() -> None:
    leases = LeasesStatus(
        "one",
        (ReplicaStatus("one", ("live", "vod")), ReplicaStatus("<two>", ())),
        ("studio",),
        reachable=True,
    )
    words = " ".join("".join(read(account(WORKING), leases=leases).words).split())
    assert "Replica Accounts held one this one live, vod <two> – nobody studio" in words
    assert "Accounts held" not in "".join(read(account(WORKING)).words)


@pytest.mark.parametrize(
    ("feed", "folded", "is_open"),
    [
        (WORKING, 0, False),
        (failing("auth"), 0, True),
        (WAITING, 0, True),
        (NOTHING_TO_ASK, 0, True),
        (replace(WORKING, backlog_seconds=HOUR), 0, True),
        (WORKING, 3, True),
    ],
)
def test_an_account_is_one_line_while_all_is_well(
    feed: FeedStatus, folded: int, is_open: bool
) -> None:
    reading = read(account(WORKING, feed, folded=folded))
    assert ("open" in reading.all("details")[0]) is is_open
    assert ("2 feeds work" in reading.text) is not is_open
    assert "1 feed works" in read(account(WORKING)).text
