"""Amounts as people read them, and to the last digit."""

from __future__ import annotations

from exporter.web.landing.times import duration

BYTES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
HOUR = 3600


def size(amount: float) -> str:
    """Bytes with three digits and a decimal unit: `1.81 TB`."""
    position = 0
    while amount >= 999.5 and position < len(BYTES) - 1:
        amount /= 1000
        position += 1
    digits = 0 if position == 0 or amount >= 99.95 else 1 if amount >= 9.995 else 2
    return f"{amount:,.{digits}f} {BYTES[position]}"


def hours(seconds: float) -> str:
    """Hours, with a decimal below 100: `12,345 h`, `7.5 h`; what is less than one hour, as such."""
    if 0 < seconds < HOUR:
        return duration(seconds)
    number = seconds / HOUR
    return f"{number:,.{1 if 0 < number < 99.95 else 0}f} h"


def percent(ratio: float) -> str:
    """A ratio as `83.1 %`."""
    return f"{100 * ratio:,.1f} %"


def money(amount: float, currency: str) -> str:
    """An amount with two decimals: `1,234.50 EUR`."""
    return f"{amount:,.2f} {currency}"


def exact(amount: float, unit: str = "") -> str:
    """All digits, whole numbers in groups of three; then the unit, if there is one."""
    whole = float(amount).is_integer()
    digits = f"{int(amount):,}" if whole else repr(float(amount))
    return f"{digits} {unit}".rstrip()
