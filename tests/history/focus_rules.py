"""What FOCUS 1.2 demands of its columns, as a table, and of a row, as rules over columns.

The specification is at https://focus.finops.org/focus-specification/v1-2; here are its columns
that are mandatory, and those others that the export has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["string", "decimal", "instant", "boolean"]


class Column(NamedTuple):
    """Its level, type, whether it may be null, and the only values it may have, if any."""

    level: Literal["mandatory", "conditional", "recommended", "custom"]
    kind: Kind
    nulls: bool = False
    values: tuple[str, ...] = ()


COLUMNS: Mapping[str, Column] = {
    "BilledCost": Column("mandatory", "decimal"),
    "BillingAccountId": Column("mandatory", "string"),
    "BillingAccountName": Column("mandatory", "string", nulls=True),
    "BillingCurrency": Column("mandatory", "string"),
    "BillingPeriodEnd": Column("mandatory", "instant"),
    "BillingPeriodStart": Column("mandatory", "instant"),
    "ChargeCategory": Column(
        "mandatory", "string", values=("Usage", "Purchase", "Tax", "Credit", "Adjustment")
    ),
    "ChargeClass": Column("mandatory", "string", nulls=True, values=("Correction",)),
    "ChargeDescription": Column("mandatory", "string", nulls=True),
    "ChargeFrequency": Column(
        "recommended", "string", values=("One-Time", "Recurring", "Usage-Based")
    ),
    "ChargePeriodEnd": Column("mandatory", "instant"),
    "ChargePeriodStart": Column("mandatory", "instant"),
    "ConsumedQuantity": Column("conditional", "decimal", nulls=True),
    "ConsumedUnit": Column("conditional", "string", nulls=True),
    "ContractedCost": Column("mandatory", "decimal"),
    "ContractedUnitPrice": Column("conditional", "decimal", nulls=True),
    "EffectiveCost": Column("mandatory", "decimal"),
    "InvoiceIssuerName": Column("mandatory", "string"),
    "ListCost": Column("mandatory", "decimal"),
    "ListUnitPrice": Column("conditional", "decimal", nulls=True),
    "PricingCategory": Column(
        "conditional", "string", nulls=True, values=("Standard", "Dynamic", "Committed", "Other")
    ),
    "PricingQuantity": Column("mandatory", "decimal", nulls=True),
    "PricingUnit": Column("mandatory", "string", nulls=True),
    "ProviderName": Column("mandatory", "string"),
    "PublisherName": Column("mandatory", "string"),
    "ServiceCategory": Column("mandatory", "string", values=("Media",)),
    "ServiceName": Column("mandatory", "string"),
    "x_Charge": Column("custom", "string"),
    "x_Measure": Column("custom", "string", nulls=True),
    "x_Settled": Column("custom", "boolean"),
}

UNITS = ("GB", "TB", "GiB", "TiB", "Minutes", "Hours", "Units", "1000 Units", "Months")

FORMS: Mapping[Kind, str] = {
    "string": r"(?s).+",
    "decimal": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?",
    "instant": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z",
    "boolean": "true|false",
}

Row = Mapping[str, str]


def _product(row: Row, price: str, cost: str) -> bool:
    """Prices are rounded to 18 decimals and costs to 12, so that the product is."""
    found = Decimal(row[price]) * Decimal(row["PricingQuantity"])
    return abs(found - Decimal(row[cost])) < Decimal("1e-9")


def _in_order(row: Row) -> bool:
    """The charge's period lies in the billing period."""
    start, end = row["ChargePeriodStart"], row["ChargePeriodEnd"]
    return row["BillingPeriodStart"] <= start < end <= row["BillingPeriodEnd"]


def _month(row: Row) -> bool:
    """The billing period is one calendar month."""
    start, end = (
        datetime.fromisoformat(row[name]) for name in ("BillingPeriodStart", "BillingPeriodEnd")
    )
    months = (end.year - start.year) * 12 + end.month - start.month
    return start.day == end.day == 1 and months == 1


def _paired(row: Row, one: str, other: str) -> bool:
    return (row[one] == "") == (row[other] == "")


RULES: Mapping[str, Callable[[Row], bool]] = {
    "the currency is an ISO 4217 code": lambda row: (
        re.fullmatch("[A-Z]{3}", row["BillingCurrency"]) is not None
    ),
    "the charge's period lies in the billing period": _in_order,
    "the billing period is a month": _month,
    "only usage is consumed, and all of it": lambda row: (
        (row["ConsumedQuantity"] != "") == (row["ChargeCategory"] == "Usage")
    ),
    "what is consumed has a unit": lambda row: _paired(row, "ConsumedQuantity", "ConsumedUnit"),
    "what is priced has a unit": lambda row: _paired(row, "PricingQuantity", "PricingUnit"),
    "units are spelled as FOCUS spells them": lambda row: (
        row["PricingUnit"] in UNITS and row["ConsumedUnit"] in ("", *UNITS)
    ),
    "usage and purchases have a price, a quantity and a category of price": lambda row: all(
        row[name] != ""
        for name in (
            "ContractedUnitPrice",
            "ListUnitPrice",
            "PricingQuantity",
            "PricingCategory",
        )
    ),
    "prices are not negative": lambda row: (
        min(Decimal(row["ContractedUnitPrice"]), Decimal(row["ListUnitPrice"])) >= 0
    ),
    "quantity times contracted price is the contracted cost": lambda row: _product(
        row, "ContractedUnitPrice", "ContractedCost"
    ),
    "quantity times list price is the list cost": lambda row: _product(
        row, "ListUnitPrice", "ListCost"
    ),
    "a purchase is not usage-based": lambda row: (
        (row["ChargeFrequency"] == "Usage-Based") == (row["ChargeCategory"] == "Usage")
    ),
    "without taxes, credits and what is paid ahead, all costs are one": lambda row: (
        row["BilledCost"] == row["ContractedCost"] == row["EffectiveCost"]
    ),
}


def broken(row: Row) -> list[str]:
    """What a row of the CSV does not keep to."""
    found = [f"{name} is missing" for name in COLUMNS if name not in row]
    found += [f"{name} is not known" for name in row if name not in COLUMNS]
    if found:
        return found
    for name, column in COLUMNS.items():
        text = row[name]
        if text == "":
            if not column.nulls:
                found.append(f"{name} is null")
        elif not re.fullmatch(FORMS[column.kind], text):
            found.append(f"{name} is no {column.kind}: {text}")
        elif column.values and text not in column.values:
            found.append(f"{name} is none of its values: {text}")
    return found or [what for what, holds in RULES.items() if not holds(row)]
