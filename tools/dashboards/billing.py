"""Billing: what accounts cost by the contracts in the configuration, and what is left of quotas."""

from __future__ import annotations

from exporter.model import Measure
from exporter.model import measures as m
from tools.dashboards.frame import Line, Section, dashboard
from tools.dashboards.panels import (
    AGE,
    CENTS,
    INSTANT,
    MONEY,
    RATIO,
    WHOLE,
    Column,
    Panel,
    Words,
    bars,
    grid,
    lines,
    number,
    ranking,
)
from tools.dashboards.queries import ACCOUNT, MONTH_LEFT, now

PAYER = (*ACCOUNT, "currency")
CHARGE = (*ACCOUNT, "charge", "currency")
QUOTA = (*ACCOUNT, "charge", "unit")
PRICED = (*QUOTA, "currency")
HEADINGS = {
    "provider": "Provider",
    "account": "Account",
    "charge": "Charge",
    "unit": "Unit",
    "currency": "Currency",
}
UNPRICED = "No account has `billing` in the configuration"
NO_QUOTA = "No charge has included units in the configuration"
NOT_WHOLE = "The ledger does not have the whole month before"
ESTIMATED = " By the prices in the configuration."
NOT_FIRST_DAY = "scalar(day_of_month(vector(time() - 1)) != bool 1)"
"""0 where the day that ends now is the first of a month, otherwise 1."""

TENTHS = 1
PRICE_DECIMALS = 6
FILLING = {0.8: "orange", 1.0: "red"}


def text() -> str:
    """The dashboard's JSON."""
    return dashboard(
        uid="media-usage-billing",
        title="Billing",
        description="What the month has come to and will come to, by the contracts in the"
        " configuration, and what is left of included units. Months and days are UTC's.",
        sections=(
            Section("This month", (_totals(), Line(9, ((24, _accounts()),)))),
            Section(
                "Quotas",
                (Line(9, ((12, _used()), (12, _expected()))), Line(9, ((24, _quotas()),))),
            ),
            Section(
                "Cost over time",
                (Line(9, ((24, _daily()),)), Line(9, ((12, _grown()), (12, _used_over_time())))),
            ),
            Section("Last month", (Line(9, ((12, _previous()), (12, _month_on_month()))),)),
            Section("Contracts", (Line(9, ((16, _prices()), (8, _ends()))),)),
        ),
        begin="now-30d",
    )


def _most(measure: Measure, by: tuple[str, ...]) -> str:
    """A gauge now; where several exporters poll the same account, the one that is ahead."""
    return now(measure, by, how="max")


def _sum(measure: Measure, by: tuple[str, ...] = PAYER) -> str:
    """The sum over an account's charges."""
    return f"sum by ({', '.join(by)}) ({_most(measure, CHARGE)})"


def _of_budget(cost: str) -> str:
    return f"{cost} / ({_most(m.BUDGET, PAYER)} > 0)"


def _totals() -> Line:
    forecast = _most(m.MONTH_FORECAST_COST, PAYER)
    money = "{{account}} {{currency}}"
    return Line(
        5,
        (
            (
                8,
                number(
                    Words(
                        "Month to date",
                        f"Fees count whole from their first day on.{ESTIMATED}",
                        UNPRICED,
                    ),
                    _sum(m.MONTH_TO_DATE_COST),
                    MONEY,
                    legend=money,
                ).decimals(CENTS),
            ),
            (
                8,
                number(
                    Words(
                        "Forecast, month end",
                        "At the pace of the last 7 days, with included units, tiers, fees and the"
                        f" commitment.{ESTIMATED}",
                        UNPRICED,
                    ),
                    forecast,
                    MONEY,
                    legend=money,
                ).decimals(CENTS),
            ),
            (
                4,
                number(
                    Words(
                        "Budget used",
                        "The account that has used most of its budget.",
                        "No account has a budget",
                    ),
                    f"max({_of_budget(_sum(m.MONTH_TO_DATE_COST))})",
                    RATIO,
                    steps=FILLING,
                ).decimals(0),
            ),
            (
                4,
                number(
                    Words(
                        "Budget forecast",
                        "The account that will have used most of its budget at the month's end, at"
                        " the pace of the last 7 days.",
                        "No account has a budget",
                    ),
                    f"max({_of_budget(forecast)})",
                    RATIO,
                    steps=FILLING,
                ).decimals(0),
            ),
        ),
    )


def _accounts() -> Panel:
    cost = _sum(m.MONTH_TO_DATE_COST)
    forecast = _most(m.MONTH_FORECAST_COST, PAYER)
    return grid(
        Words(
            "By account",
            "The forecast is at the pace of the last 7 days. A dash: not in the configuration."
            f"{ESTIMATED}",
        ),
        {name: HEADINGS[name] for name in PAYER},
        (
            Column("Month to date", cost, MONEY, CENTS),
            Column("Budget", _most(m.BUDGET, PAYER), MONEY, CENTS),
            Column("Budget used", _of_budget(cost), RATIO, steps=FILLING),
            Column("Forecast", forecast, MONEY, CENTS),
            Column("Budget forecast", _of_budget(forecast), RATIO, steps=FILLING),
            Column("Commitment", _most(m.COMMITTED, PAYER), MONEY, CENTS),
        ),
        sort="Budget forecast",
    )


