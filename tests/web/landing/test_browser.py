"""The page in a real browser: it fits, and its policy lets its own style through."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from exporter.web.landing import content_security_policy, landing_page
from exporter.web.landing.times import duration
from tests.support.components import chromium
from tests.web.landing.browser import after, measure
from tests.web.landing.statuses import (
    FIGURES,
    NO_FIGURES,
    NOW,
    account,
    every_account,
    in_trouble,
)

pytestmark = pytest.mark.sockets

NARROW, WIDE = 360, 1400
ACCOUNTS = 120


def many_accounts():
    """All columns, two currencies, months that are not whole, accounts without a value."""
    figures = replace(
        FIGURES,
        month_to_date_complete=False,
        month_to_date_cost={"EUR": 123456.789, "USD": 12.3},
        month_forecast_cost={"EUR": 1234567.89, "USD": 12.3},
    )
    return [
        account(name=f"account-{number:03}", figures=figures if number % 3 else NO_FIGURES)
        for number in range(ACCOUNTS)
    ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What there is to see, of both pages at both widths."""
    # Only so that the measuring page may put it into a frame.
    policy = content_security_policy().replace("frame-ancestors 'none'", "frame-ancestors 'self'")
    return measure(
        chromium(),
        tmp_path_factory.mktemp("browser"),
        {
            "fine": landing_page(every_account(), NOW, "/metrics"),
            "trouble": landing_page(in_trouble(), NOW, "/metrics"),
            "many": landing_page(many_accounts(), NOW, "/metrics"),
        },
        policy,
        (NARROW, WIDE),
    )


def test_nothing_has_to_be_scrolled_sideways(seen):
    """No page is wider than a narrow or a wide window."""
    assert len(seen) == 6
    assert {(one["page"], one["width"]): one["overflow"] for one in seen if one["overflow"]} == {}


def test_rows_are_cards_where_it_is_narrow_and_a_table_where_it_is_wide(seen):
    """The layout follows the window."""
    assert {(one["width"], one["stacked"]) for one in seen} == {(NARROW, True), (WIDE, False)}


def test_a_hundred_accounts_stay_compact_below_the_verdict(seen):
    """A line each where it is wide, a few where it is narrow; no value is cut off."""
    lines = {one["width"]: one["rows"] for one in seen if one["page"] == "/many"}
    assert {len(rows) for rows in lines.values()} == {ACCOUNTS}
    assert max(lines[WIDE]) < 32
    assert max(lines[NARROW]) < 160
    assert all(one["verdict"] < 120 and one["beyond"] == 0 for one in seen)


def test_the_policy_lets_the_style_through(seen):
    """Under the header that is sent along, the verdict has a colour of its own."""
    colours = {one["page"]: one["styled"] for one in seen}
    assert "rgba(0, 0, 0, 0)" not in colours.values()
    assert colours["/fine"] != colours["/trouble"]


def test_the_verdict_is_there_and_nothing_is_tiny(seen):
    """The browser shows the headline, and no text below 12 pixels."""
    assert {one["headline"] for one in seen} == {"✓ Everything works", "✕ 7 of 12 feeds fail"}
    assert all(one["small"] == 0 for one in seen)


def test_times_go_on_between_two_reloads_of_the_page(tmp_path):
    """In the words in which the server writes them, and under the policy that it sends."""
    page = landing_page([replace(account(), next_poll=NOW + 100), *in_trouble()], NOW, "/metrics")
    moved = after(chromium(), tmp_path, page, content_security_policy(), seconds=40)
    times = re.compile(r'<time [^>]*data-left="([^"]*)"[^>]*>\s*([^<]*?)\s*</time>')
    before, later = times.findall(page), times.findall(moved)
    assert [left for left, _ in later] == [left for left, _ in before]
    passed: set[tuple[int, ...]] = set()
    for (left, was), (_, said) in zip(before, later, strict=True):
        seconds = [number for number in range(60) if words(float(left) - number) == said]
        assert words(float(left)) == was
        passed.update({tuple(seconds)} if len(seconds) == 1 else ())
    assert len(passed) == 1, "all by the same seconds"
    assert passed != {(0,)}


def words(left):
    if abs(left) < 1:
        return "now"
    return f"{duration(-left)} ago" if left < 0 else f"in {duration(left)}"
