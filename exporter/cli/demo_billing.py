"""The demo's contracts: with everything in them, and sized by what the emulated vendors deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from exporter.model import DAY, Measure, Step, Window
from exporter.model import measures as m
from exporter.model.contracts import units_of

Labels = Mapping[str, str]
Used = Callable[[str, Measure, Labels, Window], int]
"""What an account has used of a measure with these labels, in the measure's smallest parts."""

LEAST_SECONDS = 10 * DAY


@dataclass(frozen=True, slots=True)
class _Charge:
    """Something metered. `share` is the part of the included units that is used now."""

    name: str
    measure: Measure
    unit: str
    share: str = ""
    prices: tuple[str, ...] = ()
    where: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Terms:
    """`days_left` is how soon the contract ends; `flat` a fee that was all there was before."""

    account: str
    currency: str
    budget: str
    charges: tuple[_Charge, ...]
    fee: str = ""
    commitment: str = ""
    days_left: int | None = None
    flat: str = ""


TERMS: Final = (
    _Terms(
        "live",
        "EUR",
        "1800",
        (
            _Charge("delivery", m.DELIVERED_BYTES, "GB", "1.1", ("0.02", "0.015")),
            _Charge("transcoding", m.TRANSCODED_SECONDS, "minute", "0.8"),
        ),
        fee="499",
        commitment="1000",
        days_left=55,
        flat="1200",
    ),
    _Terms(
        "vod",
        "USD",
        "1500",
        (
            _Charge("delivery", m.DELIVERED_BYTES, "TB", "0.9", ("38", "32"), {"kind": "vod"}),
            _Charge("egress", m.EGRESS_BYTES, "TB", "", ("12", "9"), {"kind": "vod"}),
        ),
        fee="149",
        flat="1100",
    ),
    _Terms(
        "studio",
        "USD",
        "900",
        (
            _Charge("transcoding", m.TRANSCODED_SECONDS, "minute", "0.7", ("0.005",)),
            _Charge("delivery", m.USAGE_DELIVERED_SECONDS, "minute", "", ("0.001",)),
        ),
        fee="100",
        days_left=40,
    ),
    _Terms(
        "processing",
        "USD",
        "600",
        (
            _Charge("jobs", m.JOBS, "one", "1.05", ("0.35",)),
            _Charge("transcoding", m.JOBS, "one", "0.5", (), {"path": "/media/transcode"}),
        ),
        fee="250",
    ),
)


def section(used: Used, now: int) -> str:
    """The section `billing` of a config.yaml, for a demo that begins at `now`.

    Included units are those of which `share` is used up now; in the month's first ten days as if
    the amount of the last ten days were used, so that the forecast stays within reason.
    """
    month = Step.MONTH.floor(now)
    window = Window(min(month, now - LEAST_SECONDS), now)
    lines = ["billing:"]
    for terms in TERMS:
        begin = _day(month)
        if terms.flat:
            fee = f'{{name: plan, fee: "{terms.flat}"}}'
            lines += [*_head(terms, "2020-01-01"), f"    charges: [{fee}]"]
        else:
            begin = "2020-01-01"
        lines += [*_head(terms, begin), f'    budget: "{terms.budget}"']
        if terms.days_left is not None:
            lines.append(f"    until: {_day(now + terms.days_left * DAY)}")
        if terms.commitment:
            lines.append(f'    commitment: "{terms.commitment}"')
        lines += ["    charges:", f'      - {{name: plan, fee: "{terms.fee}"}}']
        for charge in terms.charges:
            parts = used(terms.account, charge.measure, charge.where, window)
            lines += _metered(charge, parts)
    return "\n".join((*lines, ""))


def _head(terms: _Terms, begin: str) -> list[str]:
    return [
        f"  - accounts: [{terms.account}]",
        f"    currency: {terms.currency}",
        f"    from: {begin}",
    ]


def _metered(charge: _Charge, parts: int) -> list[str]:
    units = Fraction(parts) / (units_of(charge.measure)[charge.unit] * charge.measure.resolution)
    lines = [
        f"      - name: {charge.name}",
        f"        measure: {charge.measure.name}",
        f"        unit: {charge.unit}",
    ]
    if charge.where:
        where = ", ".join(f"{label}: [{value}]" for label, value in charge.where.items())
        lines.append(f"        where: {{{where}}}")
    if charge.share:
        lines.append(f'        included: "{_round(units / Fraction(charge.share))}"')
    if charge.prices:
        *first, last = charge.prices
        tiers = [f'{{to: "{_round(units / 2)}", price: "{price}"}}' for price in first]
        tiers.append(f'{{price: "{last}"}}')
        lines.append(f"        tiers: [{', '.join(tiers)}]")
    return lines


def _round(units: Fraction) -> int:
    """As contracts have it: two digits, then zeros; at least 1."""
    whole = max(1, round(units))
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return (whole + step // 2) // step * step


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