def _used() -> Panel:
    return ranking(
        Words(
            "Quota used",
            "Of the month's included units.",
            NO_QUOTA,
        ),
        _most(m.INCLUDED_USED_RATIO, QUOTA),
        "{{account}} {{charge}}",
        RATIO,
        steps=FILLING,
    )


def _expected() -> Panel:
    return ranking(
        Words(
            "Quota forecast, month end",
            "At the pace of the last 7 days.",
            NO_QUOTA,
        ),
        _most(m.MONTH_FORECAST_INCLUDED_USED_RATIO, QUOTA),
        "{{account}} {{charge}}",
        RATIO,
        steps=FILLING,
    )


def _quotas() -> Panel:
    used = _most(m.INCLUDED_USED_RATIO, QUOTA)
    expected = _most(m.MONTH_FORECAST_INCLUDED_USED_RATIO, QUOTA)
    included = _most(m.INCLUDED_UNITS, QUOTA)
    # From now to the month's end the ratio grows from `used` to `expected`, evenly; Grafana takes
    # instants in milliseconds.
    last = f"1000 * (time() + (1 - ({used} < 1)) / (({expected} > 1) - {used}) * {MONTH_LEFT})"
    return grid(
        Words(
            "Quotas",
            "Used up on: at the present pace, UTC. A dash: they will last the month, or are used"
            " up already.",
        ),
        {name: HEADINGS[name] for name in QUOTA},
        (
            Column("Included", included, WHOLE, TENTHS),
            Column(
                "Used",
                f"{_most(m.MONTH_TO_DATE_CHARGED_UNITS, QUOTA)} and {included}",
                WHOLE,
                TENTHS,
            ),
            Column("Used, %", used, RATIO, steps=FILLING),
            Column("Forecast, month end", expected, RATIO, steps=FILLING),
            Column("Used up on", last, INSTANT),
        ),
        sort="Forecast, month end",
    )


def _daily() -> Panel:
    return bars(
        Words(
            "Cost per day",
            "Each bar is the UTC day that ends where it stands. Fees are on their first day. What"
            " the vendor adds later counts when it is added; a day on which it lowers more than it"
            f" adds counts as nothing.{ESTIMATED}",
            "Needs a whole day of data",
        ),
        {"{{account}} {{charge}} {{currency}}": _grown_in_a_day()},
        MONEY,
        interval="1d",
        last="30d",
    )


def _grown_in_a_day() -> str:
    """What a charge has come to more than a day before.

    The gauge begins again at 0 with each month: nothing is subtracted on a month's first day.
    `increase` would do that too, but takes a revision that lowers the gauge for such a beginning
    and counts the whole month once more.
    """
    cost = _most(m.MONTH_TO_DATE_COST, CHARGE)
    before = now(m.MONTH_TO_DATE_COST, CHARGE, how="max", offset="1d")
    return f"clamp_min({cost} - {before} * {NOT_FIRST_DAY}, 0)"


def _grown() -> Panel:
    return lines(
        Words(
            "Cost by charge, month to date",
            f"It begins again with each month.{ESTIMATED}",
            UNPRICED,
        ),
        {"{{account}} {{charge}} {{currency}}": _most(m.MONTH_TO_DATE_COST, CHARGE)},
        MONEY,
    )


def _used_over_time() -> Panel:
    return lines(
        Words(
            "Quota used over time",
            "Above 100 % units cost what the contract says.",
            NO_QUOTA,
        ),
        {"{{account}} {{charge}}": _most(m.INCLUDED_USED_RATIO, QUOTA)},
        RATIO,
    )


def _previous() -> Panel:
    return ranking(
        Words(
            "Last month, by charge",
            f"There when the ledger has the whole month.{ESTIMATED}",
            NOT_WHOLE,
        ),
        _most(m.PREVIOUS_MONTH_COST, CHARGE),
        "{{account}} {{charge}} {{currency}}",
        MONEY,
    )


def _month_on_month() -> Panel:
    forecast = _most(m.MONTH_FORECAST_COST, PAYER)
    previous = _sum(m.PREVIOUS_MONTH_COST)
    return grid(
        Words(
            "Month on month",
            "This month's forecast against last month; there when the ledger has the whole of"
            f" that.{ESTIMATED}",
        ),
        {name: HEADINGS[name] for name in PAYER},
        (
            Column("Last month", previous, MONEY, CENTS),
            Column("Forecast", f"{forecast} and {previous}", MONEY, CENTS),
            Column("Change", f"{forecast} / ({previous} > 0) - 1", RATIO),
        ),
        sort="Change",
    )


def _prices() -> Panel:
    return grid(
        Words(
            "Unit prices",
            "0 while included units are left.",
        ),
        {name: HEADINGS[name] for name in PRICED},
        (Column("Next unit", _most(m.PRICE, PRICED), MONEY, PRICE_DECIMALS),),
        sort="Next unit",
    )


def _ends() -> Panel:
    end = _most(m.CONTRACT_END, ACCOUNT)
    return grid(
        Words("Contract ends", "Contracts that nothing follows in the configuration."),
        {name: HEADINGS[name] for name in ACCOUNT},
        (
            Column("End", f"1000 * {end}", INSTANT),
            Column("Left", f"{end} - time()", AGE, steps={0: "red", 30 * 86400: "green"}),
        ),
        sort="Left",
    )
