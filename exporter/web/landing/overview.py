"""The table of accounts: what each one's gauges show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from exporter.polling.status import AccountStatus, Figures
from exporter.web.landing.numbers import exact, hours, money, percent, size


@dataclass(frozen=True, slots=True)
class Value:
    """One value: as people read it, and all of it."""

    text: str
    exact: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `of_month` is whether its values are of the month to date."""

    name: str
    values: Callable[[Figures], Sequence[Value]]
    of_month: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """The values of one account in one column, none or several; `partial` without the whole month."""

    column: str
    values: tuple[Value, ...]
    partial: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The names of the columns that some account has a value in, and each account's cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[AccountStatus, tuple[Cell, ...]], ...]

    @property
    def partial(self) -> bool:
        """Whether any value is not of the whole month."""
        return any(cell.partial for _, cells in self.rows for cell in cells)


def overview(accounts: Sequence[AccountStatus]) -> Overview:
    """The table, with no columns when no account has any value."""
    columns = [one for one in COLUMNS if any(one.values(of.figures) for of in accounts)]
    rows = tuple(
        (account, tuple(_cell(column, account.figures) for column in columns))
        for account in accounts
    )
    return Overview(tuple(column.name for column in columns), rows)


def _cell(column: Column, figures: Figures) -> Cell:
    values = tuple(column.values(figures))
    partial = bool(values) and column.of_month and figures.month_to_date_complete is False
    return Cell(column.name, values, partial)


def _one(amount: float | None, text: Callable[[float], str], unit: str) -> tuple[Value, ...]:
    return () if amount is None else (Value(text(amount), exact(amount, unit)),)


def _quota(figures: Figures) -> tuple[Value, ...]:
    ratio = figures.included_used_ratio
    if ratio is None:
        return ()
    told = f"{exact(ratio)} of what the charge {figures.included_used_charge} includes"
    return (Value(percent(ratio), told),)


def _amounts(amounts: Mapping[str, float]) -> tuple[Value, ...]:
    return tuple(
        Value(money(amount, currency), exact(amount, currency))
        for currency, amount in amounts.items()
    )


COLUMNS = (
    Column("Viewers now", lambda of: _one(of.viewers, exact, "viewers"), of_month=False),
    Column("Delivered", lambda of: _one(of.month_to_date_delivered_bytes, size, "bytes")),
    Column("Viewing time", lambda of: _one(of.month_to_date_viewing_seconds, hours, "seconds")),
    Column("Jobs", lambda of: _one(of.month_to_date_jobs, exact, "jobs")),
    Column("Quota used", _quota),
    Column("Cost", lambda of: _amounts(of.month_to_date_cost)),
    Column("Forecast", lambda of: _amounts(of.month_forecast_cost), of_month=False),
)
"""All columns, in their order."""
