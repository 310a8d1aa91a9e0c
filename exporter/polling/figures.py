"""The figures of an account's status, taken from the gauges on its page."""

from __future__ import annotations

from math import fsum

from exporter.exposition import AccountPage
from exporter.model import Measure
from exporter.model.measures import (
    INCLUDED_USED_RATIO,
    MONTH_FORECAST_COST,
    MONTH_TO_DATE_BYTES,
    MONTH_TO_DATE_COMPLETE,
    MONTH_TO_DATE_COST,
    MONTH_TO_DATE_JOBS,
    MONTH_TO_DATE_SINCE,
    MONTH_TO_DATE_VIEWING_SECONDS,
    VIEWERS,
)
from exporter.polling.status import Figures


def figures(page: AccountPage) -> Figures:
    """What the gauges of `page` show now: nothing that is not a line of theirs, or a sum of lines."""
    complete = _sum(page, MONTH_TO_DATE_COMPLETE)
    ratios = {labels[0]: ratio for labels, ratio in page.gauge(INCLUDED_USED_RATIO).items()}
    charge = max(ratios, key=ratios.__getitem__, default=None)
    return Figures(
        viewers=_sum(page, VIEWERS),
        month_to_date_delivered_bytes=page.gauge(MONTH_TO_DATE_BYTES).get(("delivered",)),
        month_to_date_viewing_seconds=_sum(page, MONTH_TO_DATE_VIEWING_SECONDS),
        month_to_date_jobs=_sum(page, MONTH_TO_DATE_JOBS),
        month_to_date_complete=None if complete is None else complete == 1,
        month_to_date_since=_sum(page, MONTH_TO_DATE_SINCE),
        included_used_ratio=None if charge is None else ratios[charge],
        included_used_charge=charge,
        month_to_date_cost=_by_currency(page, MONTH_TO_DATE_COST),
        month_forecast_cost=_by_currency(page, MONTH_FORECAST_COST),
    )


def _sum(page: AccountPage, measure: Measure) -> float | None:
    values = page.gauge(measure).values()
    return sum(values) if values else None


def _by_currency(page: AccountPage, measure: Measure) -> dict[str, float]:
    index = measure.labels.index("currency")
    amounts: dict[str, list[float]] = {}
    for labels, value in page.gauge(measure).items():
        amounts.setdefault(labels[index], []).append(value)
    return {currency: fsum(values) for currency, values in amounts.items()}
