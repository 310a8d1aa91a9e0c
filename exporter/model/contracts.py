"""What accounts pay their vendors, as it stands in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from exporter.model.facts import Measure

COMMITMENT: Final = "commitment"
"""The name of the charge for what is missing to the commitment; no other has it."""

UNITS: Final[Mapping[str, Mapping[str, int]]] = {
    "bytes": {"GB": 10**9, "TB": 10**12, "GiB": 2**30, "TiB": 2**40},
    "seconds": {"minute": 60, "hour": 3600},
    "": {"one": 1, "thousand": 1000},
}
"""The units that a counter can be charged by: their sizes in the counter's own unit."""


def units_of(measure: Measure) -> Mapping[str, int]:
    """The units that `measure`, a counter, can be charged by."""
    words = measure.name.split("_")
    return next(sizes for word, sizes in UNITS.items() if not word or word in words)


@dataclass(frozen=True, slots=True)
class Tier:
    """A price of one unit, for units up to the number `to` after the included ones.

    `to` is None for the last tier, which has no end.
    """

    price: Decimal
    to: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Metered:
    """What is counted for a charge: all series of `measure` whose labels are among `where`.

    `included` units a month cost nothing; None where nothing is included. Without `tiers` the
    charge is a quota alone, and costs nothing.
    """

    measure: Measure
    unit: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    included: Decimal | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def unit_parts(self) -> int:
        """The size of one unit in the measure's smallest recorded parts."""
        return units_of(self.measure)[self.unit] * self.measure.resolution


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill: either a `fee` a month, or something `metered`."""

    name: str
    fee: Decimal | None = None
    metered: Metered | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """The terms of one account from `start` up to, not including, `end` (Unix seconds, midnight).

    `end` is None where the terms hold until later ones. `last` is whether the contract ends then,
    instead of being followed by other terms. `budget` and `commitment` are amounts a month.
    """

    currency: str
    start: int
    charges: tuple[Charge, ...]
    end: int | None = None
    last: bool = False
    budget: Decimal | None = None
    commitment: Decimal | None = None
