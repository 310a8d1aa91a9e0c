"""The billing dashboard's arithmetic, with made-up months."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.grafana.arithmetic import assert_answers
from tests.grafana.arithmetic import query as query_of

pytestmark = pytest.mark.sockets

TARGET = 'job="j", instance="i"'
QUOTA = f'{{{TARGET}, provider="p", account="a", charge="%s", unit="GB"}}'
COST = (
    f'media_month_to_date_cost{{{TARGET}, provider="p", account="a", charge="c", currency="EUR"}}'
)
SAMPLES_A_DAY = 4

query = partial(query_of, "billing")


def test_included_units_are_used_up_when_the_present_pace_has_reached_them(tmp_path: Path):
    """On the 21st at noon 10.5 days are left: from 0.6 to 2 in them is 0.4 in the first 3."""
    used, expected = "media_included_used_ratio", "media_month_forecast_included_used_ratio"
    ratios = {"meets": (0.6, 2), "lasts": (0.2, 0.9), "over": (1.1, 1.5)}
    series = {
        name + QUOTA % charge: f"{ratio}x124"
        for charge, pair in ratios.items()
        for name, ratio in zip((used, expected), pair, strict=True)
    }
    instant = (20.5 + 3) * 86400 * 1000
    labels = '{account="a", charge="meets", provider="p", unit="GB"}'
    assert_answers(tmp_path, series, [(query("Quotas", "E"), "492h", {labels: instant})])


def test_a_day_costs_what_was_added_since_the_day_before(tmp_path: Path):
    """A revision takes 3 away on the 3rd; February begins at 0; its fee of 50 is due on the 1st."""
    days = [(day + 1) * 10 for day in range(2)] + [17] + [17 + day * 10 for day in range(1, 29)]
    february = [60, 65]
    quarters = [
        str(value)
        for before, after in zip([0, *days[:-1]], days, strict=True)
        for value in steps(before, after)
    ]
    # At midnight the last sample is that of the day that ends.
    quarters += [str(value) for value in (days[-1], *steps(50, 60)[1:], *steps(60, 65), 65)]
    labels = '{account="a", charge="c", currency="EUR", provider="p"}'
    day = query("Cost per day")
    asked = {2: 10, 3: 0, 4: 10, 31: 10, 32: february[0], 33: february[1] - february[0]}
    assert_answers(
        tmp_path,
        {COST: " ".join(quarters)},
        [(day, f"{number * 24}h", {labels: value}) for number, value in asked.items()],
    )


def steps(before: float, after: float) -> list[float]:
    """The samples of one day from its midnight on, the next one's left out."""
    return [before + (after - before) * part / SAMPLES_A_DAY for part in range(SAMPLES_A_DAY)]
