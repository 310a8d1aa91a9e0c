"""The table of accounts: one row each, values as people read them, and nothing made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.polling.status import AccountStatus
from exporter.web.landing import landing_page
from exporter.web.landing.numbers import exact, hours, money, percent, size
from tests.web.landing.statuses import FIGURES, NO_FIGURES, NOW, account, every_account
from tests.web.landing.test_page import Reading

WITHOUT_QUOTA = replace(FIGURES, included_used_ratio=None, included_used_charge=None)
UNPRICED = replace(WITHOUT_QUOTA, month_to_date_cost={}, month_forecast_cost={})


class Table(Reading):
    """The table's rows: the text of each cell."""

    def __init__(self, *accounts: AccountStatus) -> None:
        self.rows: list[list[str]] = []
        page = landing_page(accounts, NOW, "/metrics")
        section = page.partition('<section class="overview"')[2].partition("</section>")[0]
        super().__init__(section.partition(">")[2])
        self.rows = [[cell.strip() for cell in row] for row in self.rows]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    @property
    def titles(self) -> list[str]:
        return [
            " ".join((has["title"] or "").split()) for has in self.all("span") if "title" in has
        ]


def test_an_account_has_a_row_with_what_its_gauges_show() -> None:
    """Short on the page, all of it in the tooltip."""
    table = Table(account(name="studio", figures=FIGURES))
    assert table.rows == [
        [
            "Account",
            *("Viewers now", "Delivered", "Viewing time", "Jobs"),
            "Quota used",
            "Cost",
            "Forecast",
        ],
        [
            "studio",
            "1,234",
            "1.81 TB",
            "12,345 h",
            "4,321",
            "83.1 %",
            "1,234.50 EUR",
            "1,301.26 EUR",
        ],
    ]
    assert table.titles == [
        "1,234 viewers",
        "1,812,345,678,901 bytes",
        "44442000.5 seconds",
        "4,321 jobs",
        "0.83125 of what the charge delivery includes",
        "1234.5 EUR",
        "1301.257 EUR",
    ]


def test_an_account_without_a_value_has_an_empty_cell() -> None:
    """Zero is a value."""
    table = Table(
        account(name="idle", figures=replace(NO_FIGURES, viewers=0, month_to_date_jobs=0)),
        account(name="full", figures=FIGURES),
        account(name="new"),
    )
    assert table.rows[1] == ["idle", "0", "–", "–", "0", "–", "–", "–"]
    assert table.rows[3] == ["new", *7 * ["–"]]


@pytest.mark.parametrize(
    ("figures", "columns"),
    [
        (UNPRICED, ["Viewers now", "Delivered", "Viewing time", "Jobs"]),
        (replace(UNPRICED, month_to_date_jobs=None, viewers=None), ["Delivered", "Viewing time"]),
        (
            replace(WITHOUT_QUOTA, month_to_date_jobs=None),
            ["Viewers now", "Delivered", "Viewing time", "Cost", "Forecast"],
        ),
    ],
)
def test_a_column_that_nobody_has_is_left_out(figures, columns: list[str]) -> None:
    """Without billing there is no quota and no cost."""
    assert Table(account(), account(figures=figures)).rows[0] == ["Account", *columns]


def test_without_any_value_there_is_no_table() -> None:
    """As before the first poll."""
    assert Table(*every_account()).rows == []


def test_several_currencies_are_each_shown() -> None:
    """They are not added up."""
    figures = replace(NO_FIGURES, month_to_date_cost={"EUR": 12, "USD": 3.456})
    assert Table(account(name="a", figures=figures)).rows[1] == ["a", "12.00 EUR, 3.46 USD"]


def test_a_month_that_is_not_whole_is_marked() -> None:
    """What is of the month, not what is of now or of a whole month ahead; and below, why."""
    figures = replace(FIGURES, month_to_date_complete=False)
    whole, part = Table(account(figures=FIGURES)), Table(account(figures=figures))
    marked = [name for name, cell in zip(*part.rows, strict=True) if cell.endswith("*")]
    assert marked == ["Delivered", "Viewing time", "Jobs", "Quota used", "Cost"]
    assert "not the whole month: since 2026-03-01 23:33:20 UTC" in part.titles
    assert "* Not the whole month" in part.text
    assert "*" not in whole.text


def test_a_row_leads_to_its_account() -> None:
    """By position, as names may be anything."""
    accounts = [account(name=name, figures=FIGURES) for name in ("help", "accounts")]
    links = [has["href"] for has in Table(*accounts).all("a")]
    assert links == ["#account-0", "#account-1"]
    page = landing_page(accounts, NOW, "/metrics")
    assert page.index('id="account-0">help') < page.index('id="account-1">accounts')


def test_the_table_stands_between_the_verdict_and_the_feeds() -> None:
    """However many accounts there are."""
    page = landing_page([account(figures=FIGURES)] * 150, NOW, "/metrics")
    assert page.index("<h1>") < page.index('id="accounts"') < page.index('id="account-0"')
    assert len(Table(*[account(figures=FIGURES)] * 150).rows) == 151


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9994, "9.99 kB"),
        (9996, "10.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_812_345_678_901, "1.81 TB"),
        (2.5e21, "2,500 EB"),
    ],
)
def test_bytes_have_three_digits_and_a_unit(amount: float, said: str) -> None:
    """Rounding may lead to the next unit."""
    assert size(amount) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 h"),
        (12, "12 s"),
        (400, "6 min 40 s"),
        (1900, "31 min"),
        (3600, "1.0 h"),
        (359_000, "99.7 h"),
        (359_900, "100 h"),
        (44_442_000.5, "12,345 h"),
    ],
)
def test_viewing_time_is_in_hours(seconds: float, said: str) -> None:
    """What is less than an hour is not lost in rounding."""
    assert hours(seconds) == said


def test_ratios_and_money_are_rounded_and_their_tooltips_are_not() -> None:
    """More than all of a quota can be used."""
    assert percent(1.04449) == "104.4 %"
    assert money(1234567.891, "EUR") == "1,234,567.89 EUR"
    assert exact(1234567.891, "EUR") == "1234567.891 EUR"
    assert exact(12_345_678.0) == "12,345,678"
